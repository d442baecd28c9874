//! A generator of SBOMs: an image that is run with the files of another mounted, and tells what it found
//! in documents, by the protocol of BuildKit's scanners.
//!
//! It is a build of its own within the build: its steps are told and remembered like any other.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

use ::build::Span;
use ::build::ignore::Ignore;
use ::build::scope::PROXY_ARGUMENTS;
use serde_json::Value;
use spec::{ChainId, ContainerConfig, Reference};

use super::assemble::{Found, Image, Looked};
use super::context::{self, Opened};
use super::imports::Imports;
use super::place::Place;
use super::platform::ForPlatform;
use super::recorder::Recorder;
use super::request::{BuildRequest, CacheUse};
use super::{Building, Failed, layers};
use crate::error::{EngineError, Result};

/// Where a generator finds the files of the image, and of what else is looked through.
const CORE: &str = "/run/src/core/sbom";
const EXTRAS: &str = "/run/src/extras/";
/// Where it puts its documents.
const DESTINATION: &str = "/run/out/";
/// How their names end.
const SUFFIX: &[u8] = b".spdx.json";
/// No document is longer.
const DOCUMENT_BYTES: u64 = 64 << 20;
/// All of them together are not longer.
const ALL_BYTES: u64 = 256 << 20;
/// There are no more of them.
const MAX_DOCUMENTS: usize = 100;

/// What stands among the contexts for files that are looked through.
fn part_name(number: usize) -> String {
    format!("sbom-part-{number}")
}

impl Building<'_> {
    /// Has a generator look for what is installed in an image, and in what else its Dockerfile wants
    /// looked through.
    pub(super) fn generate(
        &self,
        generator: &Reference,
        image: &Image,
        context: &Arc<Place>,
    ) -> Result<Vec<Looked>, Failed> {
        let Building { session, request, teller, recorder } = *self;
        let (mut targets, mut contexts, mut folders) =
            (vec![CORE.to_owned()], BTreeMap::new(), HashMap::new());
        let mut give = |number, top: Option<ChainId>| {
            let called = format!("{} of {}", part_name(number), image.id);
            session.give_files(&called, top);
            contexts.insert(part_name(number), format!("target:{called}"));
        };
        give(0, image.top);
        for (stage, top) in &image.scans.stages {
            give(targets.len(), *top);
            targets.push(format!("{EXTRAS}sbom-stage-{stage}"));
        }
        if image.scans.context {
            folders.insert(part_name(targets.len()), context.clone());
            targets.push(format!("{EXTRAS}sbom-context"));
        }
        let is_proxy = |(name, _): &(&String, &String)| PROXY_ARGUMENTS.contains(&name.as_str());
        let own = |(name, value): (&String, &String)| (name.clone(), value.clone());
        let scan = BuildRequest {
            contexts,
            arguments: request.arguments.iter().filter(is_proxy).map(own).collect(),
            cache: if request.cache == CacheUse::None { CacheUse::None } else { CacheUse::All },
            host: request.host.clone(),
            pull: request.pull,
            ..BuildRequest::default()
        };
        let (_, config) = session.base(&generator.to_string(), None, &scan)?;
        let text = dockerfile(generator, &config.config.unwrap_or_default(), &targets)?;
        let place = context::of_stack(session.engine, None, Ignore::default())?;
        let name = format!("generator {}", generator.familiar());
        let opened = Opened { place, name, text, graph: None, time: None };
        let document = ::build::syntax::parse(&opened.text).map_err(EngineError::from)?;
        let silent = Recorder::silent(session.engine.store(), teller.watch, recorder.record());
        let built = ForPlatform {
            session,
            request: &BuildRequest { pull: false, ..scan },
            opened: &opened,
            document: Some(&document),
            folders: &folders,
            imports: &Imports::default(),
            teller: &teller.of(&format!("sbom {}", image.platform())),
            recorder: &silent,
            platform: None,
            found: &Mutex::default(),
            // A generator is run as it is, not built upon.
            triggers: false,
        };
        // What failed stands in no file that the user could look at.
        let nowhere = |(title, _, printed)| (title, Span::new(0, 0), printed);
        let built =
            built.build().map_err(|failed| Failed { step: failed.step.map(nowhere), ..failed })?;
        let documents = self.documents(built.top)?;
        if documents.is_empty() {
            let words = format!(
                "generator {} has told nothing: there is no file *.spdx.json in {DESTINATION}",
                generator.familiar()
            );
            return Err(EngineError::Refused(words).into());
        }
        let looked = |(name, document)| {
            let contents = Found::Document { name, document };
            Looked { part: None, contents }
        };
        Ok(documents.into_iter().map(looked).collect())
    }

    /// The documents that a generator wrote, by their names.
    fn documents(&self, top: Option<ChainId>) -> Result<Vec<(String, Value)>> {
        let view = layers::view(self.session.engine.store(), top)?;
        let opened = sys::fs::folder_beneath(&view, ".").and_then(|root| {
            let names = sys::fs::names(&root)?.into_iter().map(|(name, _)| name);
            Ok((names.filter(|name| name.ends_with(SUFFIX)).collect::<Vec<_>>(), root))
        });
        let (mut names, root) = opened.map_err(EngineError::io("open", "a generator's files"))?;
        names.sort_unstable();
        if names.len() > MAX_DOCUMENTS {
            let words = format!("a generator has told {} documents: that is too many", names.len());
            return Err(EngineError::Refused(words));
        }
        let mut left = ALL_BYTES;
        let read = |name: &Vec<u8>| {
            let shown = String::from_utf8_lossy(name).into_owned();
            let mut bytes = Vec::new();
            let file = sys::fs::file_in_root(&root, OsStr::from_bytes(name));
            let most = left.min(DOCUMENT_BYTES);
            file.and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
                .map_err(EngineError::io("read", &shown))?;
            let refused = |why| EngineError::Refused(format!("{shown} of the generator {why}"));
            if bytes.len() as u64 > most {
                return Err(refused("is too long"));
            }
            left -= bytes.len() as u64;
            let document = predicate(&bytes).ok_or_else(|| refused("is no SPDX document"))?;
            Ok((shown, document))
        };
        names.iter().map(read).collect()
    }
}

/// The document of a file: what an in-toto statement says, or all of it.
fn predicate(bytes: &[u8]) -> Option<Value> {
    let mut document: Value = serde_json::from_slice(bytes).ok()?;
    if document.get("predicateType").is_some() {
        let is_spdx = document["predicateType"] == crate::sbom::PREDICATE;
        return Some(document["predicate"].take()).filter(|told| is_spdx && told.is_object());
    }
    Some(document).filter(|document| document.get("spdxVersion").is_some())
}

/// The build that runs a generator as its image says, with these files mounted.
fn dockerfile(
    generator: &Reference,
    config: &ContainerConfig,
    targets: &[String],
) -> Result<String> {
    let words = [&config.entrypoint, &config.cmd].into_iter().flatten().flatten();
    let words: Vec<&String> = words.collect();
    if words.is_empty() {
        let words = format!("generator {} says nothing that could be run", generator.familiar());
        return Err(EngineError::Refused(words));
    }
    let mount = |(number, target): (usize, &String)| {
        format!("--mount=type=bind,from={},target={target} ", part_name(number))
    };
    let mounts: String = targets.iter().enumerate().map(mount).collect();
    let folder = match config.working_dir.as_str() {
        "" => "/".to_owned(),
        folder => plain_folder(folder).ok_or_else(|| {
            let words = format!("generator {} has no usable working folder", generator.familiar());
            EngineError::Refused(words)
        })?,
    };
    let extras = match targets {
        [_] => String::new(),
        _ => format!(" BUILDKIT_SCAN_SOURCE_EXTRAS={EXTRAS}"),
    };
    Ok(format!(
        "FROM {generator} AS generator\n\
         ENV BUILDKIT_SCAN_DESTINATION={DESTINATION} BUILDKIT_SCAN_SOURCE={CORE}{extras}\n\
         WORKDIR {DESTINATION}\n\
         WORKDIR {folder}\n\
         RUN {mounts}{}\n\
         FROM scratch\n\
         COPY --from=generator {DESTINATION} /\n",
        serde_json::json!(words)
    ))
}

/// A folder as an instruction names it, so that each of its letters is itself; none if an instruction
/// cannot name it.
fn plain_folder(folder: &str) -> Option<String> {
    if folder.contains(char::is_control) {
        return None;
    }
    // Spaces at an end would be lost, and a backslash there would join lines.
    let start = if folder.starts_with('/') { "" } else { "/" };
    let mut plain = start.to_owned();
    for letter in folder.chars() {
        if matches!(letter, '$' | '\\' | '"' | '\'') {
            plain.push('\\');
        }
        plain.push(letter);
    }
    plain.push('/');
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_are_run_as_their_images_say() {
        let name = Reference::parse("some/scanner:1").unwrap();
        let config = ContainerConfig {
            entrypoint: Some(vec!["/bin/scan".into()]),
            cmd: Some(vec!["-a $b".into()]),
            working_dir: "/own".into(),
            ..ContainerConfig::default()
        };
        let text = dockerfile(&name, &config, &[CORE.into()]).unwrap();
        assert!(text.contains("FROM docker.io/some/scanner:1 AS generator\n"), "{text}");
        assert!(text.contains("target=/run/src/core/sbom [\"/bin/scan\",\"-a $b\"]\n"), "{text}");
        assert!(!text.contains("EXTRAS") && text.contains("WORKDIR /own/\n"), "{text}");
        let more = [CORE.to_owned(), format!("{EXTRAS}sbom-context")];
        let text = dockerfile(&name, &config, &more).unwrap();
        assert!(text.contains("SCAN_SOURCE_EXTRAS=/run/src/extras/\n"), "{text}");
        assert!(text.contains("from=sbom-part-1,target=/run/src/extras/sbom-context "), "{text}");
        assert!(dockerfile(&name, &ContainerConfig::default(), &more).is_err());
        let of = |folder: &str| {
            let config = ContainerConfig { working_dir: folder.to_owned(), ..config.clone() };
            dockerfile(&name, &config, &[CORE.into()])
        };
        assert!(of("/a\nRUN evil").is_err() && of("/a\rb").is_err());
        let text = of("a'b\"$c\\").unwrap();
        assert!(text.contains("WORKDIR /a\\'b\\\"\\$c\\\\/\n"), "{text}");
    }

    #[test]
    fn documents_are_told_alone_or_as_statements() {
        let alone = br#"{"spdxVersion":"SPDX-2.3"}"#;
        assert_eq!(predicate(alone).unwrap()["spdxVersion"], "SPDX-2.3");
        let stated =
            br#"{"_type":"x","predicateType":"https://spdx.dev/Document","predicate":{"a":1}}"#;
        assert_eq!(predicate(stated).unwrap()["a"], 1);
        for none in [&b"{}"[..], b"not", br#"{"predicateType":"other","predicate":{}}"#] {
            assert_eq!(predicate(none), None);
        }
    }
}
