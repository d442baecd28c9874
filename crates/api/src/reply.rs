//! Answers: a document, bytes, a stream that is written while it is sent, or the connection itself.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hyper::body::Bytes;
use serde::Serialize;
use sys::event::{Interest, poll};
use tokio::sync::mpsc::Sender;

use crate::refusal::Refusal;
use crate::wire::Conversation;

/// What a call is answered with.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content: Content,
}

/// Writes a stream. A refusal before anything was sent is the answer; one that comes later cuts the
/// stream off.
pub(crate) type StreamWork = Box<dyn FnOnce(&mut Sink) -> Result<(), Refusal> + Send>;
/// Uses a connection that is no longer one of HTTP.
pub(crate) type HijackWork = Box<dyn FnOnce(Socket) + Send>;

/// What an answer carries.
pub(crate) enum Content {
    Empty,
    Bytes(Vec<u8>),
    Stream(StreamWork),
    Hijack(HijackWork),
    Talk(Conversation),
}

impl Reply {
    /// Nothing but a status.
    pub(crate) fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), content: Content::Empty }
    }

    /// It is done, and there is nothing to tell.
    pub(crate) fn done() -> Reply {
        Reply::status(204)
    }

    /// A document.
    pub(crate) fn json(document: &impl Serialize) -> Reply {
        let mut bytes = serde_json::to_vec(document).expect("documents have only string keys");
        bytes.push(b'\n');
        Reply::bytes("application/json", bytes)
    }

    /// Bytes of a kind.
    pub(crate) fn bytes(kind: &str, bytes: Vec<u8>) -> Reply {
        Reply { content: Content::Bytes(bytes), ..Reply::status(200) }.with("content-type", kind)
    }

    /// A stream of a kind.
    pub(crate) fn stream(
        kind: &str,
        work: impl FnOnce(&mut Sink) -> Result<(), Refusal> + Send + 'static,
    ) -> Reply {
        Reply { content: Content::Stream(Box::new(work)), ..Reply::status(200) }
            .with("content-type", kind)
    }

    /// The connection, for whoever is to speak something else on it. A client that did not ask for
    /// that in HTTP's own words gets the older form.
    pub(crate) fn hijack(
        upgrades: bool,
        kind: &str,
        work: impl FnOnce(Socket) + Send + 'static,
    ) -> Reply {
        let taken = Reply::taken_over(work).with("content-type", kind);
        match upgrades {
            true => taken.with("connection", "Upgrade").with("upgrade", "tcp"),
            false => taken.at_status(200),
        }
    }

    /// The connection, on which HTTP/2 is spoken from then on.
    pub(crate) fn talk(conversation: Conversation) -> Reply {
        Reply { content: Content::Talk(conversation), ..Reply::status(101) }
            .with("connection", "Upgrade")
            .with("upgrade", "h2c")
    }

    /// The connection, with a head that says what is spoken on it from then on.
    pub(crate) fn taken_over(work: impl FnOnce(Socket) + Send + 'static) -> Reply {
        Reply { content: Content::Hijack(Box::new(work)), ..Reply::status(101) }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with another status.
    pub(crate) fn at_status(self, status: u16) -> Reply {
        Reply { status, ..self }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        let document = serde_json::json!({ "message": refusal.message });
        Reply::json(&document).at_status(refusal.status)
    }
}

/// So much is gathered before it is sent.
const GATHERED_BYTES: usize = 32 << 10;

/// Sends the head of an answer, or a refusal in its place.
pub(crate) type Begin = Box<dyn FnOnce(Option<Refusal>) + Send>;

/// Where a stream is written to. Its head goes with its first bytes. Whoever writes waits while the
/// client does not read, and fails when it has gone.
pub(crate) struct Sink {
    begin: Option<Begin>,
    parts: Sender<Bytes>,
    gathered: Vec<u8>,
    gone: PipeReader,
}

impl Sink {
    /// One whose parts somebody sends; `gone` ends when the client has gone.
    pub(crate) fn new(begin: Begin, parts: Sender<Bytes>, gone: PipeReader) -> Sink {
        Sink { begin: Some(begin), parts, gathered: Vec::new(), gone }
    }

    /// Sends the head, if that was not done: the client is to know that it is heard.
    pub(crate) fn begin(&mut self) {
        if let Some(begin) = self.begin.take() {
            begin(None);
        }
    }

    /// Answers with a refusal. Says whether the stream had begun, so that it is too late for that.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> bool {
        match self.begin.take() {
            Some(begin) => {
                begin(Some(refusal));
                false
            }
            None => true,
        }
    }

    /// Whether the head was sent.
    pub(crate) fn has_begun(&self) -> bool {
        self.begin.is_none()
    }

    /// Can be read when the client has gone.
    pub(crate) fn gone(&self) -> BorrowedFd<'_> {
        self.gone.as_fd()
    }

    /// Whether the client has gone, after waiting for that so long.
    pub(crate) fn is_gone_within(&self, patience: Duration) -> bool {
        let polled = poll([(Some(self.gone()), Interest::READ)], Some(patience));
        polled.map_or(true, |[gone]| gone.read)
    }

    /// Writes a document on a line of its own, at once.
    pub(crate) fn line(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, document)?;
        self.write_all(b"\r\n")?;
        self.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.begin();
        if self.gathered.is_empty() {
            return Ok(());
        }
        let part = Bytes::from(std::mem::take(&mut self.gathered));
        self.parts.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Lets `work` write a file that is a pipe, and sends what comes out of it.
pub(crate) fn piped(
    sink: &mut Sink,
    work: impl FnOnce(File) -> Result<(), Refusal> + Send,
) -> Result<(), Refusal> {
    let (mut reader, writer) = io::pipe()?;
    let writer = File::from(OwnedFd::from(writer));
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(writer));
        let copied = copy(&mut reader, sink);
        // A worker that still writes must not wait for a reader that gave up.
        drop(reader);
        worker.join().expect("writing an archive does not panic")?;
        Ok(copied?)
    })
}

fn copy(reader: &mut impl Read, sink: &mut Sink) -> io::Result<()> {
    let mut bytes = vec![0; GATHERED_BYTES];
    loop {
        match reader.read(&mut bytes)? {
            0 => return Ok(()),
            count => sink.write_all(&bytes[..count])?,
        }
    }
}

/// A connection that is no longer one of HTTP. It does not block: who uses it polls.
pub(crate) struct Socket {
    /// The connection.
    pub(crate) fd: OwnedFd,
    /// What the client has sent already.
    pub(crate) early: Vec<u8>,
}

impl Socket {
    /// Writes all of it, however long the client takes.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        write_all(self.fd.as_fd(), bytes)
    }
}

/// Writes all of it to a descriptor that does not block.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sys::event::write_some(fd, bytes)? {
            Some(written) => bytes = &bytes[written..],
            None => {
                poll([(Some(fd), Interest { read: false, write: true })], None)?;
            }
        }
    }
    Ok(())
}
