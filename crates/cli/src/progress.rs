//! Progress on a terminal: a bar for each thing that is being worked on. Elsewhere a plain line now
//! and then for what takes long, so that logs hold results and not moments.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Item, Progress};
use spec::human_size;

use crate::ui::Ui;

/// How often the picture changes.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a thing may take before a log hears of it, and how often after that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bars on standard error.
pub(crate) struct Bars {
    shared: Arc<Mutex<Picture>>,
}

struct Picture {
    ui: Ui,
    style: Style,
    lines: Vec<Line>,
    /// Lines that will not change any more.
    settled: usize,
    /// Lines below them on the screen.
    drawn: usize,
    last: Option<Instant>,
}

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Bars,
    Log,
    Quiet,
}

struct Line {
    name: String,
    doing: String,
    done: u64,
    total: Option<u64>,
    finished: bool,
    /// When it began, or a log last heard of it.
    heard: Instant,
    /// Whether a log heard of it at all.
    told: bool,
}

impl Bars {
    /// Bars if a person watches, else lines; neither if quiet is wanted.
    pub(crate) fn new(ui: &Ui, quiet: bool) -> Bars {
        let style = match (quiet, ui.error_is_terminal()) {
            (true, _) => Style::Quiet,
            (false, true) => Style::Bars,
            (false, false) => Style::Log,
        };
        let picture =
            Picture { ui: ui.clone(), style, lines: Vec::new(), settled: 0, drawn: 0, last: None };
        Bars { shared: Arc::new(Mutex::new(picture)) }
    }
}

impl Progress for Bars {
    fn begin(&self, name: &str, doing: &str, bytes: Option<u64>) -> Box<dyn Item + '_> {
        let (name, doing) = (name.to_owned(), doing.to_owned());
        let mut picture = lock(&self.shared);
        picture.lines.push(Line::new(name, doing, bytes));
        let line = picture.lines.len() - 1;
        drop(picture);
        Box::new(Bar { shared: Arc::clone(&self.shared), line })
    }

    fn note(&self, text: &str) {
        let picture = lock(&self.shared);
        picture.ui.warn(text);
    }
}

struct Bar {
    shared: Arc<Mutex<Picture>>,
    line: usize,
}

impl Item for Bar {
    fn advance(&mut self, bytes: u64) {
        let mut picture = lock(&self.shared);
        picture.lines[self.line].done += bytes;
        picture.changed(self.line, false);
    }

    fn done(&mut self) {
        let mut picture = lock(&self.shared);
        picture.lines[self.line].finished = true;
        picture.changed(self.line, true);
    }
}

impl Picture {
    fn changed(&mut self, line: usize, finished: bool) {
        match self.style {
            Style::Quiet => {}
            Style::Bars => self.draw(finished),
            Style::Log => {
                let told = self.lines[line].entry(Instant::now());
                told.into_iter().for_each(|entry| self.ui.warn(&entry));
            }
        }
    }

    fn draw(&mut self, now: bool) {
        let due = self.last.is_none_or(|last| last.elapsed() >= PAUSE);
        if !(due || now) {
            return;
        }
        self.last = Some(Instant::now());
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        let width = self.ui.width();
        for line in &self.lines[self.settled..] {
            let shown: String = line.text(width).chars().take(width.saturating_sub(1)).collect();
            text.push_str(&format!("\r\x1b[2K{shown}\n"));
        }
        // Finished lines at the top scroll away; only what is below them is drawn again.
        let finished = self.lines[self.settled..].iter().take_while(|line| line.finished).count();
        self.settled += finished;
        self.drawn = self.lines.len() - self.settled;
        self.ui.print_error(&text);
    }
}

impl Line {
    fn new(name: String, doing: String, total: Option<u64>) -> Line {
        let heard = Instant::now();
        Line { name, doing, done: 0, total, finished: false, heard, told: false }
    }

    /// What a log hears of it now: how far it is if that takes long, and then how it ended.
    fn entry(&mut self, now: Instant) -> Option<String> {
        let due = now.saturating_duration_since(self.heard) >= PATIENCE;
        if !(due || self.finished && self.told) {
            return None;
        }
        (self.heard, self.told) = (now, true);
        let (done, total) = (human_size(self.done as f64), self.total.unwrap_or(0));
        Some(match (self.finished, total) {
            (true, _) => format!("{}: {}: done, {done}", self.name, self.doing),
            (false, 0) => format!("{}: {} {done}", self.name, self.doing),
            (false, total) => {
                format!("{}: {} {done}/{}", self.name, self.doing, human_size(total as f64))
            }
        })
    }

    fn text(&self, width: usize) -> String {
        let done = human_size(self.done as f64);
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{}: {} {done}", self.name, self.doing);
        };
        let share = (self.done as f64 / total as f64).min(1.0);
        let room = width.saturating_sub(self.name.len() + self.doing.len() + 32).clamp(10, 50);
        let filled = (share * room as f64) as usize;
        let arrow = if filled < room { ">" } else { "" };
        let bar =
            format!("{}{arrow}{}", "=".repeat(filled), " ".repeat(room - filled - arrow.len()));
        let total = human_size(total as f64);
        format!("{}: {} [{bar}] {done:>9}/{total}", self.name, self.doing)
    }
}

fn lock(shared: &Mutex<Picture>) -> std::sync::MutexGuard<'_, Picture> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_hears_of_what_takes_long() {
        let mut line = Line::new("abc".to_owned(), "Loading layer".to_owned(), Some(4_000_000));
        let start = line.heard;
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(line.entry(after(9)), None);
        line.done = 1_000_000;
        assert_eq!(line.entry(after(10)).as_deref(), Some("abc: Loading layer 1MB/4MB"));
        assert_eq!(line.entry(after(19)), None);
        line.total = None;
        assert_eq!(line.entry(after(20)).as_deref(), Some("abc: Loading layer 1MB"));
        line.finished = true;
        assert_eq!(line.entry(after(21)).as_deref(), Some("abc: Loading layer: done, 1MB"));
    }

    #[test]
    fn a_log_hears_nothing_of_what_is_quick() {
        let mut line = Line::new("abc".to_owned(), "Loading layer".to_owned(), None);
        line.finished = true;
        assert_eq!(line.entry(line.heard + Duration::from_secs(9)), None);
    }
}
