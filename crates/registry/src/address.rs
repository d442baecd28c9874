//! Addresses: which host one is at, and where a redirect leads.

use crate::call::printable;
use crate::error::RegistryError;

/// An address for a message: what stands behind `?` may be somebody's signature, and before `@`
/// their password.
pub(crate) fn shown(url: &str) -> String {
    printable(&without_user(url.split(['?', '#']).next().unwrap_or_default()), 1024)
}

/// An address without the name and the password that may stand in it.
pub(crate) fn without_user(url: &str) -> String {
    let known = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (_, host) = rest[..end].rsplit_once('@')?;
        Some(format!("{scheme}://***@{host}{}", &rest[end..]))
    });
    known.unwrap_or_else(|| url.to_owned())
}

/// Whether a URL is encrypted, and its host and port.
pub(crate) fn origin(url: &str) -> Result<(bool, String), RegistryError> {
    let wrong = || RegistryError::Address(shown(url));
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match (scheme, host.is_empty() || host.contains('@')) {
        ("https", false) => Ok((true, host.to_ascii_lowercase())),
        ("http", false) => Ok((false, host.to_ascii_lowercase())),
        _ => Err(wrong()),
    }
}

/// Where a `Location` leads.
pub(crate) fn resolve(from: &str, target: &str) -> Result<String, RegistryError> {
    if target.contains("://") {
        origin(target)?;
        return Ok(target.to_owned());
    }
    let (encrypted, host) = origin(from)?;
    let scheme = if encrypted { "https" } else { "http" };
    if let Some(target) = target.strip_prefix("//") {
        return Ok(format!("{scheme}://{target}"));
    }
    if target.starts_with('/') {
        return Ok(format!("{scheme}://{host}{target}"));
    }
    let path = from.split(['?', '#']).next().unwrap_or(from);
    let folder = path.rfind('/').map_or(path, |slash| &path[..=slash]);
    Ok(format!("{folder}{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_not_shown() {
        assert_eq!(shown("https://a.org/b?X-Signature=secret"), "https://a.org/b");
        assert_eq!(shown("https://me:se@cret@a.org/b@c"), "https://***@a.org/b@c");
        let error = resolve("https://a.org/b", "ftp://c/d?secret").unwrap_err();
        assert_eq!(error.to_string(), "ftp://c/d is no address of a registry");
    }

    #[test]
    fn locations_are_resolved() {
        let from = "https://a.org:5000/v2/x/blobs/uploads/?mount=1";
        let check = |target: &str, expected: &str| {
            assert_eq!(resolve(from, target).unwrap(), expected, "{target}");
        };
        check("/v2/y", "https://a.org:5000/v2/y");
        check("http://b/c?d=e", "http://b/c?d=e");
        check("//b/c", "https://b/c");
        check("uuid?state=1", "https://a.org:5000/v2/x/blobs/uploads/uuid?state=1");
        assert!(resolve(from, "ftp://b/c").is_err() && resolve(from, "http://").is_err());
        assert!(resolve(from, "https://user@b/c").is_err());
    }
}
