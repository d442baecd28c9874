//! What is told of an image, what is in it and how it was built: in-toto statements in a manifest beside the image's own,
//! as BuildKit has them.
//!
//! No time and no number of this one build is in them, so the same build tells the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use spec::{Descriptor, Digest, Document, Manifest, MediaType, Platform, Reference, Timestamp};
use store::Lease;

use super::assemble::{Found, Image, Looked};
use super::context::Opened;
use super::request::BuildRequest;
use crate::Engine;
use crate::error::Result;
use crate::sbom;

/// How it is told how images were built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// How much of it.
    pub mode: ProvenanceMode,
    /// In which version of SLSA's words.
    pub version: ProvenanceVersion,
    /// Who built them, as whoever asked calls that.
    pub builder: String,
    /// Whether whoever asked says that the same build gives the same image.
    pub reproducible: bool,
    /// Whether it is told beside images alone, not beside files.
    pub inline_only: bool,
    /// What a file of it is called; `provenance.json` if that is empty.
    pub file: String,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProvenanceMode {
    /// What was built from what.
    #[default]
    Min,
    /// The arguments and the Dockerfile too.
    Max,
}

/// A version of SLSA's provenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProvenanceVersion {
    /// 0.2.
    V02,
    /// 1.
    #[default]
    V1,
}

/// What a build was asked for and what it used, the same for all platforms.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Parameters, with their values or not.
    pub(super) request: Value,
    /// The Dockerfile's name.
    pub(super) source: Value,
    /// What is in it, where that is told.
    pub(super) metadata: Value,
    /// How it is told.
    pub(super) how: Provenance,
}

impl Told {
    /// Tells of a build.
    pub(super) fn of(opened: &Opened, request: &BuildRequest, how: &Provenance) -> Told {
        let mut args = Map::new();
        if let Some(target) = &request.target {
            args.insert("target".to_owned(), json!(target));
        }
        let mut metadata = json!({});
        let mut asked = json!({ "frontend": "dockerfile.v0" });
        if how.mode == ProvenanceMode::Max {
            let given =
                request.arguments.iter().map(|(name, value)| (format!("build-arg:{name}"), value));
            let labels =
                request.labels.iter().map(|(name, value)| (format!("label:{name}"), value));
            args.extend(given.chain(labels).map(|(name, value)| (name, json!(value))));
            let secret = |id: &String| json!({ "id": id, "optional": true });
            asked["secrets"] = request.secrets.keys().map(secret).collect();
            let data = STANDARD.encode(&opened.text);
            let info = json!({ "filename": opened.name, "language": "Dockerfile", "data": data });
            metadata = json!({ "source": { "infos": [info] } });
        }
        asked["args"] = Value::Object(args);
        let (source, how) = (json!({ "path": opened.name }), how.clone());
        Told { request: asked, source, metadata, how }
    }
}

/// Something that a build used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Used {
    pub(super) uri: String,
    pub(super) algorithm: String,
    pub(super) hash: String,
}

impl Used {
    pub(super) fn new(uri: String, digest: Digest) -> Used {
        Used { uri, algorithm: digest.algorithm().as_str().to_owned(), hash: digest.hex() }
    }
}

/// A manifest of statements.
#[derive(Clone, Debug)]
pub(super) struct Attestation {
    /// Its bytes.
    pub(super) manifest: Vec<u8>,
    /// Its entry in an index.
    pub(super) entry: Descriptor,
    /// The blobs that it names.
    pub(super) blobs: Vec<Vec<u8>>,
}

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The same where provenance of 0.2 is told.
const STATEMENT_V02: &str = "https://in-toto.io/Statement/v0.1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const PREDICATE_V02: &str = "https://slsa.dev/provenance/v0.2";
const BUILD_TYPE_V02: &str = "https://mobyproject.org/buildkit@v1";
const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// What an artifact of statements is, and what it has in place of a configuration.
const ARTIFACT: &str = "application/vnd.docker.attestation.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Tells what is in an image with this manifest, and how it was built, as far as either is wanted.
pub(super) fn attest(
    image: &Image,
    about: &Descriptor,
    names: &[Reference],
    (told, is_artifact): (Option<&Told>, bool),
) -> Option<Attestation> {
    let (platform, manifest) = (image.platform(), about.digest);
    let digest = json!({ manifest.algorithm().as_str(): manifest.hex() });
    let subject = |name: &Reference| json!({ "name": package(name, &platform), "digest": digest });
    let mut subjects: Vec<Value> = names.iter().map(subject).collect();
    if subjects.is_empty() {
        subjects.push(json!({ "name": "_", "digest": digest }));
    }
    let name = names.first().map_or_else(|| manifest.to_string(), Reference::familiar);
    let statements = statements(image, &subjects, (&name, manifest), told);
    (!statements.is_empty()).then(|| bundle(about, statements, is_artifact))
}

/// Something that is told.
pub(super) struct Statement {
    /// What kind of thing.
    kind: String,
    /// What a file of it is called.
    pub(super) file: String,
    /// The whole document.
    pub(super) document: Value,
}

/// Tells what is in an image and how it was built, as far as either is wanted, about these subjects.
pub(super) fn statements(
    image: &Image,
    subjects: &[Value],
    (name, about): (&str, Digest),
    told: Option<&Told>,
) -> Vec<Statement> {
    let statement = |kind: &str, file: String, predicate: Value| {
        let of = if kind == PREDICATE_V02 { STATEMENT_V02 } else { STATEMENT };
        let document = json!({
            "_type": of,
            "predicateType": kind,
            "subject": subjects,
            "predicate": predicate,
        });
        Statement { kind: kind.to_owned(), file, document }
    };
    let contents = image.contents.iter().map(|Looked { part, contents }| {
        let of = part.as_deref().map(|part| part.strip_prefix("stage-").unwrap_or(part));
        let of = of.map(|part| format!("-{part}")).unwrap_or_default();
        let file = format!("sbom{of}.spdx.json");
        let contents = match contents {
            Found::Here(contents) => contents,
            Found::Document { name, document } => {
                return statement(sbom::PREDICATE, name.clone(), document.clone());
            }
        };
        let created = image.config.created.unwrap_or(Timestamp::from_unix(0, 0));
        let about = sbom::About { name, part: part.as_deref(), manifest: about, created };
        statement(sbom::PREDICATE, file, sbom::document(&about, contents))
    });
    let provenance = told.map(|told| {
        let kind = match told.how.version {
            ProvenanceVersion::V1 => PREDICATE,
            ProvenanceVersion::V02 => PREDICATE_V02,
        };
        let file = match told.how.file.as_str() {
            "" => "provenance.json",
            file => file,
        };
        statement(kind, file.to_owned(), predicate(image, told))
    });
    contents.chain(provenance).collect()
}

/// How an image was built, in the words that were asked for.
pub(super) fn predicate(image: &Image, told: &Told) -> Value {
    match told.how.version {
        ProvenanceVersion::V1 => provenance(image, told),
        ProvenanceVersion::V02 => provenance_v02(image, told),
    }
}

/// How an image was built.
fn provenance(image: &Image, told: &Told) -> Value {
    let mut metadata = json!({
        "buildkit_completeness": { "request": true, "resolvedDependencies": false },
        "buildkit_metadata": told.metadata,
    });
    if told.how.reproducible {
        metadata["buildkit_reproducible"] = json!(true);
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": { "configSource": told.source, "request": told.request },
            "internalParameters": { "builderPlatform": Platform::host().to_string() },
            "resolvedDependencies": used(image),
        },
        "runDetails": { "builder": { "id": told.how.builder }, "metadata": metadata },
    })
}

/// The same in the words of version 0.2.
fn provenance_v02(image: &Image, told: &Told) -> Value {
    json!({
        "builder": { "id": told.how.builder },
        "buildType": BUILD_TYPE_V02,
        "materials": used(image),
        "invocation": {
            "configSource": { "entryPoint": told.source["path"] },
            "parameters": told.request,
            "environment": { "platform": Platform::host().to_string() },
        },
        "metadata": {
            "completeness": { "parameters": true, "environment": true, "materials": false },
            "reproducible": told.how.reproducible,
            "https://mobyproject.org/buildkit@v1#metadata": told.metadata,
        },
    })
}

/// What a build used.
fn used(image: &Image) -> Vec<Value> {
    let one = |Used { uri, algorithm, hash }: &Used| json!({ "uri": uri, "digest": { algorithm.as_str(): hash } });
    image.used.iter().map(one).collect()
}

/// A manifest of statements about another manifest. An artifact names that as its subject and has no
/// configuration; else there is one that says nothing, for registries that know images alone.
fn bundle(about: &Descriptor, statements: Vec<Statement>, is_artifact: bool) -> Attestation {
    let (mut layers, mut blobs, mut diffs) = (Vec::new(), Vec::new(), Vec::new());
    for Statement { kind, document, .. } in statements {
        let bytes = document.to_string().into_bytes();
        let mut layer = Descriptor::of(MediaType::Other(IN_TOTO.to_owned()), &bytes);
        layer.annotations.insert("in-toto.io/predicate-type".to_owned(), kind);
        diffs.push(layer.digest.to_string());
        layers.push(layer);
        blobs.push(bytes);
    }
    let config = match is_artifact {
        true => json!({}),
        false => json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diffs },
        }),
    };
    let config = config.to_string().into_bytes();
    let config_type = match is_artifact {
        true => MediaType::Other(EMPTY.to_owned()),
        false => MediaType::OciConfig,
    };
    let mut manifest = Manifest::new(Descriptor::of(config_type, &config), layers);
    if is_artifact {
        manifest.artifact_type = Some(ARTIFACT.to_owned());
        let subject = Descriptor::new(about.media_type.clone(), about.digest, about.size);
        manifest.subject = Some(subject);
    }
    blobs.push(config);
    let bytes = manifest.to_bytes();
    let mut entry = Descriptor::of(Document::Manifest(manifest).media_type(), &bytes);
    entry.platform = Some(Platform::new("unknown", "unknown", None));
    for (key, value) in [
        ("vnd.docker.reference.digest", about.digest.to_string()),
        ("vnd.docker.reference.type", "attestation-manifest".to_owned()),
    ] {
        entry.annotations.insert(key.to_owned(), value);
    }
    Attestation { manifest: bytes, entry, blobs }
}

/// A name as package URLs write it.
pub(super) fn package(name: &Reference, platform: &Platform) -> String {
    let platform = platform.to_string().replace('/', "%2F");
    let tag = name.tag().unwrap_or("latest");
    format!("pkg:docker/{}@{tag}?platform={platform}", name.familiar_name())
}

impl Attestation {
    /// Keeps all of it, and says what that was.
    pub(super) fn keep(&self, engine: &Engine, lease: &Lease) -> Result<Vec<Digest>> {
        let all = std::iter::once(&self.manifest).chain(&self.blobs);
        let keep = |bytes: &Vec<u8>| Ok(engine.store().put_document(lease, bytes)?);
        all.map(keep).collect()
    }
}
