//! What an engine says while it works: a document a line.

use std::io::{BufRead, BufReader};

use client::Body;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Heeds each document as it comes, up to the last or to the first that must not be.
pub(super) fn each<T: DeserializeOwned>(
    body: Body,
    mut heed: impl FnMut(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut from = BufReader::new(body);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from.read_until(b'\n', &mut line);
        read.map_err(|error| Failure::new(format!("error: the engine broke off: {error}")))?;
        if line.is_empty() {
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        heed(serde_json::from_slice(&line).map_err(|error| {
            Failure::new(format!("error: cannot understand what the engine says: {error}"))
        })?)?;
    }
}
