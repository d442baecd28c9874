//! What compilers write into programs about what they were made of: Go's build information, and the
//! list of crates of cargo-auditable.

use std::fs::File;
use std::io::Read;

use flate2::read::ZlibDecoder;
use serde::Deserialize;

use super::elf::Elf;
use super::language::crate_package;
use super::{Package, url};

/// The sections.
const GO: &str = ".go.buildinfo";
const CRATES: &str = ".dep-v0";
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// The text of modules stands between two marks of such a length.
const MARK_BYTES: usize = 16;
/// No such list is longer.
const LIST_BYTES: u64 = 16 << 20;

/// What a program was made of; nothing if it does not say.
pub(super) fn packages(file: &File) -> Vec<Package> {
    let Some(elf) = Elf::open(file) else { return Vec::new() };
    let mut found = elf.section(GO).and_then(|bytes| go(&elf, &bytes)).unwrap_or_default();
    found.extend(elf.section(CRATES).and_then(|bytes| crates(&bytes)).unwrap_or_default());
    found
}

fn go(elf: &Elf<'_>, bytes: &[u8]) -> Option<Vec<Package>> {
    let rest = bytes.strip_prefix(GO_MAGIC)?;
    let (width, flags) = (usize::from(*rest.first()?), *rest.get(1)?);
    // Since Go 1.18 the texts stand here; before, addresses did.
    let (version, modules) = match flags & 2 != 0 {
        true => {
            let mut rest = bytes.get(32..)?;
            (text(&mut rest)?.to_vec(), text(&mut rest)?.to_vec())
        }
        false if matches!(width, 4 | 8) => {
            let string = |at| {
                let address = elf.number(bytes, at, width)?;
                let head = elf.at_address(address, 2 * width as u64)?;
                let (from, length) =
                    (elf.number(&head, 0, width)?, elf.number(&head, width, width)?);
                elf.at_address(from, length)
            };
            (string(16)?, string(16 + width).unwrap_or_default())
        }
        false => return None,
    };
    let modules = modules.get(MARK_BYTES..modules.len().saturating_sub(MARK_BYTES));
    let modules = String::from_utf8_lossy(modules.unwrap_or_default());
    Some(go_modules(&String::from_utf8_lossy(&version), &modules))
}

/// A text with its length in front, seven bits a byte.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7f).checked_shl(shift).filter(|_| shift < 35)?;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

/// The program's own module and those it needs, each replaced by what was taken instead of it.
fn go_modules(version: &str, modules: &str) -> Vec<Package> {
    let mut found: Vec<Package> = Vec::new();
    if let Some(version) = version.strip_prefix("go") {
        // Experiments follow a blank.
        let version = version.split(' ').next().unwrap_or_default();
        found.push(go_package("stdlib", version));
    }
    for line in modules.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let (name, version) =
            (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        match kind {
            "mod" | "dep" if !name.is_empty() => found.push(go_package(name, version)),
            "=>" if !name.is_empty() => {
                found.pop();
                found.push(go_package(name, version));
            }
            _ => {}
        }
    }
    found
}

fn go_package(whole: &str, version: &str) -> Package {
    let (place, name) = whole.rsplit_once('/').unwrap_or(("", whole));
    // What was built from a folder has no version.
    let version = if version == "(devel)" { "" } else { version };
    Package {
        url: url("golang", place, (name, version), &[]),
        name: whole.to_owned(),
        version: version.to_owned(),
        ..Package::default()
    }
}

#[derive(Deserialize)]
struct Audited {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// What only built it is not in it.
    #[serde(default)]
    kind: String,
}

fn crates(bytes: &[u8]) -> Option<Vec<Package>> {
    let mut text = Vec::new();
    ZlibDecoder::new(bytes).take(LIST_BYTES).read_to_end(&mut text).ok()?;
    let list: Audited = serde_json::from_slice(&text).ok()?;
    let own = list.packages.into_iter().filter(|one| one.kind != "build");
    Some(own.map(|Crate { name, version, .. }| crate_package(name, version)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    /// A program of these sections and nothing else.
    fn program(sections: &[(&str, &[u8])]) -> File {
        let (mut bytes, mut names, mut rows) = (vec![0; 64], vec![0_u8], vec![0_u8; 64]);
        let mut row = |name: &str, content: &[u8], bytes: &mut Vec<u8>| {
            let mut row = [0; 64];
            row[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
            row[24..32].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            bytes.extend(content);
            names.extend(name.as_bytes());
            names.push(0);
            let size = if name == ".shstrtab" { names.len() } else { content.len() };
            row[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            rows.extend(row);
        };
        for (name, content) in sections {
            row(name, content, &mut bytes);
        }
        row(".shstrtab", &[], &mut bytes);
        bytes.extend(&names);
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let table = bytes.len() as u64;
        bytes[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        let count = sections.len() as u16 + 2;
        for (at, number) in [(0x3a, 64), (0x3c, count), (0x3e, count - 1)] {
            bytes[at..at + 2].copy_from_slice(&u16::to_le_bytes(number));
        }
        bytes.extend(rows);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn urls(file: &File) -> Vec<String> {
        packages(file).into_iter().map(|package| package.url).collect()
    }

    #[test]
    fn go_tells_its_modules() {
        let lines = "path\texample.com/cmd\nmod\texample.com/cmd\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.3\th1:x=\ndep\tgolang.org/x/sys\tv0.1.0\n=>\texample.com/fork\tv9.0.0\th1:y=\nbuild\tCGO_ENABLED=0\n";
        let marked = [&[1; 16][..], lines.as_bytes(), &[2; 16]].concat();
        let mut section = [GO_MAGIC, &[8, 2], &[0; 16]].concat();
        section.push(8);
        section.extend(b"go1.22.1");
        section.extend([marked.len() as u8 & 0x7f | 0x80, (marked.len() >> 7) as u8]);
        section.extend(marked);
        let file = program(&[(".text", b"code"), (GO, &section)]);
        let wanted = [
            "pkg:golang/stdlib@1.22.1",
            "pkg:golang/example.com/cmd",
            "pkg:golang/github.com/a/b@v1.2.3",
            "pkg:golang/example.com/fork@v9.0.0",
        ];
        assert_eq!(urls(&file), wanted);
        // Cut off anywhere, it is a program that says nothing, or less.
        for end in 0..section.len() {
            urls(&program(&[(GO, &section[..end])]));
        }
    }

    #[test]
    fn cargo_auditable_tells_its_crates() {
        let text = br#"{"packages":[{"name":"serde","version":"1.0.1","source":"registry"},{"name":"cc","version":"1.0","source":"registry","kind":"build"},{"name":"own","version":"0.1.0","source":"local","root":true}]}"#;
        let mut packed = Vec::new();
        let mut encoder = flate2::read::ZlibEncoder::new(&text[..], flate2::Compression::fast());
        encoder.read_to_end(&mut packed).unwrap();
        let file = program(&[(CRATES, &packed)]);
        assert_eq!(urls(&file), ["pkg:cargo/serde@1.0.1", "pkg:cargo/own@0.1.0"]);
        assert!(urls(&program(&[(CRATES, b"nonsense")])).is_empty());
    }

    #[test]
    fn what_is_no_program_says_nothing() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0x7f; 200]] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            assert!(urls(&file).is_empty());
        }
    }
}
