//! What an archive holds: entries, their kinds and times, and how large they may be.

use std::fmt;

/// One member of an archive, with every override applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The path exactly as stored: not cleaned, not checked, perhaps absolute or full of `..`.
    pub path: Vec<u8>,
    /// What the entry is, with what belongs to that alone.
    pub kind: EntryKind,
    /// Permission bits with set-user-id, set-group-id and sticky: `07777` at most.
    pub mode: u32,
    /// The owner. Negative ids of up to 32 bits arrive as the kernel would take them.
    pub uid: u64,
    /// The group, read as `uid` is.
    pub gid: u64,
    /// The owner's name; often empty.
    pub uname: Vec<u8>,
    /// The group's name; often empty.
    pub gname: Vec<u8>,
    /// When the content last changed.
    pub mtime: Time,
    /// When it was last read, if the archive says so.
    pub atime: Option<Time>,
    /// When its inode last changed, if the archive says so.
    pub ctime: Option<Time>,
    /// The apparent size of a file, holes included; 0 for what has no content.
    pub size: u64,
    /// Extended attributes, sorted by name, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the entry starts: its first block, be that its own header or a pax or GNU one before it.
    pub header_offset: u64,
    /// Where its stored data starts; for a sparse file that is after any map.
    pub data_offset: u64,
    /// How many bytes of data the archive holds for it, without padding.
    pub stored_size: u64,
    /// Of a sparse file: where the stored data belongs, in order, without empty pieces.
    pub sparse: Option<Vec<Segment>>,
}

/// What an entry is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, also one marked contiguous or sparse.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of an earlier entry, by its path.
    Hardlink(Vec<u8>),
    /// A character device.
    Char {
        /// The driver's number.
        major: u32,
        /// The device's number within the driver.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The driver's number.
        major: u32,
        /// The device's number within the driver.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A type that is none of these, by its byte; its data can be read or skipped.
    Other(u8),
}

/// A moment, in seconds since 1970 and the nanoseconds after that second.
///
/// The nanoseconds count forward also before 1970: minus half a second is `-1 s + 500,000,000 ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// What is left over: below 1,000,000,000.
    pub nanos: u32,
}

/// A piece of a sparse file that is not a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts in the file.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// How much an archive may ask of its reader, so that memory stays bounded whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of one pax header.
    pub max_pax_bytes: u64,
    /// The length of a path, of a link's target, and of an owner's name.
    pub max_path: usize,
    /// How many entries an archive may have.
    pub max_entries: u64,
    /// How many pieces a sparse file may have.
    pub max_sparse_segments: usize,
}

/// As many entries an archive may have unless told otherwise.
pub const MAX_ENTRIES: u64 = 16 << 20;

impl Default for Limits {
    /// What Linux can create and Go's reader accepts.
    fn default() -> Self {
        Limits {
            max_pax_bytes: 1 << 20,
            max_path: 4096,
            max_entries: MAX_ENTRIES,
            max_sparse_segments: 1 << 20,
        }
    }
}

/// How much of a hostile name an error repeats.
const SHOWN: usize = 160;

/// A name for an error message: readable, one line, not endless.
pub(super) fn shown(name: &[u8]) -> String {
    let cut = &name[..name.len().min(SHOWN)];
    let mut text = String::from_utf8_lossy(cut).escape_debug().to_string();
    if cut.len() < name.len() {
        text.push('…');
    }
    text
}

impl fmt::Display for Time {
    /// Seconds with as many decimals as are needed, as pax writes times.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return write!(out, "{}", self.seconds);
        }
        let (sign, whole, nanos) = match self.seconds < 0 {
            true => ("-", -(self.seconds + 1), 1_000_000_000 - self.nanos),
            false => ("", self.seconds, self.nanos),
        };
        let decimals = format!("{nanos:09}");
        write!(out, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}
