//! What a client asks of a build, in BuildKit's words: attributes of a frontend, ways out, caches.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engine::{
    Annotation, AnnotationPlace, BuildRequest, CacheUse, LayerCoding, Naming, Packing, Provenance,
    ProvenanceMode, ProvenanceVersion, Push, Sbom, Types,
};
use spec::{HostConfig, ImageConfig, Platform, Reference, Ulimit};

use super::caches::caches;
use super::messages::control::{CacheEntry, Exporter, SolveRequest};
use super::messages::ops::Definition;
use crate::wire::Status;

/// Where clients say what an image of theirs is to have as its configuration.
pub(super) const CONFIG: &str = "containerimage.config";

/// A build that is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// What the client calls it.
    pub(crate) reference: String,
    /// The client's session.
    pub(crate) session: String,
    /// Who reads the Dockerfile.
    pub(crate) frontend: String,
    /// What the frontend is told.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The operations, where there is no frontend.
    pub(crate) definition: Option<Arc<Definition>>,
    /// Graphs that its frontend begins with, by their names.
    pub(crate) inputs: BTreeMap<String, Arc<Definition>>,
    /// The configuration of an image that is made of them.
    pub(crate) config: Option<Vec<u8>>,
    /// Where the result goes.
    pub(crate) exporters: Vec<Exporter>,
    pub(crate) imports: Vec<CacheEntry>,
    pub(crate) exports: Vec<CacheEntry>,
    /// What steps are allowed besides.
    pub(crate) entitlements: Vec<String>,
}

impl Asked {
    /// Reads a request of the control service.
    pub(super) fn of(request: SolveRequest) -> Asked {
        let mut exporters = request.exporters;
        if exporters.is_empty() && !request.exporter.is_empty() {
            let attributes = request.exporter_attributes;
            exporters.push(Exporter { kind: request.exporter, attributes });
        }
        let (imports, exports) = caches(request.cache.unwrap_or_default());
        let definition = request.definition.filter(|graph| !graph.operations.is_empty());
        let given = |exporter: &Exporter| exporter.attributes.get(CONFIG).cloned();
        let config = exporters.iter().find_map(given).map(String::into_bytes);
        Asked {
            reference: request.reference,
            session: request.session,
            frontend: request.frontend,
            attributes: request.frontend_attributes.into_iter().collect(),
            definition: definition.map(Arc::new),
            inputs: inputs(request.frontend_inputs),
            config,
            exporters,
            imports,
            exports,
            entitlements: request.entitlements,
        }
    }

    /// An attribute that says something.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Attributes that begin with a word, without it.
    pub(super) fn family<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let own = move |(name, value): (&'a String, &'a String)| {
            Some((name.strip_prefix(prefix)?, value.as_str()))
        };
        self.attributes.iter().filter_map(own)
    }

    /// The request to the engine, but for contexts and ways out.
    pub(super) fn request(&self) -> Result<BuildRequest, Status> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let arguments: BTreeMap<String, String> = self.family("build-arg:").map(owned).collect();
        // Words for times are for who knows the context.
        let epoch = arguments.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
        let cache = match self.attributes.get("no-cache").map(String::as_str) {
            None => CacheUse::All,
            Some("") => CacheUse::None,
            Some(stages) => CacheUse::But(stages.split(',').map(str::to_owned).collect()),
        };
        Ok(BuildRequest {
            arguments,
            target: self.text("target").map(str::to_owned),
            platforms: self.platforms()?,
            labels: self.family("label:").map(owned).collect(),
            cache,
            cache_from: self.cache_from()?,
            cache_to: self.cache_to()?,
            provenance: self.provenance()?,
            sbom: self.sbom()?,
            pull: self.text("image-resolve-mode") == Some("pull"),
            epoch,
            host: self.host()?,
            allowed: self.entitlements.clone(),
            config: self.config()?,
            ..BuildRequest::default()
        })
    }

    /// The configuration of an image that is made of operations.
    fn config(&self) -> Result<Option<Box<ImageConfig>>, Status> {
        let parsed = self.config.as_deref().map(ImageConfig::parse).transpose();
        let parsed = parsed.map_err(|error| Status::invalid(format!("{CONFIG}: {error}")))?;
        Ok(parsed.map(Box::new))
    }

    fn platforms(&self) -> Result<Vec<Platform>, Status> {
        let list = self.text("platform").unwrap_or_default().split(',').map(str::trim);
        list.filter(|text| !text.is_empty())
            .map(|text| Platform::parse(text).map_err(|error| Status::invalid(error.to_string())))
            .collect()
    }

    /// How steps are run.
    fn host(&self) -> Result<HostConfig, Status> {
        let mut host = HostConfig::default();
        let network = self.text("force-network-mode").unwrap_or("default");
        host.network_mode = if network == "sandbox" { "default" } else { network }.to_owned();
        let hosts = self.text("add-hosts").map(fields).unwrap_or_default();
        // `name=address`, as `--add-host` has it with a colon.
        let hosts: Vec<String> = hosts.iter().map(|pair| pair.replacen('=', ":", 1)).collect();
        host.extra_hosts = Some(hosts).filter(|hosts| !hosts.is_empty());
        let size = self.text("shm-size").map(|text| text.parse()).transpose();
        host.shm_size = size.map_err(|_| Status::invalid("shm-size is no number"))?.unwrap_or(0);
        let limits = self.text("ulimit").map(fields).unwrap_or_default();
        let read = |text: &String| {
            text.parse::<Ulimit>().map_err(|error| Status::invalid(error.to_string()))
        };
        let limits = limits.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        host.resources.ulimits = Some(limits).filter(|limits| !limits.is_empty());
        self.text("cgroup-parent")
            .unwrap_or_default()
            .clone_into(&mut host.resources.cgroup_parent);
        Ok(host)
    }

    /// Whether it is told what is installed in the image, and who looks.
    fn sbom(&self) -> Result<Option<Sbom>, Status> {
        let Some(value) = self.attributes.get("attest:sbom") else { return Ok(None) };
        let fields = pairs(value);
        if truth("disabled", fields.get("disabled").map(String::as_str))? {
            return Ok(None);
        }
        let generator = fields.get("generator").filter(|image| !image.is_empty());
        let generator = generator.map(|image| reference(image)).transpose()?;
        Ok(Some(generator.map_or(Sbom::BuiltIn, Sbom::Generator)))
    }

    /// What is told of how the image was built, where that was asked for.
    fn provenance(&self) -> Result<Option<Provenance>, Status> {
        let Some(value) = self.attributes.get("attest:provenance") else { return Ok(None) };
        let fields = pairs(value);
        let on = |name: &str| truth(name, fields.get(name).map(String::as_str));
        if on("disabled")? {
            return Ok(None);
        }
        let mode = match fields.get("mode").map(String::as_str) {
            None | Some("" | "min") => ProvenanceMode::Min,
            Some("max") => ProvenanceMode::Max,
            Some(other) => return Err(Status::invalid(format!("provenance of mode {other:?}"))),
        };
        let version = match fields.get("version").map(String::as_str) {
            None | Some("" | "v1") => ProvenanceVersion::V1,
            Some("v0.2") => ProvenanceVersion::V02,
            Some(other) => return Err(Status::invalid(format!("provenance of version {other:?}"))),
        };
        let builder = fields.get("builder-id").cloned().unwrap_or_default();
        let (reproducible, inline_only) = (on("reproducible")?, on("inline-only")?);
        let file = fields.get("filename").cloned().unwrap_or_default();
        Ok(Some(Provenance { mode, version, builder, reproducible, inline_only, file }))
    }
}

/// Graphs by their names.
pub(super) fn inputs(graphs: HashMap<String, Definition>) -> BTreeMap<String, Arc<Definition>> {
    graphs.into_iter().map(|(name, graph)| (name, Arc::new(graph))).collect()
}

/// How an exporter packs images.
pub(super) fn packing(exporter: &Exporter) -> Result<Packing, Status> {
    let mut packing = Packing::default();
    compress(&exporter.attributes, &mut packing)?;
    match switch(exporter, "oci-mediatypes")? {
        Some(true) => packing.types = Some(Types::Oci),
        Some(false) => packing.types = Some(Types::Docker),
        None => {}
    }
    let annotations = exporter.attributes.iter().filter(|(key, _)| key.starts_with("annotation"));
    for (key, value) in annotations {
        packing.annotations.push(annotation(key, value)?);
    }
    packing.artifact = switch(exporter, "oci-artifact")?.unwrap_or(false);
    packing.annotations.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(packing)
}

pub(super) fn compress(
    attributes: &HashMap<String, String>,
    packing: &mut Packing,
) -> Result<(), Status> {
    let word = attributes.get("compression").filter(|word| !word.is_empty());
    let coding = word.map(|word| {
        let wrong = || Status::invalid(format!("unsupported layer compression type: {word}"));
        LayerCoding::parse(word).ok_or_else(wrong)
    });
    packing.compression = coding.transpose()?;
    if let Some(text) = attributes.get("compression-level").filter(|text| !text.is_empty()) {
        let coding = packing.compression.unwrap_or(LayerCoding::Gzip);
        let level = text.parse().ok().filter(|level| coding.has_level(*level));
        let wrong = || {
            Status::invalid(format!("compression-level={text} is no level of {}", coding.word()))
        };
        packing.level = Some(level.ok_or_else(wrong)?);
    }
    let force = attributes.get("force-compression").map(String::as_str);
    packing.force = truth("force-compression", force)?;
    Ok(())
}

/// `annotation.KEY`, `annotation-manifest[PLATFORM].KEY` and so on.
fn annotation(name: &str, value: &str) -> Result<Annotation, Status> {
    let wrong = || Status::invalid(format!("{name:?} is no annotation"));
    let (head, key) = name.split_once('.').ok_or_else(wrong)?;
    let (head, platform) = match head.split_once('[') {
        Some((head, rest)) => (head, Some(rest.strip_suffix(']').ok_or_else(wrong)?)),
        None => (head, None),
    };
    let place = match head {
        "annotation" | "annotation-manifest" => AnnotationPlace::Manifest,
        "annotation-manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "annotation-index" => AnnotationPlace::Index,
        _ => return Err(wrong()),
    };
    let platform = platform.map(Platform::parse).transpose();
    let platform = platform.map_err(|error| Status::invalid(error.to_string()))?;
    Ok(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() })
}

/// The names of an exporter's images.
pub(super) fn names(exporter: &Exporter) -> Result<Vec<Reference>, Status> {
    let list = exporter.attributes.get("name").map_or("", String::as_str).split(',');
    list.map(str::trim).filter(|name| !name.is_empty()).map(reference).collect()
}

/// Whether an exporter pushes, and how.
pub(super) fn push(exporter: &Exporter) -> Result<Push, Status> {
    let by_digest = switch(exporter, "push-by-digest")?.unwrap_or(false);
    Ok(match switch(exporter, "push")?.unwrap_or(false) {
        true if by_digest => Push::ByDigest,
        true => Push::ByName,
        false => Push::No,
    })
}

/// What else an exporter says about names.
pub(super) fn naming(exporter: &Exporter) -> Result<Naming, Status> {
    let on = |name: &str| Ok::<_, Status>(switch(exporter, name)?.unwrap_or(false));
    let dangling = exporter.attributes.get("dangling-name-prefix").filter(|text| !text.is_empty());
    Ok(Naming {
        insecure: on("registry.insecure")?,
        canonical: on("name-canonical")?,
        dangling: dangling.map(|text| reference(text)).transpose()?,
    })
}

/// An attribute of an exporter that is true or false; named alone it is true.
pub(super) fn switch(exporter: &Exporter, name: &str) -> Result<Option<bool>, Status> {
    let text = exporter.attributes.get(name).map(String::as_str);
    text.map(|text| truth(name, Some(text))).transpose()
}

pub(super) fn reference(text: &str) -> Result<Reference, Status> {
    let wrong =
        |error: &dyn std::fmt::Display| Status::invalid(format!("failed to parse {text}: {error}"));
    Ok(Reference::parse(text).map_err(|error| wrong(&error))?.with_default_tag())
}

/// Values with commas between them.
fn fields(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned).collect()
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |field: String| match field.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (field, "true".to_owned()),
    };
    fields(text).into_iter().map(pair).collect()
}

/// Whether something is so that may be said; where it is only named, it is.
pub(super) fn truth(name: &str, value: Option<&str>) -> Result<bool, Status> {
    let wrong = |text| Status::invalid(format!("non-bool value specified for {name}: {text:?}"));
    match value {
        None => Ok(false),
        Some("") => Ok(true),
        Some(text) => spec::parse_go_bool(text).ok_or_else(|| wrong(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::messages::control::CacheOptions;

    fn asked(attributes: &[(&str, &str)]) -> Asked {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked { attributes: attributes.iter().map(own).collect(), ..Asked::default() }
    }

    #[test]
    fn attributes_become_a_request() {
        let request = asked(&[
            ("build-arg:A", "1"),
            ("label:b", "c=d"),
            ("target", "last"),
            ("platform", "linux/amd64,linux/arm64"),
            ("no-cache", ""),
            ("add-hosts", "one=10.0.0.1,two=::1"),
            ("image-resolve-mode", "pull"),
            ("attest:provenance", "mode=max"),
            ("force-network-mode", "none"),
        ]);
        let request = request.request().unwrap();
        assert_eq!(request.arguments["A"], "1");
        assert_eq!(request.labels["b"], "c=d");
        assert_eq!(request.target.as_deref(), Some("last"));
        assert_eq!(request.platforms.len(), 2);
        assert_eq!((request.cache, request.pull), (CacheUse::None, true));
        assert_eq!(request.host.network_mode, "none");
        assert_eq!(request.host.extra_hosts.unwrap(), ["one:10.0.0.1", "two:::1"]);
        assert_eq!(request.provenance.unwrap().mode, ProvenanceMode::Max);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let refused = |asked: Asked| asked.request().err().unwrap().message;
        let generator = [("attest:sbom", "generator=Not An Image")];
        assert!(refused(asked(&generator)).contains("failed to parse Not An Image"));
        for wrong in [
            ("attest:provenance", "disabled=perhaps"),
            ("attest:provenance", "inline-only=yes"),
            ("attest:sbom", "disabled=perhaps"),
        ] {
            assert!(refused(asked(&[wrong])).contains("non-bool value"), "{wrong:?}");
        }
        let kind = "tape".to_owned();
        let exports = vec![CacheEntry { kind, ..CacheEntry::default() }];
        assert!(refused(Asked { exports, ..Asked::default() }).contains("\"tape\" is not there"));
    }

    #[test]
    fn exporters_say_what_there_is() {
        let read = |key: &str, value: &str| {
            let attributes = [(key.to_owned(), value.to_owned())].into();
            packing(&Exporter { kind: "image".to_owned(), attributes })
        };
        assert_eq!(read("compression-level", "9").unwrap().level, Some(9));
        assert!(read("force-compression", "").unwrap().force);
        assert!(!read("force-compression", "0").unwrap().force);
        for (key, value) in
            [("compression-level", "10"), ("compression-level", "x"), ("force-compression", "yes")]
        {
            assert!(read(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn provenance_is_as_it_was_asked_for() {
        let read = |text: &str| asked(&[("attest:provenance", text)]).request().unwrap().provenance;
        assert!(read("inline-only=true").unwrap().inline_only);
        assert_eq!(read("filename=told.json").unwrap().file, "told.json");
        assert_eq!(read("mode=max,disabled=true"), None);
    }

    #[test]
    fn older_words_mean_the_same() {
        let asked = Asked::of(SolveRequest {
            exporter: "image".to_owned(),
            exporter_attributes: [("name".to_owned(), "a,b:1".to_owned())].into(),
            cache: Some(CacheOptions {
                import_references: vec!["c".to_owned()],
                ..CacheOptions::default()
            }),
            ..SolveRequest::default()
        });
        let names: Vec<String> =
            names(&asked.exporters[0]).unwrap().iter().map(Reference::familiar).collect();
        assert_eq!(names, ["a:latest", "b:1"]);
        assert_eq!(asked.request().unwrap().cache_from.len(), 1);
    }
}
