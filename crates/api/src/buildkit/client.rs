//! What a client is asked for on its session: folders, credentials, secrets, agents; and what it is
//! sent.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use engine::{
    Credential, CredentialError, Credentials, EngineError, GivenToken, Keyring, Secret, WantedToken,
};

use super::carry::carry;
use super::messages::session::{
    CheckAgentRequest, CredentialsRequest, CredentialsResponse, FetchTokenRequest,
    FetchTokenResponse, GetSecretRequest, GetSecretResponse,
};
use super::messages::{BytesMessage, Nothing};
use super::receive::{Received, receive};
use super::sessions::Session;
use crate::wire::{Code, Exchange, Incoming, Outgoing, Status, escape};

const DIFF_COPY: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const FILE_SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
const FETCH_TOKEN: &str = "/moby.filesync.v1.Auth/FetchToken";
const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const CHECK_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const FORWARD_AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
const PULL_UPLOAD: &str = "/moby.upload.v1.Upload/Pull";
/// So much is sent in one message.
const PART_BYTES: usize = 32 << 10;
/// Who token servers are told that asks.
const CLIENT: &str = "mica";
/// How the Hub is called when somebody asks who one is there.
const HUB: &str = "https://index.docker.io/v1/";
const HUB_HOST: &str = "registry-1.docker.io";

/// Which files of a folder are sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// Only these.
    pub(super) include: Vec<String>,
    /// None of these.
    pub(super) exclude: Vec<String>,
    /// Only these, and where links among them lead.
    pub(super) follow: Vec<String>,
}

impl Session {
    /// Takes in one of the client's folders.
    pub(super) fn receive(
        &self,
        name: &str,
        choice: &Choice,
        into: &OwnedFd,
        advance: &mut dyn FnMut(u64),
    ) -> Result<Received, Status> {
        let mut metadata = Vec::new();
        tell(&mut metadata, ("dir-name", "dir-name-encoded"), &[name.to_owned()]);
        tell(&mut metadata, ("include-patterns", "include-patterns-encoded"), &choice.include);
        tell(&mut metadata, ("exclude-patterns", "exclude-patterns-encoded"), &choice.exclude);
        tell(&mut metadata, ("followpaths", "followpaths-encoded"), &choice.follow);
        // Clients of old have patterns of their own otherwise.
        metadata.push(("override-excludes", "true".to_owned()));
        receive(self.caller.call(DIFF_COPY, &metadata)?, into, advance)
    }

    /// Bytes that the client keeps for us under a path.
    pub(super) fn upload(&self, path: &str) -> Result<impl Read + Send + use<>, Status> {
        let Exchange { incoming, outgoing } =
            self.caller.call(PULL_UPLOAD, &[("urlpath", path.to_owned())])?;
        Ok(MessageReader { incoming, part: Vec::new(), read: 0, _outgoing: outgoing })
    }

    /// Begins to send the client what an exporter makes: `number` is its place among all.
    pub(super) fn send(
        &self,
        number: usize,
        facts: &BTreeMap<String, String>,
    ) -> Result<Exchange, Status> {
        if !self.answers(FILE_SEND) {
            return Err(Status::invalid("the client takes no results: it has not said where to"));
        }
        let mut metadata = vec![("buildkit-attachable-exporter-id", number.to_string())];
        if let Some(name) = facts.get("image.name") {
            metadata.push(("exporter-md-image.name", escape(name)));
        }
        self.caller.call(FILE_SEND, &metadata)
    }

    /// Sends the client all that can be read, once there is something.
    pub(super) fn send_stream(
        &self,
        number: usize,
        facts: &BTreeMap<String, String>,
        mut reader: impl Read,
    ) -> Result<(), Status> {
        let mut part = vec![0; PART_BYTES];
        let mut count = reader.read(&mut part)?;
        if count == 0 {
            // It failed before it began: a file of the client's is left as it was.
            return Ok(());
        }
        let Exchange { mut incoming, outgoing } = self.send(number, facts)?;
        while count > 0 {
            let sent = outgoing.send(&BytesMessage { data: part[..count].to_vec() });
            if sent.is_err() {
                // Why is in how it ended.
                break;
            }
            count = reader.read(&mut part)?;
        }
        drop(outgoing);
        incoming.all::<BytesMessage>().try_for_each(|message| message.map(drop))
    }
}

/// Adds values to metadata; what a header cannot carry goes escaped, which is said beside it.
fn tell(
    metadata: &mut Vec<(&'static str, String)>,
    (name, encoded): (&'static str, &'static str),
    values: &[String],
) {
    let is_plain = |value: &String| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let all_plain = values.iter().all(is_plain);
    if !all_plain {
        metadata.push((encoded, "1".to_owned()));
    }
    for value in values {
        let value = if all_plain { value.clone() } else { percent(value) };
        metadata.push((name, value));
    }
}

/// All but letters, digits and a few signs as `%XX`.
fn percent(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escaped = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

/// Messages with bytes as one stream.
struct MessageReader {
    incoming: Incoming,
    part: Vec<u8>,
    read: usize,
    _outgoing: Outgoing,
}

impl Read for MessageReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.part.len() {
            let message = self.incoming.receive::<BytesMessage>().map_err(io::Error::other)?;
            let Some(message) = message else { return Ok(0) };
            (self.part, self.read) = (message.data, 0);
        }
        let count = buffer.len().min(self.part.len() - self.read);
        buffer[..count].copy_from_slice(&self.part[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

/// The client's credentials, asked for when a registry wants some; each server once.
pub(super) struct Lent {
    session: Arc<Session>,
    known: Mutex<BTreeMap<String, Option<Credential>>>,
}

impl Lent {
    pub(super) fn new(session: Arc<Session>) -> Lent {
        Lent { session, known: Mutex::default() }
    }
}

impl Credentials for Lent {
    fn find(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        if !self.session.answers(CREDENTIALS) {
            return Ok(None);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credential) = known.get(server) {
            return Ok(credential.clone());
        }
        let host = if server == HUB { HUB_HOST } else { server }.to_owned();
        let asked = self.session.caller.ask(CREDENTIALS, &CredentialsRequest { host });
        let CredentialsResponse { username, secret } = match asked {
            Ok(answer) => answer,
            Err(status) if status.code == Code::Unimplemented => CredentialsResponse::default(),
            Err(status) => {
                return Err(CredentialError::Elsewhere { why: status.message });
            }
        };
        let secret = Secret::new(secret);
        let credential = match (username.is_empty(), secret.expose().is_empty()) {
            (_, true) => None,
            (true, false) => Some(Credential::IdentityToken { user: username, token: secret }),
            (false, false) => Some(Credential::Password { user: username, password: secret }),
        };
        known.insert(server.to_owned(), credential.clone());
        Ok(credential)
    }

    /// The client's passwords stay with it where it gets tokens itself.
    fn token(&self, wanted: &WantedToken<'_>) -> Result<Option<GivenToken>, CredentialError> {
        if !self.session.offers(FETCH_TOKEN) {
            return Ok(None);
        }
        let WantedToken { server, realm, service, scopes } = *wanted;
        let request = FetchTokenRequest {
            client: CLIENT.to_owned(),
            host: if server == HUB { HUB_HOST } else { server }.to_owned(),
            realm: realm.to_owned(),
            service: service.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        match self.session.caller.ask::<FetchTokenResponse>(FETCH_TOKEN, &request) {
            Ok(FetchTokenResponse { token, expires_in }) => {
                let holds = u64::try_from(expires_in).ok().filter(|seconds| *seconds > 0);
                let holds = holds.map(Duration::from_secs);
                Ok(Some(GivenToken { token: Secret::new(token), holds }))
            }
            Err(status) if status.code == Code::Unimplemented => Ok(None),
            Err(status) => Err(CredentialError::Elsewhere { why: status.message }),
        }
    }
}

/// The client's secrets and agents.
pub(super) struct Keys {
    session: Arc<Session>,
    /// Where the sockets of agents are.
    folder: PathBuf,
    agents: Mutex<BTreeMap<String, PathBuf>>,
}

impl Keys {
    /// Those of a session; sockets are made in a folder that goes with them.
    pub(super) fn new(session: Arc<Session>, folder: PathBuf) -> Keys {
        Keys { session, folder, agents: Mutex::default() }
    }

    fn open_agent(&self, id: &str, number: usize) -> Result<PathBuf, Status> {
        let asked = CheckAgentRequest { id: id.to_owned() };
        let _: Nothing = self.session.caller.ask(CHECK_AGENT, &asked)?;
        fs::create_dir_all(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        let path = self.folder.join(format!("agent-{number}"));
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let (session, id) = (self.session.clone(), id.to_owned());
        thread::Builder::new().name("agent".to_owned()).spawn(move || {
            // A connection with nothing to say is whoever ends this.
            while let Ok((stream, _)) = listener.accept() {
                if session.caller.is_gone() || !path_is_there(&listener) {
                    return;
                }
                let (session, id) = (session.clone(), id.clone());
                let forward = move || forward(&session, &id, stream);
                let _ = thread::Builder::new().name("agent".to_owned()).spawn(forward);
            }
        })?;
        Ok(path)
    }
}

/// Whether the socket still has its name, so that somebody may mean to reach it.
fn path_is_there(listener: &UnixListener) -> bool {
    let address = listener.local_addr().ok();
    address.and_then(|address| address.as_pathname().map(Path::exists)).unwrap_or(false)
}

impl Keyring for Keys {
    fn secret(&self, id: &str) -> engine::Result<Option<Vec<u8>>> {
        let asked = GetSecretRequest { id: id.to_owned() };
        match self.session.caller.ask::<GetSecretResponse>(GET_SECRET, &asked) {
            Ok(answer) => Ok(Some(answer.data)),
            Err(status) if matches!(status.code, Code::NotFound | Code::Unimplemented) => Ok(None),
            Err(status) => Err(EngineError::Refused(format!("secret {id}: {status}"))),
        }
    }

    fn agent(&self, id: &str) -> engine::Result<Option<PathBuf>> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = agents.get(id) {
            return Ok(Some(path.clone()));
        }
        if !self.session.answers(CHECK_AGENT) {
            return Ok(None);
        }
        match self.open_agent(id, agents.len()) {
            Ok(path) => {
                agents.insert(id.to_owned(), path.clone());
                Ok(Some(path))
            }
            Err(status) if status.code == Code::Unimplemented => Ok(None),
            // The client's word for an id that it does not know.
            Err(status) if status.message.contains("unset ssh forward key") => Ok(None),
            Err(status) => Err(EngineError::Refused(format!("agent {id}: {status}"))),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        for path in agents.values() {
            // Whoever listens is woken, and finds that nobody can mean it any more.
            let wake = UnixStream::connect(path);
            let _ = fs::remove_file(path);
            drop(wake);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Carries bytes between a command and the client's agent.
fn forward(session: &Session, id: &str, stream: UnixStream) {
    let call = session.caller.call(FORWARD_AGENT, &[("buildkit.ssh.id", id.to_owned())]);
    let Ok(exchange) = call else { return };
    // A command whose connection cannot be had twice finds it closed.
    let _ = carry(exchange, stream);
}

/// Opens a folder that files are taken into.
pub(super) fn open(folder: &Path) -> Result<OwnedFd, Status> {
    Ok(sys::fs::open_folder(folder)?)
}

/// A file of a folder that was sent, read whole; none that is not there. Its own links lead nowhere
/// else.
pub(super) fn text(folder: &OwnedFd, path: &str) -> Result<Option<String>, Status> {
    /// No honest Dockerfile or ignore file is larger.
    const MAX_BYTES: u64 = 16 << 20;
    let opened = sys::fs::file_in_root(folder, path);
    let file: File = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| Status::invalid(format!("{path} is not UTF-8")))
}
