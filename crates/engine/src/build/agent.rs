//! Sockets that commands reach an agent of ssh at, where they are not the agent's own.

use std::fs::{self, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::{EngineError, Result};

/// Who may use a socket.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
}

/// A socket that is answered until this is dropped.
pub(super) struct Listening {
    folder: PathBuf,
    name: String,
    is_over: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

impl Listening {
    /// Has each connection answered by a thread of its own.
    pub(super) fn begin(
        folder: &Path,
        name: &str,
        Access { owner, mode }: Access,
        answer: impl Fn(UnixStream) + Send + Sync + 'static,
    ) -> Result<Listening> {
        let path = folder.join(name);
        let made = || {
            // By the open folder, because a socket's path may not be long.
            let open = sys::fs::open_folder(folder)?;
            let listener = UnixListener::from(sys::socket::listen(&open, name.as_ref())?);
            listener.set_nonblocking(false)?;
            chown(&path, Some(owner.0), Some(owner.1))?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            Ok(listener)
        };
        let listener = made().map_err(EngineError::io("listen at", &path))?;
        let (is_over, answer) = (Arc::new(AtomicBool::new(false)), Arc::new(answer));
        let over = is_over.clone();
        let answering = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                // Who cannot be answered finds the connection closed.
                let (Ok(stream), answer) = (stream, answer.clone()) else { continue };
                std::thread::spawn(move || answer(stream));
            }
        });
        let (folder, name) = (folder.to_owned(), name.to_owned());
        Ok(Listening { folder, name, is_over, answering: Some(answering) })
    }

    /// Carries what is said to another socket.
    pub(super) fn forward(
        folder: &Path,
        name: &str,
        access: Access,
        to: PathBuf,
    ) -> Result<Listening> {
        Listening::begin(folder, name, access, move |near| {
            // Who cannot be connected finds the connection closed.
            let _ = UnixStream::connect(&to).and_then(|far| carry(&near, &far));
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Whoever listens is woken, and finds that it is over.
        let woken = sys::fs::open_folder(&self.folder)
            .and_then(|folder| sys::socket::connect(&folder, self.name.as_ref()));
        if let (Ok(_), Some(answering)) = (woken, self.answering.take()) {
            let _ = answering.join();
        }
        let _ = fs::remove_file(self.folder.join(&self.name));
    }
}

/// Carries bytes both ways until both sides have said all.
fn carry(near: &UnixStream, far: &UnixStream) -> io::Result<()> {
    let one_way = |from: &UnixStream, to: &UnixStream| {
        let (mut from, mut to_end) = (from, to);
        let carried = io::copy(&mut from, &mut to_end);
        let _ = to.shutdown(Shutdown::Write);
        carried.map(drop)
    };
    std::thread::scope(|scope| {
        let back = scope.spawn(|| one_way(far, near));
        let there = one_way(near, far);
        there.and(back.join().unwrap_or(Ok(())))
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_said_is_carried_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let open = Access { owner, mode: 0o600 };
        let shouted = |mut stream: UnixStream| {
            let mut said = [0; 5];
            stream.read_exact(&mut said).unwrap();
            stream.write_all(&said.map(|byte| byte.to_ascii_uppercase())).unwrap();
        };
        let agent = Listening::begin(folder.path(), "agent", open, shouted).unwrap();
        let narrow = Access { owner, mode: 0o640 };
        let to = folder.path().join("agent");
        let relay = Listening::forward(folder.path(), "relay", narrow, to).unwrap();
        let path = folder.path().join("relay");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"HELLO");
        drop((relay, agent));
        assert!(UnixStream::connect(&path).is_err() && !path.exists());
    }
}
