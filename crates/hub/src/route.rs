//! What a path means.

use crate::names::RepositoryName;

/// What a request is about. References are checked by whoever knows what a wrong one means there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Whether this is a registry at all.
    Base,
    /// The repositories.
    Catalog,
    /// A repository's tags.
    Tags(RepositoryName),
    /// A manifest by tag or digest.
    Manifest(RepositoryName, &'a str),
    /// A blob by digest.
    Blob(RepositoryName, &'a str),
    /// Where uploads begin.
    Uploads(RepositoryName),
    /// An upload by its name.
    Upload(RepositoryName, &'a str),
    /// The manifests about one.
    Referrers(RepositoryName, &'a str),
    /// The counters.
    Metrics,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// There is nothing of the kind.
    Unknown,
    /// There would be if the repository had another name.
    Name,
}

impl<'a> Route<'a> {
    /// Reads a path from its end, because names of repositories have slashes in them.
    pub(crate) fn parse(path: &'a str) -> Result<Route<'a>, NoRoute> {
        match path {
            "/v2" | "/v2/" => return Ok(Route::Base),
            "/v2/_catalog" => return Ok(Route::Catalog),
            "/metrics" => return Ok(Route::Metrics),
            _ => {}
        }
        let rest = path.strip_prefix("/v2/").ok_or(NoRoute::Unknown)?;
        let (front, last) = rest.rsplit_once('/').ok_or(NoRoute::Unknown)?;
        let named = |name: &str| RepositoryName::parse(name).ok_or(NoRoute::Name);
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Route::Tags(named(name)?));
        }
        if let Some(name) = front.strip_suffix("/blobs/uploads") {
            let name = named(name)?;
            return Ok(if last.is_empty() {
                Route::Uploads(name)
            } else {
                Route::Upload(name, last)
            });
        }
        if let Some(name) = front.strip_suffix("/blobs") {
            let name = named(name)?;
            return Ok(if last == "uploads" {
                Route::Uploads(name)
            } else {
                Route::Blob(name, last)
            });
        }
        if let Some(name) = front.strip_suffix("/manifests") {
            return Ok(Route::Manifest(named(name)?, last));
        }
        if let Some(name) = front.strip_suffix("/referrers") {
            return Ok(Route::Referrers(named(name)?, last));
        }
        Err(NoRoute::Unknown)
    }

    /// The repository it is about.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Route::Base | Route::Catalog | Route::Metrics => None,
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::Uploads(name)
            | Route::Upload(name, _)
            | Route::Referrers(name, _) => Some(name),
        }
    }

    /// What counters call it: few words, whatever clients ask for.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Route::Base => "base",
            Route::Catalog => "catalog",
            Route::Tags(_) => "tags",
            Route::Manifest(..) => "manifest",
            Route::Blob(..) => "blob",
            Route::Uploads(_) | Route::Upload(..) => "upload",
            Route::Referrers(..) => "referrers",
            Route::Metrics => "metrics",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    #[track_caller]
    fn check(path: &str, wanted: Result<Route<'_>, NoRoute>) {
        assert_eq!(Route::parse(path), wanted, "{path}");
    }

    #[test]
    fn names_may_look_like_routes() {
        check("/v2/", Ok(Route::Base));
        check("/v2/_catalog", Ok(Route::Catalog));
        check("/v2/a/b/tags/list", Ok(Route::Tags(name("a/b"))));
        check("/v2/tags/list/tags/list", Ok(Route::Tags(name("tags/list"))));
        check("/v2/a/manifests/b/manifests/c", Ok(Route::Manifest(name("a/manifests/b"), "c")));
        check("/v2/a/blobs/sha256:x", Ok(Route::Blob(name("a"), "sha256:x")));
        check("/v2/a/blobs/uploads/", Ok(Route::Uploads(name("a"))));
        check("/v2/a/blobs/uploads", Ok(Route::Uploads(name("a"))));
        check("/v2/a/blobs/uploads/x", Ok(Route::Upload(name("a"), "x")));
        check("/v2/a/referrers/x", Ok(Route::Referrers(name("a"), "x")));
        check("/v2/A/blobs/x", Err(NoRoute::Name));
        check("/v2/../blobs/x", Err(NoRoute::Name));
        check("/v2/blobs/x", Err(NoRoute::Unknown));
        check("/v1/a/blobs/x", Err(NoRoute::Unknown));
    }
}
