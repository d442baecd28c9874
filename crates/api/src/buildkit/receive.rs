//! A folder that the other side has, taken in: only what is not here yet, or has changed, is sent.
//!
//! The other side tells of its files in the order of a walk; whoever receives asks for the bytes of
//! those that it wants. Paths come from a stranger: they are taken apart, links are followed
//! nowhere, and a file that changes is another file afterwards, whatever other names the old one has.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use sys::fs::FileType;

use super::messages::files::{Packet, PacketKind, Stat};
use crate::wire::{Code, Exchange, Incoming, Outgoing, Status};

/// So many files are under way at once.
const UNDER_WAY: usize = 64;
/// No folder has more files, or longer names all together.
const MAX_FILES: usize = 4_000_000;
const MAX_NAMES_BYTES: usize = 512 << 20;
const NANOS: i64 = 1_000_000_000;

/// What came, and what of it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Files of any kind that are there now.
    pub(super) files: usize,
    /// Files whose bytes were sent.
    pub(super) sent: usize,
    /// Those bytes.
    pub(super) bytes: u64,
}

/// Takes a folder in. What is in `folder` and not on the other side goes. `advance` is told of
/// bytes that came.
pub(super) fn receive(
    exchange: Exchange,
    folder: &OwnedFd,
    advance: &mut dyn FnMut(u64),
) -> Result<Received, Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let mut receiver = Receiver::new(folder, outgoing);
    match receiver.take_all(&mut incoming, advance) {
        Ok(()) => Ok(receiver.received),
        Err(status) => {
            // Where nobody listens any more, why is in what was said last.
            let why = |incoming: &mut Incoming| incoming.all::<Packet>().find_map(Result::err);
            let status = match status.code {
                Code::Cancelled => why(&mut incoming).unwrap_or(status),
                _ => status,
            };
            let data = status.message.clone().into_bytes();
            // The other side may have gone, which is why it failed then.
            let _ = receiver.outgoing.send(&packet(PacketKind::Error, 0, data));
            Err(status)
        }
    }
}

fn packet(kind: PacketKind, id: u32, data: Vec<u8>) -> Packet {
    Packet { kind: kind as i32, stat: None, id, data }
}

struct Receiver<'a> {
    folder: &'a OwnedFd,
    outgoing: Outgoing,
    /// What the other side has.
    seen: HashSet<Vec<u8>>,
    seen_bytes: usize,
    /// Further names of files, which they get when they are whole.
    links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Folders with the times that they are to have.
    folders: Vec<(Vec<u8>, i64)>,
    /// Files that are to be asked for.
    wanted: VecDeque<(u32, Stat)>,
    /// Files that come.
    coming: BTreeMap<u32, (Stat, File)>,
    received: Received,
}

impl<'a> Receiver<'a> {
    fn new(folder: &'a OwnedFd, outgoing: Outgoing) -> Receiver<'a> {
        let (seen, links, folders, wanted, coming) = Default::default();
        let received = Received::default();
        Receiver { folder, outgoing, seen, seen_bytes: 0, links, folders, wanted, coming, received }
    }

    fn take_all(
        &mut self,
        incoming: &mut Incoming,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), Status> {
        let (mut next, mut told) = (0, false);
        while !(told && self.wanted.is_empty() && self.coming.is_empty()) {
            let packet: Packet =
                incoming.receive()?.ok_or_else(|| Status::internal("a folder that is cut off"))?;
            match PacketKind::try_from(packet.kind) {
                Ok(PacketKind::Stat) => match packet.stat {
                    None => told = true,
                    Some(stat) if told => return Err(wrong(&stat.path, "comes after the last")),
                    Some(stat) => {
                        self.stat(next, stat)?;
                        next += 1;
                    }
                },
                Ok(PacketKind::Data) => {
                    advance(packet.data.len() as u64);
                    self.data(packet.id, &packet.data)?;
                }
                Ok(PacketKind::Error) => {
                    return Err(Status::invalid(String::from_utf8_lossy(&packet.data)));
                }
                Ok(PacketKind::End | PacketKind::Request) | Err(_) => {
                    return Err(Status::invalid("a packet out of its turn"));
                }
            }
            self.ask()?;
        }
        self.sweep(self.folder.as_fd(), &mut Vec::new())?;
        for (path, old) in &self.links {
            let ((to, new), (from, old)) = (self.parent(path)?, self.parent(old)?);
            sys::fs::hard_link(from, old, to, new).map_err(|error| failed(path, &error))?;
        }
        for (path, modified) in self.folders.iter().rev() {
            let (parent, name) = self.parent(path)?;
            set_time(&parent, name, *modified).map_err(|error| failed(path, &error))?;
        }
        self.outgoing.send(&packet(PacketKind::End, 0, Vec::new()))?;
        // It says the same, and leaves.
        incoming.all::<Packet>().take(2).try_for_each(|packet| packet.map(drop))
    }

    /// The folder that a path is in, and its last name.
    fn parent<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p OsStr), Status> {
        let mut parts = path.rsplitn(2, |byte| *byte == b'/');
        let name = OsStr::from_bytes(parts.next().unwrap_or_default());
        let parent = parts.next().unwrap_or(b".");
        let opened = sys::fs::folder_beneath(self.folder, OsStr::from_bytes(parent));
        Ok((opened.map_err(|error| failed(path, &error))?, name))
    }

    /// A file is told of: it is here already, or made, or wanted.
    fn stat(&mut self, id: u32, stat: Stat) -> Result<(), Status> {
        check(&stat.path)?;
        self.seen_bytes += stat.path.len();
        if self.seen.len() >= MAX_FILES || self.seen_bytes > MAX_NAMES_BYTES {
            return Err(Status::invalid("a folder with more files than are taken in"));
        }
        self.received.files += 1;
        let (parent, name) = self.parent(&stat.path)?;
        let made = self.make(&parent, name, &stat).map_err(|error| failed(&stat.path, &error))?;
        self.seen.insert(stat.path.clone());
        match stat.kind() {
            FileType::Directory => self.folders.push((stat.path, stat.modified)),
            FileType::RegularFile if !stat.link.is_empty() => {
                self.links.push((stat.path, stat.link));
            }
            FileType::RegularFile if made => self.wanted.push_back((id, stat)),
            _ => {}
        }
        Ok(())
    }

    /// Makes what can be made of a file without its bytes. Says whether those are wanted.
    fn make(&self, parent: &OwnedFd, name: &OsStr, stat: &Stat) -> io::Result<bool> {
        let kind = stat.kind();
        let here = sys::fs::stat(parent, name).ok();
        let here_kind = here.map(|here| FileType::from_raw_mode(here.st_mode));
        let is_link = kind == FileType::RegularFile && !stat.link.is_empty();
        if let Some(here) = here
            && !is_link
            && same(&here, stat)
            && (kind != FileType::Symlink || sys::fs::read_link(parent, name)? == stat.link)
        {
            return Ok(false);
        }
        if here.is_some() && !(kind == FileType::Directory && here_kind == Some(kind)) {
            sys::fs::remove_tree(parent, name)?;
        }
        match kind {
            FileType::Directory => {
                if here_kind != Some(kind) {
                    sys::fs::make_folder(parent, name, 0o700)?;
                }
                own(parent, name, stat)?;
            }
            FileType::Symlink => {
                sys::fs::make_link(OsStr::from_bytes(&stat.link), parent, name)?;
                sys::fs::set_owner(parent, name, stat.uid, stat.gid)?;
                set_time(parent, name, stat.modified)?;
            }
            FileType::RegularFile if is_link => {
                if !self.seen.contains(&stat.link) {
                    return Err(io::Error::other("a second name of a file that is not there"));
                }
            }
            FileType::RegularFile => return Ok(true),
            FileType::Fifo => {
                sys::fs::make_node(parent, name, 0o010600, (0, 0))?;
                own(parent, name, stat)?;
                set_time(parent, name, stat.modified)?;
            }
            _ => return Err(io::Error::other("devices and sockets are no part of a context")),
        }
        Ok(false)
    }

    /// Asks for as much as may be under way.
    fn ask(&mut self) -> Result<(), Status> {
        while self.coming.len() < UNDER_WAY {
            let Some((id, stat)) = self.wanted.pop_front() else { return Ok(()) };
            let (parent, name) = self.parent(&stat.path)?;
            let opened = sys::fs::create_new(&parent, name, 0o600);
            let opened = opened.map_err(|error| failed(&stat.path, &error))?;
            self.coming.insert(id, (stat, opened));
            self.outgoing.send(&packet(PacketKind::Request, id, Vec::new()))?;
        }
        Ok(())
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), Status> {
        let Some((stat, file)) = self.coming.get_mut(&id) else {
            return Err(Status::invalid("bytes of a file that nobody asked for"));
        };
        if !data.is_empty() {
            self.received.bytes += data.len() as u64;
            return file.write_all(data).map_err(|error| failed(&stat.path, &error));
        }
        let Some((stat, file)) = self.coming.remove(&id) else { return Ok(()) };
        let (parent, name) = self.parent(&stat.path)?;
        let done = || {
            own(&parent, name, &stat)?;
            for (key, value) in &stat.attributes {
                sys::fs::set_xattr(&file, key.as_bytes(), value)?;
            }
            // Last: what has its time is whole.
            set_time(&parent, name, stat.modified)
        };
        self.received.sent += 1;
        done().map_err(|error| failed(&stat.path, &error))
    }

    /// Removes what the other side does not have.
    fn sweep(&self, folder: impl AsFd, path: &mut Vec<u8>) -> Result<(), Status> {
        let names = sys::fs::names(&folder).map_err(|error| failed(path, &error))?;
        for (name, kind) in names {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            let name = OsStr::from_bytes(&name);
            if !self.seen.contains(path.as_slice()) {
                sys::fs::remove_tree(&folder, name).map_err(|error| failed(path, &error))?;
            } else if kind == FileType::Directory {
                let inner = sys::fs::folder_beneath(&folder, name);
                self.sweep(inner.map_err(|error| failed(path, &error))?, path)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// Refuses what is no plain path below a folder.
fn check(path: &[u8]) -> Result<(), Status> {
    let is_plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
    match path.split(|byte| *byte == b'/').all(is_plain) && !path.contains(&0) {
        true => Ok(()),
        false => Err(wrong(path, "is no path in a folder")),
    }
}

fn same(here: &sys::fs::Stat, stat: &Stat) -> bool {
    let kind = stat.kind();
    let times = here.st_mtime * NANOS + here.st_mtime_nsec as i64;
    FileType::from_raw_mode(here.st_mode) == kind
        && (kind == FileType::Symlink || here.st_mode & 0o7777 == stat.permissions())
        && (here.st_uid, here.st_gid) == (stat.uid, stat.gid)
        && times == stat.modified
        && (kind != FileType::RegularFile || here.st_size == stat.size)
}

fn own(parent: &OwnedFd, name: &OsStr, stat: &Stat) -> io::Result<()> {
    sys::fs::set_owner(parent, name, stat.uid, stat.gid)?;
    // After the owner: to change that takes some bits away.
    sys::fs::set_mode(parent, name, stat.permissions())
}

fn set_time(parent: &OwnedFd, name: &OsStr, nanos: i64) -> io::Result<()> {
    sys::fs::set_mtime(parent, name, nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS) as u32)
}

fn wrong(path: &[u8], why: &str) -> Status {
    Status::invalid(format!("{:?} {why}", String::from_utf8_lossy(path)))
}

fn failed(path: &[u8], error: &io::Error) -> Status {
    Status::internal(format!("cannot take in {:?}: {error}", String::from_utf8_lossy(path)))
}
