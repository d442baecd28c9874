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

/// The line of a file without its path.
const FILE_LINE: usize = 2 + 5 + 65 + 1;

/// The files of a context that a step reads, as lines that can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// One a file, in order: what it is, its permissions, what is in it, its path.
    pub lines: String,
}

impl Listing {
    /// Makes room for so many files, whose paths have so many bytes.
    pub fn reserve(&mut self, files: usize, path_bytes: usize) {
        self.lines.reserve(files * FILE_LINE + path_bytes);
    }

    /// Adds a file. Names come in the same order each time.
    pub fn add(&mut self, kind: char, mode: u32, content: &str, path: &[u8]) {
        // There may be a hundred thousand: nothing here is put together elsewhere first.
        let digit = |at: u32| char::from(b'0' + (mode >> (3 * at) & 7) as u8);
        let start = [kind, ' ', digit(3), digit(2), digit(1), digit(0), ' '];
        debug_assert!(mode <= 0o7777, "the bits of permissions alone");
        self.lines.extend(start);
        self.lines.push_str(content);
        self.lines.push(' ');
        // Most names need no escapes.
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !b"\\'\"".contains(byte);
        match std::str::from_utf8(path) {
            Ok(path) if path.as_bytes().iter().all(is_plain) => self.lines.push_str(path),
            _ => self.lines.push_str(&escaped(path)),
        }
        self.lines.push('\n');
    }

    /// Adds a file with something in it: its hash, if that is known.
    pub fn add_file(&mut self, mode: u32, hash: Option<&[u8; 32]>, path: &[u8]) {
        let mut text = [0; 64];
        let content = hash.map_or(&b""[..], |hash| {
            spec::write_hex(hash, &mut text);
            &text
        });
        let content = std::str::from_utf8(content).expect("hexadecimal digits are ASCII");
        self.add('f', mode, content, path);
    }

    /// The name of all of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.lines.as_bytes())
    }
}

/// A path with escapes for all but plain letters, also for bytes that are no letters: two paths are
/// never written alike.
pub fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.extend(chunk.valid().escape_default());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_a_line_for_each_file() {
        let mut listing = Listing::default();
        for path in ["a b/c.txt", "it's", "a\nb", "\u{e4}", "q\"\\"] {
            listing.add('f', 0o644, "-", path.as_bytes());
        }
        listing.add('f', 0o644, "-", b"a\xff\xe4b");
        let shown = listing.lines.lines().map(|line| line.strip_prefix("f 0644 - ").unwrap());
        let wanted = ["a b/c.txt", "it\\'s", "a\\nb", "\\u{e4}", "q\\\"\\\\", "a\\xff\\xe4b"];
        assert_eq!(shown.collect::<Vec<_>>(), wanted);
        let mut listing = Listing::default();
        listing.add_file(0o4755, Some(&[0xab; 32]), b"a");
        listing.add_file(0o7, None, b"b");
        assert_eq!(listing.lines, format!("f 4755 {} a\nf 0007  b\n", "ab".repeat(32)));
    }
}
