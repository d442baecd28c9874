//! What comes over the network: files by URL. The distribution protocol will live here too.

mod fetch;

pub use fetch::{FetchError, Fetched, fetch};
