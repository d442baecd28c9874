//! Telling a registry who asks: nobody first, then as it wants to be told.
//!
//! What a host wants is remembered, and tokens are kept for as long as they hold, so that a pull of
//! twenty layers asks for one token.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use ureq::http::header::CONTENT_TYPE;
use ureq::http::{HeaderValue, Method};

use crate::address::{origin, shown};
use crate::call::{Answer, Call, Payload, title};
use crate::challenge::{Challenge, parse};
use crate::error::{CredentialError, RegistryError, RegistryErrorKind};
use crate::form::Form;
use crate::http::{Http, lock};
use crate::rules::{Place, Rules, Security};
use crate::secret::{Credential, Credentials, GivenToken, Secret, WantedToken};

/// Who we say we are to token servers.
const CLIENT: &str = "mica";
/// No token server has more to say.
const TOKEN_BYTES: u64 = 1 << 20;
/// How long a token holds if nobody says.
const HOLDS: Duration = Duration::from_secs(60);
/// No token is kept for longer, whatever is said of it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is renewed so long before it ends.
const MARGIN: Duration = Duration::from_secs(10);
/// Whoever did not say who we are is asked again after this time.
const SILENCE: Duration = Duration::from_secs(60);

/// What is known of hosts and tokens.
pub(crate) struct Auth {
    credentials: Arc<dyn Credentials>,
    /// What was found for servers: a helper is a process, and is started once.
    found: Mutex<BTreeMap<String, Found>>,
    ways: Mutex<BTreeMap<String, Challenge>>,
    tokens: Mutex<BTreeMap<(String, String), Token>>,
}

/// What was found for a server.
#[derive(Clone)]
enum Found {
    Credential(Credential),
    Nobody,
    /// Whoever might know did not say, and since when: as with docker, the server is then asked as
    /// nobody.
    Silence(String, Instant),
}

impl Found {
    fn credential(self) -> Option<Credential> {
        match self {
            Found::Credential(credential) => Some(credential),
            Found::Nobody | Found::Silence(..) => None,
        }
    }

    /// Whether it is worth asking again.
    fn is_old(&self) -> bool {
        matches!(self, Found::Silence(_, since) if since.elapsed() >= SILENCE)
    }
}

#[derive(Clone)]
struct Token {
    text: Secret,
    until: Instant,
}

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
    refresh_token: Option<String>,
}

impl Auth {
    pub(crate) fn new(credentials: Arc<dyn Credentials>) -> Auth {
        let (found, ways, tokens) = Default::default();
        Auth { credentials, found, ways, tokens }
    }

    /// Makes a request as whoever it takes. `scopes` is what a token must allow.
    pub(crate) fn send(
        &self,
        (http, rules): (&Http, &Rules),
        place: &Place,
        scopes: &[String],
        call: Call<'_>,
    ) -> Result<Answer, RegistryError> {
        let answer = self.ask((http, rules), place, scopes, call);
        let Some(Found::Silence(why, _)) = lock(&self.found).get(&place.server()).cloned() else {
            return answer;
        };
        // Whoever is refused hears why nobody was named.
        match answer {
            Ok(answer) => Ok(Answer { unnamed: Some(why), ..answer }),
            Err(error) if error.kind() == RegistryErrorKind::Denied => Err(error.unnamed(why)),
            Err(error) => Err(error),
        }
    }

    fn ask(
        &self,
        (http, rules): (&Http, &Rules),
        place: &Place,
        scopes: &[String],
        call: Call<'_>,
    ) -> Result<Answer, RegistryError> {
        if origin(&call.url)? != (http.scheme(place)? == "https", place.host.to_ascii_lowercase()) {
            // A registry that sends uploads elsewhere does not send us along.
            return http.send(&http.stranger(&call.url, place)?, call, None);
        }
        let known = lock(&self.ways).get(&place.host).cloned();
        let header = match known {
            Some(way) => self.header(http, rules, place, &way, scopes)?,
            None => None,
        };
        let (again, method) = (call.again(), call.method.clone());
        let answer = http.send(place, call, header.as_ref())?;
        let Some(again) = again.filter(|_| answer.status() == 401 && !answer.elsewhere) else {
            return Ok(answer);
        };
        let Some(way) = wanted(&answer) else { return Ok(answer) };
        // A token that was kept may have ended early; then a new one is tried, once.
        lock(&self.tokens).retain(|(host, _), _| *host != place.host);
        lock(&self.ways).insert(place.host.clone(), way.clone());
        let Some(header) = self.header(http, rules, place, &way, scopes)? else {
            return match way {
                Challenge::Basic => {
                    let (method, url) = (title(&method), shown(&answer.url));
                    Err(RegistryError::NoCredentials { method, url })
                }
                Challenge::Bearer { .. } => Ok(answer),
            };
        };
        http.send(place, again, Some(&header))
    }

    fn find(&self, place: &Place) -> Result<Option<Credential>, RegistryError> {
        let server = place.server();
        let mut found = lock(&self.found);
        if let Some(known) = found.get(&server).filter(|known| !known.is_old()) {
            return Ok(known.clone().credential());
        }
        let known = match self.credentials.find(&server) {
            Ok(Some(credential)) => Found::Credential(credential),
            Ok(None) => Found::Nobody,
            Err(error @ CredentialError::Helper { .. }) => {
                Found::Silence(error.to_string(), Instant::now())
            }
            Err(error) => return Err(error.into()),
        };
        found.insert(server, known.clone());
        Ok(known.credential())
    }

    /// What goes into `Authorization`.
    fn header(
        &self,
        http: &Http,
        rules: &Rules,
        place: &Place,
        way: &Challenge,
        scopes: &[String],
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let Challenge::Bearer { realm, service, scope } = way else {
            let credential = self.find(place)?;
            return Ok(credential.as_ref().and_then(basic));
        };
        let scopes: BTreeSet<&str> = scopes
            .iter()
            .map(String::as_str)
            .chain(scope.iter().flat_map(|s| s.split(' ')))
            .collect();
        let scopes: Vec<&str> = scopes.into_iter().filter(|scope| !scope.is_empty()).collect();
        let key = (place.host.clone(), scopes.join(" "));
        // Whoever waits here for another's token of the same kind then has it.
        let mut tokens = lock(&self.tokens);
        if let Some(token) = tokens.get(&key).filter(|token| token.until > Instant::now()) {
            return Ok(bearer(&token.text));
        }
        let wanted = WantedToken { server: &place.server(), realm, service, scopes: &scopes };
        let (text, holds) = match self.credentials.token(&wanted)? {
            Some(GivenToken { token, holds }) => (token, holds),
            None => {
                let credential = self.find(place)?;
                if let Some(Credential::RegistryToken(token)) = &credential {
                    return Ok(bearer(token));
                }
                let server = TokenServer { http, rules, place, realm, service };
                let answer = server.ask(credential.as_ref(), &scopes, false)?;
                (answer.text(realm)?, answer.holds())
            }
        };
        let holds = holds.unwrap_or(HOLDS).min(LONGEST);
        let mut until = Instant::now() + holds.saturating_sub(MARGIN).max(Duration::from_secs(1));
        if let Some(Found::Silence(_, since)) = lock(&self.found).get(&place.server()) {
            // Nobody's token holds no longer than nobody is asked who we are.
            until = until.min(*since + SILENCE);
        }
        let header = bearer(&text);
        tokens.insert(key, Token { text, until });
        Ok(header)
    }

    /// Tries a credential at a registry. Gives the refresh token that it may have for it.
    pub(crate) fn login(
        http: &Http,
        rules: &Rules,
        place: &Place,
        credential: &Credential,
    ) -> Result<Option<Secret>, RegistryError> {
        let url = format!("{}://{}{}/", http.scheme(place)?, place.host, place.root);
        let call = || Call::new(Method::GET, url.clone());
        let answer = http.send(place, call(), None)?;
        let failed = |answer: Answer| {
            let (url, status) = (shown(&answer.url), answer.response.status().as_u16());
            RegistryError::LoginFailed { url, status }
        };
        if answer.status().is_success() {
            // Everybody may look here; who says who they are is still to be who they say.
            let answer = http.send(place, call(), basic(credential).as_ref())?;
            return match answer.status().as_u16() {
                401 | 403 => Err(failed(answer)),
                _ => Ok(None),
            };
        }
        let way = wanted(&answer).filter(|_| answer.status() == 401 && !answer.elsewhere);
        let (header, refresh) = match way {
            None => return Err(failed(answer)),
            Some(Challenge::Basic) => (basic(credential), None),
            Some(Challenge::Bearer { realm, service, .. }) => {
                let server = TokenServer { http, rules, place, realm: &realm, service: &service };
                let answer = server.ask(Some(credential), &[], true);
                let answer = answer.map_err(|error| match error {
                    RegistryError::Refused { .. } => {
                        let url = shown(&url);
                        RegistryError::LoginRefused { url, source: Box::new(error) }
                    }
                    error => error,
                })?;
                (bearer(&answer.text(&realm)?), answer.refresh_token.map(Secret::new))
            }
        };
        let answer = http.send(place, call(), header.as_ref())?;
        match answer.status().is_success() {
            true => Ok(refresh),
            false => Err(failed(answer)),
        }
    }
}

/// The best way that a registry offers.
fn wanted(answer: &Answer) -> Option<Challenge> {
    let headers = answer.response.headers().get_all("www-authenticate");
    let all: Vec<Challenge> =
        headers.iter().filter_map(|header| header.to_str().ok()).flat_map(parse).collect();
    let is_bearer = |way: &&Challenge| matches!(way, Challenge::Bearer { .. });
    all.iter().find(is_bearer).or(all.first()).cloned()
}

fn basic(credential: &Credential) -> Option<HeaderValue> {
    let Credential::Password { user, password } = credential else { return None };
    let pair = Secret::new(format!("{user}:{}", password.expose()));
    let text = Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair.expose())));
    sensitive(&text)
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    sensitive(&Secret::new(format!("Bearer {}", token.expose())))
}

fn sensitive(text: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl TokenAnswer {
    fn text(&self, realm: &str) -> Result<Secret, RegistryError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let text = given(&self.token).or_else(|| given(&self.access_token));
        let why = || "authorization server did not include a token in the response".to_owned();
        let malformed = || RegistryError::Malformed { url: realm.to_owned(), why: why() };
        text.map(Secret::new).ok_or_else(malformed)
    }

    /// How long it holds, if that is said: a time that is over already says nothing.
    fn holds(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.expires_in?).ok().filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds))
    }
}

/// Where tokens come from.
struct TokenServer<'a> {
    http: &'a Http,
    rules: &'a Rules,
    place: &'a Place,
    realm: &'a str,
    service: &'a str,
}

impl TokenServer<'_> {
    /// Asks for a token, and at login for one that outlives it.
    fn ask(
        &self,
        credential: Option<&Credential>,
        scopes: &[&str],
        offline: bool,
    ) -> Result<TokenAnswer, RegistryError> {
        let place = self.place(credential.is_some())?;
        let mut form = Form::default();
        form.add("service", self.service);
        let answer = match credential {
            Some(Credential::IdentityToken { token, .. }) => {
                form.add("scope", &scopes.join(" "));
                form.add("client_id", CLIENT);
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", token.expose());
                let call = Call::new(Method::POST, self.realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .payload(Payload::Bytes(form.text().as_bytes()));
                self.http.send(&place, call, None)?
            }
            other => {
                scopes.iter().for_each(|scope| form.add("scope", scope));
                if let Some(Credential::Password { user, .. }) = other {
                    form.add("account", user);
                }
                if offline {
                    form.add("offline_token", "true");
                    form.add("client_id", CLIENT);
                }
                let joint = if self.realm.contains('?') { '&' } else { '?' };
                let url = format!("{}{joint}{}", self.realm, form.text());
                let header = other.and_then(basic);
                self.http.send(&place, Call::new(Method::GET, url), header.as_ref())?
            }
        };
        if !answer.status().is_success() {
            return Err(answer.into_error(&Method::GET));
        }
        let bytes = answer.bytes("a token", TOKEN_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|_| {
            let why = "the token server's answer is malformed".to_owned();
            RegistryError::Malformed { url: self.realm.to_owned(), why }
        })
    }

    /// The server as a place. Secrets do not go there in the clear, unless the registry itself is
    /// one to which they do.
    fn place(&self, secret: bool) -> Result<Place, RegistryError> {
        let (encrypted, host) = origin(self.realm)?;
        let known = self.rules.place_of_host(&host);
        let is_exposed = !encrypted && known.security.is_encrypted();
        if secret && is_exposed && self.place.security.is_encrypted() {
            let (host, realm) = (self.place.host.clone(), self.realm.to_owned());
            return Err(RegistryError::PlainRealm { host, realm });
        }
        // What a file says to send to the registry is not sent in the clear where the registry
        // itself is asked over TLS.
        let is_as_safe = encrypted || self.http.scheme(self.place)? == "http";
        if host.eq_ignore_ascii_case(&self.place.host) && is_as_safe {
            return Ok(self.place.clone());
        }
        let security = match encrypted {
            false => Security::Plain,
            true => known.security,
        };
        Ok(Place { security, ..known })
    }
}

#[cfg(test)]
mod tests;
