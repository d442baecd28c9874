//! `--metadata-file`: what was built, as buildx writes it down.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::{BuildWarning, Built, EngineError};
use serde_json::{Map, Value, json};
use spec::{Digest, parse_go_bool};

use crate::context::Context;
use crate::failure::Failure;

/// How much the environment wants told of how images were built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Provenance {
    Nothing,
    Min,
    Max,
}

impl Provenance {
    /// What the environment says.
    fn of(context: &Context) -> Provenance {
        match context.variable("BUILDX_METADATA_PROVENANCE") {
            Some("max") => Provenance::Max,
            Some("disabled" | "false" | "0") => Provenance::Nothing,
            _ => Provenance::Min,
        }
    }
}

/// How much the environment wants told.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    provenance: Provenance,
    warnings: bool,
}

impl Wanted {
    /// What the environment says.
    pub(crate) fn of(context: &Context) -> Wanted {
        let warnings = context.variable("BUILDX_METADATA_WARNINGS").and_then(parse_go_bool);
        Wanted { provenance: Provenance::of(context), warnings: warnings == Some(true) }
    }
}

/// Where in provenance the Dockerfile stands, in the words of both of its versions.
const LARGE: [&str; 2] = [
    "/runDetails/metadata/buildkit_metadata",
    "/metadata/https:~1~1mobyproject.org~1buildkit@v1#metadata",
];

/// What is told about a build.
pub(crate) fn document(built: &Built, Wanted { provenance: much, .. }: Wanted) -> Value {
    let mut all = Map::new();
    let reference = format!("default/default/{}", built.reference);
    all.insert("buildx.build.ref".to_owned(), json!(reference));
    if built.is_image {
        let config = built.images.first().map(|image| image.id.0);
        if let (Some(config), 1) = (config, built.images.len()) {
            all.insert("containerimage.config.digest".to_owned(), json!(config.to_string()));
        }
        if let Some(document) = &built.document {
            all.insert("containerimage.descriptor".to_owned(), json!(document));
        }
        let digest = digest(built).map(|digest| digest.to_string());
        all.insert("containerimage.digest".to_owned(), json!(digest));
        let names: Vec<String> = built.names.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            all.insert("image.name".to_owned(), json!(names.join(",")));
        }
    }
    if much != Provenance::Nothing {
        for (image, told) in built.images.iter().zip(&built.provenance) {
            let mut told = told.clone();
            let large = LARGE.iter().filter(|_| much == Provenance::Min);
            for path in large {
                if let Some(place) = told.pointer_mut(path) {
                    *place = json!({});
                }
            }
            let key = match built.images.len() {
                1 => "buildx.build.provenance".to_owned(),
                _ => format!("buildx.build.provenance/{}", image.platform),
            };
            all.insert(key, told);
        }
    }
    Value::Object(all)
}

/// Adds what checks found in the Dockerfiles of builds, if that is wanted.
pub(crate) fn add_warnings<'a>(
    document: &mut Value,
    all: impl IntoIterator<Item = &'a Built>,
    wanted: Wanted,
) {
    let mut left = SOURCE_BYTES;
    let found = all.into_iter().flat_map(|built| &built.warnings);
    let found: Vec<Value> = found.map(|found| warning(found, &mut left)).collect();
    if wanted.warnings && !found.is_empty() {
        document["buildx.build.warnings"] = Value::Array(found);
    }
}

/// All warnings together bring Dockerfiles of no more bytes: each brings its whole one.
const SOURCE_BYTES: usize = 16 << 20;

/// What a check found, as BuildKit's warnings are written: texts are bytes there. The Dockerfile is
/// left out where too much was told already.
fn warning(found: &BuildWarning, left: &mut usize) -> Value {
    let encoded = |text: &str| json!(BASE64_STANDARD.encode(text));
    let BuildWarning { short, detail, file, text, lines: (first, last) } = found;
    let mut source = json!({ "filename": &**file, "language": "Dockerfile" });
    if let Some(rest) = left.checked_sub(text.len()) {
        *left = rest;
        source["data"] = encoded(text);
    }
    json!({
        "level": 1,
        "short": encoded(short),
        "detail": [encoded(detail)],
        "sourceInfo": source,
        "range": [{ "start": { "line": first }, "end": { "line": last } }],
    })
}

/// The digest of what was built: of its manifest or index, or the image's id while it has none.
fn digest(built: &Built) -> Option<Digest> {
    let id = || built.images.first().map(|image| image.id.0);
    built.document.as_ref().map(|document| document.digest).or_else(id)
}

/// What `--iidfile` and `--quiet` tell: the image's id, or the index of several.
pub(crate) fn shown(built: &Built) -> Option<String> {
    let digest = match built.images.as_slice() {
        _ if !built.is_image => None,
        [image] => Some(image.id.0),
        _ => digest(built),
    };
    digest.map(|digest| digest.to_string())
}

/// Writes it.
pub(crate) fn write(path: &str, document: &Value) -> Result<(), Failure> {
    let text = format!("{document:#}\n");
    Ok(std::fs::write(path, text).map_err(EngineError::io("write", Path::new(path)))?)
}
