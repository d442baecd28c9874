//! What `ADD` takes from the web.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use ::build::instruction::CopyFlags;
use spec::{Algorithm, Digest, Hasher};

use super::attest::Used;
use super::copy::{Gathered, is_archive};
use super::git::GitUrl;
use super::place::Place;
use super::place::{Chosen, Item, ItemSource};
use super::work::Builder;
use crate::error::{EngineError, Result};

/// What was fetched.
pub(super) struct Fetched {
    /// Its digest, name and time, for a key.
    pub(super) what: String,
    name: String,
    item: Item,
}

/// What a file from the web may be used by, unless asked otherwise.
const MODE: u32 = 0o600;

/// Whether a source is fetched.
pub(super) fn is_remote(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

impl Builder<'_> {
    /// Whether a source of `ADD` is a repository.
    pub(super) fn is_repository(&self, source: &str) -> Result<bool> {
        Ok(GitUrl::parse(source)?.is_some())
    }

    /// Fetches a repository, and says which commit that is.
    pub(super) fn repository(&self, url: &str, flags: &CopyFlags) -> Result<(Arc<Place>, String)> {
        let not_one = || EngineError::Refused(format!("{url} is no repository"));
        let url = GitUrl::parse(url)?.ok_or_else(not_one)?.checked(flags.checksum.as_deref());
        let checkout = self.session.checkout(&url, self.request)?;
        let keep = flags.keep_git_dir.or(url.keep_git_dir).unwrap_or(false);
        let place = checkout.place(&url, keep, "")?;
        let (uri, algorithm, hash) = (url.shown(), "sha1".to_owned(), checkout.commit.clone());
        self.note_use(Used { uri, algorithm, hash });
        Ok((place, format!("{} {keep}", checkout.commit)))
    }

    /// Fetches a file.
    pub(super) fn fetch(&self, url: &str, flags: &CopyFlags) -> Result<Fetched> {
        let checksum = flags.checksum.as_deref().map(|text| {
            let digest = text.parse::<Digest>();
            digest.map_err(|error| {
                EngineError::Refused(format!("invalid checksum {text:?}: {error}"))
            })
        });
        let checksum = checksum.transpose()?;
        let fetched = registry::fetch(url)?;
        let mut file = self.store().scratch(self.lease)?;
        let algorithm = checksum.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let (digest, bytes) =
            keep(fetched.reader, &mut file, algorithm).map_err(EngineError::io("fetch", url))?;
        if let Some(wanted) = checksum.filter(|wanted| *wanted != digest) {
            return Err(EngineError::Refused(format!("digest mismatch {digest}: {wanted}")));
        }
        let time = fetched.last_modified.as_deref().and_then(registry::http_date);
        let time = time.and_then(|seconds| i64::try_from(seconds).ok());
        let source = ItemSource::Fetched(Arc::new(file));
        let item = Item::made(source, MODE, bytes, time.map(|seconds| (seconds, 0)));
        let name = name_of(url);
        self.note_use(Used::new(url.to_owned(), digest));
        let what = format!("{digest} {name} {}", time.unwrap_or_default());
        Ok(Fetched { what, name, item })
    }
}

impl Fetched {
    /// Adds it to what is copied: as a file, or unpacked if that is asked for.
    pub(super) fn put(self, flags: &CopyFlags, gathered: &mut Gathered) {
        if flags.unpack == Some(true) && is_archive(&self.item) {
            gathered.archives.push(self.item);
            return;
        }
        let name = self.name.into_bytes();
        let items = [(name.clone(), self.item)].into();
        gathered.chosen.push(Chosen { items, is_folder: false, path: name });
    }
}

fn keep(mut reader: impl Read, file: &mut File, algorithm: Algorithm) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut all) = (Hasher::new(algorithm), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
        all += count as u64;
    }
    Ok((hasher.finish(), all))
}

/// The last part of an address's path.
fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let after = path.split_once("://").map_or("", |(_, rest)| rest);
    let name = after.split_once('/').map_or("", |(_, path)| path).rsplit('/').next();
    name.filter(|name| !name.is_empty()).unwrap_or("__unnamed__").to_owned()
}
