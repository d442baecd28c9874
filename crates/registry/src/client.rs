//! The client of the distribution protocol: OCI's 1.1 and what docker's registries speak.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spec::{Digest, Reference};

use crate::auth::Auth;
use crate::call::{Answer, Call};
use crate::error::RegistryError;
use crate::form::encode;
use crate::http::Http;
use crate::proxy::Proxies;
use crate::rules::{Place, Rules};
use crate::secret::{Anonymous, Credential, Credentials, Secret};

/// How much and how long is too much and too long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A manifest or index.
    pub document_bytes: u64,
    /// The headers of an answer.
    pub header_bytes: usize,
    /// Until there is a connection.
    pub connect: Duration,
    /// Between two signs of life.
    pub idle: Duration,
    /// Until the headers of an answer are there.
    pub answer: Duration,
    /// Until a document is there.
    pub document: Duration,
    /// A blob must bring this many bytes within the time of [`Limits::idle`].
    pub drip_bytes: u64,
    /// A request is made so often while the registry is busy.
    pub attempts: u32,
    /// The first pause between two of them; each is twice the last.
    pub pause: Duration,
    /// The longest, also where the registry asks for more.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            document_bytes: 8 << 20,
            header_bytes: 64 << 10,
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(300),
            document: Duration::from_secs(120),
            drip_bytes: 4 << 10,
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// What a client needs to know.
pub struct ClientSettings {
    /// Which hosts are asked for what.
    pub rules: Rules,
    /// Docker's folders with certificates for hosts.
    pub certificates: Vec<PathBuf>,
    /// The authorities to trust instead of the system's.
    pub authorities: Option<PathBuf>,
    /// The proxies.
    pub proxies: Proxies,
    /// How much is too much.
    pub limits: Limits,
    /// Who knows credentials.
    pub credentials: Arc<dyn Credentials>,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        ClientSettings {
            rules: Rules::default(),
            certificates: Vec::new(),
            authorities: None,
            proxies: Proxies::default(),
            limits: Limits::default(),
            credentials: Arc::new(Anonymous),
            user_agent: "mica".to_owned(),
        }
    }
}

/// A client. It keeps connections and tokens, and may be used by several threads.
pub struct Client {
    pub(crate) http: Http,
    pub(crate) rules: Rules,
    auth: Auth,
}

/// What is to be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
    /// Reading and removing.
    Delete,
}

impl Client {
    /// A client that has talked to nobody yet.
    pub fn new(settings: ClientSettings) -> Client {
        let ClientSettings { rules, certificates, authorities, proxies, limits, .. } = settings;
        let http = Http::new(limits, proxies, certificates, authorities, settings.user_agent);
        Client { http, rules, auth: Auth::new(settings.credentials) }
    }

    /// A repository, for reading or for more.
    pub fn repository(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<Repository<'_>, RegistryError> {
        let mut places = self.rules.places(reference)?;
        if access != Access::Pull {
            let place = places.iter().position(|place| place.pushes);
            let at = place.ok_or_else(|| RegistryError::NoPush(reference.name()))?;
            places = vec![places.swap_remove(at)];
        }
        if places.is_empty() {
            return Err(RegistryError::Address(reference.name()));
        }
        Ok(Repository { client: self, places, access, more_scopes: Vec::new() })
    }

    /// Tries a credential at a registry. Gives the refresh token that it may have for it.
    pub fn login(
        &self,
        host: &str,
        credential: &Credential,
    ) -> Result<Option<Secret>, RegistryError> {
        let place = self.rules.place_of_host(host);
        Auth::login(&self.http, &self.rules, &place, credential)
    }

    /// What registries warned of since the last time.
    pub fn take_warnings(&self) -> Vec<String> {
        self.http.take_warnings()
    }

    pub(crate) fn send(
        &self,
        place: &Place,
        scopes: &[String],
        call: Call<'_>,
    ) -> Result<Answer, RegistryError> {
        self.auth.send((&self.http, &self.rules), place, scopes, call)
    }

    /// An address below a host's root.
    pub(crate) fn url(&self, place: &Place, path: &str) -> Result<String, RegistryError> {
        let url = format!("{}://{}{}/{path}", self.http.scheme(place)?, place.host, place.root);
        Ok(match &place.namespace {
            Some(registry) => {
                let joint = if path.contains('?') { '&' } else { '?' };
                format!("{url}{joint}ns={}", encode(registry))
            }
            None => url,
        })
    }
}

/// A repository and the hosts that have it.
pub struct Repository<'a> {
    pub(crate) client: &'a Client,
    /// At least one.
    pub(crate) places: Vec<Place>,
    access: Access,
    more_scopes: Vec<String>,
}

/// What a document is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its name, which may stand for another document tomorrow.
    Tag(String),
    /// Its digest.
    Digest(Digest),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Tag(tag) => f.write_str(tag),
            Target::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

impl Repository<'_> {
    /// Lets the tokens allow reading of another repository too, from which blobs are mounted.
    pub fn mounting_from(mut self, repositories: &[String]) -> Self {
        self.more_scopes =
            repositories.iter().map(|name| format!("repository:{name}:pull")).collect();
        self
    }

    /// Asks one place after the other. What the last one says is what counts.
    pub(crate) fn somewhere<T>(
        &self,
        target: &Target,
        ask: impl Fn(&Place) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let by_digest = matches!(target, Target::Digest(_));
        let mut asked = None;
        for place in self.places.iter().filter(|place| place.serves(by_digest)) {
            match ask(place) {
                Ok(found) => return Ok(found),
                Err(error) => asked = Some(error),
            }
        }
        let nobody = || RegistryError::Address(format!("{target}: no mirror serves it"));
        Err(asked.unwrap_or_else(nobody))
    }

    pub(crate) fn url(&self, place: &Place, path: &str) -> Result<String, RegistryError> {
        self.client.url(place, &format!("{}/{path}", place.repository))
    }

    /// Makes a request that must succeed.
    pub(crate) fn checked(&self, place: &Place, call: Call<'_>) -> Result<Answer, RegistryError> {
        let method = call.method.clone();
        let answer = self.send(place, call)?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(answer.into_error(&method)),
        }
    }

    pub(crate) fn send(&self, place: &Place, call: Call<'_>) -> Result<Answer, RegistryError> {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        };
        let mut scopes = vec![format!("repository:{}:{actions}", place.repository)];
        scopes.extend(self.more_scopes.iter().cloned());
        self.client.send(place, &scopes, call)
    }
}
