//! A container's network namespace: made, kept, found again.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::error::{NetworkError, Result};
use crate::netlink::{Connection, Requests};

/// A network namespace, alive for as long as this is.
#[derive(Debug)]
pub struct NetNs(OwnedFd);

impl NetNs {
    /// Makes one whose loopback device is up, and which has nothing else.
    pub fn create() -> Result<NetNs> {
        let made = NetNs(sys::netns::create().map_err(NetworkError::Namespace)?);
        made.loopback_up()?;
        Ok(made)
    }

    /// The one that the calling thread is in.
    pub fn current() -> Result<NetNs> {
        Ok(NetNs(sys::netns::current().map_err(NetworkError::Namespace)?))
    }

    /// Another handle of the same one.
    pub fn try_clone(&self) -> Result<NetNs> {
        let copy = self.0.try_clone().map_err(NetworkError::Namespace)?;
        Ok(NetNs(copy))
    }

    /// The one that a process is in.
    pub fn of_process(process: u32) -> Result<NetNs> {
        NetNs::open(Path::new(&format!("/proc/{process}/ns/net")))
    }

    /// The one that was pinned at a path.
    pub fn open(path: &Path) -> Result<NetNs> {
        let file =
            File::open(path).map_err(NetworkError::io("open the network namespace", path))?;
        Ok(NetNs(file.into()))
    }

    /// Keeps it alive by a mount at a path, where nothing may be yet, until [`NetNs::unpin`].
    pub fn pin(&self, path: &Path) -> Result<()> {
        use std::os::fd::AsRawFd;
        File::create_new(path).map_err(NetworkError::io("make", path))?;
        let source = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        sys::mount::bind(Path::new(&source), path)
            .map_err(NetworkError::io("pin the network namespace at", path))
    }

    /// Lets go of what was pinned at a path; nothing there is no error.
    pub fn unpin(path: &Path) -> Result<()> {
        match sys::mount::detach(path) {
            Ok(()) => {}
            // Somebody let go of it before, or the boot ended.
            Err(error) if error.raw_os_error() == Some(INVALID) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(NetworkError::io("unpin", path)(error)),
        }
        std::fs::remove_file(path).map_err(NetworkError::io("remove", path))
    }

    /// Switches the loopback device on.
    pub fn loopback_up(&self) -> Result<()> {
        self.within(|| {
            let mut requests = Requests::default();
            requests.link_up("lo");
            Ok(Connection::route()?.carry_out(requests)?)
        })?
    }

    /// Does something inside: sockets opened there stay of there.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        sys::netns::within(&self.0, work).map_err(NetworkError::Namespace)
    }
}

const INVALID: i32 = rustix::io::Errno::INVAL.raw_os_error();

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for NetNs {
    fn from(namespace: OwnedFd) -> NetNs {
        NetNs(namespace)
    }
}
