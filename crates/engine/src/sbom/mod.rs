//! What is installed in an image, found by what package managers and compilers leave in it.
//!
//! Nothing is run and no network is asked: databases, descriptions and programs are read where they
//! lie. They come out of images, so every one is taken as if somebody had written it to do harm.

mod elf;
mod language;
mod program;
mod rpm;
mod spdx;
mod stanzas;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use image::merged::Origin;
use spec::ChainId;

use crate::Engine;
use crate::error::Result;
use crate::look::at_top;

pub(crate) use spdx::{About, PREDICATE, document};

/// Something that is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    /// Its package URL.
    pub(crate) url: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// What its own description says about its licence.
    pub(crate) license: String,
    /// Where it was found.
    pub(crate) found: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Each package once, in the order of their URLs.
    pub(crate) packages: Vec<Package>,
    /// What could not be read.
    pub(crate) notes: Vec<String>,
}

/// Nothing that describes packages is larger, but the database of many.
const DESCRIPTION_BYTES: u64 = 8 << 20;
const DATABASE_BYTES: u64 = 512 << 20;

/// The system that packages are for, as `os-release` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct System {
    id: String,
    version: String,
}

/// What a file may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// dpkg's database, with what each package's state is.
    Dpkg,
    /// What dpkg would have in its database, of a package in an image without it.
    DpkgAlone,
    Apk,
    Rpm,
    /// An rpm database in a form that is not read.
    OldRpm,
    Npm,
    Python,
    CargoLock,
    Program,
}

impl Engine {
    /// Looks through a stack.
    pub(crate) fn scan(&self, top: Option<ChainId>) -> Result<Contents> {
        let store = self.store();
        let tables = store.tables()?;
        let chains: Vec<ChainId> =
            tables.layers.stack(top)?.iter().map(|(chain, _)| *chain).collect();
        let merged = store.merged(top)?;
        let Some(root) = merged.root().map_err(at_top(&chains))? else {
            return Ok(Contents::default());
        };
        let view = store.view(&store.stacked(top, &tables.layers)?)?;
        let mut scan = Scan::new(&view);
        let mut seen = HashSet::new();
        for entry in merged.walk(&root, Vec::new()).map_err(at_top(&chains))? {
            let (path, merge) = entry.map_err(at_top(&chains))?;
            let Origin { layer, inode } = merge.top();
            if !inode.is_file() || inode.size == 0 {
                continue;
            }
            let Ok(path) = std::str::from_utf8(&path) else { continue };
            // A program with several names is one.
            if let Some(source) = Source::of(path, inode.mode)
                && seen.insert((*layer, inode.nid()))
            {
                scan.read(path, source);
            }
        }
        Ok(scan.end())
    }
}

/// Looks through files of a folder: their paths from its top, which is `/`, and their permissions.
pub(crate) fn scan_folder(root: &OwnedFd, files: impl Iterator<Item = (Vec<u8>, u32)>) -> Contents {
    let mut scan = Scan::new(root);
    for (path, mode) in files {
        let Ok(path) = std::str::from_utf8(&path) else { continue };
        if let Some(source) = Source::of(path, mode) {
            scan.read(path, source);
        }
    }
    scan.end()
}

impl Source {
    fn of(path: &str, mode: u32) -> Option<Source> {
        let (folder, name) = path.rsplit_once('/')?;
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        Some(match (folder, name) {
            ("/var/lib/dpkg", "status") => Source::Dpkg,
            ("/var/lib/dpkg/status.d", name) if !name.ends_with(".md5sums") => Source::DpkgAlone,
            ("/lib/apk/db" | "/usr/lib/apk/db", "installed") => Source::Apk,
            ("/var/lib/rpm" | "/usr/lib/sysimage/rpm", "rpmdb.sqlite" | "Packages.db") => {
                Source::Rpm
            }
            ("/var/lib/rpm" | "/usr/lib/sysimage/rpm", "Packages") => Source::OldRpm,
            (folder, "package.json") => {
                let scoped = above.rsplit('/').next().is_some_and(|name| name.starts_with('@'));
                let above = if scoped { above.rsplit_once('/')?.0 } else { above };
                let is_module = above.ends_with("/node_modules") && !folder.is_empty();
                return is_module.then_some(Source::Npm);
            }
            (folder, "METADATA") if folder.ends_with(".dist-info") => Source::Python,
            (folder, "PKG-INFO") if folder.ends_with(".egg-info") => Source::Python,
            (_, "Cargo.lock") => Source::CargoLock,
            _ if mode & 0o111 != 0 => Source::Program,
            _ => return None,
        })
    }
}

/// A look through one tree.
struct Scan<'a> {
    view: &'a OwnedFd,
    system: System,
    /// By their URLs; of one that is found twice the first counts.
    packages: BTreeMap<String, Package>,
    notes: Vec<String>,
}

impl<'a> Scan<'a> {
    fn new(view: &'a OwnedFd) -> Scan<'a> {
        let (system, packages, notes) = Default::default();
        let mut scan = Scan { view, system, packages, notes };
        let texts = ["/etc/os-release", "/usr/lib/os-release"];
        let text = texts.iter().find_map(|path| scan.bytes(path, DESCRIPTION_BYTES));
        scan.system = System::parse(&String::from_utf8_lossy(&text.unwrap_or_default()));
        scan
    }

    fn end(self) -> Contents {
        Contents { packages: self.packages.into_values().collect(), notes: self.notes }
    }

    fn read(&mut self, path: &str, source: Source) {
        let found = match source {
            Source::Program => self.open(path).map(|file| program::packages(&file)),
            Source::OldRpm => None,
            Source::Rpm => {
                let bytes = self.bytes(path, DATABASE_BYTES);
                bytes.and_then(|bytes| rpm::packages(&bytes, &self.system))
            }
            _ => {
                let limit = match source {
                    Source::Dpkg | Source::Apk => DATABASE_BYTES,
                    _ => DESCRIPTION_BYTES,
                };
                let bytes = self.bytes(path, limit);
                let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                text.and_then(|text| self.described(&text, source))
            }
        };
        let Some(found) = found else {
            self.notes.push(format!("{path} could not be read"));
            return;
        };
        for package in found.into_iter().filter(|package| !package.name.is_empty()) {
            let package = Package { found: path.to_owned(), ..package };
            self.packages.entry(package.url.clone()).or_insert(package);
        }
    }

    fn described(&self, text: &str, source: Source) -> Option<Vec<Package>> {
        Some(match source {
            Source::Dpkg => stanzas::dpkg(text, true, &self.system),
            Source::DpkgAlone => stanzas::dpkg(text, false, &self.system),
            Source::Apk => stanzas::apk(text, &self.system),
            Source::Npm => language::npm(text)?,
            Source::Python => language::python(text),
            Source::CargoLock => language::cargo_lock(text)?,
            Source::Rpm | Source::OldRpm | Source::Program => return None,
        })
    }

    fn open(&self, path: &str) -> Option<File> {
        sys::fs::file_in_root(self.view, path).ok()
    }

    fn bytes(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= limit).then_some(bytes)
    }
}

impl System {
    fn parse(text: &str) -> System {
        let get = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        System { id: get("ID="), version: get("VERSION_ID=") }
    }

    /// A name among the packages of this system, or of one that is likely.
    fn place<'s>(&'s self, likely: &'s str) -> &'s str {
        if self.id.is_empty() { likely } else { &self.id }
    }

    /// What tells a package's system in its URL.
    fn qualifier(&self) -> Option<(&'static str, String)> {
        match (self.id.as_str(), self.version.as_str()) {
            ("", _) => None,
            (id, "") => Some(("distro", id.to_owned())),
            (id, version) => Some(("distro", format!("{id}-{version}"))),
        }
    }
}

/// A package URL: kind, folder, name, version, and what else tells it from others.
fn url(
    kind: &str,
    place: &str,
    (name, version): (&str, &str),
    qualifiers: &[(&str, String)],
) -> String {
    let mut url = format!("pkg:{kind}/");
    for part in place.split('/').filter(|part| !part.is_empty()) {
        url += &escaped(part);
        url.push('/');
    }
    url += &escaped(name);
    if !version.is_empty() {
        url.push('@');
        url += &escaped(version);
    }
    let mut qualifiers: Vec<&(&str, String)> =
        qualifiers.iter().filter(|(_, value)| !value.is_empty()).collect();
    qualifiers.sort();
    for (at, (name, value)) in qualifiers.into_iter().enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        url += &format!("{name}={}", escaped(value));
    }
    url
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_tell_of_packages() {
        let check = |path, wanted| assert_eq!(Source::of(path, 0o644), wanted, "{path}");
        check("/var/lib/dpkg/status", Some(Source::Dpkg));
        check("/var/lib/dpkg/status.d/base", Some(Source::DpkgAlone));
        check("/var/lib/dpkg/status.d/base.md5sums", None);
        check("/lib/apk/db/installed", Some(Source::Apk));
        check("/usr/lib/sysimage/rpm/rpmdb.sqlite", Some(Source::Rpm));
        check("/var/lib/rpm/Packages", Some(Source::OldRpm));
        check("/app/node_modules/left/package.json", Some(Source::Npm));
        check("/app/node_modules/@scope/left/package.json", Some(Source::Npm));
        check("/app/node_modules/left/lib/package.json", None);
        check("/app/package.json", None);
        check("/usr/lib/python3/dist-packages/a-1.dist-info/METADATA", Some(Source::Python));
        check("/src/Cargo.lock", Some(Source::CargoLock));
        check("/bin/sh", None);
        assert_eq!(Source::of("/bin/sh", 0o755), Some(Source::Program));
    }

    #[test]
    fn package_urls() {
        let deb = url(
            "deb",
            "debian",
            ("g++", "4:12.2"),
            &[("distro", "debian-12".to_owned()), ("arch", "amd64".to_owned())],
        );
        assert_eq!(deb, "pkg:deb/debian/g%2B%2B@4:12.2?arch=amd64&distro=debian-12");
        assert_eq!(url("npm", "@scope", ("left", "1.0"), &[]), "pkg:npm/%40scope/left@1.0");
        assert_eq!(url("golang", "github.com/a", ("b", ""), &[]), "pkg:golang/github.com/a/b");
        let system = System::parse("NAME=x\nID=\"alpine\"\nVERSION_ID=3.19\n");
        assert_eq!(system.qualifier(), Some(("distro", "alpine-3.19".to_owned())));
    }
}
