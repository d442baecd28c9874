//! Names as the specification writes them: of repositories, tags and uploads.

use std::fmt;

use spec::Digest;

/// A repository's name: lower-case components between slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RepositoryName(String);

impl RepositoryName {
    /// Checks a name; it cannot leave a folder or collide with the folders beside it.
    pub(crate) fn parse(text: &str) -> Option<RepositoryName> {
        let right = text.len() < 256 && text.split('/').all(is_component);
        right.then(|| RepositoryName(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters and digits, with separators between them: a dot, one or two underscores, dashes.
fn is_component(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    // Between two letters that touch there is an empty one.
    let mut separators = text.split(is_word);
    let is_right = |separator: &str| {
        matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    };
    text.starts_with(is_word) && text.ends_with(is_word) && separators.all(is_right)
}

/// A tag: a name for a manifest that may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tag(String);

impl Tag {
    /// Checks a tag.
    pub(crate) fn parse(text: &str) -> Option<Tag> {
        let is_first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_later = |byte: &u8| is_first(byte) || matches!(byte, b'.' | b'-');
        let (first, rest) = text.as_bytes().split_first()?;
        let right = is_first(first) && rest.len() <= 127 && rest.iter().all(is_later);
        right.then(|| Tag(text.to_owned()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Tag(Tag),
    Digest(Digest),
}

/// The name of an upload: 128 random bits, so that nobody guesses another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UploadId(String);

impl UploadId {
    /// A name that nobody has.
    pub(crate) fn new() -> std::io::Result<UploadId> {
        Ok(UploadId(sys::host::random_id()?))
    }

    /// Checks a name.
    pub(crate) fn parse(text: &str) -> Option<UploadId> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_hex)).then(|| UploadId(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_of_repositories() {
        for name in ["a", "a/b", "a.b/c_d/e__f/g---h", "0", &"a/".repeat(127)[..253]] {
            assert!(RepositoryName::parse(name).is_some(), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "../a", "_a", "é", &long,
        ] {
            assert!(RepositoryName::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn knows_tags() {
        for tag in ["a", "_", "1.0-b_C", &"x".repeat(128)] {
            assert!(Tag::parse(tag).is_some(), "{tag}");
        }
        for tag in ["", ".a", "-a", "a/b", "a:b", "é", &"x".repeat(129)] {
            assert!(Tag::parse(tag).is_none(), "{tag}");
        }
    }

    #[test]
    fn no_two_uploads_are_alike() {
        let (one, two) = (UploadId::new().unwrap(), UploadId::new().unwrap());
        assert!(one != two && UploadId::parse(one.as_str()) == Some(one));
        assert_eq!(UploadId::parse("../../../../../../../../../etc/x"), None);
    }
}
