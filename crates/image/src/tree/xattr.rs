//! Which extended attributes a layer's file keeps, and in which form.
//!
//! File systems treat some of them in ways of their own: they refuse a malformed one, fold an
//! access list into the mode, have no room for user attributes on a link. A driver that unpacks
//! would then show another tree than one that does not, so all of this is decided here, before
//! any driver sees the file.

use super::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// What is left of a file's attributes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Sorted by name.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The permission bits, as an access list may change them.
    pub(super) mode: u32,
}

/// What of these attributes a file of this mode keeps, or the name of one that cannot be right.
///
/// Names that overlay itself reads are not the layer's to set; names outside the known groups no
/// file system here would take.
pub(super) fn keep(mode: u32, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<Kept, Vec<u8>> {
    let kind = mode & S_IFMT;
    let mut kept = Kept { xattrs: Vec::new(), mode };
    for (name, value) in xattrs.iter().filter(|(name, _)| is_known(name)) {
        let wrong = || name.clone();
        match name.as_slice() {
            // Links have the permissions of nobody, and only folders hand some on.
            ACCESS if kind == S_IFLNK => continue,
            DEFAULT if kind != S_IFDIR => continue,
            ACCESS => {
                let acl = Acl::parse(value).ok_or_else(wrong)?;
                kept.mode = (mode & !0o777) | acl.mode;
                if acl.is_plain {
                    continue;
                }
            }
            DEFAULT => {
                Acl::parse(value).ok_or_else(wrong)?;
            }
            b"security.capability" if !is_capability(value) => return Err(wrong()),
            // The kernel shows them on files and folders alone.
            name if name.starts_with(b"user.") && !matches!(kind, S_IFREG | S_IFDIR) => continue,
            _ => {}
        }
        kept.xattrs.push((name.clone(), value.clone()));
    }
    kept.xattrs.sort();
    Ok(kept)
}

fn is_known(name: &[u8]) -> bool {
    let groups = [b"user.".as_slice(), b"trusted.", b"security."];
    let overlay = [b"trusted.overlay.".as_slice(), b"user.overlay."];
    let grouped = groups.iter().any(|group| name.starts_with(group) && name.len() > group.len());
    (grouped || matches!(name, ACCESS | DEFAULT))
        && !overlay.iter().any(|group| name.starts_with(group))
        && name.len() <= 255
        && !name.contains(&0)
}

/// Whether the kernel would take this as a file's capabilities: its second or third form.
fn is_capability(value: &[u8]) -> bool {
    let revision = value.get(..4).map(|bytes| bytes[3]);
    matches!((revision, value.len()), (Some(2), 20) | (Some(3), 24))
}

/// An access control list, as far as it matters here.
struct Acl {
    /// The permission bits that it shows as.
    mode: u32,
    /// Whether it says nothing that the permission bits do not say.
    is_plain: bool,
}

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

impl Acl {
    /// Reads a list in the kernel's form, by the kernel's rules: version 2, entries in order, one
    /// each for owner, group and others, a mask if somebody else is named.
    fn parse(value: &[u8]) -> Option<Acl> {
        let entries = value.strip_prefix(&2_u32.to_le_bytes())?;
        if entries.len() % 8 != 0 {
            return None;
        }
        let mut last = (0, 0);
        let mut seen = 0;
        let mut bits = [0; 4];
        for entry in entries.chunks(8) {
            let [tag, permissions] =
                [0, 2].map(|at| u16::from_le_bytes([entry[at], entry[at + 1]]));
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let named = matches!(tag, USER | GROUP);
            let order = (tag, if named { id } else { 0 });
            let known = matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER);
            if !known || permissions > 7 || (named && id == u32::MAX) || order <= last {
                return None;
            }
            (last, seen) = (order, seen | tag);
            match tag {
                USER_OBJ => bits[0] = permissions,
                GROUP_OBJ => bits[1] = permissions,
                MASK => bits[2] = permissions,
                OTHER => bits[3] = permissions,
                _ => {}
            }
        }
        let needs_mask = seen & (USER | GROUP) != 0;
        let complete = seen & (USER_OBJ | GROUP_OBJ | OTHER) == USER_OBJ | GROUP_OBJ | OTHER;
        if !complete || (needs_mask && seen & MASK == 0) {
            return None;
        }
        let group = if seen & MASK != 0 { bits[2] } else { bits[1] };
        let mode = u32::from(bits[0] << 6 | group << 3 | bits[3]);
        Some(Acl { mode, is_plain: seen & (USER | GROUP | MASK) == 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entry = |(tag, permissions, id): &(u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let list: Vec<u8> = entries.iter().flat_map(entry).collect();
        [2_u32.to_le_bytes().to_vec(), list].concat()
    }

    fn kept(mode: u32, name: &str, value: &[u8]) -> Result<(usize, u32), Vec<u8>> {
        let kept = keep(mode, &[(name.as_bytes().to_vec(), value.to_vec())])?;
        Ok((kept.xattrs.len(), kept.mode))
    }

    #[test]
    fn keeps_what_a_file_system_would() {
        assert_eq!(kept(S_IFREG, "user.a", b"1"), Ok((1, S_IFREG)));
        assert_eq!(kept(S_IFLNK, "user.a", b"1"), Ok((0, S_IFLNK)));
        assert_eq!(kept(S_IFLNK, "trusted.a", b"1"), Ok((1, S_IFLNK)));
        assert_eq!(kept(S_IFREG, "trusted.overlay.opaque", b"y"), Ok((0, S_IFREG)));
        assert_eq!(kept(S_IFDIR, "user.overlay.opaque", b"y"), Ok((0, S_IFDIR)));
        assert_eq!(kept(S_IFREG, "user.", b""), Ok((0, S_IFREG)));
        assert_eq!(kept(S_IFREG, "com.apple.quarantine", b""), Ok((0, S_IFREG)));
        assert_eq!(kept(S_IFREG, &format!("user.{}", "n".repeat(251)), b""), Ok((0, S_IFREG)));
        assert_eq!(kept(S_IFREG, "user.a\0b", b""), Ok((0, S_IFREG)));
    }

    #[test]
    fn capabilities_are_in_a_form_of_the_kernel() {
        let v2 = [&[1, 0, 0, 2][..], &[0; 16]].concat();
        assert_eq!(kept(S_IFREG, "security.capability", &v2), Ok((1, S_IFREG)));
        assert!(kept(S_IFREG, "security.capability", &v2[..12]).is_err());
        assert!(kept(S_IFREG, "security.capability", b"").is_err());
        let v3 = [&[1, 0, 0, 3][..], &[0; 20]].concat();
        assert_eq!(kept(S_IFREG, "security.capability", &v3), Ok((1, S_IFREG)));
    }

    #[test]
    fn access_lists_decide_the_mode() {
        let plain = acl(&[(USER_OBJ, 7, 0), (GROUP_OBJ, 5, 0), (OTHER, 1, 0)]);
        assert_eq!(
            kept(S_IFREG | 0o4600, "system.posix_acl_access", &plain),
            Ok((0, S_IFREG | 0o4751))
        );
        let named =
            acl(&[(USER_OBJ, 6, 0), (USER, 7, 5), (GROUP_OBJ, 0, 0), (MASK, 7, 0), (OTHER, 0, 0)]);
        assert_eq!(kept(S_IFREG, "system.posix_acl_access", &named), Ok((1, S_IFREG | 0o670)));
        assert_eq!(
            kept(S_IFDIR | 0o700, "system.posix_acl_default", &named),
            Ok((1, S_IFDIR | 0o700))
        );
        assert_eq!(kept(S_IFREG, "system.posix_acl_default", b"junk"), Ok((0, S_IFREG)));
        assert_eq!(kept(S_IFLNK, "system.posix_acl_access", b"junk"), Ok((0, S_IFLNK)));
    }

    #[test]
    fn malformed_access_lists_are_refused() {
        let full = [(USER_OBJ, 6, 0), (USER, 7, 5), (GROUP_OBJ, 0, 0), (MASK, 7, 0), (OTHER, 0, 0)];
        for (what, list) in [
            ("empty", acl(&[])),
            ("no others", acl(&full[..4])),
            ("no mask", acl(&[full[0], full[1], full[2], full[4]])),
            ("twice", acl(&[full[0], full[0], full[2], full[4]])),
            ("out of order", acl(&[full[2], full[0], full[4]])),
            ("too many bits", acl(&[(USER_OBJ, 8, 0), full[2], full[4]])),
            ("nobody", acl(&[full[0], (USER, 7, u32::MAX), full[2], full[3], full[4]])),
            ("unknown", acl(&[full[0], full[2], full[4], (0x40, 0, 0)])),
            ("cut off", acl(&full)[..11].to_vec()),
            ("another version", vec![1, 0, 0, 0]),
        ] {
            assert!(kept(S_IFREG, "system.posix_acl_access", &list).is_err(), "{what}");
        }
    }
}
