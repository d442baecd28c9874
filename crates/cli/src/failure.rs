//! How a command fails: the words, the reason, the hint, and the exit code.

use std::error::Error;
use std::fmt;

use client::ClientError;
use engine::{EngineError, Kind, SettingsError};

use crate::doors::DoorError;
use crate::template::TemplateError;
use crate::ui::Ui;

/// The least exit code of `run` that says that no program ended with its own.
const RUNS_LEAST: u8 = 125;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    lines: Vec<String>,
    hint: Option<String>,
    /// What is said after all else.
    last: Option<String>,
    code: u8,
    /// Whether docker's client leaves it to the engine to find this out.
    of_engine: bool,
}

impl Failure {
    /// A failure in these words.
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure { lines: vec![text.into()], hint: None, last: None, code: 1, of_engine: false }
    }

    /// What docker's client would hear from the engine, in its words.
    pub(crate) fn of_engine(words: impl fmt::Display) -> Failure {
        let text = format!("Error response from daemon: {words}");
        Failure { of_engine: true, ..Failure::new(text) }
    }

    /// A failure that says nothing: all has been said.
    pub(crate) fn silent(code: u8) -> Failure {
        Failure { lines: Vec::new(), hint: None, last: None, code, of_engine: false }
    }

    /// A failure in the words that docker's daemon sends while it works: its client tells them as they
    /// come, without saying whose they are.
    pub(crate) fn streamed(error: EngineError) -> Failure {
        let is_dockers = error.is_dockers();
        let words = error.to_string();
        let failure = Failure::from(error);
        match is_dockers {
            true => Failure { lines: vec![words], ..failure },
            false => failure,
        }
    }

    /// With advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// With a further line, before the advice.
    pub(crate) fn then(mut self, line: impl Into<String>) -> Failure {
        self.lines.push(line.into());
        self
    }

    /// With another exit code.
    pub(crate) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// With another exit code, unless it is one that the engine would find out.
    pub(crate) fn code_of_words(self, code: u8) -> Failure {
        if self.of_engine { self } else { self.code(code) }
    }

    /// A failure of `run`, in the form in which docker's client tells it there, unless it is one of the
    /// command line.
    pub(crate) fn of_run(mut self, program: &str) -> Failure {
        if self.code < RUNS_LEAST {
            return self;
        }
        if let Some(first) = self.lines.first_mut() {
            *first = format!("{program}: {first}");
            self.last = Some(format!("\nRun '{program} run --help' for more information"));
        }
        self
    }

    /// Its first line.
    pub(crate) fn first_line(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Its exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// Prints it and gives the exit code.
    pub(crate) fn tell(&self, ui: &Ui) -> u8 {
        self.lines.iter().for_each(|line| ui.warn(line));
        if let Some(hint) = &self.hint {
            ui.warn(&format!("hint: {hint}"));
        }
        if let Some(last) = &self.last {
            ui.warn(last);
        }
        self.code
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let lines = if error.is_clients() {
            vec![error.to_string()]
        } else if error.is_dockers() {
            // Scripts match docker's first line.
            vec![format!("Error response from daemon: {error}")]
        } else {
            chain(&error)
        };
        let (hint, code) = (error.hint(), exit_code(error.kind()));
        Failure { lines, hint, last: None, code, of_engine: true }
    }
}

/// The exit code that says what kind of error it was. Docker's client makes one of all of them.
fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::NotFound
        | Kind::Conflict
        | Kind::InvalidInput
        | Kind::Corrupt
        | Kind::Unsupported
        | Kind::Other => 1,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let lines = match &error {
            // In docker's words already.
            ClientError::Refused { .. } | ClientError::Endpoint(_) => vec![error.to_string()],
            ClientError::Connect { .. } => {
                let mut lines = vec![error.to_string()];
                lines.extend(error.source().map(|cause| format!("  because: {cause}")));
                lines
            }
            _ => chain(&error),
        };
        Failure { lines, hint: error.hint(), last: None, code: 1, of_engine: true }
    }
}

impl From<DoorError> for Failure {
    fn from(error: DoorError) -> Failure {
        Failure {
            lines: chain(&*error.error),
            hint: error.hint,
            last: None,
            code: 1,
            of_engine: false,
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Failure {
        Failure { lines: chain(&error), hint: None, last: None, code: 125, of_engine: false }
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Failure {
        Failure::new(format!("template parsing error: {error}"))
    }
}

impl From<fmt::Error> for Failure {
    fn from(error: fmt::Error) -> Failure {
        Failure::new(format!("error: {error}"))
    }
}

/// An error and its causes, each on a line.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut lines = vec![format!("error: {error}")];
    let mut before = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // A transparent error repeats its cause's words.
        if text != before {
            lines.push(format!("  because: {text}"));
        }
        before = text;
        next = cause.source();
    }
    lines
}

/// What a command gives back: its exit code, or how it failed.
pub(crate) type Outcome = Result<u8, Failure>;
