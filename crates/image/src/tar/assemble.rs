//! From a header and the overrides before it to an entry.

use super::entry::{Entry, EntryKind, Limits, Time};
use super::error::Fault;
use super::header::{Dialect, Header, field};
use super::pax::{Attribute, Override, Records};

/// Everything said before an entry's own header.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// What pax records say of the next entry.
    pub(super) local: Records,
    /// What pax records say of all entries from here on.
    pub(super) wide: Records,
    /// GNU's long path for the next entry.
    pub(super) long_name: Vec<u8>,
    /// GNU's long link target for the next entry.
    pub(super) long_link: Vec<u8>,
    /// Whether anything above speaks of the next entry alone.
    pub(super) has_local: bool,
}

impl Overrides {
    /// Forgets what was said of one entry alone.
    pub(super) fn forget_local(&mut self) {
        if self.has_local {
            self.local = Records::default();
            self.long_name.clear();
            self.long_link.clear();
            self.has_local = false;
        }
    }

    fn text(&self, pick: fn(&Records) -> &Override<Vec<u8>>) -> Option<&[u8]> {
        pick(&self.local).or(pick(&self.wide)).map(Vec::as_slice)
    }

    fn value<T: Copy>(&self, pick: fn(&Records) -> &Override<T>) -> Option<T> {
        pick(&self.local).or(pick(&self.wide)).copied()
    }
}

/// Fills `entry` from its header and the overrides, and returns the size that either declares.
///
/// Sizes and places in the entry are the reader's business; so are sparse maps.
pub(super) fn assemble(
    header: Header<'_>,
    over: &Overrides,
    limits: &Limits,
    entry: &mut Entry,
) -> Result<u64, Fault> {
    take_path(header, over, entry);
    let declared = match over.value(|records| &records.size) {
        Some(size) => u64::try_from(size).map_err(|_| Fault::range("size", size))?,
        None => header.size("size", field::SIZE)?,
    };
    entry.mode = header.number("mode", field::MODE)? as u32 & 0o7777;
    entry.uid = owner("uid", over.value(|records| &records.uid), header)?;
    entry.gid = owner("gid", over.value(|records| &records.gid), header)?;
    take_owner_names(header, over, entry);
    take_times(header, over, entry)?;
    entry.kind = kind(header, over, &entry.path)?;
    take_attributes(&over.local.xattrs, &mut entry.xattrs);
    check_lengths(entry, limits)?;
    Ok(declared)
}

/// The path: GNU's long name, then a sparse file's real name, then pax, then the header.
fn take_path(header: Header<'_>, over: &Overrides, entry: &mut Entry) {
    entry.path.clear();
    if !over.long_name.is_empty() {
        entry.path.extend_from_slice(&over.long_name);
    } else if let Some(name) = &over.local.sparse.name {
        entry.path.extend_from_slice(name);
    } else if let Some(path) = over.text(|records| &records.path) {
        entry.path.extend_from_slice(path);
    } else {
        push_header_path(header, &mut entry.path);
    }
}

/// The path in the header alone, for errors and for entries without overrides.
pub(super) fn push_header_path(header: Header<'_>, path: &mut Vec<u8>) {
    let prefix = match header.dialect() {
        Dialect::V7 => &[],
        Dialect::Ustar => header.text(field::PREFIX),
        Dialect::Star => header.text(field::STAR_PREFIX),
        // Some writers claimed to be GNU and used ustar's prefix all the same.
        Dialect::Gnu if gnu_times(header).is_err() => header.text(field::PREFIX),
        Dialect::Gnu => &[],
    };
    if !prefix.is_empty() && (header.dialect() != Dialect::Gnu || prefix.is_ascii()) {
        path.extend_from_slice(prefix);
        path.push(b'/');
    }
    path.extend_from_slice(header.text(field::NAME));
}

/// An owner's number. The kernel takes 32 bits, so that -2 is 4294967294: old systems wrote that.
fn owner(name: &'static str, over: Option<i64>, header: Header<'_>) -> Result<u64, Fault> {
    let at = if name == "uid" { field::UID } else { field::GID };
    let value = over.map_or_else(|| header.number(name, at), Ok)?;
    match (u64::try_from(value), i32::try_from(value)) {
        (Ok(id), _) => Ok(id),
        (Err(_), Ok(negative)) => Ok(u64::from(negative as u32)),
        _ => Err(Fault::range(name, value)),
    }
}

fn take_owner_names(header: Header<'_>, over: &Overrides, entry: &mut Entry) {
    let from_header = |at| match header.dialect() {
        Dialect::V7 => &[][..],
        _ => header.text(at),
    };
    let uname = over.text(|records| &records.uname).unwrap_or_else(|| from_header(field::UNAME));
    let gname = over.text(|records| &records.gname).unwrap_or_else(|| from_header(field::GNAME));
    entry.uname.clear();
    entry.uname.extend_from_slice(uname);
    entry.gname.clear();
    entry.gname.extend_from_slice(gname);
}

fn take_times(header: Header<'_>, over: &Overrides, entry: &mut Entry) -> Result<(), Fault> {
    let mtime = header.number("mtime", field::MTIME)?;
    let (atime, ctime) = match header.dialect() {
        Dialect::Gnu => gnu_times(header).unwrap_or_default(),
        Dialect::Star => {
            (number_if_any(header, field::STAR_ATIME)?, number_if_any(header, field::STAR_CTIME)?)
        }
        _ => (None, None),
    };
    let whole = |seconds| Time { seconds, nanos: 0 };
    entry.mtime = over.value(|records| &records.mtime).unwrap_or(whole(mtime));
    entry.atime = over.value(|records| &records.atime).or(atime.map(whole));
    entry.ctime = over.value(|records| &records.ctime).or(ctime.map(whole));
    Ok(())
}

/// The times a GNU header may hold. Not numbers? Then they are no times.
fn gnu_times(header: Header<'_>) -> Result<(Option<i64>, Option<i64>), Fault> {
    Ok((number_if_any(header, field::GNU_ATIME)?, number_if_any(header, field::GNU_CTIME)?))
}

fn number_if_any(header: Header<'_>, at: std::ops::Range<usize>) -> Result<Option<i64>, Fault> {
    match header.0[at.start] {
        0 => Ok(None),
        _ => header.number("time", at).map(Some),
    }
}

fn kind(header: Header<'_>, over: &Overrides, path: &[u8]) -> Result<EntryKind, Fault> {
    let kind = match header.kind() {
        // Before there was a type for them, directories were told by their last slash.
        0 if path.ends_with(b"/") => EntryKind::Directory,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::Hardlink(target(header, over)),
        b'2' => EntryKind::Symlink(target(header, over)),
        b'3' | b'4' => {
            let (major, minor) = device(header, over)?;
            match header.kind() {
                b'3' => EntryKind::Char { major, minor },
                _ => EntryKind::Block { major, minor },
            }
        }
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        other => EntryKind::Other(other),
    };
    Ok(kind)
}

fn target(header: Header<'_>, over: &Overrides) -> Vec<u8> {
    if !over.long_link.is_empty() {
        return over.long_link.clone();
    }
    over.text(|records| &records.link).unwrap_or_else(|| header.text(field::LINK)).to_vec()
}

fn device(header: Header<'_>, over: &Overrides) -> Result<(u32, u32), Fault> {
    let number = |name, over: Option<i64>, at| {
        let value = match over {
            Some(value) => value,
            // A v7 header ends before these fields.
            None if header.dialect() == Dialect::V7 => 0,
            None => header.number(name, at)?,
        };
        u32::try_from(value).map_err(|_| Fault::range(name, value))
    };
    Ok((
        number("devmajor", over.value(|records| &records.major), field::MAJOR)?,
        number("devminor", over.value(|records| &records.minor), field::MINOR)?,
    ))
}

/// Copies attributes in the order of their names. The last record of a name counts; libarchive
/// writes each in both forms, and then the plain one does.
fn take_attributes(records: &[Attribute], xattrs: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    xattrs.clear();
    let mut sorted: Vec<&Attribute> = records.iter().collect();
    sorted.sort_by(|a, b| (&a.name, a.plain).cmp(&(&b.name, b.plain)));
    for (at, attribute) in sorted.iter().enumerate() {
        if sorted.get(at + 1).is_none_or(|next| next.name != attribute.name) {
            xattrs.push((attribute.name.clone(), attribute.value.clone()));
        }
    }
}

fn check_lengths(entry: &Entry, limits: &Limits) -> Result<(), Fault> {
    let target = match &entry.kind {
        EntryKind::Symlink(target) | EntryKind::Hardlink(target) => target.len(),
        _ => 0,
    };
    let names = [
        ("bytes of path", entry.path.len()),
        ("bytes of link target", target),
        ("bytes of owner name", entry.uname.len().max(entry.gname.len())),
    ];
    match names.into_iter().find(|(_, length)| *length > limits.max_path) {
        Some((what, _)) => Err(Fault::Limit { what, limit: limits.max_path as u64 }),
        None => Ok(()),
    }
}
