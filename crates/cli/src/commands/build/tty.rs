//! A build on a terminal: a line for each step, with its time and the last that it printed, drawn
//! anew while steps work.

use std::fmt::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{BuildWatch, News};

use super::findings::Findings;
use super::show::Shown;
use crate::ui::{Colour, Ui, cut};

/// How often times change.
const PAUSE: Duration = Duration::from_millis(150);
/// Lines of a working step's output.
const TAIL: usize = 6;
/// Time at the right edge: ` 1234.5s`.
const CLOCK: usize = 9;

/// The tree on standard error.
pub(super) struct Tree {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    picture: Mutex<Picture>,
    changed: Condvar,
}

struct Picture {
    ui: Ui,
    since: Instant,
    steps: Vec<Step>,
    drawn: usize,
    over: bool,
    findings: Findings,
}

struct Step {
    title: String,
    since: Instant,
    state: State,
    tail: Vec<String>,
    reasons: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Working,
    Cached,
    Done(Duration),
    Failed(Duration),
}

impl Tree {
    pub(super) fn new(ui: &Ui, findings: Findings) -> Tree {
        let (steps, since) = (Vec::new(), Instant::now());
        let picture = Picture { ui: ui.clone(), since, steps, drawn: 0, over: false, findings };
        let shared = Arc::new(Shared { picture: Mutex::new(picture), changed: Condvar::new() });
        let own = shared.clone();
        let ticker = std::thread::spawn(move || own.tick());
        Tree { shared, ticker: Mutex::new(Some(ticker)) }
    }
}

impl Shared {
    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tick(&self) {
        let mut picture = self.picture();
        while !picture.over {
            picture.draw();
            let waited = self.changed.wait_timeout(picture, PAUSE);
            picture = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        picture.draw();
    }
}

impl BuildWatch for Tree {
    fn tell(&self, news: News<'_>) {
        self.shared.picture().take(news);
    }
}

impl Shown for Tree {
    fn over(&self) {
        self.shared.picture().over = true;
        self.shared.changed.notify_all();
        let ticker = self.ticker.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(ticker) = ticker {
            // It draws the last picture.
            let _ = ticker.join();
        }
        let picture = self.shared.picture();
        picture.ui.print_error(&picture.findings.text());
    }
}

impl Picture {
    fn take(&mut self, news: News<'_>) {
        let now = Instant::now();
        match news {
            News::Began { number, title } => {
                let new = |title: &str| Step {
                    title: title.to_owned(),
                    since: now,
                    state: State::Working,
                    tail: Vec::new(),
                    reasons: Vec::new(),
                };
                while self.steps.len() < number {
                    self.steps.push(new(""));
                }
                self.steps[number - 1] = new(title);
            }
            News::Note { .. } => {}
            News::Output { number, bytes, .. } => self.steps[number - 1].print(bytes),
            News::Why { number, reasons } => self.steps[number - 1].reasons = reasons.to_vec(),
            News::Cached { number } => self.steps[number - 1].state = State::Cached,
            News::Done { number, took } => self.steps[number - 1].state = State::Done(took),
            News::Failed { number, .. } => {
                let step = &mut self.steps[number - 1];
                step.state = State::Failed(step.since.elapsed());
            }
            News::Finding { text, more } => self.findings.add(text, more),
            News::Warning { text } => {
                self.clear();
                self.ui.warn(text);
            }
        }
    }

    fn clear(&mut self) {
        if self.drawn > 0 {
            self.ui.print_error(&format!("\x1b[{}A\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn draw(&mut self) {
        let lines = self.lines();
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\x1b[J", self.drawn);
        }
        for line in &lines {
            let _ = writeln!(text, "{line}");
        }
        self.drawn = lines.len();
        self.ui.print_error(&text);
    }

    fn lines(&self) -> Vec<String> {
        let done = self.steps.iter().filter(|step| step.state != State::Working).count();
        let (all, time) = (self.steps.len(), self.since.elapsed().as_secs_f64());
        let end = if self.over { " FINISHED" } else { "" };
        let mut lines = vec![format!("[+] Building {time:.1}s ({done}/{all}){end}")];
        let width = self.ui.width();
        for step in &self.steps {
            lines.extend(step.lines(&self.ui, width));
        }
        lines
    }
}

impl Step {
    fn print(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for (at, part) in text.split(['\n', '\r']).enumerate() {
            let part: String = part.chars().filter(|letter| !letter.is_control()).collect();
            match self.tail.last_mut() {
                Some(last) if at == 0 => last.push_str(&part),
                _ => self.tail.push(part),
            }
        }
        let much = self.tail.len().saturating_sub(TAIL + 1);
        self.tail.drain(..much);
    }

    fn lines(&self, ui: &Ui, width: usize) -> Vec<String> {
        let (mark, colour) = match self.state {
            State::Working => (" => ", None),
            State::Cached => (" => CACHED ", Some(Colour::Faint)),
            State::Done(_) => (" => ", Some(Colour::Green)),
            State::Failed(_) => (" => ERROR ", Some(Colour::Red)),
        };
        let time = match self.state {
            State::Working => self.since.elapsed(),
            State::Cached => Duration::ZERO,
            State::Done(took) | State::Failed(took) => took,
        };
        let room = width.saturating_sub(CLOCK);
        let title = cut(&format!("{mark}{}", self.title), room);
        let clock = format!("{:>CLOCK$}", format!("{:.1}s", time.as_secs_f64()));
        let line = format!("{title:<room$}{clock}");
        let mut lines = vec![colour.map_or(line.clone(), |colour| ui.paint(colour, &line))];
        lines.extend(
            self.reasons.iter().map(|why| cut(&format!(" => => not cached: {why}"), width)),
        );
        if self.state == State::Working {
            let tail = self.tail.iter().filter(|line| !line.is_empty());
            lines.extend(tail.map(|line| cut(&format!(" => => # {line}"), width)));
        }
        lines
    }
}
