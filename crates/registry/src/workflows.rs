//! GitHub's cache of workflows: bytes by key, as BuildKit keeps caches in it.
//!
//! Keys are written once and never again, and are asked for by how they begin: the newest is meant.
//! An entry is begun and ended at the service; its bytes go to and come from a store of Azure's, by
//! addresses that are signed. Only the service's second form is spoken: the first is no more.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spec::Digest;
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use crate::address::shown;
use crate::direct::Direct;
use crate::error::RegistryError;
use crate::secret::Secret;
use crate::whole::{at_end, take};

const SERVICE: &str = "twirp/github.actions.results.api.v1.CacheService";
/// Entries are found under the version they were written with; all who keep build caches there say
/// the hash of this.
const VERSION: &[u8] = b"|go-actionscache-1.0";
/// What the service says is at most this long.
const ANSWER_BYTES: u64 = 64 << 10;
/// What is larger is sent in blocks of this size.
const BLOCK_BYTES: u64 = 32 << 20;
/// How long to wait before something is tried again.
const PAUSES: &[u64] = &[1, 2, 4, 8, 16];

type Result<T> = std::result::Result<T, RegistryError>;

/// The cache of a workflow, as its token opens it.
pub struct WorkflowCache {
    direct: Direct,
    url: String,
    token: Secret,
    scopes: Vec<Scope>,
    /// For how long a request is made again.
    patience: Option<Duration>,
}

/// Something that entries belong to: a branch, a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What it is called.
    pub name: String,
    /// Whether the token may write there.
    pub is_writable: bool,
}

/// An entry that there is.
pub struct WorkflowEntry {
    /// The key it was written under.
    pub key: String,
    /// Where its bytes are. Whoever has it may read them.
    url: Secret,
}

impl WorkflowCache {
    /// The cache that a token opens, at the address that the workflow was given.
    pub fn open(
        url: &str,
        token: Secret,
        patience: Option<Duration>,
        direct: Direct,
    ) -> Result<WorkflowCache> {
        let malformed = |why: &str| {
            let (url, why) = (shown(url), why.to_owned());
            RegistryError::Malformed { url, why }
        };
        let scopes = scopes(token.expose()).ok_or_else(|| malformed("its token says no scopes"))?;
        let url = format!("{}/{SERVICE}", url.trim_end_matches('/'));
        Ok(WorkflowCache { direct, url, token, scopes, patience })
    }

    /// What the token opens, the nearest first.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The newest entry whose key begins so.
    pub fn find(&self, key: &str) -> Result<Option<WorkflowEntry>> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            ok: bool,
            #[serde(default)]
            signed_download_url: String,
            #[serde(default)]
            matched_key: String,
        }
        let asked = json!({ "key": key, "restore_keys": [key], "version": version() });
        let found: Option<Found> = self.ask("GetCacheEntryDownloadURL", &asked)?;
        Ok(found.filter(|found| found.ok).map(|found| WorkflowEntry {
            key: found.matched_key,
            url: Secret::new(found.signed_download_url),
        }))
    }

    /// An entry's bytes, while they come.
    pub fn read(&self, entry: &WorkflowEntry) -> Result<Box<dyn Read + Send>> {
        let url = entry.url.expose();
        let agent = self.agent(url)?;
        let response = self.patiently("Get", url, || agent.get(url).call())?;
        Ok(Box::new(response.into_body().into_reader()))
    }

    /// Writes an entry of so many bytes; false if somebody has one under this key, or is at it.
    pub fn write(&self, key: &str, from: &mut dyn Read, bytes: u64) -> Result<bool> {
        #[derive(Deserialize)]
        struct Begun {
            #[serde(default)]
            ok: bool,
            #[serde(default)]
            signed_upload_url: String,
        }
        #[derive(Deserialize)]
        struct Ended {
            #[serde(default)]
            ok: bool,
        }
        let version = version();
        let begun = json!({ "key": key, "version": version });
        let Some(begun) = self.ask::<Begun>("CreateCacheEntry", &begun)?.filter(|it| it.ok) else {
            return Ok(false);
        };
        self.send(&begun.signed_upload_url, from, bytes)?;
        let ended = json!({ "key": key, "size_bytes": bytes, "version": version });
        match self.ask::<Ended>("FinalizeCacheEntryUpload", &ended)? {
            Some(Ended { ok: true }) => Ok(true),
            _ => Err(self.malformed(format!("entry {key} was not kept"))),
        }
    }

    /// Sends bytes to where the service said, in blocks if they are many.
    fn send(&self, url: &str, from: &mut dyn Read, bytes: u64) -> Result<()> {
        if bytes <= BLOCK_BYTES {
            let all = take(from, bytes).and_then(|all| at_end(from).map(|()| all));
            return self.put(url, &all.map_err(RegistryError::Source)?);
        }
        let (mut left, mut names) = (bytes, Vec::new());
        let more = if url.contains('?') { '&' } else { '?' };
        while left > 0 {
            let block = take(from, left.min(BLOCK_BYTES)).map_err(RegistryError::Source)?;
            left -= block.len() as u64;
            // Six digits are eight letters without padding, which need not be escaped.
            let name = STANDARD.encode(format!("{:06}", names.len()));
            self.put(&format!("{url}{more}comp=block&blockid={name}"), &block)?;
            names.push(name);
        }
        at_end(from).map_err(RegistryError::Source)?;
        let list: String = names.iter().map(|name| format!("<Latest>{name}</Latest>")).collect();
        let list =
            format!(r#"<?xml version="1.0" encoding="utf-8"?><BlockList>{list}</BlockList>"#);
        self.put(&format!("{url}{more}comp=blocklist"), list.as_bytes())
    }

    fn put(&self, url: &str, bytes: &[u8]) -> Result<()> {
        let agent = self.agent(url)?;
        let put = || agent.put(url).header("x-ms-blob-type", "BlockBlob").send(bytes);
        self.patiently("Put", url, put).map(drop)
    }

    /// Asks the service; nothing if there is already what was to be made.
    fn ask<T: DeserializeOwned>(&self, what: &str, body: &Value) -> Result<Option<T>> {
        let (url, body) = (format!("{}/{what}", self.url), body.to_string());
        let agent = self.agent(&url)?;
        let bearer = format!("Bearer {}", self.token.expose());
        let post = || {
            let request = agent.post(&url).header("authorization", &bearer);
            request.header("content-type", "application/json").send(&body)
        };
        let answered = match self.patiently("Post", &url, post) {
            Err(RegistryError::Status { status: 409, .. }) => return Ok(None),
            other => other?,
        };
        let mut body = answered.into_body();
        let bytes = body.with_config().limit(ANSWER_BYTES).read_to_vec();
        let bytes = bytes.map_err(|source| transport("Post", &url, source))?;
        let answer = serde_json::from_slice(&bytes);
        answer.map(Some).map_err(|error| self.malformed(error.to_string()))
    }

    /// Tries until something else comes of it than that the service is busy.
    fn patiently(
        &self,
        method: &'static str,
        url: &str,
        attempt: impl Fn() -> std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>> {
        let (mut pauses, begun) = (PAUSES.iter(), Instant::now());
        loop {
            if self.patience.is_some_and(|patience| begun.elapsed() > patience) {
                let late = ureq::Error::Timeout(ureq::Timeout::Global);
                return Err(transport(method, url, late));
            }
            let outcome = match attempt() {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let (url, status) = (shown(url), response.status().as_u16());
                    Err(RegistryError::Status { method, url, status })
                }
                Err(error) => Err(transport(method, url, error)),
            };
            let is_busy = match &outcome {
                Err(RegistryError::Status { status, .. }) => matches!(status, 408 | 429 | 500..),
                _ => true,
            };
            match pauses.next().filter(|_| is_busy) {
                Some(pause) => thread::sleep(Duration::from_secs(*pause)),
                None => return outcome,
            }
        }
    }

    fn agent(&self, url: &str) -> Result<Agent> {
        let uri = url.parse::<Uri>();
        let uri = uri.map_err(|_| RegistryError::Address(shown(url)))?;
        self.direct.agent(&uri)
    }

    fn malformed(&self, why: String) -> RegistryError {
        RegistryError::Malformed { url: shown(&self.url), why }
    }
}

fn transport(method: &'static str, url: &str, source: ureq::Error) -> RegistryError {
    RegistryError::Transport { method, url: shown(url), proxy: None, source }
}

fn version() -> String {
    Digest::of(VERSION).hex()
}

/// What a token opens, as it says itself in its middle part.
fn scopes(token: &str) -> Option<Vec<Scope>> {
    #[derive(Deserialize)]
    struct Claims {
        ac: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Access {
        scope: String,
        permission: u32,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let all: Vec<Access> = serde_json::from_str(&claims.ac).ok()?;
    let scope = |it: Access| Scope { name: it.scope, is_writable: it.permission & 2 != 0 };
    Some(all.into_iter().map(scope).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_opens() {
        let token = |claims: &str| format!("head.{}.mark", URL_SAFE_NO_PAD.encode(claims));
        let list = r#"[{\"Scope\":\"refs/pull/1/merge\",\"Permission\":3},{\"Scope\":\"refs/heads/main\",\"Permission\":1}]"#;
        let found = scopes(&token(&format!("{{\"ac\":\"{list}\",\"exp\":1}}"))).unwrap();
        let scope = |name: &str, is_writable| Scope { name: name.to_owned(), is_writable };
        assert_eq!(found, [scope("refs/pull/1/merge", true), scope("refs/heads/main", false)]);
        for wrong in ["", "a.b", "a.!.c", &token("{}"), &token("{\"ac\":\"x\"}")] {
            assert_eq!(scopes(wrong), None, "{wrong}");
        }
    }
}
