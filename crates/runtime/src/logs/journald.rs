//! The `journald` driver: the journal's own protocol, a datagram a line.

use std::path::Path;

use spec::Timestamp;

use super::outlet::{Link, Outlet};
use super::{LogConfig, LogError, LogFacts, Mode, Piece, Stream};

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal, and the fields that every line has.
pub(super) struct Journal {
    outlet: Outlet,
    fields: Vec<u8>,
}

impl Journal {
    /// Connects, if there is a journal.
    pub(super) fn open(
        config: &LogConfig,
        facts: &LogFacts,
        mode: Mode,
    ) -> Result<Journal, LogError> {
        Journal::open_at(Path::new(SOCKET), config, facts, mode)
    }

    pub(super) fn open_at(
        socket: &Path,
        config: &LogConfig,
        facts: &LogFacts,
        mode: Mode,
    ) -> Result<Journal, LogError> {
        let path = socket.to_owned();
        let connect = move || sys::socket::connect_path(&path, true).map(Link::Plain);
        let outlet = connect()
            .and_then(|first| Outlet::over(first, Box::new(connect), true, mode))
            .map_err(|source| LogError::Reach { what: "the systemd journal".to_owned(), source })?;
        Ok(Journal { outlet, fields: fields(config, facts) })
    }

    /// Sends a piece.
    pub(super) fn push(&mut self, stream: Stream, time: Timestamp, piece: Piece<'_>) {
        let mut message = self.fields.clone();
        let priority: &[u8] = if stream == Stream::Stderr { b"3" } else { b"6" };
        field(&mut message, "PRIORITY", priority);
        field(&mut message, "SYSLOG_TIMESTAMP", time.to_string().as_bytes());
        if !piece.ends {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut message, "MESSAGE", piece.bytes);
        self.outlet.push(message);
    }

    pub(super) fn outlet(&mut self) -> &mut Outlet {
        &mut self.outlet
    }
}

fn fields(config: &LogConfig, facts: &LogFacts) -> Vec<u8> {
    let short: String = facts.id.chars().take(12).collect();
    let tag = if facts.tag.is_empty() { &short } else { &facts.tag };
    let mut out = Vec::new();
    for (name, value) in [
        ("CONTAINER_ID", &short),
        ("CONTAINER_ID_FULL", &facts.id),
        ("CONTAINER_NAME", &facts.name),
        ("CONTAINER_TAG", tag),
        ("IMAGE_NAME", &facts.image),
        ("SYSLOG_IDENTIFIER", tag),
    ] {
        field(&mut out, name, value.as_bytes());
    }
    for (name, value) in config.attributes(facts).iter().filter(|(name, _)| *name != "tag") {
        field(&mut out, &journal_name(name), value.as_bytes());
    }
    out
}

/// A name that the journal takes: capital letters, digits and `_`, beginning with a letter.
fn journal_name(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(letter).collect();
    let trimmed = name.trim_start_matches(|c: char| !c.is_ascii_uppercase());
    if trimmed.is_empty() { "LABEL".to_owned() } else { trimmed.to_owned() }
}

/// Adds a field. A value with line ends in it has its length before it.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend((value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_line_arrives_with_its_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let config = LogConfig::parse("journald", &BTreeMap::new()).unwrap();
        let facts = LogFacts { id: "0123456789abcdef".into(), ..LogFacts::default() };
        let mut journal = Journal::open_at(&path, &config, &facts, Mode::Blocking).unwrap();
        let piece = Piece { bytes: b"hello", ends: true };
        journal.push(Stream::Stderr, Timestamp::UNIX_EPOCH, piece);
        let mut bytes = [0; 4096];
        let length = daemon.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]);
        for line in ["CONTAINER_ID=0123456789ab\n", "PRIORITY=3\n", "MESSAGE=hello\n"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("PARTIAL"));
    }

    #[test]
    fn names_and_values_fit() {
        assert_eq!(journal_name("_com.example-1"), "COM_EXAMPLE_1");
        let mut out = Vec::new();
        field(&mut out, "A", b"b\nc");
        assert_eq!(out, b"A\n\x03\0\0\0\0\0\0\0b\nc\n");
    }
}
