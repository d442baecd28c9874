//! A program's word that it is ready, passed on to whoever has started the runtime, as services of
//! systemd say it.
//!
//! The container gets a socket of its own, in a folder that is mounted read-only. Only that word
//! goes on: what else the host's socket takes is not the container's to say.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use spec::bundle::{Mount, Spec};

use super::write_failed;
use crate::channel;
use crate::error::{Result, RuntimeError};

/// Where the container finds its socket.
const INSIDE: &str = "/run/notify";
/// Its folder in the container's own.
const FOLDER: &str = "notify";
const NAME: &str = "notify.sock";

/// Makes the folder for the socket and says so in a configuration. The folder is the container's own.
pub(super) fn prepare(spec: &mut Spec, folder: &Path) -> Result<()> {
    let own = folder.join(FOLDER);
    let open = fs::Permissions::from_mode(0o755);
    let made = fs::create_dir(&own).and_then(|()| fs::set_permissions(&own, open));
    let source = made.and_then(|()| own.canonicalize()).map_err(write_failed(&own))?;
    spec.mounts.push(Mount {
        destination: INSIDE.to_owned(),
        kind: "bind".to_owned(),
        source: source.display().to_string(),
        options: ["bind", "ro", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{NAME}"));
    }
    Ok(())
}

/// The container's socket, and the one that its word goes on to.
pub(super) struct Listener {
    socket: UnixDatagram,
    host: UnixDatagram,
}

/// Listens in a container's folder, if it was made for that and somebody is there to be told.
pub(super) fn listen(folder: &Path, host: &Path) -> Result<Option<Listener>> {
    let own = folder.join(FOLDER);
    let Some(host) = own.is_dir().then(|| reach(host).ok()).flatten() else { return Ok(None) };
    let path = own.join(NAME);
    let bind = || -> io::Result<UnixDatagram> {
        // Addresses are short, paths are not.
        let held = sys::fs::open_folder(&own)?;
        let socket = UnixDatagram::bind(format!("/proc/self/fd/{}/{NAME}", held.as_raw_fd()))?;
        // Whoever the program is, it may speak.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(socket)
    };
    Ok(Some(Listener { socket: bind().map_err(write_failed(&path))?, host }))
}

fn reach(host: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match host.as_os_str().as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(host)?,
    }
    Ok(socket)
}

impl Listener {
    /// Waits until the program is ready or has ended, and passes the word on; with the number of the
    /// process that is to be watched from then on, if this one ends now.
    pub(super) fn pass_on(&self, process: BorrowedFd<'_>, main: Option<i32>) -> Result<()> {
        self.until_ready(process, main)
            .map_err(RuntimeError::step("tell that the program is ready"))
    }

    fn until_ready(&self, process: BorrowedFd<'_>, main: Option<i32>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let mut polled =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            let [said, ended] = polled.map(|one| !one.revents().is_empty());
            if said {
                let length = self.socket.recv(&mut buffer)?;
                let mut lines = buffer[..length].split(|byte| *byte == b'\n');
                if let Some(line) = lines.find(|line| line.starts_with(b"READY=")) {
                    return self.tell(line, main);
                }
            } else if ended {
                return Ok(());
            }
        }
    }

    fn tell(&self, line: &[u8], main: Option<i32>) -> io::Result<()> {
        self.host.send(line)?;
        let Some(pid) = main else { return Ok(()) };
        self.host.send(format!("MAINPID={pid}").as_bytes())?;
        // Words of one who is gone are nobody's: it is waited for until they were heard, which is
        // when the descriptor that comes with the last one is closed.
        let (heard, barrier) = pipe_with(PipeFlags::CLOEXEC)?;
        channel::send_with(&self.host, &[b"BARRIER=1"], Some(barrier.as_fd()))?;
        drop(barrier);
        let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
        let mut polled = [PollFd::new(&heard, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_it_is_ready_goes_on_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let host_path = place.path().join("host");
        let host = UnixDatagram::bind(&host_path).unwrap();
        assert!(listen(place.path(), &host_path).unwrap().is_none(), "it was not made for that");
        let mut spec = Spec { process: Some(Default::default()), ..Spec::default() };
        prepare(&mut spec, place.path()).unwrap();
        assert_eq!(spec.process.unwrap().env, ["NOTIFY_SOCKET=/run/notify/notify.sock"]);
        assert_eq!(spec.mounts[0].destination, "/run/notify");
        assert!(listen(place.path(), &place.path().join("none")).unwrap().is_none());
        let listener = listen(place.path(), &host_path).unwrap().unwrap();
        let inside = UnixDatagram::unbound().unwrap();
        inside.connect(place.path().join("notify/notify.sock")).unwrap();
        inside.send(b"MAINPID=1").unwrap();
        inside.send(b"STATUS=x\nREADY=1\nFDSTORE=1").unwrap();
        let own = rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        );
        let heard = std::thread::spawn(move || {
            [(); 3].map(|()| {
                let mut buffer = [0; 64];
                let length = host.recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            })
        });
        listener.pass_on(own.unwrap().as_fd(), Some(7)).unwrap();
        assert_eq!(heard.join().unwrap(), ["READY=1", "MAINPID=7", "BARRIER=1"]);
    }
}
