//! The registry: images served to others by the distribution protocol.
//!
//! [`serve`] is all there is to call. A request goes from `http` through `route` and `access` to a
//! method of `Hub`, which works on documents and blobs in a `Storage`. docs/registry.md says what is
//! kept where, and what holds after a crash.

mod access;
mod blobs;
mod cache;
mod collect;
mod contents;
mod error;
mod http;
mod hub;
mod lists;
mod manifests;
mod metrics;
mod names;
mod parts;
mod problem;
mod range;
mod route;
mod serve;
mod shelf;
mod storage;
mod uploads;
mod upstream;

pub use access::{
    Access, Entry, Passwords, PasswordsError, Rules, RulesError, TokenKeys, TokenKeysError, Tokens,
};
pub use collect::{Collected, Garbage, collect};
pub use error::{HubError, HubErrorKind, Result};
pub use http::{Certificate, CertificateError};
pub use hub::Mode;
pub use serve::{Ready, Settings, serve};
pub use shelf::{Shelf, ShelfResult, ShownDocument};
pub use storage::{Bucket, Place};
pub use upstream::Upstream;
