//! Reads a mounted or extracted folder into a [`Tree`].

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Stat};
use spec::{Algorithm, Hasher};

use crate::tree::{Kind, Node, Tree};

impl Tree {
    /// Reads everything below a folder. Nothing is followed out of it, and no other file system
    /// below it is expected.
    pub fn read(folder: &Path) -> io::Result<Tree> {
        Tree::read_at(sys::fs::open_folder(folder)?)
    }

    /// Reads everything below an open folder or a detached mount.
    pub fn read_at(folder: impl AsFd) -> io::Result<Tree> {
        let mut walk = Walk { tree: Tree::default(), files: HashMap::new() };
        let root = rustix::fs::openat(folder.as_fd(), ".", FLAGS, rustix::fs::Mode::empty())?;
        let stat = rustix::fs::fstat(&root)?;
        walk.add(Vec::new(), &stat, Kind::Folder, sys::fs::xattrs(&root)?);
        walk.folder(root.as_fd(), &[])?;
        Ok(walk.tree)
    }
}

const FLAGS: rustix::fs::OFlags = rustix::fs::OFlags::DIRECTORY.union(rustix::fs::OFlags::CLOEXEC);

struct Walk {
    tree: Tree,
    /// Device and inode number to the number that stands for the file.
    files: HashMap<(u64, u64), u64>,
}

impl Walk {
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        for (name, _) in sys::fs::names(folder)? {
            let mut below = path.to_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend(&name);
            let told = |error: io::Error| {
                io::Error::new(error.kind(), format!("/{}: {error}", below.escape_ascii()))
            };
            let stat = sys::fs::stat(folder, name.as_slice()).map_err(told)?;
            let kind = kind(folder, &name, &stat).map_err(told)?;
            let xattrs = sys::fs::open_path(folder, name.as_slice())
                .and_then(sys::fs::xattrs)
                .map_err(told)?;
            let inner = match kind {
                Kind::Folder => Some(sys::fs::folder_beneath(folder, name.as_slice())?),
                _ => None,
            };
            self.add(below.clone(), &stat, kind, xattrs);
            if let Some(inner) = inner {
                self.folder(inner.as_fd(), &below)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>, stat: &Stat, kind: Kind, xattrs: Vec<(Vec<u8>, Vec<u8>)>) {
        let next = self.files.len() as u64;
        let node = Node {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            xattrs,
            file: *self.files.entry((stat.st_dev, stat.st_ino)).or_insert(next),
        };
        self.tree.nodes.insert(path, node);
    }
}

fn kind(folder: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<Kind> {
    let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile => {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let bytes = copy(sys::fs::file_beneath(folder, name)?, &mut hasher)?;
            if bytes != stat.st_size as u64 {
                let text = format!("{bytes} bytes came, {} were promised", stat.st_size);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            Kind::File(bytes, hasher.finish())
        }
        FileType::Symlink => Kind::Link(sys::fs::read_link(folder, name)?),
        FileType::CharacterDevice => Kind::Char(device.0, device.1),
        FileType::BlockDevice => Kind::Block(device.0, device.1),
        FileType::Fifo => Kind::Fifo,
        _ => Kind::Socket,
    })
}

fn copy(mut file: File, hasher: &mut Hasher) -> io::Result<u64> {
    use std::io::Read;
    let mut buffer = vec![0; 64 << 10];
    let mut sum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum),
            bytes => {
                hasher.update(&buffer[..bytes]);
                sum += bytes as u64;
            }
        }
    }
}
