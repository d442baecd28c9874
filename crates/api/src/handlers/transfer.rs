//! Images and registries: pulled, pushed, looked for, and who somebody is there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Client, Credential, Engine, EngineError, Kind, PullImage, PushImage, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use spec::Reference;
use spec::go_json::{self, Behind};

use super::images::{import, platform};
use crate::call::Call;
use crate::filters::Filters;
use crate::progress::JsonProgress;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Who a client says that it is, as docker's configuration has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub(super) struct AuthConfig {
    username: String,
    password: String,
    auth: String,
    serveraddress: String,
    identitytoken: String,
    registrytoken: String,
}

impl AuthConfig {
    /// As docker's configuration writes it down; nothing of nobody.
    pub(super) fn written(self) -> Option<Value> {
        match self.credential()? {
            Credential::Password { user, password } => {
                let pair = format!("{user}:{}", password.expose());
                Some(json!({ "auth": STANDARD.encode(pair) }))
            }
            Credential::IdentityToken { user, token } => {
                let pair = STANDARD.encode(format!("{user}:"));
                Some(json!({ "auth": pair, "identitytoken": token.expose() }))
            }
            Credential::RegistryToken(token) => Some(json!({ "registrytoken": token.expose() })),
        }
    }

    fn credential(mut self) -> Option<Credential> {
        if self.username.is_empty()
            && let Some((user, password)) = unpacked(&self.auth)
        {
            (self.username, self.password) = (user, password);
        }
        if !self.registrytoken.is_empty() {
            return Some(Credential::RegistryToken(Secret::new(self.registrytoken)));
        }
        let user = self.username;
        if !self.identitytoken.is_empty() {
            let token = Secret::new(self.identitytoken);
            return Some(Credential::IdentityToken { user, token });
        }
        let password = Secret::new(self.password);
        (!user.is_empty()).then_some(Credential::Password { user, password })
    }
}

/// `user:password` in base64.
fn unpacked(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Who the client is, by its header. One that cannot be read is nobody, as docker has it.
fn credential(call: &Call) -> Option<Credential> {
    let text = call.header("x-registry-auth").trim_end_matches('=');
    let alphabet = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD;
    let bytes = alphabet.decode(text).or_else(|_| standard.decode(text)).ok()?;
    go_json::from_slice::<AuthConfig>(&bytes, Behind::Ignored).ok()?.credential()
}

fn client(call: &Call, engine: &Engine, name: &Reference) -> Result<Client, Refusal> {
    Ok(engine.settings().client_for(name.domain(), credential(call))?)
}

fn reference(text: &str) -> Result<Reference, Refusal> {
    Reference::parse(text).map_err(|error| Refusal::bad(error.to_string()))
}

/// `POST /images/create`: pulls with `fromImage`, imports with `fromSrc`.
pub(crate) fn create(call: Call) -> Result<Reply, Refusal> {
    let Some(image) = call.query.given("fromImage") else { return import(call) };
    let tag = call.query.text("tag");
    let mut name = reference(image.trim_end_matches(':'))?;
    let mut all_tags = false;
    if !tag.is_empty() {
        name = match tag.parse() {
            Ok(digest) => name.with_digest(digest),
            Err(_) => name.with_tag(tag).map_err(|error| Refusal::bad(error.to_string()))?,
        };
    } else if name.tag().is_none() && name.digest().is_none() {
        // A bare repository is all of it, here.
        all_tags = true;
    }
    let pull = PullImage { name, all_tags, platform: platform(&call)? };
    let engine = call.engine()?;
    let client = client(&call, &engine, &pull.name)?;
    Ok(Reply::stream("application/json", move |sink| {
        let progress = JsonProgress::new(sink, false);
        let mut newer = false;
        let pulled = engine.pull(&client, &pull, &progress, &mut |pulled| {
            progress.tell(&json!({ "status": format!("Digest: {}", pulled.digest) }));
            newer |= pulled.newer;
            if !all_tags {
                tell_status(&progress, &pulled.name, newer);
            }
        });
        if all_tags && pulled.is_ok() {
            tell_status(&progress, &pull.name, newer);
        }
        progress.end(pulled.map_err(Refusal::from))
    }))
}

/// Says whether a pull brought anything.
fn tell_status(progress: &JsonProgress<'_>, name: &Reference, newer: bool) {
    let words = if newer { "Downloaded newer image for" } else { "Image is up to date for" };
    progress.tell(&json!({ "status": format!("Status: {words} {}", name.familiar()) }));
}

pub(crate) fn push(call: Call) -> Result<Reply, Refusal> {
    let mut name = reference(call.parameter("name"))?;
    let tag = call.query.text("tag");
    if !tag.is_empty() {
        name = name.with_tag(tag).map_err(|error| Refusal::bad(error.to_string()))?;
    }
    let all_tags = name.tag().is_none();
    let push = PushImage { name, all_tags, platform: platform(&call)?, repack: None };
    let engine = call.engine()?;
    let client = client(&call, &engine, &push.name)?;
    Ok(Reply::stream("application/json", move |sink| {
        let progress = JsonProgress::new(sink, false);
        let repository = push.name.without_tag().name();
        let said = format!("The push refers to repository [{repository}]");
        progress.tell(&json!({ "status": said }));
        let pushed = engine.push(&client, &push, &progress, &mut |pushed| {
            let engine::Pushed { tag, digest, bytes, .. } = pushed;
            let status = format!("{tag}: digest: {digest} size: {bytes}");
            progress.tell(&json!({ "status": status }));
            let aux = json!({ "Tag": tag, "Digest": digest.to_string(), "Size": bytes });
            progress.tell(&json!({ "progressDetail": {}, "aux": aux }));
        });
        progress.end(pushed.map_err(Refusal::from))
    }))
}

pub(crate) fn auth(mut call: Call) -> Result<Reply, Refusal> {
    let config: AuthConfig = call.must_json()?;
    let server = Some(config.serveraddress.clone()).filter(|server| !server.is_empty());
    let Some(credential) = config.credential() else {
        return Err(Refusal::bad("no credentials given"));
    };
    let denied = |error: EngineError| match error.kind() {
        Kind::Other => Refusal { status: 401, message: error.to_string() },
        _ => Refusal::from(error),
    };
    let token = call.app.settings().try_login(server.as_deref(), &credential).map_err(denied)?;
    let token = token.as_ref().map_or("", Secret::expose);
    Ok(Reply::json(&json!({ "Status": "Login Succeeded", "IdentityToken": token })))
}

pub(crate) fn distribution(call: Call) -> Result<Reply, Refusal> {
    let text = call.parameter("name");
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_id = text.len() == 64 && text.bytes().all(is_hex);
    if is_id || text.parse::<spec::Digest>().is_ok() {
        // An error of the request that docker takes for its own.
        return Err(Refusal::failed("no manifest found for full image ID"));
    }
    let name = reference(call.parameter("name"))?;
    let name = if name.digest().is_some() { name } else { name.with_default_tag() };
    let engine = call.engine()?;
    let client = client(&call, &engine, &name)?;
    Ok(Reply::json(&engine.distribution(&client, &name)?))
}

/// As many are found at most.
const MOST: usize = 100;
/// So many if nobody says.
const LIMIT: usize = 25;

pub(crate) fn search(call: Call) -> Result<Reply, Refusal> {
    let term = call.query.text("term");
    let limit = call.query.number::<i64>("limit")?.filter(|limit| *limit != 0);
    let limit = limit.map_or(Ok(LIMIT), |limit| {
        let outside = || Refusal::bad(format!("limit {limit} is outside the range of [1, {MOST}]"));
        usize::try_from(limit).ok().filter(|limit| *limit <= MOST).ok_or_else(outside)
    })?;
    let filters = Filters::of(&call.query)?;
    filters.check(&["is-automated", "is-official", "stars"])?;
    let official = filters.truth("is-official")?;
    let number = |text: &String| {
        text.parse::<i64>().map_err(|_| Refusal::bad(format!("invalid filter 'stars=[{text}]'")))
    };
    let stars = filters.values("stars").iter().map(number).collect::<Result<Vec<_>, _>>()?;
    let (host, term) = match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), rest)
        }
        _ => (None, term),
    };
    let settings = call.app.settings();
    let client = settings.client_for(host.unwrap_or("docker.io"), credential(&call))?;
    let mut found = client.search(host, term, limit).map_err(EngineError::from)?;
    found.retain(|row| {
        official.is_none_or(|wanted| wanted == row.is_official)
            && stars.iter().all(|least| row.star_count >= *least)
    });
    let document = |row: &engine::SearchResult| {
        json!({
            "star_count": row.star_count,
            "is_official": row.is_official,
            "name": row.name,
            "is_automated": false,
            "description": row.description,
        })
    };
    Ok(Reply::json(&found.iter().map(document).collect::<Vec<_>>()))
}
