//! Work beside a run, in the monitor's loop: names are answered.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

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
