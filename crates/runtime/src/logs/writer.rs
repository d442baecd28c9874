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

    /// The time of the last entry; year 1 if there was none.
    pub fn last_time(&self) -> Timestamp {
        self.last
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    use super::super::{LogReader, Selection};
    use super::*;

    fn syslog(folder: &Path, mode: &[(&str, &str)]) -> (LogConfig, Result<Log, LogError>) {
        let address = format!("unixgram://{}", folder.join("dev").display());
        let mut options: BTreeMap<String, String> =
            mode.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        options.insert("syslog-address".to_owned(), address);
        let config = LogConfig::parse("syslog", &options).unwrap();
        let path = folder.join("log");
        let facts = LogFacts { path, tag: "box".to_owned(), ..LogFacts::default() };
        let log = Log::open(&config, &facts);
        (config, log)
    }

    fn push(log: &mut Log, line: &str) {
        let piece = Piece { bytes: line.as_bytes(), ends: true };
        log.push(Stream::Stdout, Timestamp::now(), piece);
        log.flush();
    }

    #[test]
    fn a_daemon_gets_every_line_and_a_copy_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(syslog(folder.path(), &[]).1, Err(LogError::Reach { .. })));
        let daemon = UnixDatagram::bind(folder.path().join("dev")).unwrap();
        let (config, log) = syslog(folder.path(), &[]);
        let mut log = log.unwrap();
        push(&mut log, "hello");
        let mut bytes = [0; 1000];
        let length = daemon.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(text.starts_with("<30>") && text.ends_with("]: hello"), "{text}");
        // It goes and comes back: the line in between is counted as lost.
        drop(daemon);
        std::fs::remove_file(folder.path().join("dev")).unwrap();
        push(&mut log, "nobody listens");
        assert_eq!(log.lost(), 1);
        let path = folder.path().join("log");
        let mut reader =
            LogReader::open(&path, config.readable().unwrap(), Selection::default()).unwrap();
        let mut lines = Vec::new();
        while let Some(entry) = reader.next_ready().unwrap() {
            lines.push(String::from_utf8(entry.line).unwrap());
        }
        assert_eq!(lines, ["hello\n", "nobody listens\n"]);
    }

    #[test]
    fn a_slow_daemon_holds_the_container_or_loses_lines() {
        let line = "x".repeat(16_000);
        for (mode, waits) in [("blocking", true), ("non-blocking", false)] {
            let folder = tempfile::tempdir().unwrap();
            let daemon = UnixDatagram::bind(folder.path().join("dev")).unwrap();
            let mut log = syslog(folder.path(), &[("mode", mode)]).1.unwrap();
            let mut count = 0;
            while count < 300 && !log.is_full() {
                push(&mut log, &line);
                count += 1;
            }
            assert_eq!((log.is_full(), log.lost() > 0), (waits, !waits), "{mode} after {count}");
            assert!(log.wants_room().is_some());
            let mut bytes = vec![0; 20_000];
            daemon.set_nonblocking(true).unwrap();
            while log.wants_room().is_some() {
                while daemon.recv(&mut bytes).is_ok() {}
                log.flush();
            }
            assert!(!log.is_full());
        }
    }

    #[test]
    fn times_are_all_different() {
        let folder = tempfile::tempdir().unwrap();
        let config = LogConfig::parse("json-file", &BTreeMap::new()).unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&config, &LogFacts { path, ..LogFacts::default() }).unwrap();
        let at = |seconds| Timestamp::from_unix(seconds, 0);
        let times = [at(100), at(100), at(100), at(50)].map(|time| log.later(time));
        assert_eq!(times, [at(100), at(100).plus_nanos(1), at(100).plus_nanos(2), at(50)]);
    }
}
