//! Versions of the API: what a path's prefix says, and what both sides know.

use std::fmt;

/// A version of the API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

/// The oldest version that is answered.
pub(crate) const OLDEST: Version = Version::minor(24);
/// The newest version whose behaviour is followed.
pub(crate) const NEWEST: Version = Version::minor(51);

impl Version {
    /// `1.MINOR`.
    pub(crate) const fn minor(minor: u32) -> Version {
        Version { major: 1, minor }
    }

    /// Which of the versions `1.…` it is.
    pub(crate) fn to_minor(self) -> u32 {
        if self.major > 1 { u32::MAX } else { self.minor }
    }

    /// Reads `1.43`. What follows a second dot does not count.
    fn parse(text: &str) -> Option<Version> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        Some(Version { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// A path without its version, and the version; the newest if the path has none. An error is
/// docker's words about a version that is not spoken.
pub(crate) fn negotiate(path: &str) -> Result<(&str, Version), String> {
    let Some((text, rest)) = path.strip_prefix("/v").and_then(|path| path.split_once('/')) else {
        return Ok((path, NEWEST));
    };
    let is_version = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let Some(version) = Version::parse(text).filter(|_| is_version) else {
        return Ok((path, NEWEST));
    };
    if version > NEWEST {
        return Err(format!(
            "client version {text} is too new. Maximum supported API version is {NEWEST}"
        ));
    }
    if version < OLDEST {
        return Err(format!(
            "client version {text} is too old. Minimum supported API version is {OLDEST}, please upgrade your client to a newer version"
        ));
    }
    Ok((&path[path.len() - rest.len() - 1..], version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_version() {
        assert_eq!(negotiate("/info"), Ok(("/info", NEWEST)));
        assert_eq!(negotiate("/v1.30/info"), Ok(("/info", Version::minor(30))));
        assert_eq!(negotiate("/v1.51/images/a/b/json"), Ok(("/images/a/b/json", NEWEST)));
        assert_eq!(negotiate("/version"), Ok(("/version", NEWEST)));
        assert_eq!(negotiate("/vx/y"), Ok(("/vx/y", NEWEST)));
        assert_eq!(negotiate("/v1.2e/y"), Ok(("/v1.2e/y", NEWEST)));
    }

    #[test]
    fn versions_that_are_not_spoken_are_refused_in_dockers_words() {
        let said = |path| negotiate(path).unwrap_err();
        assert!(said("/v1.99/info").starts_with("client version 1.99 is too new. Maximum"));
        assert!(said("/v2/info").contains("too new"));
        assert!(said("/v1.23/info").contains("is too old. Minimum supported API version is 1.24,"));
        assert!(said("/v0.9/info").contains("too old"));
    }
}
