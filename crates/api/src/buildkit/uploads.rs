//! Contexts that come in the body of a request of their own: a client that builds what it was given
//! on its standard input sends that in one request, and asks for the build in another.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::call::BodyReader;
use crate::wire::{Code, Status};

/// How long one of the two requests waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

/// The contexts that nobody has taken yet.
#[derive(Default)]
pub(crate) struct Uploads {
    all: Mutex<HashMap<String, Upload>>,
    changed: Condvar,
}

/// A context; whoever sends it waits until it is dropped.
pub(super) struct Upload {
    body: BodyReader,
    _read: SyncSender<()>,
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl Uploads {
    /// Offers a context, and waits until it was read. Says whether somebody took it.
    pub(crate) fn offer(&self, id: &str, body: BodyReader) -> bool {
        let (_read, reading): (SyncSender<()>, Receiver<()>) = sync_channel(0);
        let all = || self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all().insert(id.to_owned(), Upload { body, _read });
        self.changed.notify_all();
        // An error within the patience is that it was read.
        if reading.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
            return true;
        }
        if all().remove(id).is_some() {
            return false;
        }
        let _ = reading.recv();
        true
    }

    /// Takes a context that may be about to come.
    pub(super) fn take(&self, id: &str) -> Result<Upload, Status> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |all: &mut HashMap<String, Upload>| !all.contains_key(id);
        let waited = self.changed.wait_timeout_while(all, PATIENCE, missing);
        let mut all = waited.unwrap_or_else(PoisonError::into_inner).0;
        all.remove(id).ok_or_else(|| Status::new(Code::Unavailable, format!("no context for {id}")))
    }
}
