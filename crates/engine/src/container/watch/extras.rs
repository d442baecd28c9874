//! Work beside a run, in the monitor's loop: names are answered, and calls carried that the kernel
//! does not redirect.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use network::Relay;
use network::dns::Server;
use runtime::monitor::Extra;

/// The name server of a container.
pub(super) struct NameServer(pub(super) Server);

impl Extra for NameServer {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.0.as_fd()]
    }

    fn ready(&mut self, _fd: RawFd) {
        // One question that cannot be answered is told to who asked; the server goes on.
        let _ = self.0.ready();
    }
}

/// What carries calls to a container's ports. The run has it too, and says which ports these are.
pub(super) struct Carrier {
    relay: Arc<Mutex<Relay>>,
    /// Its descriptor once more, which can be lent while nobody holds the rest.
    waker: OwnedFd,
}

impl Carrier {
    pub(super) fn new(relay: Arc<Mutex<Relay>>) -> io::Result<Carrier> {
        let relay_now = relay.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = relay_now.as_fd().try_clone_to_owned()?;
        drop(relay_now);
        Ok(Carrier { relay, waker })
    }

    fn relay(&self) -> MutexGuard<'_, Relay> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extra for Carrier {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.waker.as_fd()]
    }

    fn ready(&mut self, _fd: RawFd) {
        // What fails ends one connection; the others go on.
        let _ = self.relay().ready();
    }

    fn deadline(&self) -> Option<Instant> {
        self.relay().deadline()
    }

    fn expired(&mut self) {
        self.relay().expire();
    }
}
