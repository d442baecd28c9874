//! An ordinary user's own namespace of users and mounts, in which this program is root.
//!
//! All commands of one user and run root share one, so that each can look after containers that
//! another has started. A keeper of ours keeps it there for a while when nobody is in it:
//! to join costs two calls, to make one the system's programs that map users. The keeper's number
//! is written down in a file, under whose lock whoever comes joins or makes it; who is in holds a
//! second lock, and the keeper goes when nobody does.

mod ids;
mod keeper;
mod network;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use sys::clone::{Birth, Cloned};
use sys::lock::Mode;

pub use ids::Ids;
pub use network::network_namespace;

use crate::channel::{Channel, Message};
use crate::error::{Result, RuntimeError};
use crate::users;

/// What a process holds for as long as it is in the namespace.
#[derive(Debug)]
pub struct Stay(File);

impl Stay {
    /// Hands it on to the program that this process becomes, and says under which number.
    pub fn hand_on(self) -> Result<i32> {
        let number = std::os::fd::IntoRawFd::into_raw_fd(self.0);
        let kept = sys::task::keep_on_execute(number);
        kept.map_err(RuntimeError::step("hand the stay on"))?;
        Ok(number)
    }

    /// What was handed on under a number to this process. To be taken once.
    pub fn taken(number: i32) -> Result<Stay> {
        let file = sys::process::inherited_file(number);
        file.map(Stay).map_err(RuntimeError::step("take the stay over"))
    }

    /// A stay for a process that was born in the namespace of this run root.
    pub fn begin(run: &Path) -> Result<Stay> {
        let users = Place::of(run).users();
        let locked = open(&users).and_then(|file| {
            sys::lock::lock(&file, Mode::Shared)?;
            Ok(Stay(file))
        });
        locked.map_err(RuntimeError::step(format!("lock {}", users.display())))
    }
}

/// Moves this process into the namespace of its user and run root, which is made if it is not
/// there. The process must have one thread.
pub fn enter(run: &Path, ids: &Ids) -> Result<Stay> {
    let place = Place::of(run);
    let step = |source| RuntimeError::step(format!("open {}", place.record().display()))(source);
    let mut record = open(&place.record()).map_err(step)?;
    sys::lock::lock(&record, Mode::Exclusive).map_err(step)?;
    let here = std::env::current_dir();
    let (namespaces, stay) = match found(&mut record) {
        Some(namespaces) => (namespaces, Stay::begin(run)?),
        None => make(&place, &mut record, ids)?,
    };
    let join = |file: &OwnedFd, kind| move_into_link_name_space(file.as_fd(), Some(kind));
    join(&namespaces.users, LinkNameSpaceType::User)
        .and_then(|()| join(&namespaces.mounts, LinkNameSpaceType::Mount))
        .map_err(|error| RuntimeError::step("enter the user's namespace")(error.into()))?;
    // One who has entered a namespace of mounts stands at its root.
    if let Ok(here) = here {
        std::env::set_current_dir(&here)
            .map_err(RuntimeError::step(format!("go back to {}", here.display())))?;
    }
    Ok(stay)
}

/// Starts this program again, from its own file. Comes back only with an error.
pub fn start_again(arguments: &[CString], environment: &[CString]) -> RuntimeError {
    let own = Path::new("/proc/self/exe");
    let same = |path: &Path| -> io::Result<bool> {
        let (one, other) = (fs::metadata(path)?, fs::metadata(own)?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    // Found by its path, it is reached through a mount of this namespace, which can be had once
    // more for monitors; through the link, by one of the host's.
    let path = fs::read_link(own).ok().filter(|path| same(path).unwrap_or(false));
    let path = path.unwrap_or_else(|| own.to_owned());
    let error = match CString::new(path.into_os_string().into_encoded_bytes()) {
        Ok(path) => sys::task::execute(&path, arguments, environment),
        Err(error) => error.into(),
    };
    RuntimeError::step("start again in the user's namespace")(error)
}

/// Where what is known of the namespace lies.
struct Place(PathBuf);

impl Place {
    fn of(run: &Path) -> Place {
        Place(run.to_owned())
    }

    /// Who keeps it; locked by whoever joins, makes or gives it up.
    fn record(&self) -> PathBuf {
        self.0.join("namespace")
    }

    /// Locked by those who are in it.
    fn users(&self) -> PathBuf {
        self.0.join("namespace-users")
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// The two namespaces that are one to the user.
struct Namespaces {
    users: OwnedFd,
    mounts: OwnedFd,
}

impl Namespaces {
    fn of(pid: i32) -> io::Result<Namespaces> {
        let open = |name: &str| File::open(format!("/proc/{pid}/ns/{name}")).map(OwnedFd::from);
        Ok(Namespaces { users: open("user")?, mounts: open("mnt")? })
    }

    /// What tells them from others for as long as they are there.
    fn number(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.users)?.st_ino)
    }
}

/// The namespaces that the record names, if they are still there: the keeper's number may be
/// somebody else's by now.
fn found(record: &mut File) -> Option<Namespaces> {
    let mut text = String::new();
    io::Read::read_to_string(record, &mut text).ok()?;
    let (pid, number) = named_in(&text)?;
    let namespaces = Namespaces::of(pid).ok()?;
    let own = fs::metadata("/proc/self/ns/user").ok()?.ino();
    (namespaces.number().ok()? == number && number != own).then_some(namespaces)
}

/// What a record says: the keeper, and its namespace's number.
fn named_in(record: &str) -> Option<(i32, u64)> {
    let (pid, number) = record.trim().split_once(' ')?;
    Some((pid.parse().ok()?, number.parse().ok()?))
}

/// Makes the namespaces with a keeper in them, and writes down who that is.
fn make(place: &Place, record: &mut File, ids: &Ids) -> Result<(Namespaces, Stay)> {
    let step = || RuntimeError::step("make a namespace of users");
    let (ours, theirs) = Channel::pair().map_err(step())?;
    let namespaces = UnshareFlags::NEWUSER | UnshareFlags::NEWNS;
    let birth = Birth { namespaces, sibling: false, cgroup: None };
    let (pid, pidfd) = match sys::clone::clone(birth).map_err(step()).map_err(no_namespace)? {
        Cloned::Child => keeper::run(&theirs, place),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(theirs);
    let mut ready = || -> Result<(Namespaces, Stay)> {
        users::map(pid, &ids.users, &ids.groups)?;
        ours.send(&Message::Mapped).map_err(step())?;
        match ours.receive().map_err(step())? {
            Message::Ready => {}
            Message::Failed(failure) => return Err(RuntimeError::Init(failure)),
            _ => return Err(RuntimeError::InitGone),
        }
        let made = Namespaces::of(pid).map_err(step())?;
        let line = format!("{pid} {}\n", made.number().map_err(step())?);
        write(record, &line).map_err(step())?;
        let stay = Stay::begin(&place.0)?;
        // Only now it may look whether somebody is in.
        ours.send(&Message::Go).map_err(step())?;
        Ok((made, stay))
    };
    ready().inspect_err(|_| crate::launch::end(pidfd.as_fd())).map_err(|error| {
        // A machine may give a namespace and then forbid all that it is good for.
        match errno(&error) {
            Some(libc::EPERM | libc::EACCES) => no_namespace(error),
            _ => error,
        }
    })
}

fn no_namespace(error: RuntimeError) -> RuntimeError {
    RuntimeError::NoNamespace { source: Box::new(error) }
}

fn errno(error: &RuntimeError) -> Option<i32> {
    match error {
        RuntimeError::Step { source, .. } => source.raw_os_error(),
        RuntimeError::Init(failure) => Some(failure.errno),
        _ => None,
    }
}

fn write(record: &mut File, text: &str) -> io::Result<()> {
    use std::io::{Seek, Write};
    record.set_len(0)?;
    record.rewind()?;
    record.write_all(text.as_bytes())
}
