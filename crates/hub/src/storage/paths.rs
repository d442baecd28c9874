//! The paths of documents, the same in every storage. What a folder looks like is drawn in
//! docs/registry.md.

use spec::Digest;

use crate::names::{RepositoryName, Tag, UploadId};

/// Below it are the repositories.
pub(crate) const REPOSITORIES: &str = "repositories";
/// Says that a folder is a registry's, and of which version.
pub(crate) const FORMAT: &str = "registry.json";

/// That a repository has a blob.
pub(crate) fn blob_link(name: &RepositoryName, digest: &Digest) -> String {
    format!("{}/{digest}", blob_links(name))
}

/// Which blobs a repository has.
pub(crate) fn blob_links(name: &RepositoryName) -> String {
    format!("{REPOSITORIES}/{name}/_blobs")
}

/// That a repository has a manifest, and what it is.
pub(crate) fn manifest(name: &RepositoryName, digest: &Digest) -> String {
    format!("{}/{digest}", manifests(name))
}

/// Which manifests a repository has.
pub(crate) fn manifests(name: &RepositoryName) -> String {
    format!("{REPOSITORIES}/{name}/_manifests")
}

/// The manifest that a tag stands for.
pub(crate) fn tag(name: &RepositoryName, tag: &Tag) -> String {
    format!("{}/{tag}", tags(name))
}

/// A repository's tags.
pub(crate) fn tags(name: &RepositoryName) -> String {
    format!("{REPOSITORIES}/{name}/_tags")
}

/// A manifest that says it is about another.
pub(crate) fn referrer(name: &RepositoryName, subject: &Digest, digest: &Digest) -> String {
    format!("{}/{digest}", referrers(name, subject))
}

/// The manifests that say they are about one.
pub(crate) fn referrers(name: &RepositoryName, subject: &Digest) -> String {
    format!("{REPOSITORIES}/{name}/_referrers/{subject}")
}

/// Which repository an upload is for.
pub(crate) fn upload(id: &UploadId) -> String {
    format!("uploads/{id}/upload.json")
}
