//! Progress on a terminal: a line for each thing that is being worked on. Elsewhere nothing, so
//! that logs hold results and not moments.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Item, Progress};
use spec::human_size;

use crate::ui::Ui;

/// How often the picture changes.
const PAUSE: Duration = Duration::from_millis(100);

/// Bars on standard error.
pub(crate) struct Bars {
    shared: Arc<Mutex<Picture>>,
}

struct Picture {
    ui: Ui,
    shown: bool,
    lines: Vec<Line>,
    /// Lines that will not change any more.
    settled: usize,
    /// Lines below them on the screen.
    drawn: usize,
    last: Option<Instant>,
}

struct Line {
    name: String,
    doing: String,
    done: u64,
    total: Option<u64>,
    finished: bool,
}

impl Bars {
    /// Bars, if a person watches and did not ask for quiet.
    pub(crate) fn new(ui: &Ui, quiet: bool) -> Bars {
        let shown = ui.error_is_terminal() && !quiet;
        let picture =
            Picture { ui: ui.clone(), shown, lines: Vec::new(), settled: 0, drawn: 0, last: None };
        Bars { shared: Arc::new(Mutex::new(picture)) }
    }
}

impl Progress for Bars {
    fn begin(&self, name: &str, doing: &str, bytes: Option<u64>) -> Box<dyn Item + '_> {
        let (name, doing) = (name.to_owned(), doing.to_owned());
        let mut picture = lock(&self.shared);
        picture.lines.push(Line { name, doing, done: 0, total: bytes, finished: false });
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
        picture.draw(false);
    }

    fn done(&mut self) {
        let mut picture = lock(&self.shared);
        picture.lines[self.line].finished = true;
        picture.draw(true);
    }
}

impl Picture {
    fn draw(&mut self, now: bool) {
        let due = self.last.is_none_or(|last| last.elapsed() >= PAUSE);
        if !self.shown || !(due || now) {
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
