//! The EROFS on-disk format, as far as an uncompressed index needs it.
//!
//! Numbers are little endian. Blocks are 512 bytes because that is how tar aligns what it holds.

/// Where the superblock starts; the kilobyte before it is free for a boot loader.
pub(super) const SUPERBLOCK_OFFSET: u64 = 1024;
/// The superblock's length without extension slots.
pub(super) const SUPERBLOCK_BYTES: usize = 128;
/// `E0F5E1E2`, the file system's magic number.
pub(super) const MAGIC: u32 = 0xE0F5_E1E2;
/// The block size as a power of two: 512 bytes.
pub(super) const BLOCK_BITS: u8 = 9;
/// The block size.
pub(super) const BLOCK: u64 = 1 << BLOCK_BITS;
/// Inodes are addressed in units of 32 bytes.
pub(super) const NID_UNIT: u64 = 32;
/// Inodes keep their own modification time.
pub(super) const COMPAT_MTIME: u32 = 0x2;
/// There is a table of extra devices.
pub(super) const INCOMPAT_DEVICE_TABLE: u32 = 0x8;
/// The only slot stands right behind the superblock; slots count in units of 128 bytes.
pub(super) const DEVICE_SLOT_INDEX: u16 = 9;
/// Inode numbers count from the start of the file, so that none is ever zero.
pub(super) const META_BLOCK: u32 = 0;
/// The first inode stands behind superblock and device slot.
pub(super) const INODES_OFFSET: u64 = 1536;
/// An inode in the long form, which holds times and 32-bit owners.
pub(super) const INODE_BYTES: u64 = 64;
/// The bit in `i_format` that says that an inode has the long form.
pub(super) const FORMAT_EXTENDED: u16 = 1;
/// Data in consecutive blocks from the start block on.
pub(super) const LAYOUT_PLAIN: u16 = 0;
/// As plain, but the last, partial block stands right behind the inode.
pub(super) const LAYOUT_INLINE: u16 = 2;
/// A directory entry without its name.
pub(super) const DIRENT_BYTES: usize = 12;
/// The header in front of an inode's extended attributes.
pub(super) const XATTR_HEADER_BYTES: usize = 12;
/// The header of one extended attribute.
pub(super) const XATTR_ENTRY_BYTES: usize = 4;

/// What `mode & S_IFMT` can be.
pub(super) const S_IFMT: u32 = 0o170_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFLNK: u32 = 0o120_000;
pub(super) const S_IFCHR: u32 = 0o020_000;
pub(super) const S_IFBLK: u32 = 0o060_000;
pub(super) const S_IFIFO: u32 = 0o010_000;
pub(super) const S_IFSOCK: u32 = 0o140_000;

/// The prefixes of attribute names that have a number of their own.
const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// Splits an attribute's name into prefix number and rest, or says that it cannot be kept.
pub(super) fn split_xattr(name: &[u8]) -> Option<(u8, &[u8])> {
    XATTR_PREFIXES.iter().find_map(|(index, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        let whole = *index == 2 || *index == 3;
        (whole == rest.is_empty() && rest.len() <= 255).then_some((*index, rest))
    })
}

/// Puts an attribute's name together again.
pub(super) fn join_xattr(index: u8, rest: &[u8]) -> Option<Vec<u8>> {
    let (_, prefix) = XATTR_PREFIXES.iter().find(|(known, _)| *known == index)?;
    Some([prefix, rest].concat())
}

/// The type byte of a directory entry.
pub(super) fn dirent_type(mode: u32) -> u8 {
    match mode & S_IFMT {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFSOCK => 6,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// A device number as Linux's `new_encode_dev` packs it into 32 bits.
pub(super) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The way back: major and minor.
pub(super) fn decode_device(device: u32) -> (u32, u32) {
    ((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive() {
        for (major, minor) in [(0, 0), (1, 3), (8, 17), (4095, 1_048_575), (259, 300)] {
            assert_eq!(decode_device(encode_device(major, minor)), (major, minor));
        }
    }

    #[test]
    fn attribute_names_survive() {
        for name in
            ["user.a", "trusted.overlay.opaque", "security.capability", "system.posix_acl_access"]
        {
            let (index, rest) = split_xattr(name.as_bytes()).unwrap();
            assert_eq!(join_xattr(index, rest).unwrap(), name.as_bytes());
        }
        assert!(split_xattr(b"system.nfs4_acl").is_none());
        assert!(split_xattr(b"user.").is_none() || split_xattr(b"user.").unwrap().1.is_empty());
        assert!(split_xattr(&[b"user.".as_slice(), &[b'x'; 256]].concat()).is_none());
    }
}
