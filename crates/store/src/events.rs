//! What happened, one line an event, appended as it happens and kept until it is too much.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spec::Timestamp;
use sys::lock::Mode;

use crate::Store;
use crate::blobs::{identity, is_at};
use crate::error::{Result, StoreError};

/// When a journal is longer than this, it becomes the old one and a new one begins.
const JOURNAL_BYTES: u64 = 8 << 20;
/// No event's line is longer.
const LINE_BYTES: u64 = 1 << 20;

/// The names that an image got or lost, with spaces between them. Docker tells its id in their place;
/// a damaged store is put right by them.
pub const NAMES: &str = "io.mica.names";
/// The id of an image of which docker tells the name alone.
pub const IMAGE: &str = "io.mica.image";
/// What the journal has for us alone.
pub const OWN_ATTRIBUTES: [&str; 2] = [NAMES, IMAGE];

/// What is told of a thing even where its labels are too long to be told.
const KEPT_ATTRIBUTES: [&str; 4] = ["name", "image", NAMES, IMAGE];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What it happened to: `image`, `container`, …
    #[serde(rename = "Type")]
    pub kind: String,
    /// What happened: `tag`, `delete`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// To which one.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Always `local`.
    pub scope: String,
    /// When, in seconds.
    pub time: i64,
    /// When, in nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// The thing that an event happened to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// What else is known of it.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Up to this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        let at = Timestamp::from_unix(event.time, (event.time_nano % 1_000_000_000) as u32);
        self.since.as_ref().is_none_or(|since| at >= *since)
            && self.until.as_ref().is_none_or(|until| at <= *until)
    }
}

impl Event {
    /// Something that happens now.
    pub fn now(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let now = Timestamp::now();
        let attributes =
            attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Event {
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes: attributes.collect() },
            scope: "local".to_owned(),
            time: now.unix_seconds(),
            time_nano: now.unix_seconds().saturating_mul(1_000_000_000) + i64::from(now.nanos()),
        }
    }
}

impl Store {
    /// Writes down what happens now. What cannot be written is lost: what happened has happened.
    pub fn record_event(&self, kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) {
        self.record_events(&[Event::now(kind, action, id, attributes)]);
    }

    /// The same of several that happened one after another.
    pub fn record_events(&self, events: &[Event]) {
        let _ = self.append(events);
    }

    fn append(&self, events: &[Event]) -> io::Result<()> {
        let mut lines = vec![b'\n'];
        for event in events {
            lines.extend(line_of(event)?.unwrap_or_default());
        }
        let (mut journal, length) = self.journal()?;
        // A power cut may have taken the end of the line before, and must not take these with it.
        let begun = usize::from(!is_torn(&journal, length)?);
        journal.write_all(&lines[begun..])
    }

    /// The journal, locked, and its length. The one who finds it full puts it aside. Those who waited for the lock
    /// meanwhile hold what is no longer the journal, and open it again.
    fn journal(&self) -> io::Result<(File, u64)> {
        let path = self.paths().events();
        loop {
            let file = File::options().read(true).append(true).create(true).open(&path)?;
            sys::lock::lock(&file, Mode::Exclusive)?;
            let here = file.metadata()?;
            // What was put aside is full.
            if here.len() <= JOURNAL_BYTES {
                return Ok((file, here.len()));
            }
            let name = |meta: &fs::Metadata| (meta.dev(), meta.ino());
            if fs::metadata(&path).is_ok_and(|there| name(&there) == name(&here)) {
                fs::rename(&path, self.old_journal())?;
            }
        }
    }

    fn old_journal(&self) -> PathBuf {
        self.paths().events().with_extension("old")
    }

    /// Starts reading events.
    pub fn events(&self, filter: EventFilter) -> Result<Events> {
        let open = |path: PathBuf| match File::open(&path) {
            Ok(file) => Ok(Some(BufReader::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", &path)(error)),
        };
        // The new one first: if it is put aside in between it is read twice rather than never.
        let new = open(self.paths().events())?;
        let old = open(self.old_journal())?;
        let same = |(old, new): (&BufReader<File>, &BufReader<File>)| {
            identity(old.get_ref()) == identity(new.get_ref())
        };
        let new = if old.as_ref().zip(new.as_ref()).is_some_and(same) { None } else { new };
        Ok(Events { path: self.paths().events(), old, new, at: 0, filter })
    }
}

/// Events, in the order in which they were written.
pub struct Events {
    path: PathBuf,
    old: Option<BufReader<File>>,
    new: Option<BufReader<File>>,
    at: u64,
    filter: EventFilter,
}

impl Events {
    /// The next event that is there already; `None` when there is no more for now.
    pub fn next_ready(&mut self) -> Result<Option<Event>> {
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            // A line that a crash cut off is no event.
            let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
            if self.filter.wants(&event) {
                return Ok(Some(event));
            }
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if let Some(old) = &mut self.old {
            if read_line(old, &mut line).map_err(StoreError::io("read", &self.path))? {
                return Ok(Some(line));
            }
            self.old = None;
            line.clear();
        }
        if self.new.is_none() {
            (self.new, self.at) = (File::open(&self.path).ok().map(BufReader::new), 0);
        }
        let Some(new) = &mut self.new else { return Ok(None) };
        if read_line(new, &mut line).map_err(StoreError::io("read", &self.path))? {
            self.at += line.len() as u64;
            return Ok(Some(line));
        }
        if !is_at(new.get_ref(), &self.path) {
            // It was put aside: what is left of it is read before the new one.
            line.clear();
            new.seek(SeekFrom::Start(self.at)).map_err(StoreError::io("read", &self.path))?;
            (self.old, self.new) = (self.new.take(), None);
            return match File::open(&self.path) {
                Ok(_) => self.line(),
                Err(_) => Ok(None),
            };
        }
        // Half a line is read again when it is whole.
        new.seek(SeekFrom::Start(self.at)).map_err(StoreError::io("read", &self.path))?;
        Ok(None)
    }
}

/// An event's line with its end. One that would be too long to be read loses what others say of it,
/// then all that is said of it; nothing if it is too long even so.
fn line_of(event: &Event) -> io::Result<Option<Vec<u8>>> {
    let written = |event: &Event| -> io::Result<Option<Vec<u8>>> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        Ok(Some(line).filter(|line| line.len() as u64 <= LINE_BYTES))
    };
    if let Some(line) = written(event)? {
        return Ok(Some(line));
    }
    let mut event = event.clone();
    event.actor.attributes.retain(|key, _| KEPT_ATTRIBUTES.contains(&key.as_str()));
    if let Some(line) = written(&event)? {
        return Ok(Some(line));
    }
    event.actor.attributes.clear();
    written(&event)
}

/// Whether the last line of a journal has no end.
fn is_torn(journal: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    let mut byte = [b'\n'];
    journal.read_at(&mut byte, last)?;
    Ok(byte != [b'\n'])
}

/// Reads a line, and says whether it was whole. One too long to be an event counts as one, which
/// then is no event.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    reader.take(LINE_BYTES).read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n') || line.len() as u64 == LINE_BYTES)
}
