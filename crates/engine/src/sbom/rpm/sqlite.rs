//! As much of SQLite's file format as it takes to show the blobs of one table.

/// What such a file begins with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
/// The first page begins with the database's own head.
const HEAD: usize = 100;
/// Kinds of pages of a table's tree.
const INNER: u8 = 0x05;
const LEAF: u8 = 0x0d;
/// Kinds of values: from here on, even ones are blobs and odd ones texts, with their lengths.
const BLOB: u64 = 12;

/// A database.
pub(super) struct Database<'a> {
    bytes: &'a [u8],
    page: usize,
    /// What of a page may be used.
    usable: usize,
}

fn big(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A number of seven bits a byte, at most nine bytes, the last of which has eight.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..9 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        if at == 8 {
            return Some(number << 8 | u64::from(*byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl<'a> Database<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Option<Database<'a>> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let page = match usize::try_from(big(bytes, 16, 2)?).ok()? {
            1 => 65536,
            page if page >= 512 && page.is_power_of_two() => page,
            _ => return None,
        };
        let usable = page - usize::from(*bytes.get(20)?);
        (usable >= 480).then_some(Database { bytes, page, usable })
    }

    /// Shows the last blob of each row of a table.
    pub(super) fn blobs(&self, table: &str, each: &mut dyn FnMut(&[u8])) -> Option<()> {
        let mut root = None;
        self.rows(1, &mut |row| {
            let Some(values) = values(row) else { return };
            let is_it =
                values.len() == 5 && values[0].1 == b"table" && values[1].1 == table.as_bytes();
            if is_it {
                root = big(values[3].1, 0, values[3].1.len());
            }
        })?;
        self.rows(root?, &mut |row| {
            let values = values(row).unwrap_or_default();
            let blob = values.iter().rev().find(|(kind, _)| *kind >= BLOB && kind % 2 == 0);
            if let Some((_, blob)) = blob {
                each(blob);
            }
        })
    }

    fn page(&self, number: u64) -> Option<&'a [u8]> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?.checked_mul(self.page)?;
        self.bytes.get(at..at.checked_add(self.page)?)
    }

    /// Shows each row of a table's tree.
    fn rows(&self, root: u64, each: &mut dyn FnMut(&[u8])) -> Option<()> {
        let (mut waiting, mut left) = (vec![root], self.bytes.len() / self.page);
        while let Some(number) = waiting.pop() {
            // In a whole tree each page is met once.
            left = left.checked_sub(1)?;
            let page = self.page(number)?;
            let head = if number == 1 { HEAD } else { 0 };
            let kind = *page.get(head)?;
            let cells = big(page, head + 3, 2)? as usize;
            let list = match kind {
                INNER => head + 12,
                LEAF => head + 8,
                _ => return None,
            };
            if kind == INNER {
                waiting.push(big(page, head + 8, 4)?);
            }
            for at in 0..cells {
                let cell = big(page, list + 2 * at, 2)? as usize;
                match kind {
                    INNER => waiting.push(big(page, cell, 4)?),
                    _ => each(&self.payload(page.get(cell..)?)?),
                }
            }
        }
        Some(())
    }

    /// A row's bytes: what is in its page, and what is in others.
    fn payload(&self, cell: &[u8]) -> Option<Vec<u8>> {
        let mut rest = cell;
        let size = usize::try_from(varint(&mut rest)?).ok()?;
        varint(&mut rest)?;
        if size > self.bytes.len() {
            return None;
        }
        let most = self.usable - 35;
        if size <= most {
            return Some(rest.get(..size)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let here = least + (size - least) % (self.usable - 4);
        let here = if here <= most { here } else { least };
        let mut bytes = rest.get(..here)?.to_vec();
        let mut next = big(rest, here, 4)?;
        while bytes.len() < size {
            let page = self.page(next)?;
            next = big(page, 0, 4)?;
            let part = (size - bytes.len()).min(self.usable - 4);
            bytes.extend(page.get(4..4 + part)?);
        }
        Some(bytes)
    }
}

/// The values of a row: the kind of each, and its bytes.
fn values(row: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut kinds = row;
    let head = usize::try_from(varint(&mut kinds)?).ok()?;
    let mut rest = row.get(head..)?;
    let used = row.len() - kinds.len();
    let mut kinds = row.get(used..head)?;
    let mut list = Vec::new();
    while !kinds.is_empty() {
        let kind = varint(&mut kinds)?;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => (kind - BLOB) / 2,
        };
        let (value, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        list.push((kind, value));
        rest = after;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::tests::header;
    use crate::sbom::System;

    #[test]
    fn a_database_that_sqlite_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rpmdb.sqlite");
        // Enough for several levels of pages, and headers that do not fit into one.
        let long = "x".repeat(20_000);
        let mut script = "PRAGMA page_size=1024; CREATE TABLE Other(a); CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL); BEGIN;".to_owned();
        let mut wanted = Vec::new();
        for number in 0..500 {
            let name = match number % 50 {
                0 => format!("{number}-{long}"),
                _ => format!("package-{number}"),
            };
            let blob: String =
                header(&name, None).iter().map(|byte| format!("{byte:02x}")).collect();
            script += &format!("INSERT INTO Packages(blob) VALUES (x'{blob}');");
            wanted.push(name);
        }
        script += "COMMIT;";
        let script_path = folder.path().join("script");
        std::fs::write(&script_path, script).unwrap();
        let mut command = Command::new("sqlite3");
        command.arg(&path).stdin(std::fs::File::open(script_path).unwrap());
        let Ok(status) = command.status() else {
            testkit::skip("sqlite3 is not installed");
            return;
        };
        assert!(status.success());
        let bytes = std::fs::read(&path).unwrap();
        let found = super::super::packages(&bytes, &System::default()).unwrap();
        let mut names: Vec<String> = found.into_iter().map(|package| package.name).collect();
        names.sort();
        wanted.sort();
        assert_eq!(names, wanted);
        // Damage is seen or passed over, and never more than that.
        for at in (0..bytes.len()).step_by(7919) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if at % 5 == 0 {
                damaged.truncate(at);
            }
            let _ = super::super::packages(&damaged, &System::default());
        }
    }
}
