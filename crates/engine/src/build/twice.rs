//! Paths that archives name twice: what comes later counts, as it does when an archive is unpacked,
//! and a layer names each path once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::ops::Bound;

use image::layer::LayerError;
use image::tar::{Entry, EntryKind, Limits, TarError, TarReader, TarWriter};
use image::tree::TreeError;
use store::StoreError;

use crate::error::{EngineError, Result};

/// Whether a layer was refused because a path is in it twice.
pub(super) fn is_why(error: &EngineError) -> bool {
    let EngineError::Store(StoreError::Layer(LayerError::Refused(why))) = error else {
        return false;
    };
    matches!(why, TreeError::Duplicate(_))
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Something else is there.
    Gone,
    /// It is written.
    Stays,
    /// It is written under another of its names, because its own is something else's.
    Called(Vec<u8>),
    /// It is another name of this file.
    Linked(Vec<u8>),
}

/// Writes what is there once all of a tar is unpacked.
pub(super) fn settle(all: &mut File, out: impl Write) -> Result<()> {
    let mut named = Vec::new();
    let mut reader = reader(all)?;
    while let Some(entry) = reader.next().map_err(wrong)? {
        named.push((entry.path, entry.kind));
    }
    let fates = fates(&named);
    let mut reader = self::reader(all)?;
    let mut tar = TarWriter::new(out);
    for fate in fates {
        let Some(read) = reader.next().map_err(wrong)? else { break };
        let mut entry = Entry { sparse: None, ..read.clone() };
        match fate {
            Fate::Gone => continue,
            Fate::Stays => {}
            Fate::Called(path) => entry.path = path,
            Fate::Linked(path) => entry.kind = EntryKind::Hardlink(path),
        }
        tar.append(&entry, &mut reader.expanded(&read)).map_err(EngineError::Write)?;
    }
    tar.finish().and_then(|mut out| out.flush()).map_err(EngineError::Write)
}

fn reader(all: &mut File) -> Result<TarReader<BufReader<&mut File>>> {
    all.rewind().map_err(EngineError::Read)?;
    Ok(TarReader::new(BufReader::new(all), Limits::default()))
}

fn wrong(error: TarError) -> EngineError {
    EngineError::Read(io::Error::other(error))
}

/// What becomes of each entry, by its path and kind, when all are unpacked one after the other.
fn fates(named: &[(Vec<u8>, EntryKind)]) -> Vec<Fate> {
    // At each path the entry that put something there, and the entry that has its content.
    let mut there: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
    for (at, (path, kind)) in named.iter().enumerate() {
        let path = without_slash(path);
        let is_folder = |known: &(usize, usize)| named[known.0].1 == EntryKind::Directory;
        let content = match kind {
            EntryKind::Hardlink(target) => {
                there.get(without_slash(target)).map_or(at, |(_, content)| *content)
            }
            _ => at,
        };
        let keeps = *kind == EntryKind::Directory && there.get(path).is_some_and(is_folder);
        if !keeps {
            // What is not a folder takes with it what was in one.
            let below = [path, b"/"].concat();
            let inside = |known: &&[u8]| known.starts_with(&below);
            let gone: Vec<&[u8]> = there
                .range::<[u8], _>((Bound::Included(&below[..]), Bound::Unbounded))
                .map(|(known, _)| *known)
                .take_while(inside)
                .collect();
            for known in gone {
                there.remove(known);
            }
        }
        there.insert(path, (at, content));
    }
    let mut fates = vec![Fate::Gone; named.len()];
    let mut names: Vec<(usize, usize)> = there.into_values().collect();
    names.sort_unstable();
    // The name under which each content is written.
    let mut called: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, content) in names {
        let first = *called.entry(content).or_insert(at);
        let path = || named[first].0.clone();
        match (at == content, at == first) {
            (true, _) => fates[at] = Fate::Stays,
            (false, true) => fates[content] = Fate::Called(path()),
            (false, false) => fates[at] = Fate::Linked(path()),
        }
    }
    fates
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as `path`, `path/`, or `path>target` for a hard link; what becomes of them likewise.
    fn check(named: &[&str], wanted: &[&str]) {
        let entry = |text: &&str| match text.split_once('>') {
            Some((path, target)) => (Vec::from(path), EntryKind::Hardlink(target.into())),
            None if text.ends_with('/') => (Vec::from(*text), EntryKind::Directory),
            None => (Vec::from(*text), EntryKind::File),
        };
        let named: Vec<_> = named.iter().map(entry).collect();
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let shown = |(at, fate): (usize, Fate)| match fate {
            Fate::Gone => "-".to_owned(),
            Fate::Stays => text(&named[at].0),
            Fate::Called(path) => format!("as {}", text(&path)),
            Fate::Linked(path) => format!("{}>{}", text(&named[at].0), text(&path)),
        };
        let shown: Vec<String> = fates(&named).into_iter().enumerate().map(shown).collect();
        assert_eq!(shown, wanted, "{named:?}");
    }

    #[test]
    fn what_comes_later_counts() {
        check(&["a", "b", "a"], &["-", "b", "a"]);
        check(&["d/", "d/a", "d/", "d/b"], &["-", "d/a", "d/", "d/b"]);
        check(&["d/", "d/a", "d.x", "d"], &["-", "-", "d.x", "d"]);
        check(&["d", "d/", "d/a"], &["-", "d/", "d/a"]);
    }

    #[test]
    fn other_names_keep_what_they_were() {
        check(&["a", "b>a", "c>b"], &["a", "b>a", "c>a"]);
        check(&["a", "b>a", "c>a", "a"], &["as b", "-", "c>b", "a"]);
        check(&["a", "b>a", "b"], &["a", "-", "b"]);
        check(&["b>nowhere"], &["b"]);
    }
}
