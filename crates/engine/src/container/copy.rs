//! Files are copied between containers, images and the host.
//!
//! Both ends are roots and paths in them, resolved as a process with that root would; a tar goes
//! from one to the other. What the paths mean is docker's rule about trailing slashes.

use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use image::codec::expand;
use image::folder::Marks;
use image::pack::LayerWriter;
use spec::{ContainerId, IdMaps, MountKind, MountPoint, Timestamp};
use sys::fs::FileType;

use super::export::Root;
use super::extract::{How, Owner, extract_for};
use super::record::ContainerRecord;
use super::watch::files::accounts;
use crate::Engine;
use crate::error::{EngineError, Result};

/// One end of a copy.
pub enum CopyEnd {
    /// A path in a container.
    Container(ContainerId, String),
    /// A path in an image, by the image's name.
    Image(String, String),
    /// A path on the host.
    Host(PathBuf),
    /// A tar that is read.
    Reader(Box<dyn Read + Send>),
    /// A tar that is written.
    Writer(Box<dyn Write + Send>),
}

/// What `cp` is asked for.
pub struct CopyFiles {
    /// What is copied.
    pub from: CopyEnd,
    /// Where to.
    pub to: CopyEnd,
    /// Files keep their owners.
    pub archive: bool,
    /// A link that is named is followed.
    pub follow: bool,
    /// Files become those of the user as whom the container runs.
    pub as_user: bool,
    /// A file takes the place of a folder of its name, and a folder that of a file.
    pub replaces: bool,
}

/// What is known of a path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Its last name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// What it is and who may do what with it, in the kernel's bits.
    pub mode: u32,
    /// When it was last changed.
    pub changed: Timestamp,
    /// Where it leads, of a link: a path from the container's root.
    pub target: String,
}

/// A root, a path in it, and what messages call it.
pub(super) struct Place {
    root: Root,
    path: String,
    /// The path as it was given, and in which container it is, for messages.
    given: String,
    container: Option<String>,
    /// The mounts of a container that runs which are part of its files, if that is to be known.
    mounts: Option<Vec<u64>>,
    /// As whom the container runs, if that is to be known.
    user: Option<(u32, u32)>,
}

/// What a place in a container is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    Look,
    Read,
    /// Files are written there, perhaps as the container's user.
    Write {
        as_user: bool,
    },
}

/// A link to a link is followed so often.
const MAX_LINKS: usize = 40;

impl Engine {
    /// Copies, and says how many bytes of files that were.
    pub fn copy_files(&self, request: CopyFiles) -> Result<u64> {
        let CopyFiles { from, to, archive, follow, as_user, replaces } = request;
        let writing = Aim::Write { as_user };
        match (from, to) {
            (CopyEnd::Reader(reader), to) => {
                let to = self.place(to, writing)?;
                let folder = to.folder().map_err(|error| to.missing(error))?;
                let folder = folder.ok_or_else(|| to.no_folder())?;
                let (_, reader) = expand(reader).map_err(EngineError::Read)?;
                let reader = BufReader::with_capacity(256 << 10, reader);
                let owner = to.owner(archive || to.is_inside());
                extract_for(reader, folder, How { owner, users: to.users(), replaces })
            }
            (from, CopyEnd::Writer(writer)) => {
                let from = self.place(from, Aim::Read)?;
                let source = from.source(follow)?;
                let mut writer = from.packer(writer);
                let Source { folder, name, .. } = &source;
                let packed = match source.contents_only && source.is_folder {
                    // Docker's client gives what is in `.` another name by that.
                    true => writer.add_tree(folder, name, b"."),
                    false => source.pack(&mut writer, name),
                };
                packed.map_err(EngineError::Write)?;
                writer.finish().map_err(EngineError::Write)?;
                Ok(0)
            }
            (from, to) => {
                let from = self.place(from, Aim::Read)?;
                let source = from.source(follow)?;
                let to = self.place(to, writing)?;
                let (folder, name) =
                    to.target(&source.called, source.is_folder, source.contents_only)?;
                // Whose a file is means the same in two containers, and another thing on the host.
                let owner = to.owner(archive || (from.is_inside() && to.is_inside()));
                let how = How { owner, users: to.users(), replaces };
                pass_on((&source, &from), (&folder, how), &name)
            }
        }
    }

    /// What is at a path in a container. A link at its end is not followed.
    pub fn stat_path(&self, id: &ContainerId, path: &str) -> Result<PathStat> {
        let place = self.place_in_container(id, path.to_owned(), Aim::Look)?;
        let Source { folder, name, .. } = place.source(false)?;
        let stat = sys::fs::stat(&folder, name.as_slice()).map_err(|e| place.missing(e))?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let target = match is_link {
            true => place.followed(&place.path).map_err(|error| place.missing(error))?,
            false => String::new(),
        };
        let name = if name == b"." { b"/".to_vec() } else { name };
        Ok(PathStat {
            name: String::from_utf8_lossy(&name).into_owned(),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            changed: Timestamp::from_unix(stat.st_mtime, stat.st_mtime_nsec as u32),
            target,
        })
    }

    fn place(&self, end: CopyEnd, aim: Aim) -> Result<Place> {
        match end {
            CopyEnd::Container(id, path) => self.place_in_container(&id, path, aim),
            CopyEnd::Image(..) if aim.is_writing() => Err(EngineError::Input(
                "an image cannot be changed: copy into a container of it".to_owned(),
            )),
            CopyEnd::Image(name, path) => {
                let root = self.image_root(&name)?;
                Ok(Place { container: Some(name), ..Place::new(root, path.clone(), path) })
            }
            CopyEnd::Host(path) => Place::of_host(&path),
            CopyEnd::Reader(_) | CopyEnd::Writer(_) => {
                Err(EngineError::Input("a tar has no paths".to_owned()))
            }
        }
    }

    /// A container that runs has its mounts; of one that does not, a path below a mount is looked
    /// up where the mount comes from.
    fn place_in_container(&self, id: &ContainerId, given: String, aim: Aim) -> Result<Place> {
        let record = self.containers().read(id)?;
        let written = aim.is_writing();
        match aim {
            Aim::Look => {}
            Aim::Read => self.container_event("archive-path", &record, &[]),
            Aim::Write { .. } => self.container_event("extract-to-dir", &record, &[]),
        }
        let root = self.container_root(id)?;
        let user = match aim {
            // Who runs as nobody in particular keeps what the archive says.
            Aim::Write { as_user: true } if !record.config.user.is_empty() => {
                Some(accounts(&root.folder)?.numbers(&record.config.user)?)
            }
            _ => None,
        };
        let mounts = (root.runs && aim == Aim::Read).then(|| own_mounts(&root, &record));
        let path = cleaned(&given);
        let below = |destination: &str| {
            let rest = path.strip_prefix(destination.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let mount = record
            .mounts
            .iter()
            .filter(|mount| below(&mount.destination).is_some())
            .max_by_key(|mount| mount.destination.len());
        let place = |root: Root, path: String| Place {
            container: Some(record.name.clone()),
            mounts,
            user,
            ..Place::new(root, path, given)
        };
        match mount {
            Some(mount) if written && !mount.writable => {
                return Err(EngineError::Refused("mounted volume is marked read-only".to_owned()));
            }
            Some(mount) if !root.runs => {
                if let Some(root) = self.source_of(&record, mount)? {
                    let rest = below(&mount.destination).filter(|rest| !rest.is_empty());
                    return Ok(place(root, rest.unwrap_or_else(|| "/".to_owned())));
                }
            }
            None if written && record.host_config.readonly_rootfs => {
                return Err(EngineError::Refused(
                    "container rootfs is marked read-only".to_owned(),
                ));
            }
            _ => {}
        }
        Ok(place(root, path))
    }
}

/// A path from the root without what names nothing, whatever links are on the way. What makes it a
/// folder, or its contents, stays in its last letters.
fn cleaned(given: &str) -> String {
    let mut parts = Vec::new();
    for part in given.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let end = match given {
        "." => "/.",
        given if given.ends_with("/.") => "/.",
        given if given.ends_with('/') || parts.is_empty() => "/",
        _ => "",
    };
    parts.iter().flat_map(|part| ["/", part]).chain([end]).collect()
}

/// The mounts in the root of a container that runs which are part of its files: its volumes, binds and
/// images, and not what the kernel tells in `/proc`, `/sys` and `/dev`.
fn own_mounts(root: &Root, record: &ContainerRecord) -> Vec<u64> {
    let is_own = |point: &&MountPoint| point.kind != MountKind::Tmpfs;
    let number = |point: &MountPoint| {
        let folder = sys::fs::folder_in_root(&root.folder, point.destination.as_str());
        folder.and_then(sys::fs::mount_number).ok()
    };
    record.mounts.iter().filter(is_own).filter_map(number).collect()
}

impl Aim {
    fn is_writing(self) -> bool {
        matches!(self, Aim::Write { .. })
    }
}

/// What is copied: a name in a folder, or what is in the folder.
pub(super) struct Source {
    folder: OwnedFd,
    pub(super) name: Vec<u8>,
    /// What it was called by, which a link that was followed may call otherwise.
    pub(super) called: Vec<u8>,
    pub(super) is_folder: bool,
    pub(super) contents_only: bool,
}

impl Source {
    /// Writes it as a tar whose top is this name; no name leaves the top away.
    pub(super) fn pack<W: Write>(
        &self,
        writer: &mut LayerWriter<W>,
        name: &[u8],
    ) -> io::Result<()> {
        if !self.is_folder {
            return writer.add_tree(&self.folder, &self.name, name);
        }
        if name.is_empty() || name == b"." {
            let inner = sys::fs::folder_beneath(&self.folder, self.name.as_slice())?;
            return writer.add_folder(&inner, false);
        }
        writer.add_tree(&self.folder, &self.name, name)
    }
}

impl Place {
    /// A path of this machine.
    pub(super) fn of_host(path: &Path) -> Result<Place> {
        let given = path.display().to_string();
        let whole = std::path::absolute(path).map_err(EngineError::io("find", path))?;
        let mut text = whole.display().to_string();
        // What makes it a folder, or its contents, is in the last letters.
        if given.ends_with("/.") || given == "." {
            text.push_str("/.");
        } else if given.ends_with('/') && !text.ends_with('/') {
            text.push('/');
        }
        Ok(Place::new(Root::of_host(Path::new("/"))?, cleaned(&text), given))
    }

    fn new(root: Root, path: String, given: String) -> Place {
        Place { root, path, given, container: None, mounts: None, user: None }
    }

    /// Whose files become that come here; their own, if they are kept.
    fn owner(&self, are_kept: bool) -> Owner {
        match (self.user, are_kept) {
            (Some((user, group)), _) => Owner::Always(user, group),
            (None, true) => Owner::Own,
            (None, false) => Owner::Maker,
        }
    }

    /// A tar of what is here.
    fn packer<W: Write>(&self, writer: W) -> LayerWriter<W> {
        let writer = LayerWriter::new(writer, Marks::Trusted, None);
        let writer = writer.inside(self.users().cloned());
        match &self.mounts {
            Some(numbers) => writer.of_a_living_root(numbers.clone()),
            None => writer,
        }
    }

    fn is_inside(&self) -> bool {
        self.container.is_some()
    }

    /// Who the container's users are outside, where its files are seen from there.
    fn users(&self) -> Option<&IdMaps> {
        self.root.users.as_ref()
    }

    /// The path without what says that it is a folder, and the last name of it.
    fn split(path: &str) -> (String, Vec<u8>) {
        let whole = Path::new(path);
        let parent = whole.parent().unwrap_or_else(|| Path::new("/"));
        let name = whole.file_name().map_or(&b"."[..], |name| name.as_encoded_bytes());
        (parent.display().to_string(), name.to_vec())
    }

    /// The folder that the path leads to, if it is one.
    fn folder(&self) -> io::Result<Option<OwnedFd>> {
        match sys::fs::folder_in_root(&self.root.folder, self.path.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            other => other.map(Some),
        }
    }

    /// Where a path ends whose last name may be a link.
    fn followed(&self, path: &str) -> io::Result<String> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let (parent, name) = Place::split(&path);
            let folder = sys::fs::folder_in_root(&self.root.folder, parent.as_str())?;
            let stat = sys::fs::stat(&folder, name.as_slice());
            if !stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
                return Ok(path);
            }
            let target = sys::fs::read_link(&folder, name.as_slice())?;
            path = Path::new(&parent)
                .join(String::from_utf8_lossy(&target).as_ref())
                .display()
                .to_string();
        }
        Err(io::Error::other("too many links"))
    }

    pub(super) fn source(&self, follow: bool) -> Result<Source> {
        self.find(follow).map_err(|error| self.missing(error))
    }

    fn find(&self, follow: bool) -> io::Result<Source> {
        let contents_only = self.path.ends_with("/.");
        let as_folder = contents_only || self.path.ends_with('/');
        let given = self.path.trim_end_matches("/.").trim_end_matches('/');
        let given = if given.is_empty() { "/" } else { given };
        let path = if follow || as_folder { self.followed(given)? } else { given.to_owned() };
        let (parent, name) = Place::split(&path);
        let folder = sys::fs::folder_in_root(&self.root.folder, parent.as_str())?;
        let stat = sys::fs::stat(&folder, name.as_slice())?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if as_folder && !is_folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let (_, called) = Place::split(given);
        Ok(Source { folder, name, called, is_folder, contents_only })
    }

    /// The folder that a copy goes into, and what it is called there; no name for the contents.
    pub(super) fn target(
        &self,
        name: &[u8],
        is_folder: bool,
        contents_only: bool,
    ) -> Result<(OwnedFd, Vec<u8>)> {
        match self.folder() {
            Ok(Some(folder)) if is_folder && contents_only => return Ok((folder, Vec::new())),
            Ok(Some(folder)) => {
                // The root has no name of its own.
                let name = if name == b"." { Vec::new() } else { name.to_vec() };
                return Ok((folder, name));
            }
            Ok(None) if is_folder => {
                return Err(EngineError::Input("cannot copy directory".to_owned()));
            }
            Ok(None) if self.path.ends_with('/') => return Err(no_such_directory()),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.path.ends_with('/') && !is_folder && self.has_parent() {
                    return Err(no_such_directory());
                }
            }
            Err(error) => return Err(self.missing(error)),
        }
        let path = self.path.trim_end_matches("/.").trim_end_matches('/');
        let path = self.followed(path).map_err(|error| self.no_parent(error))?;
        let (parent, name) = Place::split(&path);
        let folder = sys::fs::folder_in_root(&self.root.folder, parent.as_str());
        let folder = folder.map_err(|error| self.no_parent(error))?;
        Ok((folder, name))
    }

    /// Whether the folder is there in which the path's last name is, or is to be.
    fn has_parent(&self) -> bool {
        let (parent, _) = Place::split(self.path.trim_end_matches("/.").trim_end_matches('/'));
        sys::fs::folder_in_root(&self.root.folder, parent.as_str()).is_ok()
    }

    fn no_parent(&self, error: io::Error) -> EngineError {
        if self.is_inside() || error.kind() != io::ErrorKind::NotFound {
            return self.missing(error);
        }
        let (parent, _) = Place::split(self.path.trim_end_matches("/.").trim_end_matches('/'));
        let words = format!("invalid output path: directory {parent:?} does not exist");
        EngineError::Input(words)
    }

    fn missing(&self, error: io::Error) -> EngineError {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        match &self.container {
            Some(container) if is_missing => {
                EngineError::NoFile { path: self.given.clone(), container: container.clone() }
            }
            _ if is_missing => {
                EngineError::Input(format!("lstat {}: no such file or directory", self.given))
            }
            _ => EngineError::io("open", &self.given)(error),
        }
    }

    fn no_folder(&self) -> EngineError {
        match &self.container {
            Some(container) => {
                let given = &self.given;
                EngineError::Input(format!(
                    "destination \"{container}:{given}\" must be a directory"
                ))
            }
            None => {
                EngineError::Input(format!("destination directory {:?} must exist", self.given))
            }
        }
    }
}

fn no_such_directory() -> EngineError {
    EngineError::Input("no such directory".to_owned())
}

/// Carries a source to its new place through a pipe.
fn pass_on(
    (source, from): (&Source, &Place),
    (folder, how): (&OwnedFd, How<'_>),
    name: &[u8],
) -> Result<u64> {
    let (reader, writer) = io::pipe().map_err(EngineError::Write)?;
    std::thread::scope(|scope| {
        let packer = scope.spawn(move || -> io::Result<()> {
            let writer = io::BufWriter::with_capacity(256 << 10, writer);
            let mut writer = from.packer(writer);
            source.pack(&mut writer, name)?;
            writer.finish()?.0.flush()
        });
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let bytes = extract_for(&mut reader, folder, how);
        // The packer must not wait for a reader that gave up.
        drop(reader);
        let packed = packer.join().expect("the packer does not panic");
        let bytes = bytes?;
        packed.map_err(EngineError::Read)?;
        Ok(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_cleaned_and_keeps_its_end() {
        let here = std::env::current_dir().unwrap();
        let above = here.parent().unwrap().display().to_string();
        for (given, wanted) in [
            ("..", above.clone()),
            ("x/..", here.display().to_string()),
            ("../", format!("{above}/")),
            ("../.", format!("{above}/.")),
            (".", format!("{}/.", here.display())),
            ("/", "/".to_owned()),
            ("/etc/", "/etc/".to_owned()),
        ] {
            assert_eq!(Place::of_host(Path::new(given)).unwrap().path, wanted, "{given}");
        }
    }

    #[test]
    fn a_path_is_cleaned_and_keeps_its_end() {
        for (given, wanted) in [
            ("", "/"),
            ("/", "/"),
            (".", "/."),
            ("..", "/"),
            ("a/./b//c", "/a/b/c"),
            ("/data/../etc/passwd", "/etc/passwd"),
            ("/data/sub/..", "/data"),
            ("/data/sub/../", "/data/"),
            ("/data/.", "/data/."),
            ("/../..", "/"),
            ("//.", "/."),
        ] {
            assert_eq!(cleaned(given), wanted, "{given}");
        }
    }
}
