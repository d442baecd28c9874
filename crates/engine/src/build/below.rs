//! The files that a step stands on, asked by path.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use sys::fs::{FileType, Stat};

use super::place::join;
use crate::error::{EngineError, Result};

/// A mounted tree, and what was found in it.
pub(super) struct Below<'a> {
    root: &'a OwnedFd,
    /// Folders by the path they were asked by.
    resolved: HashMap<Vec<u8>, Vec<u8>>,
}

/// Links are followed so often.
const MAX_LINKS: usize = 40;

impl Below<'_> {
    /// Asks this tree.
    pub(super) fn new(root: &OwnedFd) -> Below<'_> {
        Below { root, resolved: HashMap::new() }
    }

    /// What has this path; links in it are not followed.
    pub(super) fn stat(&self, path: &[u8]) -> Result<Option<Stat>> {
        let at = if path.is_empty() { &b"."[..] } else { path };
        match sys::fs::stat(self.root, at) {
            Ok(stat) => Ok(Some(stat)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(EngineError::io("look at", shown(path))(error)),
        }
    }

    /// Whether this path is a folder itself, a file, or nothing.
    pub(super) fn kind(&self, path: &[u8]) -> Result<Option<FileType>> {
        Ok(self.stat(path)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// The path that a path means when links in it are followed within the tree; what is not there
    /// stays as it is.
    pub(super) fn resolve(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        if let Some(known) = self.resolved.get(path) {
            return Ok(known.clone());
        }
        let mut real: Vec<u8> = Vec::new();
        let mut rest: Vec<Vec<u8>> = parts(path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b".." => {
                    let cut = real.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    real.truncate(cut);
                    continue;
                }
                part => {
                    let next = join(&real, part);
                    if self.kind(&next)? != Some(FileType::Symlink) {
                        real = next;
                        continue;
                    }
                    links += 1;
                    if links > MAX_LINKS {
                        let words = "too many levels of symbolic links";
                        return Err(EngineError::io("follow", shown(path))(io::Error::other(
                            words,
                        )));
                    }
                    let link = sys::fs::read_link(self.root, next.as_slice())
                        .map_err(EngineError::io("read", shown(&next)))?;
                    if link.starts_with(b"/") {
                        real.clear();
                    }
                    rest.extend(parts(&link));
                }
            }
        }
        self.resolved.insert(path.to_vec(), real.clone());
        Ok(real)
    }
}

/// The names of a path, the last first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.rev().map(<[u8]>::to_vec).collect()
}

fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_in_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("usr/lib")).unwrap();
        symlink("usr/lib", folder.path().join("lib")).unwrap();
        symlink("/usr", folder.path().join("usr/lib/up")).unwrap();
        symlink("../../../..", folder.path().join("out")).unwrap();
        symlink("ring", folder.path().join("ring")).unwrap();
        let root = sys::fs::open_folder(folder.path()).unwrap();
        let mut below = Below::new(&root);
        let mut check = |path: &str, real: &str| {
            assert_eq!(below.resolve(path.as_bytes()).unwrap(), real.as_bytes(), "{path}");
        };
        check("lib/x/y", "usr/lib/x/y");
        check("lib/up/new", "usr/new");
        check("out/etc", "etc");
        check("", "");
        assert!(below.resolve(b"ring/x").is_err());
    }
}
