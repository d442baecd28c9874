//! A folder of ours, sent to the other side.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::messages::files::{Packet, PacketKind, Stat};
use crate::wire::{Exchange, Outgoing, Status};

/// So much of a file is sent at once.
const PART_BYTES: usize = 32 << 10;
const NANOS: i64 = 1_000_000_000;

/// Sends the files below a folder that nobody changes meanwhile.
pub(super) fn send(exchange: Exchange, folder: &Path) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let told = Told { outgoing: outgoing.clone(), all: Mutex::default() };
    std::thread::scope(|scope| {
        // Files are told of while others are already asked for.
        let telling = scope.spawn(|| {
            let told_all = told.folder(folder, Path::new(""));
            told_all.and_then(|()| told.outgoing.send(&packet(PacketKind::Stat, 0, Vec::new())))
        });
        let served = loop {
            let packet: Packet = match incoming.receive() {
                Ok(Some(packet)) => packet,
                Ok(None) => break Err(Status::internal("whoever takes a folder has left")),
                Err(status) => break Err(status),
            };
            match PacketKind::try_from(packet.kind) {
                Ok(PacketKind::Request) => {
                    if let Err(status) = told.send(folder, packet.id) {
                        break Err(status);
                    }
                }
                Ok(PacketKind::End) => break Ok(()),
                Ok(PacketKind::Error) => {
                    break Err(Status::internal(String::from_utf8_lossy(&packet.data)));
                }
                _ => break Err(Status::invalid("a packet out of its turn")),
            }
        };
        // Whoever tells of files sees that nobody listens any more.
        drop(incoming);
        let telling = telling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        served.and(telling)
    })?;
    outgoing.send(&packet(PacketKind::End, 0, Vec::new()))
}

fn packet(kind: PacketKind, id: u32, data: Vec<u8>) -> Packet {
    Packet { kind: kind as i32, stat: None, id, data }
}

/// What was told of already.
struct Told {
    outgoing: Outgoing,
    /// The paths of files with bytes, by their numbers.
    all: Mutex<Vec<Option<PathBuf>>>,
}

impl Told {
    /// Tells of a folder: each one before what is in it, names in the order of their bytes.
    fn folder(&self, root: &Path, path: &Path) -> Result<(), Status> {
        let read = || -> io::Result<Vec<_>> {
            fs::read_dir(root.join(path))?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let mut names = read().map_err(|error| failed(path, &error))?;
        names.sort();
        for name in names {
            let path = path.join(name);
            let stat = stat(root, &path).map_err(|error| failed(&path, &error))?;
            let metadata = fs::symlink_metadata(root.join(&path));
            let metadata = metadata.map_err(|error| failed(&path, &error))?;
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(metadata.is_file().then(|| path.clone()));
            drop(all);
            let told = Packet { stat: Some(stat), ..packet(PacketKind::Stat, 0, Vec::new()) };
            self.outgoing.send(&told)?;
            if metadata.is_dir() {
                self.folder(root, &path)?;
            }
        }
        Ok(())
    }

    fn send(&self, root: &Path, id: u32) -> Result<(), Status> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let path = all.get(id as usize).cloned().flatten();
        drop(all);
        let path = path.ok_or_else(|| Status::invalid("no file that was told of was asked for"))?;
        let mut file = File::open(root.join(&path)).map_err(|error| failed(&path, &error))?;
        let mut part = vec![0; PART_BYTES];
        loop {
            let count = file.read(&mut part).map_err(|error| failed(&path, &error))?;
            self.outgoing.send(&packet(PacketKind::Data, id, part[..count].to_vec()))?;
            if count == 0 {
                return Ok(());
            }
        }
    }
}

fn stat(root: &Path, path: &Path) -> io::Result<Stat> {
    let whole = root.join(path);
    let metadata = fs::symlink_metadata(&whole)?;
    let link = match metadata.is_symlink() {
        true => fs::read_link(&whole)?.into_os_string().into_vec(),
        false => Vec::new(),
    };
    let device = metadata.rdev();
    let opened = sys::fs::open_path(sys::fs::open_folder(root)?, path)?;
    let attributes = sys::fs::xattrs(opened)?.into_iter();
    let text = |(name, value)| Some((String::from_utf8(name).ok()?, value));
    Ok(Stat {
        path: path.as_os_str().as_bytes().to_vec(),
        mode: Stat::mode_of(metadata.mode()),
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: if metadata.is_file() { metadata.size() as i64 } else { 0 },
        modified: metadata.mtime() * NANOS + metadata.mtime_nsec(),
        link,
        major: i64::from(rustix::fs::major(device)),
        minor: i64::from(rustix::fs::minor(device)),
        attributes: attributes.filter_map(text).collect(),
    })
}

fn failed(path: &Path, error: &io::Error) -> Status {
    Status::internal(format!("cannot send {}: {error}", path.display()))
}
