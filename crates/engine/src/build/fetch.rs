//! What `ADD` takes from the web.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::build::instruction::CopyFlags;
use registry::{Before, Direct};
use serde::{Deserialize, Serialize};
use spec::{Algorithm, Digest, Hasher};

use super::attest::Used;
use super::copy::{Gathered, is_archive};
use super::git::GitUrl;
use super::place::Place;
use super::place::{Chosen, Item, ItemSource};
use super::request::CacheUse;
use super::work::Builder;
use crate::error::{EngineError, Result};

/// What was fetched.
pub(super) struct Fetched {
    /// Its digest, name and time, for a key.
    pub(super) what: String,
    name: String,
    item: Item,
}

/// What is remembered of a file that was fetched, so that one that has not changed need not come
/// again to be known.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    digest: Digest,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// As the server wrote it, to be said to it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

/// A file that has not changed since it was fetched before; its bytes come when they are needed.
pub(super) struct Unchanged {
    url: String,
    known: Remembered,
}

/// No such memory is longer.
const MEMORY_BYTES: u64 = 64 << 10;
/// Repositories that are written without a scheme begin with it, and so can paths.
const FOLDER_LIKE: &str = "github.com/";
/// Where that is.
pub(super) const URLS: &str = "urls";
/// What a file from the web may be used by, unless asked otherwise.
const MODE: u32 = 0o600;

/// Whether a source is fetched.
pub(super) fn is_remote(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Whether a source is a repository's address. What could be a folder of the context too is one.
pub(crate) fn is_repository_source(source: &str) -> bool {
    !source.starts_with(FOLDER_LIKE) && super::is_repository(source)
}

impl Builder<'_> {
    /// Whether a source of `ADD` is a repository. What could be a folder of the context too is one.
    pub(super) fn is_repository(&self, source: &str) -> Result<bool> {
        Ok(!source.starts_with(FOLDER_LIKE) && GitUrl::parse(source)?.is_some())
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
        let time = place.time().map(|time| format!(" {time}")).unwrap_or_default();
        Ok((place, format!("{} {keep}{time}", checkout.commit)))
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
        let name = name_of(url);
        // An archive is known by its content; another digest than usual by all of it.
        let may_wait = flags.unpack != Some(true)
            && self.request.cache == CacheUse::All
            && checksum.is_none_or(|digest| digest.algorithm() == Algorithm::Sha256);
        let known = if may_wait { self.recall_url(url) } else { None };
        let (known, file) = self.fetch_unless_known(url, known, checksum)?;
        if let Some(wanted) = checksum.filter(|wanted| *wanted != known.digest) {
            let digest = known.digest;
            return Err(EngineError::Refused(format!("digest mismatch {digest}: {wanted}")));
        }
        let time = known.last_modified.as_deref().and_then(registry::http_date);
        let time = time.and_then(|seconds| i64::try_from(seconds).ok());
        self.note_use(Used::new(without_user(url), known.digest));
        let what = format!("{} {name} {}", known.digest, time.unwrap_or_default());
        let bytes = known.bytes;
        let source = match file {
            Some(file) => ItemSource::Fetched(Arc::new(file)),
            None => ItemSource::Unchanged(Arc::new(Unchanged { url: url.to_owned(), known })),
        };
        let item = Item::made(source, MODE, bytes, time.map(|seconds| (seconds, 0)));
        Ok(Fetched { what, name, item })
    }

    /// Asks for a file, and takes it in if it is not what it was.
    fn fetch_unless_known(
        &self,
        url: &str,
        known: Option<Remembered>,
        checksum: Option<Digest>,
    ) -> Result<(Remembered, Option<File>)> {
        if let Some(known) = &known {
            // Nobody need be asked for what is known by its digest.
            let is_it = checksum.is_some_and(|wanted| wanted == known.digest);
            if is_it {
                return Ok((known.clone(), None));
            }
            let before =
                Before { etag: known.etag.clone(), last_modified: known.last_modified.clone() };
            let authorization = self.authorization(url)?;
            return match self.web().fetch_changed(url, &before, authorization.as_deref())? {
                None => Ok((known.clone(), None)),
                Some(fetched) => self.take_in(url, fetched, Algorithm::Sha256),
            };
        }
        let algorithm = checksum.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let fetched = self.web().fetch_allowed(url, self.authorization(url)?.as_deref())?;
        self.take_in(url, fetched, algorithm)
    }

    fn web(&self) -> Direct {
        self.session.engine.settings().direct()
    }

    /// What a secret says to the host of an address about who asks: `HTTP_AUTH_HEADER_HOST` as it
    /// is, or else `HTTP_AUTH_TOKEN_HOST`.
    fn authorization(&self, url: &str) -> Result<Option<String>> {
        let host = host_of(url);
        let secret = |kind: &str| {
            let bytes = self.request.secret(&format!("HTTP_AUTH_{kind}_{host}"))?;
            Ok::<_, EngineError>(
                bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()),
            )
        };
        Ok(match secret("HEADER")? {
            Some(header) => Some(header),
            None => secret("TOKEN")?.map(|token| format!("Bearer {token}")),
        })
    }

    fn take_in(
        &self,
        url: &str,
        fetched: registry::Fetched,
        algorithm: Algorithm,
    ) -> Result<(Remembered, Option<File>)> {
        let registry::Fetched { reader, last_modified, etag, .. } = fetched;
        let mut file = self.store().scratch(self.lease)?;
        let (digest, bytes) = keep(reader, &mut file, algorithm)
            .map_err(EngineError::io("fetch", without_user(url)))?;
        let known = Remembered { digest, bytes, etag, last_modified };
        if algorithm == Algorithm::Sha256 {
            self.remember_url(url, &known);
        }
        Ok((known, Some(file)))
    }

    /// Where it is remembered what a URL gave.
    fn url_memory(&self, url: &str) -> PathBuf {
        let name = Digest::of(url.as_bytes()).hex();
        self.store().build_folder().join(URLS).join(name)
    }

    fn recall_url(&self, url: &str) -> Option<Remembered> {
        let mut bytes = Vec::new();
        let file = File::open(self.url_memory(url)).ok()?;
        file.take(MEMORY_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What cannot be remembered is fetched again, and that is all.
    fn remember_url(&self, url: &str, known: &Remembered) {
        let path = self.url_memory(url);
        let Some(folder) = path.parent() else { return };
        let random = sys::host::random_id().unwrap_or_default();
        let aside = folder.join(format!("{random}.new"));
        let written = serde_json::to_vec(known)
            .map_err(io::Error::from)
            .and_then(|bytes| make_folder(folder).and_then(|()| fs::write(&aside, bytes)))
            .and_then(|()| fs::rename(&aside, &path));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
    }

    /// Fetches what has not changed after all: its step is to be done again.
    pub(super) fn bring_unchanged(&self, gathered: &mut Gathered) -> Result<()> {
        let archives = gathered.archives.iter_mut().map(|archive| &mut archive.chosen);
        let chosen = gathered.chosen.iter_mut().chain(archives);
        for item in chosen.flat_map(Chosen::items_mut) {
            let ItemSource::Unchanged(unchanged) = &item.source else { continue };
            let Unchanged { url, known } = &**unchanged;
            let fetched = self.web().fetch_allowed(url, self.authorization(url)?.as_deref())?;
            let (now, file) = self.take_in(url, fetched, Algorithm::Sha256)?;
            let Some(file) = file.filter(|_| now.digest == known.digest) else {
                let url = without_user(url);
                let words = format!("{url} changed while it was fetched: build again");
                return Err(EngineError::Refused(words));
            };
            item.source = ItemSource::Fetched(Arc::new(file));
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Fetched {
    /// Adds it to what is copied: as a file, or unpacked if that is asked for.
    pub(super) fn put(self, flags: &CopyFlags, gathered: &mut Gathered) {
        let chosen = Chosen::made(self.name.as_bytes(), self.item);
        match flags.unpack == Some(true) && is_archive(&chosen) {
            true => gathered.add_archive(chosen),
            false => gathered.chosen.push(chosen),
        }
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

/// An address without the name and the password that may stand in it: what tells of a step is read by
/// many, and kept.
pub(super) fn without_user(path: &str) -> String {
    let known = path.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (_, host) = rest[..end].rsplit_once('@')?;
        Some(format!("{scheme}://{host}{}", &rest[end..]))
    });
    known.unwrap_or_else(|| path.to_owned())
}

/// The host of an address, with its port if it says one.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

/// The last part of an address's path.
fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let after = path.split_once("://").map_or("", |(_, rest)| rest);
    let name = after.split_once('/').map_or("", |(_, path)| path).rsplit('/').next();
    name.filter(|name| !name.is_empty()).unwrap_or("__unnamed__").to_owned()
}
