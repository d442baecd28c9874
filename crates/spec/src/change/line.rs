//! Lines of a Dockerfile: joined, taken apart into instruction, flags and arguments.

use super::{ChangeError, ESCAPE, syntax};
use crate::word::quoted_words;

/// One instruction with what follows it.
pub(super) struct Line {
    /// The instruction as it was written.
    pub(super) instruction: String,
    /// Words that begin with `--`, before the first that does not.
    pub(super) flags: Vec<String>,
    /// All the rest, without spaces around it.
    pub(super) rest: String,
}

impl Line {
    pub(super) fn new(text: &str) -> Line {
        let (instruction, mut rest) = first_word(text);
        let mut flags = Vec::new();
        while let (word, after) = first_word(rest)
            && word.starts_with("--")
        {
            rest = after;
            if word == "--" {
                break;
            }
            flags.push(word.to_owned());
        }
        Line { instruction: instruction.to_owned(), flags, rest: rest.to_owned() }
    }

    /// The instruction in upper case, which is how it is known.
    pub(super) fn name(&self) -> String {
        self.instruction.to_ascii_uppercase()
    }
}

/// Joins lines that end in a backslash and leaves out comments and empty lines.
pub(super) fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        match trimmed.strip_suffix(ESCAPE).filter(|before| !before.ends_with(ESCAPE)) {
            Some(before) => open.push_str(before),
            None => {
                open.push_str(line.trim_end());
                lines.push(std::mem::take(&mut open).trim().to_owned());
            }
        }
    }
    lines.push(open.trim().to_owned());
    lines.retain(|line| !line.is_empty());
    lines
}

/// The first word and what follows the spaces after it.
pub(super) fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// What follows an instruction that takes a JSON list or else plain text.
pub(super) enum Arguments<'a> {
    List(Vec<String>),
    Text(&'a str),
}

/// Reads a JSON list of strings; what is no JSON at all is text.
pub(super) fn arguments(rest: &str) -> Result<Arguments<'_>, ChangeError> {
    let values: Option<Vec<serde_json::Value>> = Some(rest)
        .filter(|rest| rest.starts_with('['))
        .and_then(|rest| serde_json::from_str(rest).ok());
    let Some(values) = values else {
        return Ok(Arguments::Text(rest));
    };
    let string = |value: serde_json::Value| value.as_str().map(str::to_owned);
    let list: Option<Vec<String>> = values.into_iter().map(string).collect();
    let words = "when using JSON array syntax, arrays must be comprised of strings only";
    list.map(Arguments::List).ok_or_else(|| syntax(words))
}

/// Reads `name=value name="other value"`, or the old form `name value to the end`. Quotes and
/// escapes are left in.
pub(super) fn pairs(instruction: &str, rest: &str) -> Result<Vec<(String, String)>, ChangeError> {
    let words = quoted_words(rest, ESCAPE);
    let pairs: Vec<(String, String)> = match words.first() {
        None => {
            return Err(syntax(format!("{instruction} requires at least one argument")));
        }
        Some(first) if !first.contains('=') => {
            let (name, value) = first_word(rest);
            if value.is_empty() {
                return Err(syntax(format!("{instruction} must have two arguments")));
            }
            vec![(name.to_owned(), value.to_owned())]
        }
        Some(_) => words.iter().map(|word| pair(word)).collect::<Result<_, _>>()?,
    };
    match pairs.iter().any(|(name, _)| name.is_empty()) {
        true => Err(syntax(format!("{instruction} names can not be blank"))),
        false => Ok(pairs),
    }
}

fn pair(word: &str) -> Result<(String, String), ChangeError> {
    let (name, value) = word.split_once('=').ok_or_else(|| {
        syntax(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))
    })?;
    Ok((name.to_owned(), value.to_owned()))
}
