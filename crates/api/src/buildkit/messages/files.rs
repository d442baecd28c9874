//! Folders sent from one side to the other: `fsutil.types`.

use std::collections::HashMap;

use prost::Message;
use sys::fs::FileType;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Packet {
    #[prost(enumeration = "PacketKind", tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) stat: Option<Stat>,
    #[prost(uint32, tag = "3")]
    pub(crate) id: u32,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
}

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PacketKind {
    /// A file and what it is like, in the order of a walk; an empty one after the last.
    Stat = 0,
    /// Whoever receives wants a file's bytes.
    Request = 1,
    /// Bytes of a file; none after the last.
    Data = 2,
    /// All is here, and the same in answer.
    End = 3,
    /// It went wrong.
    Error = 4,
}

/// What a file is like. Names are bytes, though the definition has them as text.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stat {
    /// Its path, without a slash before it.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) path: Vec<u8>,
    /// Kind and permissions, in Go's bits.
    #[prost(uint32, tag = "2")]
    pub(crate) mode: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) uid: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) gid: u32,
    #[prost(int64, tag = "5")]
    pub(crate) size: i64,
    /// In nanoseconds.
    #[prost(int64, tag = "6")]
    pub(crate) modified: i64,
    /// What a link leads to; of a file, another one that it is a name of.
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) link: Vec<u8>,
    #[prost(int64, tag = "8")]
    pub(crate) major: i64,
    #[prost(int64, tag = "9")]
    pub(crate) minor: i64,
    #[prost(map = "string, bytes", tag = "10")]
    pub(crate) attributes: HashMap<String, Vec<u8>>,
}

/// Go's bits for kinds of files and what permissions have besides, with the kernel's.
const KINDS: [(u32, FileType); 5] = [
    (1 << 31, FileType::Directory),
    (1 << 27, FileType::Symlink),
    (1 << 25, FileType::Fifo),
    (1 << 24, FileType::Socket),
    (1 << 26 | 1 << 21, FileType::CharacterDevice),
];
const DEVICE: u32 = 1 << 26;
const FURTHER: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

impl Stat {
    /// What kind of file it is.
    pub(crate) fn kind(&self) -> FileType {
        let fits = |bits: u32| self.mode & bits == bits;
        let known = KINDS.iter().find(|(bits, _)| fits(*bits)).map(|(_, kind)| *kind);
        known.unwrap_or(match fits(DEVICE) {
            true => FileType::BlockDevice,
            false => FileType::RegularFile,
        })
    }

    /// Its permissions, as the kernel has them.
    pub(crate) fn permissions(&self) -> u32 {
        let further = FURTHER.iter().filter(|(bit, _)| self.mode & bit != 0);
        further.fold(self.mode & 0o777, |mode, (_, bit)| mode | bit)
    }

    /// A kind and permissions of the kernel's in Go's bits.
    pub(crate) fn mode_of(raw: u32) -> u32 {
        let kind = match FileType::from_raw_mode(raw) {
            FileType::BlockDevice => DEVICE,
            kind => KINDS.iter().find(|(_, known)| *known == kind).map_or(0, |(bits, _)| *bits),
        };
        let further = FURTHER.iter().filter(|(_, bit)| raw & bit != 0);
        further.fold(kind | raw & 0o777, |mode, (bit, _)| mode | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_the_same_in_both_spellings() {
        for raw in [0o100644, 0o104755, 0o041777, 0o120777, 0o020620, 0o060660, 0o010600, 0o140755]
        {
            let stat = Stat { mode: Stat::mode_of(raw), ..Stat::default() };
            assert_eq!(stat.kind(), FileType::from_raw_mode(raw), "{raw:o}");
            assert_eq!(stat.permissions(), raw & 0o7777, "{raw:o}");
        }
        assert_eq!(Stat::mode_of(0o040755), 1 << 31 | 0o755);
        assert_eq!(Stat::mode_of(0o020620), 1 << 26 | 1 << 21 | 0o620);
    }
}
