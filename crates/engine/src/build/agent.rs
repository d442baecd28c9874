//! Sockets that commands reach an agent of ssh at, where they are not the agent's own.

use std::fs::{self, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{EngineError, Result};

/// Who may use a socket.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
}

/// So many connections are answered at once. Each takes threads, and a command may open as many as it
/// likes.
const MAX_CONNECTIONS: usize = 64;
/// How long is waited after nobody could be let in: there may be no files left to open.
const PAUSE: Duration = Duration::from_millis(50);

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
        let answering = thread::Builder::new().spawn(move || answer_all(&listener, &over, &answer));
        let answering = answering.map_err(EngineError::io("answer at", &path))?;
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

/// Answers whoever comes until it is over. Who cannot be answered finds the connection closed.
fn answer_all(
    listener: &UnixListener,
    is_over: &AtomicBool,
    answer: &Arc<impl Fn(UnixStream) + Send + Sync + 'static>,
) {
    // Each that is answered holds one.
    let places = Arc::new(());
    for stream in listener.incoming() {
        if is_over.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            thread::sleep(PAUSE);
            continue;
        };
        if Arc::strong_count(&places) > MAX_CONNECTIONS {
            continue;
        }
        let (answer, place) = (answer.clone(), places.clone());
        let answered = move || {
            answer(stream);
            drop(place);
        };
        // Where no thread can be made the connection goes with what it was to do.
        let _ = thread::Builder::new().spawn(answered);
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
    thread::scope(|scope| {
        let back = thread::Builder::new().spawn_scoped(scope, || one_way(far, near))?;
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

    #[test]
    fn only_so_many_are_answered_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).map(|meta| (meta.uid(), meta.gid())).unwrap();
        // Says a word and stays until the other side leaves.
        let stays = |mut stream: UnixStream| {
            let _ = stream.write_all(b"x");
            let _ = stream.read(&mut [0]);
        };
        let open = Access { owner, mode: 0o600 };
        let agent = Listening::begin(folder.path(), "agent", open, stays).unwrap();
        let answered = || {
            let mut stream = UnixStream::connect(folder.path().join("agent")).unwrap();
            let said = stream.read(&mut [0]).unwrap_or(0);
            (said == 1).then_some(stream)
        };
        let mut all: Vec<UnixStream> = (0..MAX_CONNECTIONS).map(|_| answered().unwrap()).collect();
        assert!(answered().is_none());
        all.pop();
        // Whoever answered the one that left needs a moment to see it.
        let is_free = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            answered().is_some()
        });
        assert!(is_free);
        drop((all, agent));
    }
}
