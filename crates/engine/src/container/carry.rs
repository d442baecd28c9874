//! Half a copy: files of this machine that go to a container elsewhere, or come from one. What is
//! between the two is a tar, and no store is needed for it.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use image::folder::Marks;
use image::pack::LayerWriter;

use super::copy::{Place, Source};
use super::extract::{clean, extract_as};
use crate::error::{EngineError, Result};

/// What a tar holds that comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arriving {
    /// What the copy is called if it goes into a folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether what is in the folder is meant: then the tar has no top.
    pub contents_only: bool,
}

/// Unpacks what comes to a path of this machine, by `cp`'s rules, and says how many bytes of files
/// that were. With `owners` files keep theirs.
pub fn unpack_copy(tar: impl Read, what: &Arriving, to: &Path, owners: bool) -> Result<u64> {
    let Arriving { name, is_folder, contents_only } = what;
    let place = Place::of_host(to)?;
    let (folder, name) = place.target(name.as_bytes(), *is_folder, *contents_only)?;
    let rename = |path: &[u8]| moved(path, !contents_only, &name);
    extract_as(BufReader::with_capacity(256 << 10, tar), folder, owners, &rename)
}

/// Where an entry goes: its top, if there is one, gives way to another name, and none leaves it
/// away.
fn moved(path: &[u8], has_top: bool, name: &[u8]) -> Option<Vec<u8>> {
    let rest = match clean(path) {
        Some(path) if has_top => path
            .iter()
            .position(|byte| *byte == b'/')
            .map_or_else(Vec::new, |at| path[at + 1..].to_vec()),
        Some(path) => path,
        None if path.split(|byte| *byte == b'/').any(|part| part == b"..") => return None,
        None => Vec::new(),
    };
    let parts: Vec<&[u8]> = [name, &rest].into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(&b'/'))
}

/// What goes from this machine into a container elsewhere.
pub struct Leaving(Source);

impl Leaving {
    /// What is at a path. A link at its end is followed if it shall be.
    pub fn find(path: &Path, follow: bool) -> Result<Leaving> {
        Ok(Leaving(Place::of_host(path)?.source(follow)?))
    }

    /// What it is called, whether it is a folder, and whether only what is in it is meant.
    pub fn what(&self) -> Arriving {
        Arriving {
            name: String::from_utf8_lossy(&self.0.name).into_owned(),
            is_folder: self.0.is_folder,
            contents_only: self.0.contents_only,
        }
    }

    /// Writes it as a tar whose top is this name; no name leaves the top away.
    pub fn pack(&self, name: &str, to: impl Write) -> Result<()> {
        let packed = || -> io::Result<()> {
            let buffer = io::BufWriter::with_capacity(256 << 10, to);
            let mut writer = LayerWriter::new(buffer, Marks::Trusted, None);
            self.0.pack(&mut writer, name.as_bytes())?;
            writer.finish()?.0.flush()
        };
        packed().map_err(EngineError::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, has_top: bool, name: &str, wanted: Option<&str>) {
        let found = moved(path.as_bytes(), has_top, name.as_bytes());
        assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{path}");
    }

    #[test]
    fn entries_go_where_their_top_goes() {
        check("etc/", true, "copy", Some("copy"));
        check("etc/motd", true, "copy", Some("copy/motd"));
        check("etc/motd", true, "", Some("motd"));
        check("etc/", true, "", None);
        check("./", false, "copy", Some("copy"));
        check("./a/b", false, "copy", Some("copy/a/b"));
        check("a/b", false, "", Some("a/b"));
        check("../../a", false, "copy", None);
        check("a/../..", true, "copy", None);
    }

    #[test]
    fn a_file_arrives_under_its_own_name_or_another() {
        let scratch = tempfile::tempdir().unwrap();
        let from = scratch.path().join("from");
        std::fs::create_dir_all(from.join("sub")).unwrap();
        std::fs::write(from.join("sub/file"), "text").unwrap();
        let leaving = Leaving::find(&from, false).unwrap();
        let mut tar = Vec::new();
        leaving.pack("from", &mut tar).unwrap();
        let to = scratch.path().join("new");
        assert_eq!(unpack_copy(&tar[..], &leaving.what(), &to, false).unwrap(), 4);
        assert_eq!(std::fs::read_to_string(to.join("sub/file")).unwrap(), "text");
        unpack_copy(&tar[..], &leaving.what(), &to, false).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("from/sub/file")).unwrap(), "text");
        let file = to.join("sub/file");
        let refused = unpack_copy(&tar[..], &leaving.what(), &file, false).unwrap_err();
        assert_eq!(refused.to_string(), "cannot copy directory");
    }
}
