//! `mica buildx imagetools inspect`.

use std::collections::BTreeMap;
use std::rc::Rc;

use engine::{Client, RemoteImage};
use serde_json::{Map, Value, json};
use spec::{Digest, Document};

use super::super::remote::tagged;
use super::named::{Named, SBOM, SHOWN, SLSA, Shape, typed};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::NO_TEMPLATE;
use crate::template::{self, Functions, MissingKey, Template};

pub(crate) fn inspect(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let name = tagged(&context.names()[0])?;
    let client: Client = context.settings()?.client()?;
    let image = RemoteImage::open(&client, &name)?;
    if matches.flag("raw") {
        ui.bytes(&image.document.bytes);
        return Ok(0);
    }
    match matches.string("format").filter(|text| !text.is_empty()) {
        None | Some("{{.Manifest}}") => ui.print(&page(&image)),
        Some("json") => ui.line(&Parts::of(&image, "json")?.document().to_string()),
        Some(format) => ui.line(&rendered(format, Parts::of(&image, format)?)?),
    }
    Ok(0)
}

/// What a person sees.
fn page(image: &RemoteImage<'_>) -> String {
    let (name, document) = (&image.name, &image.document);
    let kind = document.media_type.as_str();
    let mut page =
        format!("Name:      {name}\nMediaType: {kind}\nDigest:    {}\n", document.digest);
    let Document::Index(index) = &image.parsed else { return page };
    page.push_str("\nManifests:\n");
    let entries = index.manifests.iter().map(|entry| {
        let mut text = format!(
            "  Name:      {name}@{}\n  MediaType: {}\n",
            entry.digest,
            entry.media_type.as_str()
        );
        if let Some(platform) = &entry.platform {
            text.push_str(&format!("  Platform:  {platform}\n"));
        }
        if !entry.annotations.is_empty() {
            text.push_str("  Annotations:\n");
            for (key, value) in &entry.annotations {
                text.push_str(&format!("    {key}: {value}\n"));
            }
        }
        text
    });
    page.push_str(&entries.collect::<Vec<_>>().join("\n"));
    page
}

/// What there is of an image, or of each of several by its platform.
enum Each {
    One(Value),
    All(Map<String, Value>),
}

impl Each {
    fn document(self) -> Value {
        match self {
            Each::One(value) => value,
            Each::All(values) => Value::Object(values),
        }
    }

    fn typed(self, shape: &'static Shape) -> template::Value {
        match self {
            Each::One(value) => typed(shape, value),
            Each::All(values) => {
                let typed = values.into_iter().map(|(key, value)| (key, typed(shape, value)));
                template::Value::Map(typed.collect::<BTreeMap<_, _>>())
            }
        }
    }
}

/// What a template sees. What it does not ask for is not fetched.
struct Parts {
    name: String,
    manifest: Value,
    image: Option<Each>,
    provenance: Option<Each>,
    sbom: Option<Each>,
}

impl Parts {
    fn of(image: &RemoteImage<'_>, format: &str) -> Result<Parts, Failure> {
        let bytes = &image.document.bytes;
        let mut manifest: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| Failure::new(format!("error: the manifest is not JSON: {error}")))?;
        manifest.insert("mediaType".to_owned(), json!(image.document.media_type.as_str()));
        manifest.insert("digest".to_owned(), json!(image.document.digest));
        manifest.insert("size".to_owned(), json!(bytes.len()));
        // `.` shows the image; what is attested of it is shown to whoever asks for that.
        let is_whole = shows_all(format);
        let asks = |field: &str| format == "json" || format.contains(field);
        let config = |_: &Digest, config: &[u8]| {
            serde_json::from_slice(config)
                .map_err(|error| Failure::new(format!("error: malformed configuration: {error}")))
        };
        let attested = |kind: &'static str, marks: &'static str| {
            move |digest: &Digest, _: &[u8]| {
                let found = image.attestations(digest)?;
                let statement = found.into_iter().find(|(about, _)| about.contains(marks));
                Ok(statement.map_or_else(|| json!({}), |(_, said)| json!({ kind: said })))
            }
        };
        let get = |wanted: bool, value: &dyn Fn(&Digest, &[u8]) -> Result<Value, Failure>| {
            wanted.then(|| by_platform(image, value)).transpose()
        };
        Ok(Parts {
            name: image.name.to_string(),
            manifest: Value::Object(manifest),
            image: get(asks("Image") || is_whole, &config)?,
            provenance: get(asks("Provenance"), &attested("SLSA", "slsa.dev/provenance"))?,
            sbom: get(asks("SBOM"), &attested("SPDX", "spdx.dev"))?,
        })
    }

    /// All of it as JSON.
    fn document(self) -> Value {
        let mut whole = json!({ "Name": self.name, "Manifest": self.manifest });
        let parts = [("Image", self.image), ("Provenance", self.provenance), ("SBOM", self.sbom)];
        for (name, part) in parts {
            if let Some(part) = part {
                whole[name] = part.document();
            }
        }
        whole
    }

    /// All of it with Go's names.
    fn typed(self) -> template::Value {
        let mut fields = vec![
            ("name", template::Value::Str(self.name)),
            ("manifest", typed(&super::named::MANIFEST, self.manifest)),
        ];
        fields.extend(self.image.map(|part| ("image", part.typed(&super::named::IMAGE))));
        fields.extend(self.provenance.map(|part| ("provenance", part.typed(&SLSA))));
        fields.extend(self.sbom.map(|part| ("sbom", part.typed(&SBOM))));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        template::Value::Object(Rc::new(Named::new(&SHOWN, fields)))
    }
}

/// Whether a template speaks of all there is, by a dot or a dollar sign that no field follows. Dots
/// of other things, as within `range`, are taken for it too.
fn shows_all(format: &str) -> bool {
    let actions = format.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let is_alone =
        |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || "._".contains(c));
    actions.into_iter().any(|action| {
        action.match_indices(['.', '$']).any(|(at, sign)| is_alone(&action[at + sign.len()..]))
    })
}

/// The parts through a template. Its `json` is indented, as buildx's is.
fn rendered(format: &str, parts: Parts) -> Result<String, Failure> {
    let mut functions = Functions::docker();
    functions.insert_typed("json", &[template::Param::Any], |values| {
        let text = template::as_json(&values[0])?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(template::Value::Str(format!("{value:#}")))
    });
    let template = Template::parse(format, &functions)
        .map_err(|error| Failure::from(error).code(NO_TEMPLATE))?;
    template
        .render(&parts.typed(), MissingKey::NoValue)
        .map_err(|error| Failure::new(format!("template parsing error: {error}")))
}

/// One value where there is one image, else one for each platform.
fn by_platform(
    image: &RemoteImage<'_>,
    value: &dyn Fn(&Digest, &[u8]) -> Result<Value, Failure>,
) -> Result<Each, Failure> {
    let images = image.images()?;
    if let [only] = images.as_slice() {
        return Ok(Each::One(value(&only.manifest.digest, &only.config)?));
    }
    let mut all = Map::new();
    for entry in &images {
        let platform = entry.descriptor.platform.as_ref();
        let platform = platform.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        all.insert(platform, value(&entry.manifest.digest, &entry.config)?);
    }
    Ok(Each::All(all))
}

#[cfg(test)]
mod tests {
    use super::shows_all;

    #[test]
    fn all_is_shown_to_whoever_asks_for_it() {
        for format in ["{{.}}", "{{ . }}", "{{with .}}x{{end}}", "{{. | json}}", "{{json .}}"] {
            assert!(shows_all(format), "{format}");
        }
        for format in ["{{json $}}", "{{$x := .}}", "{{(.).Name}}", "{{- . -}}"] {
            assert!(shows_all(format), "{format}");
        }
        for format in ["{{.Name}}.", "a. {{json .Manifest}}", "{{$x.Name}}", "{{$.Name}}", ". $"] {
            assert!(!shows_all(format), "{format}");
        }
    }
}
