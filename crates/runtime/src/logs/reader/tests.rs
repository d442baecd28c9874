use std::collections::BTreeMap;

use super::super::{Log, LogConfig, LogFacts, Piece, Stream};
use super::*;

const START: i64 = 1_700_000_000;

struct Fixture {
    folder: tempfile::TempDir,
    config: LogConfig,
    log: Log,
    written: i64,
}

impl Fixture {
    fn new(driver: &str, options: &[(&str, &str)]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let options: BTreeMap<_, _> =
            options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let config = LogConfig::parse(driver, &options).unwrap();
        let path = folder.path().join("log");
        let log = Log::open(&config, &LogFacts { path, ..LogFacts::default() }).unwrap();
        Fixture { folder, config, log, written: 0 }
    }

    /// Writes lines with their numbers, one a second.
    fn write(&mut self, count: i64) {
        for _ in 0..count {
            let time = Timestamp::from_unix(START + self.written, 0);
            let line = format!("line {}", self.written);
            let piece = Piece { bytes: line.as_bytes(), ends: true };
            self.log.push(Stream::Stdout, time, piece);
            self.written += 1;
        }
        self.log.flush();
    }

    fn reader(&self, selection: Selection) -> LogReader {
        let path = self.folder.path().join("log");
        LogReader::open(&path, self.config.readable().unwrap(), selection).unwrap()
    }
}

fn rest(reader: &mut LogReader) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some(entry) = reader.next_ready().unwrap() {
        let text = String::from_utf8(entry.line).unwrap();
        numbers.push(text.strip_prefix("line ").unwrap().trim_end().parse().unwrap());
    }
    numbers
}

const KINDS: [(&str, &[(&str, &str)]); 4] = [
    ("json-file", &[("max-size", "1k"), ("max-file", "4"), ("compress", "true")]),
    ("json-file", &[("max-size", "1k"), ("max-file", "4")]),
    ("local", &[("max-size", "1k"), ("max-file", "4")]),
    ("local", &[("max-size", "1k"), ("max-file", "4"), ("compress", "false")]),
];

#[test]
fn the_last_entries_are_the_last_ones_over_all_files() {
    for (driver, options) in KINDS {
        let mut fixture = Fixture::new(driver, options);
        fixture.write(60);
        let all = rest(&mut fixture.reader(Selection::default()));
        assert_eq!(*all.last().unwrap(), 59);
        assert!(all.windows(2).all(|two| two[1] == two[0] + 1) && all.len() > 30, "{all:?}");
        for tail in [0, 1, 2, 10, 25, 30, 1000] {
            let last = all.len() - all.len().min(tail as usize);
            let selection = Selection { tail: Some(tail), ..Selection::default() };
            assert_eq!(rest(&mut fixture.reader(selection)), all[last..], "{driver} {tail}");
        }
    }
}

#[test]
fn times_choose() {
    for (driver, options) in KINDS {
        let mut fixture = Fixture::new(driver, options);
        fixture.write(10);
        let at = |second| Some(Timestamp::from_unix(START + second, 0));
        let selection = Selection { since: at(3), until: at(6), tail: None };
        assert_eq!(rest(&mut fixture.reader(selection)), [3, 4, 5, 6]);
        let selection = Selection { since: at(3), until: at(6), tail: Some(5) };
        assert_eq!(rest(&mut fixture.reader(selection)), [5, 6]);
    }
}

#[test]
fn a_reader_goes_on_over_rotations() {
    for (driver, options) in KINDS {
        let mut fixture = Fixture::new(driver, options);
        let mut reader = fixture.reader(Selection::default());
        let mut seen = Vec::new();
        for step in [1, 3, 20, 1, 14, 25, 2] {
            fixture.write(step);
            seen.extend(rest(&mut reader));
        }
        assert_eq!(seen, (0..66).collect::<Vec<_>>(), "{driver}");
    }
}

#[test]
fn a_log_that_grows_wakes_its_reader() {
    let mut fixture = Fixture::new("json-file", &[]);
    let mut follow = Follow::new(fixture.reader(Selection::default())).unwrap();
    assert!(follow.next_ready().unwrap().is_none());
    fixture.write(1);
    assert!(follow.wait(None, None).unwrap());
    assert_eq!(follow.next_ready().unwrap().unwrap().line, b"line 0\n");
    let (ended, other) = sys::socket::pair().unwrap();
    drop(other);
    assert!(!follow.wait(Some(ended.as_fd()), None).unwrap());
}

#[test]
fn a_log_goes_on_after_its_writer_was_killed() {
    for driver in ["json-file", "local"] {
        let mut fixture = Fixture::new(driver, &[]);
        fixture.write(3);
        let path = fixture.folder.path().join("log");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        fixture.log =
            Log::open(&fixture.config, &LogFacts { path: path.clone(), ..LogFacts::default() })
                .unwrap();
        fixture.write(1);
        assert_eq!(rest(&mut fixture.reader(Selection::default())), [0, 1, 3], "{driver}");
    }
}
