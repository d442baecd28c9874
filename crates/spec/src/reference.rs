//! References: the names of images, `[domain/]path[:tag][@digest]`, in the distribution grammar.
//!
//! People write familiar names (`alpine`); a [`Reference`] always holds the full one
//! (`docker.io/library/alpine`). Words of errors are docker's, since tools match them.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::json::string_on_the_wire;

mod full;

pub use full::FullName;

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_OLD: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const LONGEST_PATH: usize = 255;
const LONGEST_TAG: usize = 128;
const DEFAULT_TAG: &str = "latest";

/// The name of an image, checked and in full.
///
/// The domain is empty for the few names that look like `ex_ample.com/a`: docker takes the part
/// before the slash for a host and then finds that it cannot be one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text does not fit the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository has upper-case letters, and what they are in.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The text would be a reference if it were in lower case.
    #[error("repository name must be lowercase")]
    UppercaseName,
    /// The path of the repository is too long.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The text could be taken for an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// The tag does not fit the grammar.
    #[error("invalid tag format")]
    Tag,
    /// What follows the `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads a name as people write it: `alpine`, `me/app:1`, `[::1]:5000/app@sha256:…`.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if looks_like_id(text) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let repository = rest.split(':').next().unwrap_or_default();
        if repository.chars().any(changes_in_lower_case) {
            return Err(ReferenceError::Uppercase(repository.to_owned()));
        }
        let full = format!("{domain}/{rest}");
        let result = parse_full(&full);
        let refused = |result: &Result<_, _>| *result == Err(ReferenceError::Format);
        if refused(&result) && !refused(&parse_full(&full.to_lowercase())) {
            return Err(ReferenceError::UppercaseName);
        }
        result
    }

    /// The registry's host and port: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, where one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Domain and path, without tag and digest.
    pub fn name(&self) -> String {
        match self.domain.as_str() {
            "" => self.path.clone(),
            domain => format!("{domain}/{}", self.path),
        }
    }

    /// The name as people write it, with tag and digest: `alpine:3`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// The name as people write it, without tag and digest: `alpine`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DOCKER_HUB {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// Adds the tag `latest` to a name that has neither tag nor digest.
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository and digest under another tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Reference { tag: Some(tag.to_owned()), ..self.clone() })
    }

    /// The same repository and tag, pinned to a digest.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag, not pinned.
    pub fn without_digest(&self) -> Reference {
        Reference { digest: None, ..self.clone() }
    }

    /// The same repository and digest without a tag.
    pub fn without_tag(&self) -> Reference {
        Reference { tag: None, ..self.clone() }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        tag.chain(digest).collect()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&(self.name() + &self.suffix()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

string_on_the_wire!(Reference);

/// Separates the registry from the rest and fills in what familiar names leave out.
fn split_domain(text: &str) -> (&str, String) {
    let (domain, rest) = match text.split_once('/') {
        Some((DOCKER_HUB_OLD, rest)) => (DOCKER_HUB, rest),
        Some((domain, rest)) if is_meant_as_domain(domain) => (domain, rest),
        _ => (DOCKER_HUB, text),
    };
    if domain == DOCKER_HUB && !rest.contains('/') {
        return (domain, format!("{OFFICIAL}{rest}"));
    }
    (domain, rest.to_owned())
}

/// A first part is a host when it could not be a user's name on docker's registry.
fn is_meant_as_domain(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(changes_in_lower_case)
}

fn changes_in_lower_case(letter: char) -> bool {
    match letter.is_ascii() {
        true => letter.is_ascii_uppercase(),
        false => !letter.to_lowercase().eq([letter]),
    }
}

fn looks_like_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a name that has its domain, by the grammar alone.
fn parse_full(text: &str) -> Result<Reference, ReferenceError> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err(ReferenceError::Format);
    }
    let (name, tag) = split_tag(rest);
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(ReferenceError::Format);
    }
    let (domain, path) = split_name(name).ok_or(ReferenceError::Format)?;
    if path.len() > LONGEST_PATH {
        return Err(ReferenceError::TooLong);
    }
    Ok(Reference {
        domain: domain.to_owned(),
        path: path.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::parse).transpose()?,
    })
}

/// A colon after the last slash starts the tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    // Names are short: a plain walk is done before a search has begun.
    let last = text.bytes().rposition(|byte| byte == b'/').map_or(0, |slash| slash + 1);
    match text[last..].bytes().position(|byte| byte == b':') {
        Some(colon) => (&text[..last + colon], Some(&text[last + colon + 1..])),
        None => (text, None),
    }
}

/// Prefers to read the first part as a domain; where it cannot be one, all is path.
fn split_name(name: &str) -> Option<(&str, &str)> {
    match name.split_once('/') {
        Some((domain, path)) if is_domain(domain) && is_path(path) => Some((domain, path)),
        _ if is_path(name) => Some(("", name)),
        _ => None,
    }
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let valid =
                !address.is_empty() && address.bytes().all(|c| c.is_ascii_hexdigit() || c == b':');
            return valid && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    host.split('.').all(is_domain_label) && port.is_none_or(is_port)
}

fn is_domain_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Lower-case words joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(part: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|c| c == b'-');
    part.starts_with(is_letter)
        && part.ends_with(is_letter)
        && part.split(is_letter).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|c| is_word(c) || c == b'.' || c == b'-')
}

/// The loose shape of a digest; that it is one we know is found out later, with a better error.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && hex.len() >= 32
        && hex.bytes().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
