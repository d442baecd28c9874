//! Two trees of files compared, entry by entry. Times do not count: whose they are is a choice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::Result;

/// Says how two trees differ, a line each: `PATH: how`.
pub(super) fn compare(own: &Path, theirs: &Path) -> Result<Vec<String>> {
    let (own, theirs) = (read(own)?, read(theirs)?);
    let mut found = Vec::new();
    for (path, one) in &own {
        match theirs.get(path) {
            None => found.push(format!("{path}: only with mica ({one})")),
            Some(two) if one != two => {
                found.push(format!("{path}: {one} with mica, {two} with buildah"));
            }
            Some(_) => {}
        }
    }
    let missing = theirs.iter().filter(|(path, _)| !own.contains_key(*path));
    found.extend(missing.map(|(path, two)| format!("{path}: only with buildah ({two})")));
    Ok(found)
}

/// Each path with what is there, in words.
fn read(top: &Path) -> Result<BTreeMap<String, String>> {
    let (mut entries, mut waiting) = (BTreeMap::new(), vec![top.to_owned()]);
    // Names of one file, by its number: where it has several, they are told by the first.
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    while let Some(folder) = waiting.pop() {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        for path in paths {
            let meta = fs::symlink_metadata(&path)?;
            let name = format!("/{}", path.strip_prefix(top)?.display());
            let kind = meta.file_type();
            let what = match () {
                () if kind.is_dir() => {
                    waiting.push(path.clone());
                    "folder".to_owned()
                }
                () if kind.is_symlink() => format!("link to {}", fs::read_link(&path)?.display()),
                () if kind.is_fifo() => "pipe".to_owned(),
                () if kind.is_file() => content(&path)?,
                () => format!("device {:x}", meta.rdev()),
            };
            let mode = if kind.is_symlink() { 0 } else { meta.mode() & 0o7777 };
            let mut words = format!("{what} {mode:04o} {}:{}", meta.uid(), meta.gid());
            if kind.is_file() && meta.nlink() > 1 {
                let first = names.entry(meta.ino()).or_insert_with(|| name.clone());
                words += &format!(" as {first}");
            }
            entries.insert(name, words);
        }
    }
    Ok(entries)
}

fn content(path: &Path) -> Result<String> {
    use sha2::Digest;
    let bytes = fs::read(path)?;
    let hash = sha2::Sha256::digest(&bytes);
    let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    // A small text is told as it is.
    match bytes.len() {
        0..=40 if bytes.iter().all(|byte| byte.is_ascii()) => {
            Ok(format!("file {:?}", std::ffi::OsStr::from_bytes(&bytes)))
        }
        count => Ok(format!("file of {count} bytes, {short}")),
    }
}
