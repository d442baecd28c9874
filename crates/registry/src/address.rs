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

/// The scheme of an address, and what follows it; nothing if it begins otherwise. A path or a query may
/// hold another address.
pub(crate) fn with_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(may_be)).then_some((scheme, rest))
}

/// Whether a URL is encrypted, and its host and port.
pub(crate) fn origin(url: &str) -> Result<(bool, String), RegistryError> {
    let wrong = || RegistryError::Address(shown(url));
    let (scheme, rest) = with_scheme(url).ok_or_else(wrong)?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = Some(host.to_ascii_lowercase());
    let host = host.filter(|host| !host.is_empty() && !host.contains('@')).ok_or_else(wrong)?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok((true, host)),
        "http" => Ok((false, host)),
        _ => Err(wrong()),
    }
}

/// Where a `Location` leads.
pub(crate) fn resolve(from: &str, target: &str) -> Result<String, RegistryError> {
    let (encrypted, host) = origin(from)?;
    let scheme = if encrypted { "https" } else { "http" };
    let whole = match target.strip_prefix("//") {
        Some(rest) => Some((scheme.to_owned(), rest)),
        None => with_scheme(target).map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)),
    };
    if let Some((scheme, rest)) = whole {
        let (host, path, rest) = parts(rest);
        let address = format!("{scheme}://{host}{}{rest}", folded(path));
        origin(&address)?;
        return Ok(address);
    }
    let (_, base, query) = with_scheme(from).map_or(("", "", ""), |(_, rest)| parts(rest));
    let at = target.find(['?', '#']).unwrap_or(target.len());
    let (path, rest) = target.split_at(at);
    let query = query.split('#').next().unwrap_or_default();
    let (path, query) = match path {
        // The same file, with another query if there is one.
        "" if rest.starts_with('?') => (folded(base), ""),
        "" => (folded(base), query),
        _ if path.starts_with('/') => (folded(path), ""),
        _ => {
            let folder = base.rfind('/').map_or("/", |slash| &base[..=slash]);
            (folded(&format!("{folder}{path}")), "")
        }
    };
    let path = if path.is_empty() { "/" } else { &path };
    Ok(format!("{scheme}://{host}{path}{query}{rest}"))
}

/// What follows a scheme: the host, the path, and the rest from `?` or `#` on.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let (host, path) = before.split_at(before.find('/').unwrap_or(before.len()));
    (host, path, rest)
}

/// A path without `.` and `..`, which lead no higher than the root.
fn folded(path: &str) -> String {
    let Some(below) = path.strip_prefix('/') else { return path.to_owned() };
    let mut kept: Vec<&str> = Vec::new();
    for part in below.split('/') {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    if matches!(below.rsplit('/').next(), Some("." | "..")) {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
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
        check("/get?src=https://cdn/x.tar", "https://a.org:5000/get?src=https://cdn/x.tar");
        check("get/https://cdn/x", "https://a.org:5000/v2/x/blobs/uploads/get/https://cdn/x");
        check("HTTPS://b/C", "https://b/C");
        check("../y", "https://a.org:5000/v2/x/blobs/y");
        check("./..", "https://a.org:5000/v2/x/blobs/");
        check("/../a/./b/../c?d=../e", "https://a.org:5000/a/c?d=../e");
        check("http://b/a//../c/.", "http://b/a/c/");
        check("?b", "https://a.org:5000/v2/x/blobs/uploads/?b");
        for bare in ["http://h", "http://h?a/b"] {
            assert_eq!(resolve(bare, "f.tar").unwrap(), "http://h/f.tar");
        }
        assert_eq!(origin("HTTP://H").unwrap(), (false, "h".to_owned()));
        assert!(resolve(from, "//user@b/c").is_err());
        assert!(resolve(from, "ftp://b/c").is_err() && resolve(from, "http://").is_err());
        assert!(resolve(from, "https://user@b/c").is_err());
    }
}
