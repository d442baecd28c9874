//! Standard output, standard error and the terminal behind them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

/// Where a command prints.
#[derive(Clone)]
pub(crate) struct Ui {
    facts: Arc<Facts>,
}

/// What is known of the terminal, each asked for when somebody needs it.
struct Facts {
    out_is_terminal: OnceLock<bool>,
    error_is_terminal: OnceLock<bool>,
    width: OnceLock<usize>,
    no_colour: bool,
}

/// The exit code of a program that SIGPIPE ended, which is what a closed pipe means.
pub(crate) const BROKEN_PIPE: u8 = 141;

impl Ui {
    pub(crate) fn new(environment: &BTreeMap<String, String>) -> Ui {
        let no_colour = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment.get("TERM").is_some_and(|value| value == "dumb");
        let (out_is_terminal, error_is_terminal, width) = Default::default();
        Ui { facts: Arc::new(Facts { out_is_terminal, error_is_terminal, width, no_colour }) }
    }

    /// Whether a person sees standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        *self.facts.out_is_terminal.get_or_init(|| io::stdout().is_terminal())
    }

    /// Whether a person sees standard error.
    pub(crate) fn error_is_terminal(&self) -> bool {
        *self.facts.error_is_terminal.get_or_init(|| io::stderr().is_terminal())
    }

    /// Columns of the terminal; 80 without one.
    pub(crate) fn width(&self) -> usize {
        let width = || if self.is_terminal() { terminal_width() } else { 80 };
        *self.facts.width.get_or_init(width)
    }

    /// Rows and columns of the terminal; 0 without one.
    pub(crate) fn window(&self) -> [u32; 2] {
        let size = rustix::termios::tcgetwinsize(io::stdout());
        size.map_or([0, 0], |size| [size.ws_row.into(), size.ws_col.into()])
    }

    /// Prints a line, whole: others may print theirs at the same time.
    pub(crate) fn line(&self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// Prints text as it is.
    pub(crate) fn print(&self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.write(bytes, bytes.ends_with(b"\n"));
    }

    /// Prints bytes as they are, and all of them now.
    pub(crate) fn bytes_now(&self, bytes: &[u8]) {
        self.write(bytes, true);
    }

    fn write(&self, bytes: &[u8], now: bool) {
        let written = output().and_then(|out| {
            let mut out = out.lock();
            out.write_all(bytes)?;
            if now { out.flush() } else { Ok(()) }
        });
        written.unwrap_or_else(|error| give_up(&error));
    }

    /// For text that comes in very many lines: it is printed in larger pieces.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces { ui: self, waiting: Vec::with_capacity(PIECE_BYTES) }
    }

    /// Prints text on standard error.
    pub(crate) fn print_error(&self, text: &str) {
        // There is nowhere left to complain.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Prints a line on standard error.
    pub(crate) fn warn(&self, text: &str) {
        self.print_error(&format!("{text}\n"));
    }

    /// Text in a colour, where colours are wanted.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        match self.is_terminal() && !self.facts.no_colour {
            true => format!("\x1b[{}m{text}\x1b[0m", colour.code()),
            false => text.to_owned(),
        }
    }

    /// A line of pieces in their colours, cut to the window where there is one.
    pub(crate) fn fitted(&self, pieces: &[(Option<Colour>, String)]) -> String {
        let mut left = if self.is_terminal() { self.width() } else { usize::MAX };
        let (mut line, mut rest) = (String::new(), pieces.iter().peekable());
        while let Some((colour, text)) = rest.next().filter(|_| left > 0) {
            let letters = text.chars().count();
            // What follows a piece that just fits is cut off too, and that must be seen.
            let room = if letters == left && rest.peek().is_some() { left - 1 } else { left };
            let shown = cut(text, room);
            line.push_str(&colour.map_or(shown.clone(), |colour| self.paint(colour, &shown)));
            left = if shown == *text { left - letters } else { 0 };
        }
        line
    }

    /// Asks a question whose answer is yes or no; no answer is no. `aside` keeps the question out
    /// of standard output.
    pub(crate) fn confirm(&self, question: &str, aside: bool) -> bool {
        match aside {
            true => self.print_error(question),
            false => self.print(question),
        }
        let _ = io::stdout().flush();
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y")
    }
}

/// As much is printed at once where there are many lines.
const PIECE_BYTES: usize = 32 << 10;

/// Lines on their way to standard output. What waits is printed at the latest when this goes.
pub(crate) struct Pieces<'a> {
    ui: &'a Ui,
    waiting: Vec<u8>,
}

impl Pieces<'_> {
    /// Takes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() > PIECE_BYTES {
            self.print();
        }
        self.waiting.extend(bytes);
    }

    /// Takes text as it is.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Takes a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.text(text);
        self.text("\n");
    }

    fn print(&mut self) {
        self.ui.bytes(&self.waiting);
        self.waiting.clear();
    }
}

impl Drop for Pieces<'_> {
    fn drop(&mut self) {
        self.print();
    }
}

/// A text cut to so many letters, the last of which then says that it was cut.
pub(crate) fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(letters.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Colours that mean something here.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Yellow,
    Red,
    Faint,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Red => "31",
            Colour::Faint => "2",
        }
    }
}

/// Standard output, if this process was given one.
pub(crate) fn output() -> io::Result<io::Stdout> {
    match sys::stdio::output_is_closed() {
        true => Err(rustix::io::Errno::BADF.into()),
        false => Ok(io::stdout()),
    }
}

fn give_up(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(i32::from(BROKEN_PIPE));
    }
    let _ = writeln!(io::stderr(), "error: cannot write to standard output\n  because: {error}");
    std::process::exit(1);
}

fn terminal_width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => 80,
    }
}
