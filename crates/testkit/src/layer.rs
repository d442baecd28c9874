//! Layers built entry by entry, well-formed or not.

use std::io::Read;

use image::tar::{Entry, EntryKind, TarWriter, Time};

/// One entry and its data.
#[derive(Clone, Debug)]
pub struct Item {
    /// What stands in the header.
    pub entry: Entry,
    /// What follows it.
    pub data: Vec<u8>,
}

/// A layer under construction: entries in the order in which they will stand in the tar.
///
/// Methods that describe (`mode`, `owner`, `mtime`, `xattr`) speak of the entry added last.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Its entries.
    pub items: Vec<Item>,
}

/// When everything was made, unless said otherwise.
const TIME: Time = Time { seconds: 1_700_000_000, nanos: 0 };

impl Layer {
    /// One without entries.
    pub fn new() -> Layer {
        Layer::default()
    }

    /// Adds an entry of any kind.
    pub fn entry(
        mut self,
        path: impl AsRef<[u8]>,
        kind: EntryKind,
        mode: u32,
        data: &[u8],
    ) -> Layer {
        let path = path.as_ref().to_vec();
        let size = data.len() as u64;
        let entry = Entry { path, kind, mode, mtime: TIME, size, ..Entry::default() };
        self.items.push(Item { entry, data: data.to_vec() });
        self
    }

    /// Adds a folder.
    pub fn folder(self, path: impl AsRef<[u8]>) -> Layer {
        self.entry(path, EntryKind::Directory, 0o755, b"")
    }

    /// Adds a file.
    pub fn file(self, path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Layer {
        self.entry(path, EntryKind::File, 0o644, data.as_ref())
    }

    /// Adds a symbolic link.
    pub fn link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Layer {
        self.entry(path, EntryKind::Symlink(target.as_ref().to_vec()), 0o777, b"")
    }

    /// Adds another name for an entry before it.
    pub fn hard_link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Layer {
        self.entry(path, EntryKind::Hardlink(target.as_ref().to_vec()), 0o644, b"")
    }

    /// Adds a named pipe.
    pub fn fifo(self, path: impl AsRef<[u8]>) -> Layer {
        self.entry(path, EntryKind::Fifo, 0o644, b"")
    }

    /// Adds a character device.
    pub fn char_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Layer {
        self.entry(path, EntryKind::Char { major, minor }, 0o600, b"")
    }

    /// Adds a block device.
    pub fn block_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Layer {
        self.entry(path, EntryKind::Block { major, minor }, 0o600, b"")
    }

    /// Hides a path of the layers below.
    pub fn whiteout(self, path: impl AsRef<[u8]>) -> Layer {
        let path = path.as_ref();
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        self.file([&path[..at], b".wh.", &path[at..]].concat(), b"")
    }

    /// Hides all that the layers below have in a folder.
    pub fn opaque(self, folder: impl AsRef<[u8]>) -> Layer {
        let folder = folder.as_ref();
        let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
        self.file([folder, slash, b".wh..wh..opq"].concat(), b"")
    }

    /// Sets the permission bits.
    pub fn mode(mut self, mode: u32) -> Layer {
        self.last().mode = mode;
        self
    }

    /// Sets the owner.
    pub fn owner(mut self, uid: u64, gid: u64) -> Layer {
        (self.last().uid, self.last().gid) = (uid, gid);
        self
    }

    /// Sets the modification time.
    pub fn mtime(mut self, seconds: i64, nanos: u32) -> Layer {
        self.last().mtime = Time { seconds, nanos };
        self
    }

    /// Adds an extended attribute.
    pub fn xattr(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Layer {
        let xattrs = &mut self.last().xattrs;
        xattrs.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        xattrs.sort();
        self
    }

    fn last(&mut self) -> &mut Entry {
        &mut self.items.last_mut().expect("an entry was added before it is described").entry
    }

    /// The layer as a tar. Entries that an honest writer refuses get headers made by hand.
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        for Item { entry, data } in &self.items {
            let mut bytes = Vec::new();
            let mut writer = TarWriter::new(&mut bytes);
            match writer.append(entry, &mut data.as_slice()) {
                Ok(()) => tar.extend(bytes),
                Err(_) => push_raw(entry, data, &mut tar),
            }
        }
        tar.extend([0; 1024]);
        tar
    }

    /// The layer as a tar, compressed by a program of the system; nothing if it is not there.
    pub fn compressed(&self, program: &str) -> Option<Vec<u8>> {
        compress(&self.tar(), program)
    }
}

/// Runs bytes through `program -c`, as gzip, zstd, bzip2 and xz understand it.
fn compress(bytes: &[u8], program: &str) -> Option<Vec<u8>> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let mut stdout = child.stdout.take().expect("it was asked for");
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes));
        stdout.read_to_end(&mut out)
    })
    .ok()?;
    child.wait().ok()?.success().then_some(out)
}

/// Writes a ustar header that no honest writer would.
fn push_raw(entry: &Entry, data: &[u8], tar: &mut Vec<u8>) {
    let (kind, target): (u8, &[u8]) = match &entry.kind {
        EntryKind::File => (b'0', b""),
        EntryKind::Hardlink(target) => (b'1', target),
        EntryKind::Symlink(target) => (b'2', target),
        EntryKind::Char { .. } => (b'3', b""),
        EntryKind::Block { .. } => (b'4', b""),
        EntryKind::Directory => (b'5', b""),
        EntryKind::Fifo => (b'6', b""),
        EntryKind::Other(kind) => (*kind, b""),
    };
    let mut block = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.path[..entry.path.len().min(100)]);
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.uid & 0o7_777_777).as_bytes());
    put(116, format!("{:07o}", entry.gid & 0o7_777_777).as_bytes());
    put(124, format!("{:011o}", data.len()).as_bytes());
    put(136, format!("{:011o}", entry.mtime.seconds.max(0)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target[..target.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend(block);
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
