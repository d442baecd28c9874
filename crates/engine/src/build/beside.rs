//! What is told of an image whose files leave alone: statements in files beside them.

use std::collections::{HashMap, HashSet};
use std::io;

use image::erofs::IndexInode;
use serde_json::{Value, json};
use spec::{ChainId, Hasher};

use super::assemble::Image;
use super::attest::{Told, statements};
use super::layers;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::look::at_top;

/// A file beside those that were built.
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The files that tell of an image. With `named` its platform is in their names.
pub(super) fn beside(
    engine: &Engine,
    image: &Image,
    told: Option<&Told>,
    (prefix, named): (&str, bool),
) -> Result<Vec<Beside>> {
    let told = told.filter(|told| !told.how.inline_only);
    if told.is_none() && image.contents.is_empty() {
        return Ok(Vec::new());
    }
    let (subjects, about) = (subjects(engine, image)?, image.id.0);
    let file = |name: &str| match name.rsplit_once('.').filter(|_| named) {
        Some((name, end)) => {
            format!("{prefix}{name}.{}.{end}", image.platform().to_string().replace('/', "_"))
        }
        None => format!("{prefix}{name}"),
    };
    let statements = statements(image, &subjects, (&about.to_string(), about), told);
    let one = |document: &Value| format!("{document:#}\n").into_bytes();
    let mut names = HashSet::new();
    let all = statements.iter().map(|own| {
        let name = file(&own.file);
        check_name(&name)?;
        if !names.insert(name.clone()) {
            let words = format!("duplicate attestation path name {name}");
            return Err(EngineError::Refused(words));
        }
        Ok(Beside { name, bytes: one(&own.document) })
    });
    all.collect()
}

/// Refuses what is no name of a file below a folder.
fn check_name(name: &str) -> Result<()> {
    let mut parts = name.split('/');
    if parts.any(|part| matches!(part, "" | "." | "..")) || name.contains('\0') {
        let words = format!("attestation path {name:?} is no path below the folder");
        return Err(EngineError::Input(words));
    }
    Ok(())
}

/// All files of an image, with their digests: it is them that is told of.
fn subjects(engine: &Engine, image: &Image) -> Result<Vec<Value>> {
    let view = layers::view(engine.store(), image.top)?;
    let mut subjects = Vec::new();
    walk(engine, image, |path, inode| {
        if !inode.is_file() {
            return Ok(());
        }
        let name = String::from_utf8_lossy(path).into_owned();
        let mut hasher = Hasher::sha256();
        let read = sys::fs::file_beneath(&view, path)
            .and_then(|mut file| io::copy(&mut file, &mut hasher));
        read.map_err(EngineError::io("read", &name))?;
        let digest = hasher.finish();
        let digest = json!({ digest.algorithm().as_str(): digest.hex() });
        subjects.push(json!({ "name": name, "digest": digest }));
        Ok(())
    })?;
    Ok(subjects)
}

/// Refuses images that have files in one place: in one folder only one of them could be there.
pub(super) fn refuse_overlap(engine: &Engine, images: &[Image]) -> Result<()> {
    let mut known: HashMap<Vec<u8>, String> = HashMap::new();
    for image in images {
        let platform = image.platform().to_string();
        walk(engine, image, |path, inode| {
            if inode.is_folder() {
                return Ok(());
            }
            match known.insert(path.to_vec(), platform.clone()) {
                None => Ok(()),
                Some(other) => {
                    let path = String::from_utf8_lossy(path);
                    Err(EngineError::Refused(format!(
                        "cannot overwrite {path} from {other} with {platform} when split option is disabled"
                    )))
                }
            }
        })?;
    }
    Ok(())
}

/// Shows all that is in an image, by its path without the slash before it.
fn walk(
    engine: &Engine,
    image: &Image,
    mut show: impl FnMut(&[u8], &IndexInode) -> Result<()>,
) -> Result<()> {
    let store = engine.store();
    let chains: Vec<ChainId> =
        store.tables()?.layers.stack(image.top)?.iter().map(|(chain, _)| *chain).collect();
    let merged = store.merged(image.top)?;
    let Some(root) = merged.root().map_err(at_top(&chains))? else { return Ok(()) };
    for entry in merged.walk(&root, Vec::new()).map_err(at_top(&chains))? {
        let (path, merge) = entry.map_err(at_top(&chains))?;
        show(path.strip_prefix(b"/").unwrap_or(&path), &merge.top().inode)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_an_image_lies_beside_it() {
        for name in ["sbom.spdx.json", "told/of/sbom.json", "..told"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["../sbom.json", "a/../../b", "/etc/sbom.json", "a/", "", "a\0b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
