//! What is wrong with a command line, in docker's words.

use super::Command;
use super::nearest::nearest;

/// A command line that means nothing; the caller prints it to standard error and exits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    /// What to print: the mistake, then how to go on.
    pub message: String,
    /// What to exit with: 125 for a wrong flag, 1 for everything else.
    pub exit_code: u8,
}

/// The full name of a command, from the root to itself, and how to call it.
pub fn called_and_used<A: Copy>(path: &[&'static Command<A>], program: &str) -> (String, String) {
    let place = Place { program, path };
    (place.name(), place.use_line())
}

/// A command in its place, for messages.
pub(super) struct Place<'a, A: 'static> {
    pub(super) program: &'a str,
    pub(super) path: &'a [&'static Command<A>],
}

impl<A: Copy> Place<'_, A> {
    /// The full name, `mica image ls`.
    pub(super) fn name(&self) -> String {
        let mut name = self.program.to_owned();
        for command in self.path.iter().skip(1) {
            name.push(' ');
            name.push_str(command.name);
        }
        name
    }

    /// How to call it: the full name and what follows, once for every way.
    pub(super) fn use_line(&self) -> String {
        let name = self.name();
        let usage = self.path.last().map_or("", |command| command.usage);
        if usage.is_empty() {
            return name;
        }
        let ways: Vec<_> = usage.lines().map(|way| format!("{name} {way}")).collect();
        ways.join("\n\t")
    }

    /// A wrong flag, or a wrong value of one.
    pub(super) fn flag_error(&self, mistake: &str) -> UsageError {
        let (usage, name) = (self.use_line(), self.name());
        UsageError {
            message: format!(
                "{mistake}\n\nUsage:  {usage}\n\nRun '{name} --help' for more information"
            ),
            exit_code: 125,
        }
    }

    /// Too many positionals, or too few.
    pub(super) fn arity_error(&self, command: &Command<A>) -> UsageError {
        let (program, usage, name) = (self.program, self.use_line(), self.name());
        let demand = command.args.demand();
        let lead = if matches!(command.args, super::Arity::AtLeast(_)) { "See" } else { "Run" };
        UsageError {
            message: format!(
                "{program}: '{name}' {demand}\n\nUsage:  {usage}\n\n\
                 {lead} '{name} --help' for more information"
            ),
            exit_code: 1,
        }
    }

    /// A word that calls no command of this group.
    pub(super) fn unknown_command(&self, group: &Command<A>, word: &str) -> UsageError {
        let (program, name) = (self.program, self.name());
        let mut message = format!("{program}: unknown command: {name} {word}\n\n");
        if let Some(meant) = nearest(group, word) {
            message.push_str(&format!("Did you mean '{name} {meant}'?\n\n"));
        }
        if self.path.len() > 1 {
            message.push_str(&format!("Usage:  {}\n\n", self.use_line()));
        }
        message.push_str(&format!("Run '{name} --help' for more information"));
        UsageError { message, exit_code: 1 }
    }
}

/// A word after `help` that calls no command.
pub(super) fn unknown_topic(word: &str) -> UsageError {
    UsageError { message: format!("unknown help topic: {word}"), exit_code: 1 }
}
