//! What a step's outcome depends on, part by part, so that two can be compared and the difference
//! named.

use serde::{Deserialize, Serialize};
use spec::Digest;

/// All that a step's outcome depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Each with a name that is its own.
    pub parts: Vec<Part>,
}

/// One thing that an outcome depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub about: About,
    /// Which one, where there are several: a variable's name, a mount's place.
    pub name: String,
    /// What it is now.
    pub value: String,
}

/// What sort of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The instruction, expanded.
    Instruction,
    /// The files it stands on.
    Base,
    /// The files of another step or image that it reads.
    Source,
    /// The files of the context that it reads, by the digest of a [`Listing`].
    Files,
    /// An argument that it sees.
    Argument,
    /// A variable of the image.
    Environment,
    /// The user, the folder or the shell that the image sets.
    Setting,
    /// What is mounted.
    Mount,
    /// What was fetched.
    Fetched,
}

impl Key {
    /// Adds a part.
    pub fn with(mut self, about: About, name: &str, value: impl Into<String>) -> Key {
        self.parts.push(Part { about, name: name.to_owned(), value: value.into() });
        self
    }

    /// The name under which the outcome is remembered.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(1024);
        for Part { about, name, value } in &self.parts {
            // Lengths before words, so that no two keys are written alike.
            for word in [format!("{about:?}").as_str(), name, value] {
                bytes.extend((word.len() as u64).to_le_bytes());
                bytes.extend(word.as_bytes());
            }
        }
        Digest::of(&bytes)
    }

    /// The value of a part, if there is one.
    pub fn value(&self, about: About, name: &str) -> Option<&str> {
        let part = self.parts.iter().find(|part| part.about == about && part.name == name);
        part.map(|part| part.value.as_str())
    }
}

/// Words as one text that shows where each of them ends: a list of JSON, as it may stand in a
/// Dockerfile.
///
/// ```
/// use build::key::apart;
/// assert_eq!(apart(&["touch", "a b"]), r#"["touch","a b"]"#);
/// ```
pub fn apart(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    serde_json::Value::from(words).to_string()
}

/// The files of a context that a step reads, as lines that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// One a file, in order: what it is, its permissions, what is in it, its path.
    pub lines: String,
}

impl Listing {
    /// Adds a file. Names come in the same order each time.
    pub fn add(&mut self, kind: char, mode: u32, content: &str, path: &str) {
        use std::fmt::Write;
        let _ = write!(self.lines, "{kind} {mode:04o} {content} ");
        // Most names need no escapes, and there may be a hundred thousand.
        match path.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\\'\"".contains(&byte)) {
            true => self.lines.push_str(path),
            false => self.lines.extend(path.escape_default()),
        }
        self.lines.push('\n');
    }

    /// The name of all of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_a_line_for_each_file() {
        let mut listing = Listing::default();
        for path in ["a b/c.txt", "it's", "a\nb", "\u{e4}", "q\"\\"] {
            listing.add('f', 0o644, "-", path);
        }
        let shown = listing.lines.lines().map(|line| line.strip_prefix("f 0644 - ").unwrap());
        let wanted = ["a b/c.txt", "it\\'s", "a\\nb", "\\u{e4}", "q\\\"\\\\"];
        assert_eq!(shown.collect::<Vec<_>>(), wanted);
    }
}
