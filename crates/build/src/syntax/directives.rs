//! Parser directives: comments at the very top that say how the rest is read.

use crate::error::{BuildError, Span};

/// What the first lines of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The front end the author asks for; recorded, and otherwise without effect.
    pub syntax: Option<String>,
    /// What joins lines and protects letters: a backslash or a backtick.
    pub escape: char,
    /// What the linter shall skip, and whether it fails the build.
    pub check: Option<String>,
    /// How many lines at the top hold them.
    pub lines: usize,
}

impl Directives {
    pub(super) fn read(text: &str) -> Result<Directives, BuildError> {
        let mut read = Directives { syntax: None, escape: '\\', check: None, lines: 0 };
        let mut seen: Vec<&str> = Vec::new();
        let is_script = text.starts_with("#!");
        for (at, line) in text.lines().enumerate().skip(usize::from(is_script)) {
            let Some((name, value)) = directive(line) else { break };
            let Some(known) = KNOWN.iter().find(|known| name.eq_ignore_ascii_case(known)) else {
                break;
            };
            let wrong = |message: String| BuildError::parse(Span::new(at + 1, at + 1), message);
            if seen.contains(known) {
                return Err(wrong(format!("only one {known} parser directive can be used")));
            }
            // After an interpreter only the front end is looked for; the rest is comments then.
            if is_script && *known != "syntax" {
                break;
            }
            seen.push(known);
            if line.trim_start().starts_with('#') {
                read.lines = at + 1;
            }
            match *known {
                "syntax" => read.syntax = Some(value.to_owned()),
                "check" => read.check = Some(value.to_owned()),
                _ => match value {
                    "\\" => read.escape = '\\',
                    "`" => read.escape = '`',
                    _ => {
                        let message =
                            format!("invalid escape token '{value}' does not match ` or \\");
                        return Err(wrong(message));
                    }
                },
            }
        }
        Ok(read)
    }
}

const KNOWN: &[&str] = &["syntax", "escape", "check"];

/// `# name = value`; after `//` as well, but docker takes that for `syntax` alone.
fn directive(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (body, slashes) = match line.strip_prefix('#') {
        Some(body) => (body, false),
        None => (line.strip_prefix("//")?, true),
    };
    let (name, value) = body.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    let allowed = !slashes || name.eq_ignore_ascii_case("syntax");
    (is_name && allowed && !value.is_empty()).then_some((name, value))
}
