//! A namespace of networks for a container of an ordinary user's.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::UnshareFlags;
use sys::clone::{Birth, Cloned};

use crate::channel::{Channel, Message};
use crate::error::{During, Explain, Failure, Result, RuntimeError};

/// A namespace whose loopback device is up, and which has nothing else. A process that leaves the
/// host's namespace may not come back without powers there, so a child does it, or a thread in one
/// that has more of them.
pub fn network_namespace() -> Result<OwnedFd> {
    let step = || RuntimeError::step("make a network namespace");
    if sys::clone::has_threads() {
        return std::thread::spawn(by_thread)
            .join()
            .unwrap_or_else(|_| Err(RuntimeError::InitGone));
    }
    let (ours, theirs) = Channel::pair().map_err(step())?;
    let birth = Birth { namespaces: UnshareFlags::NEWNET, sibling: false, cgroup: None };
    match sys::clone::clone(birth).map_err(step())? {
        Cloned::Child => {
            drop(ours);
            let _ = theirs.send(&match loopback_up() {
                Ok(()) => Message::Ready,
                Err(failure) => Message::Failed(failure),
            });
            // It only has to be there until the namespace was opened.
            let _ = theirs.receive();
            sys::task::exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let said = ours.receive();
            let opened = File::open(format!("/proc/{pid}/ns/net"));
            let _ = ours.send(&Message::Go);
            crate::launch::wait(pidfd.as_fd())?;
            match said.map_err(step())? {
                Message::Ready => Ok(opened.map_err(step())?.into()),
                Message::Failed(failure) => Err(RuntimeError::Init(failure)),
                _ => Err(RuntimeError::InitGone),
            }
        }
    }
}

fn by_thread() -> Result<OwnedFd> {
    let made = || {
        sys::netns::leave_for_a_new_one()?;
        sys::netns::loopback_up()?;
        sys::netns::current()
    };
    made().map_err(RuntimeError::step("make a network namespace"))
}

fn loopback_up() -> std::result::Result<(), Failure> {
    let up = sys::netns::loopback_up().map(drop);
    up.call("ioctl", "SIOCSIFFLAGS, lo").during("switch on the loopback device")
}
