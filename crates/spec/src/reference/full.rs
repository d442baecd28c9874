//! Full names as documents keep them, taken apart without a copy.

use super::{DOCKER_HUB, OFFICIAL, split_tag};

/// A full name with its tag, `docker.io/library/debian:12`, as documents keep it.
///
/// The text was a [`Reference`](super::Reference) when it was written and is not checked again: a
/// list of a thousand images asks for nothing but parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullName<'a> {
    text: &'a str,
}

impl<'a> FullName<'a> {
    /// The name that a checked reference was written as.
    pub fn of(text: &'a str) -> FullName<'a> {
        FullName { text }
    }

    /// All of it: `docker.io/library/debian:12`.
    pub fn full(self) -> &'a str {
        self.text
    }

    /// Domain and path: `docker.io/library/debian`.
    pub fn name(self) -> &'a str {
        split_tag(self.text).0
    }

    /// As people write it: `debian:12`.
    pub fn familiar(self) -> &'a str {
        let Some(path) = self.text.strip_prefix(DOCKER_HUB).and_then(|rest| rest.strip_prefix('/'))
        else {
            return self.text;
        };
        match path.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest,
            _ => path,
        }
    }

    /// As people write it, without the tag: `debian`.
    pub fn familiar_name(self) -> &'a str {
        split_tag(self.familiar()).0
    }

    /// The tag: `12`.
    pub fn tag(self) -> Option<&'a str> {
        split_tag(self.text).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    #[test]
    fn says_what_the_reference_says() {
        for text in [
            "debian",
            "debian:12",
            "me/app:1.0",
            "library/debian:12",
            "docker.io/library/a/b:1",
            "localhost:5000/x/app:1.0",
            "localhost:5000/library/x",
            "registry.example.com/library/x:latest",
            "[::1]:5000/app:2",
            "docker.io/foo.bar/x:y",
            "a/b/c/d:e",
        ] {
            let reference = Reference::parse(text).unwrap().with_default_tag();
            let full = reference.to_string();
            let name = FullName::of(&full);
            assert_eq!(name.name(), reference.name());
            assert_eq!(name.familiar(), reference.familiar());
            assert_eq!(name.familiar_name(), reference.familiar_name());
            assert_eq!(name.tag(), reference.tag());
        }
    }
}
