//! Keeps what is told of a build while it is told, so that it can be told again.

use std::borrow::Cow;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use spec::{ContainerId, ImageId};
use store::Store;

use super::history::{self, BuildOutcome, BuildRecord, BuildStep};
use super::watch::{BuildWatch, News, PlannedLine};

/// All that was told, one document a line.
pub(super) const NEWS_FILE: &str = "news";
/// No line of it is longer: a step's output comes in smaller parts.
const LINE_BYTES: usize = 1 << 20;

/// Somebody who watches, and writes it down for those who ask later.
///
/// A build does not fail because nobody can write down how it went: then there is no record.
pub(super) struct Recorder<'a> {
    store: &'a Store,
    watch: &'a dyn BuildWatch,
    since: Instant,
    /// Locked as long as the build is at work; none when writing failed.
    news: Mutex<Option<BufWriter<File>>>,
    record: Mutex<BuildRecord>,
}

impl<'a> Recorder<'a> {
    /// Begins a record of a build that was asked for like this.
    pub(super) fn begin(
        store: &'a Store,
        watch: &'a dyn BuildWatch,
        record: BuildRecord,
    ) -> Recorder<'a> {
        let news = create(store, &record).ok();
        let (news, record) = (Mutex::new(news), Mutex::new(record));
        Recorder { store, watch, since: Instant::now(), news, record }
    }

    /// Nothing is written down, and what others know of the build is as this says.
    pub(super) fn silent(
        store: &'a Store,
        watch: &'a dyn BuildWatch,
        record: BuildRecord,
    ) -> Recorder<'a> {
        let (news, record) = (Mutex::default(), Mutex::new(record));
        Recorder { store, watch, since: Instant::now(), news, record }
    }

    /// What is known of the build.
    pub(super) fn record(&self) -> BuildRecord {
        self.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn change(&self, change: impl FnOnce(&mut BuildRecord)) {
        change(&mut self.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    /// Adds steps that came to an end.
    pub(super) fn steps(&self, steps: Vec<BuildStep>) {
        self.change(|record| record.add(steps));
    }

    /// Ends the record.
    pub(super) fn end(self, outcome: std::result::Result<Vec<ImageId>, String>) {
        let news = self.news.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut record = self.record.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        record.took = history::nanos(self.since.elapsed());
        record.outcome = match outcome {
            Ok(images) => BuildOutcome::Completed { images },
            Err(error) => BuildOutcome::Failed { error },
        };
        let Some(mut news) = news else { return };
        let written = news.flush().and_then(|()| history::write(self.store, &record));
        if written.is_err() {
            let _ = fs::remove_dir_all(history::folder(self.store, &record.id));
        }
        history::forget_old(self.store);
    }
}

fn create(store: &Store, record: &BuildRecord) -> io::Result<BufWriter<File>> {
    let folder = history::folder(store, &record.id);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(NEWS_FILE);
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    sys::lock::lock(&file, sys::lock::Mode::Exclusive)?;
    history::write(store, record)?;
    Ok(BufWriter::new(file))
}

/// Whether somebody is writing a record.
pub(super) fn is_at_work(folder: &Path) -> bool {
    let file = File::open(folder.join(NEWS_FILE));
    file.and_then(|file| sys::lock::try_lock(&file, sys::lock::Mode::Shared))
        .is_ok_and(|free| !free)
}

impl BuildWatch for Recorder<'_> {
    fn tell(&self, news: News<'_>) {
        let mut file = self.news.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Under the lock, so that both have the same order.
        self.watch.tell(news);
        let written = file.as_mut().map(|file| write(file, &Line::from(news)));
        if written.is_some_and(|written| written.is_err()) {
            *file = None;
        }
    }

    fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }

    fn planned(&self, lines: &[PlannedLine]) {
        self.watch.planned(lines);
    }

    fn runs(&self, number: usize, container: &ContainerId) {
        self.watch.runs(number, container);
    }

    fn wants_images(&self) -> bool {
        self.watch.wants_images()
    }

    fn reached(&self, line: usize, image: Option<&ImageId>) {
        self.watch.reached(line, image);
    }
}

fn write(file: &mut BufWriter<File>, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")?;
    match line {
        // Who looks while a command runs sees what it printed.
        Line::Output { .. } | Line::Text { .. } => file.flush(),
        _ => Ok(()),
    }
}

/// [`News`] as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    Began {
        number: usize,
        title: Cow<'a, str>,
    },
    Note {
        number: usize,
        text: Cow<'a, str>,
    },
    /// What a command printed, in nanoseconds from its step's beginning.
    Text {
        number: usize,
        after: u64,
        text: Cow<'a, str>,
    },
    /// The same, where it is no text.
    Output {
        number: usize,
        after: u64,
        base64: Cow<'a, str>,
    },
    Cached {
        number: usize,
    },
    Why {
        number: usize,
        reasons: Vec<String>,
    },
    Done {
        number: usize,
        took: u64,
    },
    Failed {
        number: usize,
        why: Cow<'a, str>,
    },
    Finding {
        text: Cow<'a, str>,
        more: Cow<'a, str>,
    },
    Warning {
        text: Cow<'a, str>,
    },
}

impl<'a> From<News<'a>> for Line<'a> {
    fn from(news: News<'a>) -> Line<'a> {
        match news {
            News::Began { number, title } => Line::Began { number, title: title.into() },
            News::Note { number, text } => Line::Note { number, text: text.into() },
            News::Output { number, after, bytes } => {
                let after = history::nanos(after);
                match std::str::from_utf8(bytes) {
                    Ok(text) => Line::Text { number, after, text: text.into() },
                    Err(_) => {
                        Line::Output { number, after, base64: BASE64_STANDARD.encode(bytes).into() }
                    }
                }
            }
            News::Cached { number } => Line::Cached { number },
            News::Why { number, reasons } => Line::Why { number, reasons: reasons.to_vec() },
            News::Done { number, took } => Line::Done { number, took: history::nanos(took) },
            News::Failed { number, why } => Line::Failed { number, why: why.into() },
            News::Finding { text, more } => Line::Finding { text: text.into(), more: more.into() },
            News::Warning { text } => Line::Warning { text: text.into() },
        }
    }
}

impl Line<'_> {
    fn tell(&self, watch: &dyn BuildWatch) {
        let output = |number, after, bytes: &[u8]| {
            watch.tell(News::Output { number, after: Duration::from_nanos(after), bytes });
        };
        match self {
            Line::Began { number, title } => watch.tell(News::Began { number: *number, title }),
            Line::Note { number, text } => watch.tell(News::Note { number: *number, text }),
            Line::Text { number, after, text } => output(*number, *after, text.as_bytes()),
            Line::Output { number, after, base64 } => {
                output(
                    *number,
                    *after,
                    &BASE64_STANDARD.decode(base64.as_bytes()).unwrap_or_default(),
                );
            }
            Line::Cached { number } => watch.tell(News::Cached { number: *number }),
            Line::Why { number, reasons } => watch.tell(News::Why { number: *number, reasons }),
            Line::Done { number, took } => {
                watch.tell(News::Done { number: *number, took: Duration::from_nanos(*took) });
            }
            Line::Failed { number, why } => watch.tell(News::Failed { number: *number, why }),
            Line::Finding { text, more } => watch.tell(News::Finding { text, more }),
            Line::Warning { text } => watch.tell(News::Warning { text }),
        }
    }
}

/// Tells again what was written down.
pub(super) fn replay(path: &Path, watch: &dyn BuildWatch) -> io::Result<()> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut lines, LINE_BYTES as u64);
        // A line without its end was being written when its writer ended.
        if limited.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        serde_json::from_slice::<Line<'_>>(&line)?.tell(watch);
    }
}
