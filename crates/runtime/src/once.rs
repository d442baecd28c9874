//! A container that is run once to its end, by a process of its own that does nothing else.
//!
//! Whoever makes containers must have one thread, and a build has several; so it starts its own
//! program again, gives it a container by a socket in the place of standard input, and waits for
//! the answer. When the one who asked is gone, however it ended, the socket is closed, and the
//! container ends too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use spec::bundle::Spec;

use crate::cgroup::{Cgroup, Missing};
use crate::error::{Result, RuntimeError};
use crate::failure::Failure;
use crate::launch::{self, Begin, Manner, Request};
use crate::stdio::Stdio;

/// A container to be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Its name.
    pub id: String,
    /// Its configuration.
    pub spec: Spec,
    /// The folder that relative paths in it mean.
    pub bundle: PathBuf,
    /// The path of its control group, which is made and removed.
    pub cgroup: String,
    /// Whether it may be forbidden to make one: then there is none.
    pub without_cgroup: bool,
    /// Mounts by destination whose source is in a mount that comes as a descriptor.
    pub opened: BTreeMap<String, Opened>,
}

/// Where the source of a mount is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// The mount, detached until now: which of the descriptors that follow.
    pub number: usize,
    /// The path in it, without a link.
    pub path: PathBuf,
}

/// How it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ended {
    /// With this code, as shells show it.
    Exited(i32),
    /// It could not be started.
    Failed(Failure),
    /// The kernel killed something in it for want of memory, and it ended with this code.
    OutOfMemory(i32),
}

/// No order is longer.
const ORDER_BYTES: u32 = 64 << 20;

/// Asks for a container: its root first among the descriptors.
pub fn ask(socket: impl AsFd, order: &Order, opened: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(order)?;
    let count = u32::try_from(opened.len()).map_err(io::Error::other)?;
    let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    for fd in opened {
        // One each, with a byte that carries it.
        sys::socket::send(socket.as_fd(), b"f", &[*fd])?;
    }
    let mut stream = File::from(socket.as_fd().try_clone_to_owned()?);
    stream.write_all(b".")?;
    stream.write_all(&count.to_le_bytes())?;
    stream.write_all(&size.to_le_bytes())?;
    stream.write_all(&bytes)
}

/// Waits for how it ended. One who never says so was killed.
pub fn answer(socket: OwnedFd) -> io::Result<Ended> {
    let mut bytes = Vec::new();
    File::from(socket).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Runs the container that a socket asks for, with the output of this process, which has one
/// thread.
pub fn serve(socket: OwnedFd) -> io::Result<()> {
    let (order, opened) = receive(&socket)?;
    let ended = match run(&socket, order, opened) {
        Ok(ended) => ended,
        Err(error) => Ended::Failed(Failure::from(&error)),
    };
    File::from(socket).write_all(&serde_json::to_vec(&ended)?)
}

fn receive(socket: &OwnedFd) -> io::Result<(Order, Vec<OwnedFd>)> {
    let (mut opened, mut byte) = (Vec::new(), [0]);
    while sys::socket::receive(socket, &mut byte, &mut opened)? == Some(1) && byte == *b"f" {}
    let mut stream = File::from(socket.try_clone()?);
    let mut number = || -> io::Result<u32> {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    };
    let (count, size) = (number()?, number()?);
    if count as usize != opened.len() || size > ORDER_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an order that is none"));
    }
    let mut bytes = vec![0; size as usize];
    stream.read_exact(&mut bytes)?;
    Ok((serde_json::from_slice(&bytes)?, opened))
}

fn run(socket: &OwnedFd, order: Order, opened: Vec<OwnedFd>) -> Result<Ended> {
    let Order { id, mut spec, bundle, cgroup, without_cgroup, opened: places } = order;
    let mut opened: Vec<Option<OwnedFd>> = opened.into_iter().map(Some).collect();
    let root = opened.first_mut().and_then(Option::take);
    if !places.is_empty() {
        attach(&bundle, &places, &mut opened)?;
        for mount in &mut spec.mounts {
            if let Some(place) = places.get(&mount.destination) {
                let source = attached(&bundle, place.number).join(&place.path);
                mount.source = source.display().to_string();
            }
        }
    }
    let mut cgroup = Cgroup::presumed(&cgroup)?;
    match without_cgroup {
        true => cgroup.create_where_allowed()?,
        false => cgroup.create()?,
    };
    let ended = run_in(socket, &id, &spec, &bundle, root, &cgroup);
    // What is left in it was the container's; the first error is the one to tell.
    let _ = cgroup.kill_all();
    let removed = cgroup.remove();
    let ended = ended?;
    removed.map(|()| ended)
}

/// Puts mounts where they have a path, in a namespace of mounts that ends with this process.
fn attach(
    bundle: &Path,
    places: &BTreeMap<String, Opened>,
    opened: &mut [Option<OwnedFd>],
) -> Result<()> {
    let step = || RuntimeError::step("attach mounts");
    sys::clone::unshare(UnshareFlags::NEWNS).map_err(step())?;
    sys::mount::make_private(Path::new("/")).map_err(step())?;
    for place in places.values() {
        let Some(mount) = opened.get_mut(place.number).and_then(Option::take) else { continue };
        let folder = attached(bundle, place.number);
        std::fs::create_dir_all(&folder).map_err(step())?;
        sys::mount::attach(&mount, &folder).map_err(step())?;
    }
    Ok(())
}

fn attached(bundle: &Path, number: usize) -> PathBuf {
    bundle.join(format!("mount-{number}"))
}

fn run_in(
    socket: &OwnedFd,
    id: &str,
    spec: &Spec,
    bundle: &Path,
    root: Option<OwnedFd>,
    cgroup: &Cgroup,
) -> Result<Ended> {
    if let Some(resources) = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref()) {
        cgroup.apply(resources, Missing::Warn)?;
    }
    let step = || RuntimeError::step("copy standard output");
    let stdio = Stdio::Pipes {
        stdin: None,
        stdout: io::stdout().as_fd().try_clone_to_owned().map_err(step())?,
        stderr: io::stderr().as_fd().try_clone_to_owned().map_err(step())?,
    };
    let kills = cgroup.out_of_memory_kills();
    let request = Request {
        id,
        spec,
        bundle,
        root,
        stdio,
        cgroup: Some(cgroup),
        places: None,
        begin: Begin::AtOnce,
        preserve: 0,
        reaper: false,
        manner: Manner::default(),
    };
    let created = launch::create(request)?;
    await_end(socket, created.pidfd.as_fd())?;
    let code = launch::wait(created.pidfd.as_fd())?.code();
    match cgroup.out_of_memory_kills() > kills {
        true => Ok(Ended::OutOfMemory(code)),
        false => Ok(Ended::Exited(code)),
    }
}

/// Waits until the container has ended, or nobody wants it any more; then it is killed.
fn await_end(socket: &OwnedFd, process: BorrowedFd<'_>) -> Result<()> {
    loop {
        let mut polled =
            [PollFd::new(&process, PollFlags::IN), PollFd::new(socket, PollFlags::RDHUP)];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(|error| RuntimeError::step("wait")(error.into()))?,
        };
        if !polled[0].revents().is_empty() {
            return Ok(());
        }
        if !polled[1].revents().is_empty() {
            let _ = sys::task::send_signal(process, libc::SIGKILL);
            return Ok(());
        }
    }
}
