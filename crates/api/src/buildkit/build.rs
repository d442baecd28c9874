//! One build: the client's folders are taken in, the engine builds, and the client gets what it
//! asked for.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{
    BuildInput, BuildRequest, BuildSession, ContextSource, DockerfileSource, Engine, Lender,
    SentFolder,
};

use super::asked::{self, Asked};
use super::client::{self, Choice, Keys, Lent};
use super::control::check_frontend;
use super::llb::{self, Folder, Planned};
use super::messages::control::StatusResponse;
use super::messages::ops::Definition as Graph;
use super::progress::Watch;
use super::sessions::Session;
use crate::app::App;
use crate::wire::{Code, Status};

/// What a build gave, in BuildKit's names.
pub(crate) type Facts = BTreeMap<String, String>;

/// What a Dockerfile is called.
const USUAL: &str = "Dockerfile";
/// What stands for an address where the context comes in the body of another request.
pub(crate) const UPLOAD_REQUEST: &str = "upload-request";
/// The address under which a client keeps what it was given on its standard input.
const UPLOADS: [&str; 2] = ["http://buildkit-session/", "buildkit-session://"];

impl Asked {
    /// Refuses what could not be built whatever the client sends.
    pub(crate) fn check(&self, app: &App) -> Result<(), Status> {
        let refused = |name: &&String| !app.entitlements.contains(name);
        if let Some(name) = self.entitlements.iter().find(refused) {
            let words = "is not allowed by build daemon configuration";
            return Err(Status::new(Code::PermissionDenied, format!("{name} {words}")));
        }
        let host = "network.host";
        let is_allowed = self.entitlements.iter().any(|name| name == host);
        if self.text("force-network-mode") == Some("host") && !is_allowed {
            return Err(Status::new(Code::PermissionDenied, format!("{host} is not allowed")));
        }
        check_frontend(self)?;
        for exporter in &self.exporters {
            asked::names(exporter)?;
            asked::packing(exporter)?;
        }
        self.request().map(drop)
    }

    /// Builds; `tell` is told of it, and it ends soon after `is_stopped` says so.
    pub(crate) fn build(
        &self,
        app: &App,
        tell: &(dyn Fn(StatusResponse) + Sync),
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Facts, Status> {
        self.check(app)?;
        let watch = Watch::new(&self.reference, tell, is_stopped);
        Work::new(app, self, &watch)?.build()
    }
}

/// Everything that one build needs.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) asked: &'a Asked,
    pub(super) watch: &'a Watch<'a>,
    pub(super) engine: Engine,
    session: Option<Arc<Session>>,
    /// How many builds begin with what it gives, one after another.
    pub(super) depth: usize,
}

/// A Dockerfile, and what is left out of its context.
pub(super) struct Definition {
    pub(super) text: String,
    pub(super) ignored: String,
}

impl<'a> Work<'a> {
    /// Finds the client's session, and opens the engine, to which registries are who the client is.
    pub(super) fn new(
        app: &'a App,
        asked: &'a Asked,
        watch: &'a Watch<'a>,
    ) -> Result<Work<'a>, Status> {
        let known = (!asked.session.is_empty()).then(|| app.buildkit.sessions.wait(&asked.session));
        let session = known.transpose()?;
        let mut settings = (*app.settings()).clone();
        let lent: Arc<dyn engine::Credentials> = match &session {
            Some(session) => Arc::new(Lent::new(session.clone())),
            None => Arc::new(engine::Anonymous),
        };
        settings.registry.lender = Some(Lender(lent));
        let engine = Engine::open(settings)?;
        Ok(Work { app, asked, watch, engine, session, depth: 0 })
    }

    pub(super) fn session(&self) -> Result<&Arc<Session>, Status> {
        self.session.as_ref().ok_or_else(|| Status::invalid("the build has no session"))
    }

    /// The address of the context, if it is none of the client's folders.
    fn address(&self) -> Option<&str> {
        let context = self.asked.text("context")?;
        let is_remote = context == UPLOAD_REQUEST || engine::is_remote_context(context);
        is_remote.then_some(context)
    }

    /// Takes in one of the client's folders.
    fn folder(&self, title: &str, name: &str, choice: &Choice) -> Result<SentFolder, Status> {
        self.folder_as(title, title, name, choice)
    }

    /// The same; a folder that has been taken in before in the same role is only brought up to date.
    fn folder_as(
        &self,
        role: &str,
        title: &str,
        name: &str,
        choice: &Choice,
    ) -> Result<SentFolder, Status> {
        let session = self.session()?;
        let key = format!("{} {name} {role}", session.shared_key);
        let key = (!session.shared_key.is_empty()).then_some(key.as_str());
        let sent = self.engine.sent_folder(key)?;
        self.watch.step(title, |step| {
            let mut bytes = 0;
            let received =
                session.receive(name, choice, &client::open(&sent.files())?, &mut |count| {
                    bytes += count;
                    step.transferred(bytes);
                });
            received.map(drop)
        })?;
        Ok(sent)
    }

    /// The Dockerfile among the client's folders.
    pub(super) fn definition(&self) -> Result<Definition, Status> {
        let name = self.asked.text("filename").unwrap_or(USUAL);
        let name = name.trim_start_matches("./");
        let local = self.asked.text("dockerfilekey").unwrap_or("dockerfile");
        let own = format!("{name}.dockerignore");
        let small = name.to_lowercase();
        let follow = vec![name.to_owned(), own.clone(), small.clone()];
        let choice = Choice { follow, ..Choice::default() };
        let title = format!("[internal] load build definition from {name}");
        let sent = self.folder(&title, local, &choice)?;
        let files = client::open(&sent.files())?;
        let text = match client::text(&files, name)? {
            Some(text) => Some(text),
            None => client::text(&files, &small)?,
        };
        let text = text.ok_or_else(|| {
            Status::invalid(format!(
                "failed to read dockerfile: open {name}: no such file or directory"
            ))
        })?;
        if let Some(ignored) = client::text(&files, &own)? {
            return Ok(Definition { text, ignored });
        }
        let ignored = if self.address().is_none() { self.ignored()? } else { String::new() };
        Ok(Definition { text, ignored })
    }

    fn context_name(&self) -> &str {
        let named = self.asked.text("context").and_then(|text| text.strip_prefix("local:"));
        self.asked.text("contextkey").or(named).unwrap_or("context")
    }

    fn ignored(&self) -> Result<String, Status> {
        let follow = vec![".dockerignore".to_owned()];
        let choice = Choice { follow, ..Choice::default() };
        let sent = self.folder("[internal] load .dockerignore", self.context_name(), &choice)?;
        Ok(client::text(&client::open(&sent.files())?, ".dockerignore")?.unwrap_or_default())
    }

    /// Builds, and gives the client what it asked for.
    pub(super) fn build(&self) -> Result<Facts, Status> {
        let session = self.engine.build_session(self.watch)?;
        self.prepare(&session, |input, request| self.carry_out(&session, input, request))
    }

    /// Takes in what a build needs of the client, and builds what it begins with; acts while all that
    /// is here.
    pub(super) fn prepare<T>(
        &self,
        session: &BuildSession<'_>,
        act: impl FnOnce(BuildInput<'_>, BuildRequest) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut request = self.asked.request()?;
        if let Some(session) = &self.session {
            let random = sys::host::random_id()?;
            let folder = self.engine.settings().run_root.join("agents").join(random);
            request.keyring = Some(Arc::new(Keys::new(session.clone(), folder)));
        }
        let mut kept = Vec::new();
        self.named_contexts(session, &mut request, &mut kept)?;
        self.take_caches(&mut request.cache_from, &mut kept)?;
        if let Some(graph) = &self.asked.definition {
            let input = self.graph_input(session, graph, &mut request, &mut kept)?;
            return act(input, request);
        }
        if let Some(address) = self.address() {
            return act(self.remote_input(address)?, request);
        }
        let definition = self.definition()?;
        let needed = self.engine.context_paths(&definition.text, &request);
        let choice = Choice {
            exclude: excluded(&definition.ignored),
            follow: needed.clone().unwrap_or_default(),
            ..Choice::default()
        };
        let context = match &needed {
            Some(paths) if paths.is_empty() => self.engine.sent_folder(None)?,
            _ => self.folder("[internal] load build context", self.context_name(), &choice)?,
        };
        let input = BuildInput {
            context: ContextSource::Sent { folder: context.files(), ignored: definition.ignored },
            dockerfile: DockerfileSource::Reader(Box::new(io::Cursor::new(definition.text))),
        };
        act(input, request)
    }

    /// Operations that the client has sent itself.
    fn graph_input(
        &self,
        session: &BuildSession<'_>,
        graph: &Graph,
        request: &mut BuildRequest,
        kept: &mut Vec<SentFolder>,
    ) -> Result<BuildInput<'static>, Status> {
        let look = |part: &Graph, file: &str| self.graph_file(session, part, file);
        let Planned { graph, needs } = llb::plan(graph, &look)?;
        for (own, Folder { name, title, choice }) in &needs.folders {
            let sent = self.folder_as(own, title, name, choice)?;
            request.folders.insert(own.clone(), sent.files());
            kept.push(sent);
        }
        for (own, layout) in &needs.layouts {
            request.contexts.insert(own.clone(), self.layout(layout, kept)?);
        }
        for (number, (own, referred)) in needs.results.iter().enumerate() {
            // Graphs within graphs have results of the same names.
            let called = format!("{}-{number}", self.depth);
            let address = self.input(session, called, &Arc::new(referred.graph()), None)?;
            request.contexts.insert(own.clone(), address);
        }
        request.pull |= needs.pull;
        let dockerfile = DockerfileSource::Graph(Box::new(graph));
        Ok(BuildInput { context: ContextSource::Nowhere, dockerfile })
    }

    /// A context that is an address: of a repository, a tar, or what a client was given.
    fn remote_input(&self, address: &str) -> Result<BuildInput<'static>, Status> {
        let dockerfile = match self.asked.text("dockerfilekey") {
            // One of the client's own, for somebody else's files.
            Some(_) => DockerfileSource::Reader(Box::new(io::Cursor::new(self.definition()?.text))),
            None => match self.asked.text("filename") {
                None | Some(USUAL) => DockerfileSource::Usual,
                Some(name) => DockerfileSource::Path(PathBuf::from(name)),
            },
        };
        if address == UPLOAD_REQUEST {
            let body = self.app.buildkit.uploads.take(&self.asked.reference)?;
            let context = ContextSource::Reader(Box::new(body));
            return Ok(BuildInput { context, dockerfile });
        }
        let upload = UPLOADS.iter().find_map(|prefix| address.strip_prefix(prefix));
        let context = match upload {
            Some(path) => {
                ContextSource::Reader(Box::new(self.session()?.upload(&format!("/{path}"))?))
            }
            None => ContextSource::Url(address.to_owned()),
        };
        Ok(BuildInput { context, dockerfile })
    }

    /// Further contexts: folders of the client, images, addresses.
    fn named_contexts(
        &self,
        session: &BuildSession<'_>,
        request: &mut BuildRequest,
        kept: &mut Vec<SentFolder>,
    ) -> Result<(), Status> {
        for (name, value) in self.asked.family("context:") {
            let name = name.split_once("::").map_or(name, |(name, _)| name).to_owned();
            let value = match value.split_once(':') {
                Some(("local", local)) => {
                    let title = format!("[context {name}] load from client");
                    let local = local.trim_start_matches("//");
                    let sent = self.folder(&title, local, &Choice::default())?;
                    let path = sent.files().display().to_string();
                    kept.push(sent);
                    path
                }
                Some(("docker-image" | "http" | "https" | "git" | "ssh", _)) => value.to_owned(),
                Some(("oci-layout", layout)) => self.layout_context((&name, layout), kept)?,
                Some(("input", key)) => self.input_context(session, key)?,
                // A path would be one of ours.
                _ if engine::is_remote_context(value) => value.to_owned(),
                _ => return Err(Status::invalid(format!("context {name}={value} is not known"))),
            };
            request.contexts.insert(name, value);
        }
        Ok(())
    }
}

/// Patterns as the client's own reading of them expects them.
fn excluded(ignored: &str) -> Vec<String> {
    let lines = ignored.trim_start_matches('\u{feff}').lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let clean = |line: &str| {
        let (not, path) = match line.strip_prefix('!') {
            Some(path) => ("!", path.trim()),
            None => ("", line),
        };
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let path = parts.collect::<Vec<_>>().join("/");
        (!path.is_empty()).then(|| format!("{not}{path}"))
    };
    said.filter_map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::excluded;

    #[test]
    fn patterns_are_told_as_clients_clean_them() {
        let said = "# c\n\n  /a/b/ \n! ./keep\n*.o\n.\n";
        assert_eq!(excluded(said), ["a/b", "!keep", "*.o"]);
    }
}
