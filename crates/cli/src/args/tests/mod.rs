//! The grammar, tried on a small tree of commands that is modelled on docker's.
//!
//! The expected words, pages and exit codes are what docker's client 28 answers.

mod completing;
mod helping;
mod mistakes;
mod parsing;
mod shells;
mod soundness;
mod tree;

use super::*;
use tree::ROOT;

/// The words of a command line, cut at blanks.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// What `line` asks for, without the program's name.
fn read(line: &str) -> Result<Parsed<&'static str>, UsageError> {
    parse(&ROOT, "mica", &words(line))
}

/// The invocation that `line` means.
#[track_caller]
fn run(line: &str) -> Invocation<&'static str> {
    match read(line) {
        Ok(Parsed::Run(invocation)) => invocation,
        other => panic!("{line}: {other:?}"),
    }
}
