//! What is in a folder, by name.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, RawDir};

/// As many names as one call gives: two calls, the second for the end, read most folders.
const ROOM: usize = 32 << 10;

/// The names in a folder with their kinds, in no order, without the dots.
pub fn names(folder: impl AsFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut list = Vec::new();
    // Opened anew, so that it does not matter how far somebody has read it.
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let again = rustix::fs::openat(folder, c".", flags, Mode::empty())?;
    each_name(again, |name, kind| list.push((name.to_vec(), kind)))?;
    Ok(list)
}

/// Tells each name in a folder that was opened just now with its kind, in no order, without the dots.
/// The folder is read to its end by it.
pub fn each_name(folder: impl AsFd, mut tell: impl FnMut(&[u8], FileType)) -> io::Result<()> {
    let mut room = [const { MaybeUninit::uninit() }; ROOM];
    let mut entries = RawDir::new(folder, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            tell(name, entry.file_type());
        }
    }
    Ok(())
}

/// Names in an open folder with their kinds, without the dots: as many as one call gives, in the
/// kernel's order.
pub fn first_names(folder: impl AsFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut room = [const { MaybeUninit::uninit() }; 8 << 10];
    let mut entries = RawDir::new(folder, &mut room);
    let mut list = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            list.push((name.to_vec(), entry.file_type()));
        }
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_told_however_many() {
        let folder = tempfile::tempdir().unwrap();
        // More than one call gives.
        let wanted: Vec<String> = (0..1500).map(|number| format!("{number:0>40}")).collect();
        for name in &wanted {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("within")).unwrap();
        let opened = crate::fs::open_folder(folder.path()).unwrap();
        for _ in 0..2 {
            let mut all = names(&opened).unwrap();
            all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            let (last, kind) = all.pop().unwrap();
            assert_eq!((last.as_slice(), kind), (&b"within"[..], FileType::Directory));
            assert!(all.iter().map(|(name, _)| &name[..]).eq(wanted.iter().map(String::as_bytes)));
        }
    }
}
