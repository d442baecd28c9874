//! D-Bus as systemd speaks it on a socket of its own: two ends, calls, answers and signals.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::wire::{Reader, Writer, broken};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// The longest message that is read: far more than an answer of a few words needs.
const LONGEST: usize = 1 << 20;
/// The longest line while both ends make themselves known.
const LONGEST_LINE: usize = 512;

/// Kinds of messages.
const CALL: u8 = 1;
const ANSWER: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// Fields of a message's head.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const ANSWERS: u8 = 5;
const TYPES: u8 = 8;

/// A connection to the other end.
pub(super) struct Bus {
    stream: UnixStream,
    calls: u32,
    /// Signals that came while an answer was waited for.
    signals: Vec<Message>,
}

/// What is called.
#[derive(Clone, Copy)]
pub(super) struct Method<'a> {
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) name: &'a str,
    /// The types of its arguments.
    pub(super) types: &'a str,
}

/// A message that came.
#[derive(Debug, Default)]
pub(super) struct Message {
    kind: u8,
    /// The call that it answers.
    answers: u32,
    /// A signal's or an error's name.
    pub(super) name: String,
    pub(super) body: Vec<u8>,
}

impl Bus {
    /// Connects and makes this user known, whom the kernel vouches for.
    pub(super) fn connect(socket: &Path) -> io::Result<Bus> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Bus { stream, calls: 0, signals: Vec::new() };
        // All at once: systemd loses a message that comes together with the last of these lines.
        bus.stream.write_all(greeting().as_bytes())?;
        let mut line = bus.line()?;
        if line == "DATA\r\n" {
            line = bus.line()?;
        }
        if !line.starts_with("OK ") {
            let why = format!("refused: {}", line.trim_end());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(bus)
    }

    /// One line, read byte by byte: what follows it is no line.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > LONGEST_LINE {
                return Err(broken());
            }
        }
        String::from_utf8(line).map_err(|_| broken())
    }

    /// Calls a method and gives the body of its answer.
    pub(super) fn call(
        &mut self,
        method: Method<'_>,
        arguments: impl FnOnce(&mut Writer),
    ) -> io::Result<Vec<u8>> {
        self.calls += 1;
        let call = self.calls;
        let mut body = Writer::default();
        arguments(&mut body);
        self.stream.write_all(&message(method, call, &body.bytes))?;
        loop {
            let message = self.receive()?;
            match message.kind {
                ANSWER if message.answers == call => return Ok(message.body),
                ERROR if message.answers == call => return Err(message.into_error()),
                SIGNAL => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// The next signal.
    pub(super) fn signal(&mut self) -> io::Result<Message> {
        if !self.signals.is_empty() {
            return Ok(self.signals.remove(0));
        }
        loop {
            let message = self.receive()?;
            if message.kind == SIGNAL {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self) -> io::Result<Message> {
        let mut start = [0; 16];
        self.stream.read_exact(&mut start)?;
        let mut reader = Reader::new(&start);
        // Both ends are on one machine.
        if reader.byte()? != b'l' {
            return Err(broken());
        }
        let kind = reader.byte()?;
        reader.align(4);
        let (body, _, fields) = (reader.number()?, reader.number()?, reader.number()?);
        let (body, fields) = (body as usize, fields as usize);
        if body.max(fields) > LONGEST {
            return Err(broken());
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        self.stream.read_exact(&mut rest)?;
        let mut message = Message { kind, ..Message::default() };
        message.read_fields(&rest[..fields])?;
        message.body = rest.split_off(fields.next_multiple_of(8));
        Ok(message)
    }
}

impl Message {
    fn read_fields(&mut self, fields: &[u8]) -> io::Result<()> {
        let mut reader = Reader::new(fields);
        while !reader.is_done() {
            reader.align(8);
            let field = reader.byte()?;
            match (reader.signature()?, field) {
                (b"u", ANSWERS) => self.answers = reader.number()?,
                (b"u", _) => drop(reader.number()?),
                (b"s" | b"o", MEMBER | ERROR_NAME) => self.name = reader.text()?,
                (b"s" | b"o", _) => drop(reader.text()?),
                (b"g", _) => drop(reader.signature()?),
                _ => return Err(broken()),
            }
        }
        Ok(())
    }

    /// What an error says, of a kind that callers can tell from others.
    fn into_error(self) -> io::Error {
        let text = Reader::new(&self.body).text().unwrap_or_default();
        let text = if text.is_empty() { self.name.clone() } else { text };
        let kind = match self.name.rsplit('.').next() {
            Some("NoSuchUnit") => io::ErrorKind::NotFound,
            Some("UnitExists") => io::ErrorKind::AlreadyExists,
            Some("AccessDenied" | "InteractiveAuthorizationRequired") => {
                io::ErrorKind::PermissionDenied
            }
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, text)
    }
}

/// How a user makes himself known, whom the kernel vouches for: by his number, in digits of which each
/// is two again. In a namespace of users it would not be the one that the other end sees, so there
/// none is said, which older versions do not know.
fn greeting() -> String {
    let user = sys::host::user_id();
    let who = match user == 0 && !sys::host::is_host_root() {
        true => "\r\nDATA".to_owned(),
        false => {
            user.to_string().bytes().fold(" ".to_owned(), |hex, digit| format!("{hex}{digit:x}"))
        }
    };
    format!("\0AUTH EXTERNAL{who}\r\nBEGIN\r\n")
}

/// A call as it is sent.
fn message(method: Method<'_>, call: u32, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes.extend([b'l', CALL, 0, 1]);
    writer.number(u32::try_from(body.len()).unwrap_or(u32::MAX));
    writer.number(call);
    writer.list(8, |list| {
        let mut field = |field: u8, types: &str, text: &str| {
            list.align(8);
            list.byte(field);
            list.signature(types);
            match types {
                "g" => list.signature(text),
                _ => list.text(text),
            }
        };
        field(PATH, "o", method.path);
        field(INTERFACE, "s", method.interface);
        field(MEMBER, "s", method.name);
        if !method.types.is_empty() {
            field(TYPES, "g", method.types);
        }
    });
    writer.align(8);
    writer.bytes.extend(body);
    writer.bytes
}
