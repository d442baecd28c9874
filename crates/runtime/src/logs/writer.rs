//! A container's log as its monitor writes it.

use std::os::fd::BorrowedFd;

use spec::Timestamp;

use super::journald::Journal;
use super::outlet::Outlet;
use super::rotate::RotatedFile;
use super::syslog::Syslog;
use super::{
    Driver, FileLimits, Format, LogConfig, LogError, LogFacts, Piece, Stream, json, local,
};

/// What is collected before it is written.
const BATCH_BYTES: usize = 64 * 1024;

/// The log of one container, open for writing.
pub struct Log {
    file: Option<LogFile>,
    daemon: Option<Daemon>,
    /// Writes that failed. A full disk must not end a container; its monitor tells of it.
    failures: u64,
    last: Timestamp,
}

enum Daemon {
    Syslog(Syslog),
    Journal(Journal),
}

struct LogFile {
    file: RotatedFile,
    format: Format,
    attributes: String,
    batch: Vec<u8>,
}

impl Log {
    /// Opens the log; whatever the driver needs must be there.
    pub fn open(config: &LogConfig, facts: &LogFacts) -> Result<Log, LogError> {
        let daemon = match &config.driver {
            Driver::Syslog(syslog) => {
                Some(Daemon::Syslog(Syslog::open(syslog, facts, config.mode)?))
            }
            Driver::Journald => Some(Daemon::Journal(Journal::open(config, facts, config.mode)?)),
            Driver::JsonFile(_) | Driver::Local(_) | Driver::None => None,
        };
        let limits = match config.driver {
            Driver::JsonFile(limits) | Driver::Local(limits) => Some(limits),
            _ => config.copy,
        };
        let file = match (config.readable(), limits) {
            (Some(format), Some(limits)) => Some(LogFile::open(config, facts, format, limits)?),
            _ => None,
        };
        Ok(Log { file, daemon, failures: 0, last: Timestamp::ZERO })
    }

    /// Takes a piece. It may stay in memory until [`Log::flush`].
    pub fn push(&mut self, stream: Stream, time: Timestamp, piece: Piece<'_>) {
        let time = self.later(time);
        match &mut self.daemon {
            Some(Daemon::Syslog(syslog)) => syslog.push(stream, time, piece),
            Some(Daemon::Journal(journal)) => journal.push(stream, time, piece),
            None => {}
        }
        if let Some(file) = &mut self.file
            && file.push(stream, time, piece).is_err()
        {
            self.failures += 1;
        }
    }

    /// A time of its own for every piece, by which a reader finds its place again. Only a clock
    /// that was set back makes times go back.
    fn later(&mut self, time: Timestamp) -> Timestamp {
        let is_set_back = self.last.seconds_since(time) > 0;
        if time <= self.last && !is_set_back {
            self.last = self.last.plus_nanos(1);
        } else {
            self.last = time;
        }
        self.last
    }

    /// Writes what was collected.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file
            && file.flush().is_err()
        {
            self.failures += 1;
        }
        if let Some(outlet) = self.outlet() {
            outlet.flush();
        }
    }

    /// Whether the container has to wait until the daemon has taken more.
    pub fn is_full(&mut self) -> bool {
        self.outlet().is_some_and(|outlet| outlet.is_full())
    }

    /// The daemon's connection, while something waits for room in it.
    pub fn wants_room(&mut self) -> Option<BorrowedFd<'_>> {
        self.outlet()?.wants_room()
    }

    /// Whether there is work that is left for quiet times.
    pub fn has_idle_work(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.file.has_work())
    }

    /// Does a little of that work.
    pub fn idle(&mut self) {
        if let Some(file) = &mut self.file
            && file.file.step().is_err()
        {
            self.failures += 1;
        }
    }

    /// Puts the file aside and begins a new one.
    pub fn rotate(&mut self) -> std::io::Result<()> {
        match &mut self.file {
            Some(file) => {
                file.flush()?;
                file.file.rotate()
            }
            None => Ok(()),
        }
    }

    /// How many lines or writes were lost.
    pub fn lost(&mut self) -> u64 {
        self.failures + self.outlet().map_or(0, |outlet| outlet.lost)
    }

    fn outlet(&mut self) -> Option<&mut Outlet> {
        match self.daemon.as_mut()? {
            Daemon::Syslog(syslog) => Some(syslog.outlet()),
            Daemon::Journal(journal) => Some(journal.outlet()),
        }
    }
}

impl LogFile {
    fn open(
        config: &LogConfig,
        facts: &LogFacts,
        format: Format,
        limits: FileLimits,
    ) -> Result<LogFile, LogError> {
        let attributes = config.attributes(facts);
        let header = match format {
            Format::Json => Vec::new(),
            Format::Local => local::header(&attributes),
        };
        let file = RotatedFile::open(&facts.path, format, header, limits)
            .map_err(|source| LogError::Open { path: facts.path.clone(), source })?;
        Ok(LogFile { file, format, attributes: json::attributes(&attributes), batch: Vec::new() })
    }

    fn push(&mut self, stream: Stream, time: Timestamp, piece: Piece<'_>) -> std::io::Result<()> {
        if self.file.is_full(self.batch.len()) {
            self.flush()?;
            self.file.rotate()?;
        }
        match self.format {
            Format::Json => json::encode(&mut self.batch, stream, time, piece, &self.attributes),
            Format::Local => local::encode(&mut self.batch, stream, time, piece),
        }
        if self.batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let result = self.file.append(&self.batch);
        self.batch.clear();
        // A burst's memory goes back: a monitor is small while nothing happens.
        self.batch.shrink_to(BATCH_BYTES / 4);
        result
    }
}
