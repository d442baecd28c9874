//! Who made a monitor, at the other end of the socket that it was given.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use serde_json::Value;
use sys::event::Interest;

use crate::attach::{self, Request};

/// How long what was promised may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is received at a time.
const READ_BYTES: usize = 16 * 1024;

/// Whoever made a monitor, and what was received of it that nobody has looked at yet.
pub struct Caller {
    pub(super) socket: OwnedFd,
    pub(super) received: Vec<u8>,
    given: Vec<OwnedFd>,
}

impl Caller {
    /// Who has the other end of a socket for which nobody waits.
    pub fn new(socket: OwnedFd) -> Caller {
        Caller { socket, received: Vec::new(), given: Vec::new() }
    }

    /// The descriptor that came with what it said. Others are let go of.
    pub fn gives(&mut self) -> Option<OwnedFd> {
        std::mem::take(&mut self.given).pop()
    }

    /// What it says first of the container ([`Request::Made`]), for which is waited. Nothing, if it
    /// has gone or says something else; that is answered later.
    pub fn says(&mut self) -> Option<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((frame, used)) = attach::decode(&self.received).ok()? {
                let Ok(Request::Made(words)) = serde_json::from_slice(&frame.body) else {
                    return None;
                };
                self.received.drain(..used);
                return Some(words);
            }
            let mut bytes = [0; READ_BYTES];
            match sys::socket::receive(&self.socket, &mut bytes, &mut self.given) {
                // Mostly it has said all before there was anybody to hear it.
                Ok(None) => {
                    let patience = end.checked_duration_since(Instant::now())?;
                    let socket = (Some(self.socket.as_fd()), Interest::READ);
                    sys::event::poll([socket], Some(patience)).ok()?;
                }
                Ok(Some(count)) if count > 0 => self.received.extend_from_slice(&bytes[..count]),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_descriptor_is_given_and_none_is_left() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut caller = Caller::new(socket.into());
        let open = || std::fs::File::open("/dev/null").map(OwnedFd::from).unwrap();
        caller.given = vec![open(), open()];
        assert!(caller.gives().is_some());
        assert!(caller.gives().is_none() && caller.given.is_empty());
    }
}
