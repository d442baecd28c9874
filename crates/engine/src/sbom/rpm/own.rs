//! rpm's own form of its database: pages of slots, each of which says where a package's blob is.

const MAGIC: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const BLOB: &[u8] = b"BlbS";
/// Slots stand in pages of this size; the first two slots' room has the database's head.
const PAGE: usize = 4096;
const SLOT_BYTES: usize = 16;
const HEAD_SLOTS: usize = 2;
/// Blobs stand at multiples of this.
const BLOCK: usize = 16;
/// In front of a blob: its mark, its package, its generation, its length.
const BLOB_HEAD: usize = 16;

fn little(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?) as usize)
}

/// Shows each package's blob; nothing if it is no such database.
pub(super) fn blobs(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
    if !bytes.starts_with(MAGIC) || little(bytes, 4)? != 0 {
        return None;
    }
    let slots = bytes.get(..little(bytes, 12)?.checked_mul(PAGE)?)?;
    for slot in slots.chunks_exact(SLOT_BYTES).skip(HEAD_SLOTS) {
        let (package, at) = (little(slot, 4)?, little(slot, 8)?);
        // Of a package that was removed a slot is left.
        if !slot.starts_with(SLOT) || package == 0 {
            continue;
        }
        let blob = bytes.get(at.checked_mul(BLOCK)?..)?;
        if !blob.starts_with(BLOB) || little(blob, 4)? != package {
            return None;
        }
        let length = little(blob, 12)?;
        each(blob.get(BLOB_HEAD..BLOB_HEAD.checked_add(length)?)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::header;
    use super::*;
    use crate::sbom::System;

    #[test]
    fn packages_stand_where_slots_say() {
        let mut bytes = vec![0; PAGE];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&1_u32.to_le_bytes());
        for (package, name) in [(1_u32, "bash"), (0, "gone"), (3, "gpg-pubkey"), (4, "zlib")] {
            let header = header(name, None);
            let at = (bytes.len() / BLOCK) as u32;
            let slot = 32 + 16 * package as usize;
            bytes[slot..slot + 4].copy_from_slice(SLOT);
            for (place, number) in [package, at, 1].into_iter().enumerate() {
                let field = slot + 4 + 4 * place;
                bytes[field..field + 4].copy_from_slice(&number.to_le_bytes());
            }
            bytes.extend(BLOB);
            for number in [package, 1, header.len() as u32] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(header);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        let found = super::super::packages(&bytes, &System::default()).unwrap();
        let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["bash", "zlib"]);
        for end in (0..bytes.len()).step_by(7) {
            let _ = super::super::packages(&bytes[..end], &System::default());
        }
    }
}
