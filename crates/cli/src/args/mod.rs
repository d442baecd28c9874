//! The grammar of the command line: what the words of `argv` mean, docker-wise.
//!
//! The commands are `static` tables; nothing is built at start-up, and a word is looked up only
//! among the commands and flags on its way. The rules are those of docker's client: `--rm=false`,
//! `-it`, `-p80:80`, `-t=x`, flags between positionals except where [`Command::interspersed`] says
//! no, and its words and exit codes for every mistake.
//!
//! [`parse`] turns words into a [`Parsed`] or a [`UsageError`], [`render_help`] draws a help page,
//! [`complete`] answers the shell scripts of [`completion_script`], and [`problems`] lets a test
//! show that a tree of commands is sound. Nothing here prints, exits or reads the environment.

mod amount;
mod command;
mod complete;
mod csv;
mod decimal;
mod error;
mod flag;
mod help;
mod matches;
mod nearest;
mod number;
mod parse;
mod problems;
mod quote;
mod script;
mod value;
mod wrap;

pub use command::{Arity, Command};
pub use complete::{Candidate, Complete, Completion, FileNames, complete};
pub(crate) use csv::split_values;
pub use error::{UsageError, called_and_used};
pub use flag::{Check, Flag, Kind};
pub use help::render_help;
pub use matches::Matches;
pub use parse::{Invocation, Parsed, parse};
pub use problems::problems;
pub use script::{Shell, completion_script};

#[cfg(test)]
mod tests;
