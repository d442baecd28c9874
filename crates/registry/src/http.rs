//! Requests: one connection pool for each way to reach a host, redirects that take no secrets
//! along, and patience with hosts that are busy.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ureq::http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, WARNING};
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use ureq::{Agent, Body, SendBody};

use crate::address::{origin, resolve, shown};
use crate::call::{Answer, Call, Payload, printable, title};
use crate::client::Limits;
use crate::error::RegistryError;
use crate::forward;
use crate::proxy::{Proxies, Proxy};
use crate::rules::{Place, Security};
use crate::tls::{self, Tls};
use crate::trusted;

/// A redirect leads to a redirect so often, as in Go.
const REDIRECTS: usize = 10;
/// More warnings than this are noise.
const WARNINGS: usize = 32;

/// The network, as far as it is known by now.
pub(crate) struct Http {
    pub(crate) limits: Limits,
    proxies: Proxies,
    certificates: Vec<PathBuf>,
    bundle: Option<PathBuf>,
    user_agent: String,
    agents: Mutex<BTreeMap<AgentKey, Agent>>,
    /// Hosts that were found to speak plain HTTP.
    plain: Mutex<BTreeMap<String, bool>>,
    warnings: Mutex<Vec<String>>,
}

/// What an agent depends on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct AgentKey {
    proxy: Option<Proxy>,
    /// How long a connection may take.
    connect: Duration,
    /// Whom it talks TLS with, if it does.
    tls: Option<TlsKey>,
}

/// What TLS with a host depends on: the host for its certificates, how sure we must be, and what a
/// file gives for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TlsKey {
    host: String,
    security: Security,
    authorities: Vec<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

impl Http {
    pub(crate) fn new(
        limits: Limits,
        proxies: Proxies,
        certificates: Vec<PathBuf>,
        bundle: Option<PathBuf>,
        user_agent: String,
    ) -> Http {
        Http {
            limits,
            proxies,
            certificates,
            bundle,
            user_agent,
            agents: Mutex::default(),
            plain: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// What registries warned of since the last time, each once.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.warnings))
    }

    /// The scheme that a place speaks. One that may be plain is asked once.
    pub(crate) fn scheme(&self, place: &Place) -> Result<&'static str, RegistryError> {
        match place.security {
            Security::Plain => return Ok("http"),
            Security::Checked | Security::Unverified => return Ok("https"),
            Security::Loose if tls::has_authority(place, &self.certificates) => return Ok("https"),
            Security::Loose => {}
        }
        if let Some(plain) = lock(&self.plain).get(&place.host) {
            return Ok(if *plain { "http" } else { "https" });
        }
        let url = format!("https://{}{}/", place.host, place.root);
        let plain = match self.once(place, Call::new(Method::HEAD, url), None) {
            Ok(_) => false,
            Err(RegistryError::Transport { source, .. }) => !is_certificate(&source),
            Err(RegistryError::PlainServer { .. }) => true,
            Err(error) => return Err(error),
        };
        lock(&self.plain).insert(place.host.clone(), plain);
        Ok(if plain { "http" } else { "https" })
    }

    /// Makes a request, follows redirects, and waits for hosts that are busy. `authorization` goes
    /// to the host that is asked and nowhere else.
    pub(crate) fn send(
        &self,
        place: &Place,
        call: Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let (mut call, mut attempt) = (call, 0);
        loop {
            attempt += 1;
            let again = call.again().filter(|_| attempt < self.limits.attempts);
            let result = self.follow(place, call, authorization);
            let Some(again) = again else { return result };
            let usual = self.limits.pause * 2u32.saturating_pow(attempt - 1);
            let pause = match result {
                Ok(answer) if is_busy(answer.status()) => {
                    let told = retry_after(answer.response.headers());
                    let is_long = told.is_some_and(|told| told > self.limits.longest_pause);
                    // Who has had their share waits for hours, or logs in; asking on is in vain.
                    if is_long && answer.status() == StatusCode::TOO_MANY_REQUESTS {
                        return Ok(answer);
                    }
                    told.unwrap_or(usual)
                }
                Err(RegistryError::Transport { source, .. }) if passes(&source) => usual,
                other => return other,
            };
            std::thread::sleep(pause.min(self.limits.longest_pause));
            call = again;
        }
    }

    fn follow(
        &self,
        place: &Place,
        call: Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let asked = origin(&call.url)?;
        let (method, first) = (call.method.clone(), call.url.clone());
        let mut call = call;
        for _ in 0..=REDIRECTS {
            let again = call.again();
            let from = call.url.clone();
            let elsewhere = origin(&from)? != asked;
            let known = authorization.filter(|_| !elsewhere);
            let other;
            let place = match elsewhere {
                true => {
                    other = self.stranger(&from, place)?;
                    &other
                }
                false => place,
            };
            let response = self.once(place, call, known)?;
            let patience = self.limits.document;
            let unnamed = None;
            let answer = Answer { response, url: from, elsewhere, unnamed, patience };
            let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let target = answer.header(LOCATION.as_str()).map(str::to_owned);
            let (Some(target), true, Some(again)) = (target, is_redirect, again) else {
                return Ok(answer);
            };
            let url = resolve(&answer.url, &target)?;
            if matches!(again.payload, Payload::Bytes(_)) && origin(&url)? != asked {
                // What is sent may be a secret, and was meant for the host that was asked.
                return Ok(answer);
            }
            if answer.url.starts_with("https:") && url.starts_with("http:") {
                let why = "a redirect leads from HTTPS to plain HTTP".to_owned();
                return Err(RegistryError::Malformed { url: shown(&answer.url), why });
            }
            call = Call { url, ..again };
        }
        Err(RegistryError::Redirects { method: title(&method), url: shown(&first) })
    }

    /// A host that a redirect leads to: it is nobody's mirror and gets nobody's headers.
    pub(crate) fn stranger(&self, url: &str, from: &Place) -> Result<Place, RegistryError> {
        let (encrypted, host) = origin(url)?;
        let security = match (encrypted, from.security) {
            (false, _) => Security::Plain,
            (true, Security::Loose) => Security::Loose,
            (true, Security::Unverified) => Security::Unverified,
            (true, _) => Security::Checked,
        };
        let (headers, authorities, client, namespace) = Default::default();
        Ok(Place { host, security, headers, authorities, client, namespace, ..from.clone() })
    }

    /// Makes one request.
    fn once(
        &self,
        place: &Place,
        call: Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Body>, RegistryError> {
        let Call { method, url, headers, payload } = call;
        let (verb, is_plain) = (title(&method), url.starts_with("http:"));
        let (agent, proxy) = self.agent(place, !is_plain)?;
        let uri: Uri = url.parse().map_err(|_| RegistryError::Address(shown(&url)))?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        for (name, value) in &place.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let wrong = |_| RegistryError::Address(shown(&url));
        let result = match payload {
            Payload::Nothing => agent.run(request.body(()).map_err(wrong)?),
            Payload::Bytes(bytes) => agent.run(request.body(bytes).map_err(wrong)?),
            Payload::Stream(reader, length) => {
                if let Some(length) = length {
                    request = request.header("content-length", length);
                }
                agent.run(request.body(SendBody::from_reader(reader)).map_err(wrong)?)
            }
        };
        let response = result.map_err(|source| match speaks_plainly(&source) {
            true => RegistryError::PlainServer { method: verb, url: shown(&url) },
            false => {
                let proxy = proxy.map(|proxy| proxy.host());
                RegistryError::Transport { method: verb, url: shown(&url), proxy, source }
            }
        })?;
        self.listen(response.headers());
        Ok(response)
    }

    /// Remembers what the registry warns of: `299 - "text"`.
    fn listen(&self, headers: &HeaderMap) {
        for header in headers.get_all(WARNING) {
            let text = header.to_str().unwrap_or_default();
            let Some(text) = text.strip_prefix("299 - \"").and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            self.warn(text);
        }
    }

    /// Remembers what somebody should hear, once.
    fn warn(&self, text: &str) {
        let text = printable(text, 512);
        let mut warnings = lock(&self.warnings);
        if warnings.len() < WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Whoever asks a place, and the proxy that it is asked through.
    fn agent(
        &self,
        place: &Place,
        encrypted: bool,
    ) -> Result<(Agent, Option<Proxy>), RegistryError> {
        let proxy = match &place.proxy {
            Some(address) => Some(Proxy::parse(address)?),
            None => self.proxies.of_host(encrypted, &place.host)?,
        };
        let connect = place.connect.unwrap_or(self.limits.connect);
        let tls = encrypted.then(|| TlsKey {
            host: place.host.clone(),
            security: place.security,
            authorities: place.authorities.clone(),
            client: place.client.clone(),
        });
        let key = AgentKey { proxy, connect, tls };
        if let Some(agent) = lock(&self.agents).get(&key) {
            return Ok((agent.clone(), key.proxy));
        }
        let tls = match (encrypted, &key.proxy) {
            (true, proxy) => {
                let bundle = self.bundle.as_deref();
                let tls = tls::config(place, &self.certificates, bundle)?;
                Some(match proxy {
                    Some(proxy) if proxy.is_encrypted() => tls.behind_proxy(bundle)?,
                    _ => tls,
                })
            }
            (false, Some(proxy)) if proxy.is_encrypted() => {
                Some(tls::of_system(self.bundle.as_deref())?)
            }
            (false, _) => None,
        };
        let limits = Limits { connect, ..self.limits.clone() };
        let proxy = key.proxy.as_ref().map(|proxy| (proxy, encrypted));
        let agent = agent(&limits, &self.user_agent, proxy, IDLE, tls);
        lock(&self.agents).insert(key.clone(), agent.clone());
        Ok((agent, key.proxy))
    }
}

/// So many connections to one registry are kept for the next request.
const IDLE: usize = 8;

/// Whoever carries requests out, over TLS or not, by a proxy and to hosts that want TLS or not.
/// Redirects and statuses are the caller's.
pub(crate) fn agent(
    limits: &Limits,
    user_agent: &str,
    proxy: Option<(&Proxy, bool)>,
    idle: usize,
    tls: Option<Tls>,
) -> Agent {
    // What is not encrypted is the proxy's to read: it is asked for it, and makes no tunnel.
    let (forward, tunnel) = match proxy {
        Some((proxy, false)) if !proxy.is_socks() => (Some(proxy), None),
        other => (None, other.map(|(proxy, _)| proxy.tunnel())),
    };
    let mut config = Agent::config_builder()
        .proxy(tunnel)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(limits.header_bytes)
        .max_idle_connections_per_host(idle)
        .allow_non_standard_methods(true)
        .user_agent(user_agent)
        .timeout_connect(Some(limits.connect))
        .timeout_per_read(Some(limits.idle))
        .timeout_per_write(Some(limits.idle))
        .timeout_recv_response(Some(limits.answer))
        .input_buffer_size(256 << 10)
        .output_buffer_size(256 << 10);
    let mut special = (None, None);
    if let Some(tls) = tls {
        config = config.tls_config(tls.config);
        special = (tls.trusted, tls.proxy);
    }
    match (forward, special) {
        (Some(proxy), _) => forward::agent(config.build(), proxy),
        (None, (None, None)) => Agent::new_with_config(config.build()),
        (None, (trusted, proxy)) => trusted::agent(config.build(), trusted, proxy),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Whether an error of the network may be gone a moment later.
fn passes(error: &ureq::Error) -> bool {
    match error {
        // TLS says so of what it does not like, and will not like it better later.
        ureq::Error::Io(error) => {
            !matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidData)
        }
        ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

/// Whether TLS failed because the other side does not know it.
fn speaks_plainly(error: &ureq::Error) -> bool {
    let text = error.to_string();
    text.contains("InvalidContentType") || text.contains("corrupt message")
}

/// Whether TLS works but for who the host says it is.
fn is_certificate(error: &ureq::Error) -> bool {
    error.to_string().contains("certificate")
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = http_date(text)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? + 1;
    let time = format!("{year}-{month:02}-{day}T{}Z", words.next()?);
    u64::try_from(time.parse::<spec::Timestamp>().ok()?.unix_seconds()).ok()
}

#[cfg(test)]
mod tests;
