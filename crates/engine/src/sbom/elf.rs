//! As much of the ELF format as it takes to find a section by its name and a byte by its address.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A program's tables.
pub(super) struct Elf<'a> {
    file: &'a File,
    is_big: bool,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    address: u64,
    offset: u64,
    size: u64,
}

const MAGIC: &[u8; 4] = b"\x7fELF";
/// No program has more sections, none that is read here is larger, and no table of names is.
const SECTIONS: usize = 4096;
const SECTION_BYTES: u64 = 64 << 20;
const NAMES_BYTES: u64 = 4 << 20;

/// Numbers as a file writes them.
struct Fields<'a> {
    bytes: &'a [u8],
    is_big: bool,
    is_wide: bool,
}

impl Fields<'_> {
    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let field = self.bytes.get(at..at.checked_add(bytes)?)?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.is_big {
            true => field.iter().fold(0, fold),
            false => field.iter().rev().fold(0, fold),
        })
    }

    /// A field that is as wide as an address, with its place in narrow and in wide tables.
    fn address(&self, narrow: usize, wide: usize) -> Option<u64> {
        if self.is_wide { self.number(wide, 8) } else { self.number(narrow, 4) }
    }
}

impl<'a> Elf<'a> {
    /// Reads the tables, if it is such a program.
    pub(super) fn open(file: &'a File) -> Option<Elf<'a>> {
        let mut head = [0; 64];
        file.read_exact_at(&mut head, 0).ok()?;
        if !head.starts_with(MAGIC) {
            return None;
        }
        let (is_wide, is_big) = (head[4] == 2, head[5] == 2);
        let fields = Fields { bytes: &head, is_big, is_wide };
        let table = fields.address(0x20, 0x28)?;
        let at = if is_wide { 0x3a } else { 0x2e };
        let (row, count, names) =
            (fields.number(at, 2)?, fields.number(at + 2, 2)?, fields.number(at + 4, 2)?);
        let (row, count) = (usize::try_from(row).ok()?, usize::try_from(count).ok()?);
        if row < if is_wide { 64 } else { 40 } || count > SECTIONS {
            return None;
        }
        let mut bytes = vec![0; row * count];
        file.read_exact_at(&mut bytes, table).ok()?;
        let mut found = Vec::with_capacity(count);
        for row in bytes.chunks_exact(row) {
            let fields = Fields { bytes: row, is_big, is_wide };
            let section = Section {
                name: String::new(),
                address: fields.address(0x0c, 0x10)?,
                offset: fields.address(0x10, 0x18)?,
                size: fields.address(0x14, 0x20)?,
            };
            found.push((fields.number(0, 4)?, section));
        }
        let names = &found.get(usize::try_from(names).ok()?)?.1;
        let names = read(file, names.offset, names.size, NAMES_BYTES)?;
        let named = |(at, section): (u64, Section)| {
            let text = names.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()?;
            Some(Section { name: String::from_utf8_lossy(text).into_owned(), ..section })
        };
        Some(Elf { file, is_big, sections: found.into_iter().filter_map(named).collect() })
    }

    /// What is in a section.
    pub(super) fn section(&self, name: &str) -> Option<Vec<u8>> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        read(self.file, section.offset, section.size, SECTION_BYTES)
    }

    /// The bytes that are at an address when the program runs.
    pub(super) fn at_address(&self, address: u64, bytes: u64) -> Option<Vec<u8>> {
        let holds = |section: &&Section| {
            let end = section.address.checked_add(section.size);
            section.address != 0 && section.address <= address && end > Some(address)
        };
        let section = self.sections.iter().find(holds)?;
        let within = address - section.address;
        (bytes <= section.size - within).then_some(())?;
        read(self.file, section.offset.checked_add(within)?, bytes, SECTION_BYTES)
    }

    /// A number of so many bytes at an address.
    pub(super) fn number(&self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        Fields { bytes, is_big: self.is_big, is_wide: true }.number(at, width)
    }
}

fn read(file: &File, offset: u64, size: u64, limit: u64) -> Option<Vec<u8>> {
    if size > limit {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}
