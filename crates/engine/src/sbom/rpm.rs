//! rpm's database: in SQLite, or in rpm's own form that openSUSE has. A package is a header of tags.

mod own;
mod sqlite;

use super::{Package, System, url};

/// Tags of a header.
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCHITECTURE: u32 = 1022;
/// Kinds of values.
const INT32: u32 = 4;
const STRING: u32 = 6;
/// A key that is trusted is in the database too.
const KEY: &str = "gpg-pubkey";
/// A tag's row.
const ROW: usize = 16;

/// The packages of a database; nothing if it is in no form that is known, or is damaged.
pub(super) fn packages(bytes: &[u8], system: &System) -> Option<Vec<Package>> {
    let mut found = Vec::new();
    let mut each = |header: &[u8]| {
        let package = Header::open(header).and_then(|header| header.package(system));
        found.extend(package.filter(|package| package.name != KEY));
    };
    match bytes.starts_with(sqlite::MAGIC) {
        true => sqlite::Database::open(bytes)?.blobs("Packages", &mut each)?,
        false => own::blobs(bytes, &mut each)?,
    }
    Some(found)
}

/// A header: rows of tags, and what they point into.
struct Header<'a> {
    rows: &'a [u8],
    values: &'a [u8],
}

fn big(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

impl<'a> Header<'a> {
    fn open(bytes: &'a [u8]) -> Option<Header<'a>> {
        let (rows, size) = (big(bytes, 0)? as usize, big(bytes, 4)? as usize);
        let (rows, values) = bytes.get(8..)?.split_at_checked(rows.checked_mul(ROW)?)?;
        Some(Header { rows, values: values.get(..size)? })
    }

    fn value(&self, tag: u32, kind: u32) -> Option<&'a [u8]> {
        let row = self.rows.chunks_exact(ROW).find(|row| big(row, 0) == Some(tag))?;
        let is_kind = big(row, 4)? == kind;
        self.values.get(big(row, 8)? as usize..).filter(|_| is_kind)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let text = self.value(tag, STRING)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn package(&self, system: &System) -> Option<Package> {
        let name = self.text(NAME)?;
        let version = format!("{}-{}", self.text(VERSION)?, self.text(RELEASE)?);
        let epoch = self.value(EPOCH, INT32).and_then(|value| big(value, 0));
        let mut qualifiers = vec![("arch", self.text(ARCHITECTURE).unwrap_or_default())];
        qualifiers.extend(epoch.map(|epoch| ("epoch", epoch.to_string())));
        qualifiers.extend(system.qualifier());
        let url = url("rpm", system.place("redhat"), (&name, &version), &qualifiers);
        let license = self.text(LICENSE).unwrap_or_default();
        Some(Package { url, name, version, license, ..Package::default() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header of these tags.
    pub(crate) fn header(name: &str, epoch: Option<u32>) -> Vec<u8> {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        let mut row = |tag: u32, kind: u32, value: &[u8]| {
            for number in [tag, kind, values.len() as u32, 1] {
                rows.extend(number.to_be_bytes());
            }
            values.extend(value);
        };
        if let Some(epoch) = epoch {
            row(EPOCH, INT32, &epoch.to_be_bytes());
        }
        for (tag, text) in
            [(NAME, name), (VERSION, "5.2"), (RELEASE, "3.fc39"), (LICENSE, "GPLv3+")]
        {
            row(tag, STRING, &[text.as_bytes(), b"\0"].concat());
        }
        row(ARCHITECTURE, STRING, b"x86_64\0");
        let count = (rows.len() / ROW) as u32;
        let size = values.len() as u32;
        [&count.to_be_bytes()[..], &size.to_be_bytes(), &rows, &values].concat()
    }

    #[test]
    fn a_header_is_a_package() {
        let system = System { id: "fedora".to_owned(), version: "39".to_owned() };
        let bytes = header("bash", Some(1));
        let package = Header::open(&bytes).unwrap().package(&system).unwrap();
        let url = "pkg:rpm/fedora/bash@5.2-3.fc39?arch=x86_64&distro=fedora-39&epoch=1";
        assert_eq!((package.url.as_str(), package.license.as_str()), (url, "GPLv3+"));
        // Cut off anywhere, it is none.
        for end in 0..bytes.len() {
            assert!(Header::open(&bytes[..end]).is_none());
        }
        for bytes in [&b""[..], b"nonsense", sqlite::MAGIC] {
            assert_eq!(packages(bytes, &system), None);
        }
    }
}
