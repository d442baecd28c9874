//! A build as lines of text, as BuildKit writes them where nobody sits at a terminal.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use engine::{BuildWatch, News};

use super::findings::Findings;
use super::show::Shown;
use crate::ui::Ui;

/// Lines on standard error.
pub(super) struct Lines {
    ui: Ui,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The step that the last line was about.
    last: usize,
    steps: Vec<Step>,
    findings: Findings,
}

#[derive(Default, Clone)]
struct Step {
    title: String,
    /// What was printed of a line that has not ended.
    open: Vec<u8>,
}

impl Lines {
    pub(super) fn new(ui: &Ui, findings: Findings) -> Lines {
        let state = State { findings, ..State::default() };
        Lines { ui: ui.clone(), state: Mutex::new(state) }
    }
}

impl BuildWatch for Lines {
    fn tell(&self, news: News<'_>) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = state.text(news);
        // Under the lock, so that lines of different steps stay whole and in order.
        self.ui.print_error(&text);
    }
}

impl Shown for Lines {
    fn over(&self) {
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.ui.print_error(&state.findings.text());
    }
}

impl State {
    fn text(&mut self, news: News<'_>) -> String {
        let mut text = String::new();
        match news {
            News::Began { number, title } => {
                if self.steps.len() <= number {
                    self.steps.resize(number + 1, Step::default());
                }
                title.clone_into(&mut self.steps[number].title);
                self.turn_to(number, &mut text);
            }
            News::Note { number, text: note } => self.line(number, note, &mut text),
            News::Output { number, after, bytes } => self.output(number, after, bytes, &mut text),
            News::Cached { number } => self.line(number, "CACHED", &mut text),
            News::Why { number, reasons } => {
                for reason in reasons {
                    self.line(number, &format!("not cached: {reason}"), &mut text);
                }
            }
            News::Done { number, took } => {
                self.rest(number, took, &mut text);
                self.line(number, &format!("DONE {:.1}s", took.as_secs_f64()), &mut text);
            }
            News::Failed { number, why } => {
                self.rest(number, Duration::ZERO, &mut text);
                self.line(number, &format!("ERROR: {why}"), &mut text);
            }
            News::Finding { text, more } => self.findings.add(text, more),
            News::Warning { text: warning } => {
                let _ = writeln!(text, "\n{warning}");
                self.last = 0;
            }
        }
        text
    }

    /// Says which step the next lines are about, if it is another one than before.
    fn turn_to(&mut self, number: usize, text: &mut String) {
        if self.last == number {
            return;
        }
        if self.last != 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "#{number} {}", self.steps[number].title);
        self.last = number;
    }

    fn line(&mut self, number: usize, line: &str, text: &mut String) {
        self.turn_to(number, text);
        let _ = writeln!(text, "#{number} {line}");
    }

    /// Lines that are whole, each with the time at which it came.
    fn output(&mut self, number: usize, after: Duration, bytes: &[u8], text: &mut String) {
        let mut open = std::mem::take(&mut self.steps[number].open);
        open.extend(bytes);
        let end = open.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in open[..end].split_inclusive(|byte| *byte == b'\n') {
            self.printed(number, after, line, text);
        }
        self.steps[number].open = open.split_off(end);
    }

    fn rest(&mut self, number: usize, after: Duration, text: &mut String) {
        let open = std::mem::take(&mut self.steps[number].open);
        if !open.is_empty() {
            self.printed(number, after, &open, text);
        }
    }

    fn printed(&mut self, number: usize, after: Duration, line: &[u8], text: &mut String) {
        let line = String::from_utf8_lossy(line);
        // What a program draws over is drawn over here too: the last of it counts.
        let line = line.trim_end_matches(['\n', '\r']);
        let line = line.rsplit('\r').next().unwrap_or_default();
        self.line(number, &format!("{:.3} {line}", after.as_secs_f64()), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_turns() {
        let mut state = State::default();
        let second = Duration::from_millis(1234);
        let news = [
            News::Began { number: 1, title: "[1/2] FROM a" },
            News::Done { number: 1, took: Duration::from_millis(40) },
            News::Began { number: 2, title: "[2/2] RUN x" },
            News::Output { number: 2, after: second, bytes: b"one\ntw" },
            News::Began { number: 3, title: "other" },
            News::Cached { number: 3 },
            News::Output { number: 2, after: second, bytes: b"o\n" },
            News::Output { number: 2, after: second, bytes: b"10%\r20%" },
            News::Failed { number: 2, why: "no" },
        ];
        let text: String = news.into_iter().map(|news| state.text(news)).collect();
        let wanted = "#1 [1/2] FROM a\n#1 DONE 0.0s\n\n#2 [2/2] RUN x\n#2 1.234 one\n\n#3 other\n\
                      #3 CACHED\n\n#2 [2/2] RUN x\n#2 1.234 two\n#2 0.000 20%\n#2 ERROR: no\n";
        assert_eq!(text, wanted);
    }
}
