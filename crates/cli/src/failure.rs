//! How a command fails: the words, the reason, the hint, and the exit code.

use std::error::Error;
use std::fmt;

use client::ClientError;
use engine::{EngineError, Kind, SettingsError};

use crate::doors::DoorError;
use crate::template::TemplateError;
use crate::ui::Ui;

/// The exit code of a command that did not come to its work; the least of `run` that says that no
/// program ended with its own.
const FAILED: u8 = 125;

/// How much a command says that a failure is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Always: what fails may be a program's in a container.
    Run,
    /// What it was asked for.
    Create,
    /// Never.
    Other,
}

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    lines: Vec<String>,
    hint: Option<String>,
    /// What is said after all else.
    last: Option<String>,
    code: u8,
    /// Who finds it out with docker.
    finder: Finder,
}

/// Who finds a mistake out with docker: which of its parts says in what form it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// The client's reader of flags, which then shows how to call the command.
    Flags,
    /// The client, once all flags are read.
    Client,
    /// The engine.
    Engine,
}

impl Failure {
    /// A failure in these words.
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure {
            lines: vec![text.into()],
            hint: None,
            last: None,
            code: 1,
            finder: Finder::Client,
        }
    }

    /// What docker's client would hear from the engine, in its words.
    pub(crate) fn of_engine(words: impl fmt::Display) -> Failure {
        let text = format!("Error response from daemon: {words}");
        Failure { finder: Finder::Engine, ..Failure::new(text) }
    }

    /// A flag was given a value that it cannot have: the usage is wrong.
    pub(crate) fn of_flags(text: impl Into<String>) -> Failure {
        Failure { code: FAILED, finder: Finder::Flags, ..Failure::new(text) }
    }

    /// A failure that says nothing: all has been said.
    pub(crate) fn silent(code: u8) -> Failure {
        Failure { lines: Vec::new(), hint: None, last: None, code, finder: Finder::Client }
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

    /// With the exit code that docker's client finds in the words of why a container could not be run:
    /// whether its program is missing, or cannot be run.
    pub(crate) fn code_of_run(self) -> Failure {
        let has = |part: &str| self.lines.iter().any(|line| line.contains(part));
        let code = if has("executable file not found") || has("no such file or directory") {
            127
        } else if has("permission denied") || has("is a directory") {
            126
        } else {
            FAILED
        };
        self.code(code)
    }

    /// With another exit code, unless it is one that the engine would find out.
    pub(crate) fn code_of_words(self, code: u8) -> Failure {
        if self.finder == Finder::Engine { self } else { self.code(code) }
    }

    /// In the form in which docker's client tells it of a command called `name`, which is used as in
    /// `usage`.
    pub(crate) fn of_command(
        mut self,
        teller: Teller,
        program: &str,
        name: &str,
        usage: &str,
    ) -> Failure {
        let tells_of_itself = match teller {
            Teller::Run => self.code >= FAILED,
            Teller::Create => self.code == FAILED && self.finder == Finder::Client,
            Teller::Other => false,
        };
        let advice = format!("Run '{name} --help' for more information");
        if self.finder == Finder::Flags {
            self.last = Some(format!("\nUsage:  {usage}\n\n{advice}"));
        } else if let (true, Some(first)) = (tells_of_itself, self.lines.first_mut()) {
            *first = format!("{program}: {first}");
            self.last = Some(format!("\n{advice}"));
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
        Failure { lines, hint, last: None, code, finder: Finder::Engine }
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
        Failure { lines, hint: error.hint(), last: None, code: 1, finder: Finder::Engine }
    }
}

impl From<DoorError> for Failure {
    fn from(error: DoorError) -> Failure {
        Failure {
            lines: chain(&*error.error),
            hint: error.hint,
            last: None,
            code: 1,
            finder: Finder::Client,
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Failure {
        Failure { lines: chain(&error), hint: None, last: None, code: 125, finder: Finder::Client }
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
