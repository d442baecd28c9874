//! Promises to others: their tools read what mica writes, mica reads what they write, and nothing
//! of an image changes on the way.

mod buildah;
mod chunked;
mod clouds;
mod crash;
mod docker;
mod doors;
mod hub;
mod large;
mod logins;
mod objects;
pub(crate) mod peers;
mod podman;
mod real;
pub(crate) mod registry;
mod remote;
mod repack;
mod skopeo;
mod templates;
mod umoci;
