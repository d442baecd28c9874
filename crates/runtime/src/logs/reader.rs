//! A log read again: from some time on, up to some time, the last entries, or as it grows.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use spec::Timestamp;
use sys::event::{FolderWatch, Interest};

use super::{Decoded, Entry, Format, LogError, MAX_ENTRY_BYTES, json, local, tail};

const READ_BYTES: usize = 64 * 1024;

/// Which entries are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Up to this time.
    pub until: Option<Timestamp>,
    /// No more than the last ones, counted before the times are looked at.
    pub tail: Option<u64>,
}

/// The entries of a log in the order in which they were written.
pub struct LogReader {
    path: PathBuf,
    format: Format,
    selection: Selection,
    /// Files that come next, the oldest first.
    next: VecDeque<Feed>,
    /// The file that is read, once it is the last one: it may grow.
    current: Option<Feed>,
    /// The last entry's time, by which a reader that lost its file finds its place.
    seen: Option<Timestamp>,
    /// Entries up to this time were read before the place was lost.
    skip_to: Option<Timestamp>,
    over: bool,
}

impl LogReader {
    /// Begins to read a log. One that was never written has no entries.
    pub fn open(path: &Path, format: Format, selection: Selection) -> Result<LogReader, LogError> {
        let mut reader = LogReader {
            path: path.to_owned(),
            format,
            selection,
            next: VecDeque::new(),
            current: None,
            seen: None,
            skip_to: None,
            over: selection.tail == Some(0) && selection.until.is_some(),
        };
        reader.open_all().map_err(reader.failed("open"))?;
        if let Some(wanted) = selection.tail {
            reader.keep_last(wanted).map_err(reader.failed("read"))?;
        }
        Ok(reader)
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> LogError + use<> {
        let path = self.path.clone();
        move |source| LogError::Io { doing, path, source }
    }

    /// The next entry that is there already; `None` when there is no more for now.
    pub fn next_ready(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            if self.over {
                return Ok(None);
            }
            let Some(entry) = self.entry().map_err(self.failed("read"))? else { return Ok(None) };
            if self.skip_to.is_some_and(|time| entry.time <= time) {
                continue;
            }
            (self.skip_to, self.seen) = (None, Some(entry.time));
            if self.selection.until.is_some_and(|until| entry.time > until) {
                self.over = true;
                return Ok(None);
            }
            if self.selection.since.is_none_or(|since| entry.time >= since) {
                return Ok(Some(entry));
            }
        }
    }

    /// Whether nothing that is still written can be wanted.
    pub fn is_over(&self) -> bool {
        self.over || self.selection.until.is_some_and(|until| Timestamp::now() > until)
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if self.current.is_none() {
                self.current = self.next.pop_front();
            }
            if self.current.is_none() {
                self.current = Feed::open(&self.path, self.format)?;
            }
            let Some(feed) = &mut self.current else { return Ok(None) };
            if let Some(entry) = feed.entry()? {
                return Ok(Some(entry));
            }
            if !self.next.is_empty() {
                self.current = None;
            } else if feed.is_at(&self.path) {
                return Ok(None);
            } else if let Some(entry) = feed.entry()? {
                // Written between the look at the file and the look at its name.
                return Ok(Some(entry));
            } else {
                self.follow_rotation()?;
            }
        }
    }

    /// The file was put aside: goes on with those that came after it.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let old = self.current.take().map(|feed| feed.identity);
        self.open_all()?;
        let place = self.next.iter().position(|feed| Some(feed.identity) == old);
        match place {
            Some(place) => drop(self.next.drain(..=place)),
            // Compressed or deleted by now: what was read is known by its time.
            None => self.skip_to = self.seen,
        }
        Ok(())
    }

    /// Opens all files of the log, the oldest first.
    fn open_all(&mut self) -> io::Result<()> {
        self.next.clear();
        for path in files(&self.path)? {
            self.next.extend(Feed::open(&path, self.format)?);
        }
        Ok(())
    }

    /// Leaves out all but the last entries; reads no more of plain files than those.
    fn keep_last(&mut self, wanted: u64) -> io::Result<()> {
        let mut missing = wanted;
        for place in (0..self.next.len()).rev() {
            if missing == 0 && place + 1 < self.next.len() {
                self.next.drain(..=place);
                return Ok(());
            }
            missing -= self.next[place].keep_last(missing)?.min(missing);
        }
        Ok(())
    }
}

/// The files of a log, the oldest first. One that is being compressed is there in one form.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut numbers = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else {
            continue;
        };
        let plain = rest.strip_suffix(".gz").unwrap_or(rest);
        let Ok(number) = plain.parse::<u32>() else { continue };
        if plain == rest || !numbers.contains_key(&number) {
            numbers.insert(number, entry.path());
        }
    }
    let mut files: Vec<PathBuf> = numbers.into_values().rev().collect();
    files.push(path.to_owned());
    Ok(files)
}

/// One file, and the bytes of it that were read and not yet made into entries.
struct Feed {
    source: Source,
    identity: (u64, u64),
    format: Format,
    /// What the file says of the container, and whether that was read.
    attributes: Option<BTreeMap<String, String>>,
    bytes: Vec<u8>,
    at: usize,
    /// Entries that are read and not wanted.
    skip: u64,
}

enum Source {
    Plain(File),
    Compressed(Box<MultiGzDecoder<File>>),
}

impl Feed {
    fn open(path: &Path, format: Format) -> io::Result<Option<Feed>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        let source = match path.extension().is_some_and(|kind| kind == "gz") {
            true => Source::Compressed(Box::new(MultiGzDecoder::new(file))),
            false => Source::Plain(file),
        };
        let attributes = (format == Format::Json).then(BTreeMap::new);
        let identity = (meta.dev(), meta.ino());
        let (bytes, at, skip) = (Vec::new(), 0, 0);
        Ok(Some(Feed { source, identity, format, attributes, bytes, at, skip }))
    }

    fn is_at(&self, path: &Path) -> bool {
        // A log that was taken away altogether is not rotated: there is nothing to go on with.
        fs::metadata(path).map_or(true, |meta| (meta.dev(), meta.ino()) == self.identity)
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if self.attributes.is_none() {
                match local::read_header(&self.bytes)? {
                    Some((attributes, at)) => (self.attributes, self.at) = (Some(attributes), at),
                    None if self.more()? => continue,
                    None => return Ok(None),
                }
            }
            let (Some(attributes), bytes) = (&self.attributes, &self.bytes[self.at..]) else {
                continue;
            };
            let decoded = match self.format {
                Format::Json => json::decode(bytes),
                Format::Local => local::decode(bytes, attributes),
            };
            match decoded {
                Decoded::Entry(_, used) if self.skip > 0 => {
                    self.skip -= 1;
                    self.at += used;
                }
                Decoded::Entry(entry, used) => {
                    self.at += used;
                    return Ok(Some(entry));
                }
                Decoded::Skip(used) => self.at += used,
                Decoded::More if self.more()? => {}
                Decoded::More => return Ok(None),
            }
        }
    }

    /// Reads on; false at the end, as far as there is one.
    fn more(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let before = self.bytes.len();
        if before > 2 * MAX_ENTRY_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is too long"));
        }
        self.bytes.resize(before + READ_BYTES, 0);
        let read = match &mut self.source {
            Source::Plain(file) => file.read(&mut self.bytes[before..]),
            Source::Compressed(file) => file.read(&mut self.bytes[before..]),
        };
        self.bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }

    /// Leaves out all but the last entries, and says how many of them there are.
    fn keep_last(&mut self, wanted: u64) -> io::Result<u64> {
        match (&mut self.source, self.format) {
            (Source::Plain(file), Format::Json) => {
                let (at, found) = tail::last_lines(file, wanted)?;
                file.seek(SeekFrom::Start(at))?;
                Ok(found)
            }
            (Source::Plain(_), Format::Local) => self.keep_last_records(wanted),
            // There is no way into the middle of a compressed file: it is counted, then read.
            (Source::Compressed(file), _) => {
                let mut again = file.get_ref().try_clone()?;
                let mut count = 0;
                while self.entry()?.is_some() {
                    count += 1;
                }
                again.seek(SeekFrom::Start(0))?;
                self.source = Source::Compressed(Box::new(MultiGzDecoder::new(again)));
                self.attributes = (self.format == Format::Json).then(BTreeMap::new);
                (self.bytes, self.at) = (Vec::new(), 0);
                self.skip = count - wanted.min(count);
                Ok(wanted.min(count))
            }
        }
    }

    fn keep_last_records(&mut self, wanted: u64) -> io::Result<u64> {
        // The header has to be read first: it says where the records begin.
        while self.attributes.is_none() {
            match local::read_header(&self.bytes)? {
                Some((attributes, at)) => (self.attributes, self.at) = (Some(attributes), at),
                None if self.more()? => {}
                None => return Ok(0),
            }
        }
        let Source::Plain(file) = &mut self.source else { return Ok(0) };
        let (at, found) = tail::last_records(file, self.at as u64, wanted)?;
        file.seek(SeekFrom::Start(at))?;
        (self.bytes, self.at) = (Vec::new(), 0);
        Ok(found)
    }
}

/// A log read as it grows.
pub struct Follow {
    reader: LogReader,
    watch: FolderWatch,
}

impl Follow {
    /// Goes on where a reader is.
    pub fn new(reader: LogReader) -> Result<Follow, LogError> {
        let folder = reader.path.parent().unwrap_or(Path::new("/"));
        let watch = FolderWatch::new(folder).map_err(reader.failed("watch"))?;
        Ok(Follow { reader, watch })
    }

    /// The next entry that is there already.
    pub fn next_ready(&mut self) -> Result<Option<Entry>, LogError> {
        self.reader.next_ready()
    }

    /// Waits until there may be more, and says whether to go on. `ended` is ready when the
    /// container has ended: a connection that waits for that, or whatever the caller also watches.
    /// After `false` what is ready by then is the rest.
    pub fn wait(
        &mut self,
        ended: Option<BorrowedFd<'_>>,
        patience: Option<Duration>,
    ) -> Result<bool, LogError> {
        if self.reader.is_over() {
            return Ok(false);
        }
        let until = self.reader.selection.until.map(|until| {
            let now = Timestamp::now();
            let seconds = u64::try_from(until.seconds_since(now)).unwrap_or(0);
            Duration::from_secs(seconds.saturating_add(1))
        });
        let patience = [patience, until].into_iter().flatten().min();
        let sources = [(Some(self.watch.as_fd()), Interest::READ), (ended, Interest::READ)];
        let [grown, ended] =
            sys::event::poll(sources, patience).map_err(self.reader.failed("watch"))?;
        if grown.read {
            self.watch.clear().map_err(self.reader.failed("watch"))?;
        }
        Ok(!ended.read)
    }
}

#[cfg(test)]
mod tests;
