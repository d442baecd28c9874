//! What comes over the network: images by the distribution protocol, files by URL,
//! objects in buckets.
//!
//! A [`Client`] knows which hosts are asked for a name ([`Rules`]), who asks ([`Credentials`]), and
//! how long to wait ([`Limits`]). A [`Repository`] reads and writes documents and blobs. Nothing here
//! knows where images are kept.

mod address;
mod auth;
mod blob;
mod bucket;
mod call;
mod challenge;
mod client;
mod credentials;
mod direct;
mod document;
mod error;
mod fetch;
mod form;
mod forward;
mod http;
mod list;
mod parts;
mod proxy;
mod rules;
mod secret;
mod tls;
mod trusted;
mod upload;
mod whole;
mod words;
mod workflows;

pub use blob::BlobReader;
pub use bucket::{
    Bucket, BucketKind, BucketSettings, Listed, Object, ObjectReader, Version as ObjectVersion,
};
pub use client::{Access, Client, ClientSettings, Limits, Repository, Target};
pub use credentials::{CredentialStore, Kept, StoreSettings, config_trouble};
pub use direct::Direct;
pub use document::{RemoteDocument, RemoteHead};
pub use error::{ApiError, BucketError, CredentialError, RegistryError, RegistryErrorKind};
pub use fetch::{Before, FetchError, Fetched};
pub use http::http_date;
pub use list::SearchResult;
pub use parts::PartsReader;
pub use proxy::Proxies;
pub use rules::{Mirror, Rule, Rules, Serves, read_registries_conf, server_key};
pub use secret::{Anonymous, Credential, Credentials, GivenToken, Secret, WantedToken};
pub use upload::{Begun, OpenAt, Sent, Upload};
pub use workflows::{Scope, WorkflowCache, WorkflowEntry};
