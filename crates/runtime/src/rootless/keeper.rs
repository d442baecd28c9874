//! The process that keeps a user's namespace there while nobody is in it.
//!
//! It holds nothing but the namespace, waits without waking for the end of all who are in it, and
//! some time later it goes, unless somebody has come.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::mount::MountPropagationFlags;
use sys::lock::Mode;

use super::{Place, named_in, open};
use crate::channel::{Channel, Message};
use crate::error::{During, Explain, Failure};

/// How long a namespace is kept for the next command, whose start it makes faster.
const LINGERS: Duration = Duration::from_secs(20);

/// Keeps the namespace that this process was born in.
pub(super) fn run(channel: &Channel, place: &Place) -> ! {
    match prepare(channel) {
        Err(failure) => drop(channel.send(&Message::Failed(failure))),
        Ok(()) => {
            let _ = channel.send(&Message::Ready);
            if let Ok(Message::Go) = channel.receive() {
                // Whose run root has gone has nobody left to keep anything for.
                let _ = sys::task::close_all(3, i32::MAX).and_then(|()| keep(place));
            }
        }
    }
    sys::task::exit_now(0)
}

fn prepare(channel: &Channel) -> Result<(), Failure> {
    match channel.receive().call("recvmsg", "").during("wait for users")? {
        Message::Mapped => {}
        _ => sys::task::exit_now(0),
    }
    // What the host mounts is seen here; what is mounted here is nobody else's.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).call("mount", "/, MS_SLAVE").during("keep mounts")?;
    rustix::process::setsid().call("setsid", "").during("open a session")?;
    rustix::process::chdir("/").call("chdir", "/").during("leave the working folder")?;
    let streams = || -> io::Result<()> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(rustix::stdio::dup2_stderr(&null)?)
    };
    streams().call("dup2", "/dev/null").during("let go of standard streams")?;
    sys::task::reset_signals(0).call("sigaction", "").during("reset signals")
}

fn keep(place: &Place) -> io::Result<()> {
    let users = open(&place.users())?;
    loop {
        sys::lock::lock(&users, Mode::Exclusive)?;
        // Whoever comes now must not wait.
        rustix::fs::flock(&users, rustix::fs::FlockOperation::Unlock)?;
        std::thread::sleep(LINGERS);
        let mut record = existing(&place.record())?;
        sys::lock::lock(&record, Mode::Exclusive)?;
        if sys::lock::try_lock(&users, Mode::Exclusive)? {
            return forget(&mut record, std::fs::metadata("/proc/self/ns/user")?.ino());
        }
    }
}

/// Empties the record unless it is another keeper's by now, who has made the run root anew.
fn forget(record: &mut File, own: u64) -> io::Result<()> {
    match named_in(&io::read_to_string(&mut *record)?) {
        Some((_, number)) if number == own => record.set_len(0),
        _ => Ok(()),
    }
}

/// Opens a file that must be there: a run root that was removed is not made again.
fn existing(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_record_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namespace");
        for (own, left) in [(8, "5 7\n"), (7, "")] {
            std::fs::write(&path, "5 7\n").unwrap();
            forget(&mut existing(&path).unwrap(), own).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
        }
    }
}
