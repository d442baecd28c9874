//! `LLBBridge`: builds that their clients steer. A client says what is to be built and which of the
//! results is the one; what it asked for is built when it has said so, with its ways out.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{BuildInputs, Call, Format};
use hyper::HeaderMap;
use spec::Platform;

use super::asked::{self, Asked, CONFIG};
use super::boards::Board;
use super::build::{Facts, Work};
use super::control::{ASKING, check_frontend, run};
use super::llb::Referred;
use super::messages::Nothing;
use super::messages::control::Exporter;
use super::messages::gateway::{
    Capability, EvaluateRequest, InputsResponse, PongResponse, ResultRef, Results, ReturnRequest,
    SolveRequest, SolveResponse, SolveResult,
};
use super::progress::Watch;
use super::usage;
use crate::app::App;
use crate::wire::Status;

/// How long a client's words wait for the build that they are about.
const PATIENCE: Duration = Duration::from_secs(5);
/// What says of a call which build it is about.
const BUILD: &str = "buildkit-controlapi-buildid";
/// So many results may one build have.
const MAX_RESULTS: usize = 1024;

/// What clients may use of the gateway.
const FRONTEND_CAPABILITIES: [&str; 19] = [
    "solve.base",
    "solve.inlinereturn",
    "return",
    "returnmap",
    "resolveimage",
    "resolveimage.resolvemode",
    "readfile",
    "readdir",
    "statfile",
    "importcaches",
    "proto.refarray",
    "frontend.inputs",
    "frontend.caps",
    "gateway.solve.metadata",
    "gateway.solve.evaluate",
    "gateway.evaluate",
    "gateway.exec",
    "gateway.exec.extrahosts",
    "gateway.exec.signals",
];
/// What is done with results, and which operations there are. One name is written as its authors
/// wrote it.
pub(super) const LLB_CAPABILITIES: [&str; 55] = [
    "exporter.multiple",
    "exporter.image.attestations",
    "exporter.image.annotations",
    "source.image",
    "source.image.resolvemode",
    "source.ocilayout",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.local.differ",
    "source.git",
    "source.git.keepgitdir",
    "source.git.fullurl",
    "source.git.checksum",
    "source.http",
    "source.http.checksum",
    "source.http.perm",
    "soruce.http.uidgid",
    "exec.meta.base",
    "exec.meta.cgroup.parent",
    "exec.meta.network",
    "exec.meta.proxyenv",
    "exec.meta.security",
    "exec.meta.setsdefaultpath",
    "exec.meta.ulimit",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.cache",
    "exec.mount.cache.sharing",
    "exec.mount.selector",
    "exec.mount.tmpfs",
    "exec.mount.tmpfs.size",
    "exec.mount.secret",
    "exec.mount.ssh",
    "exec.cgroup",
    "exec.secretenv",
    "exec.validexitcode",
    "file.base",
    "file.rm.wildcard",
    "file.rm.nofollowsymlink",
    "file.copy.includeexcludepatterns",
    "file.copy.modestring",
    "file.copy.alwaysreplaceexistingdestpaths",
    "file.symlink.create",
    "constraints",
    "platform",
    "meta.ignorecache",
    "meta.description",
    "meta.exportcache",
    "mergeop",
    "diffop",
];

/// The builds that their clients steer.
#[derive(Default)]
pub(super) struct Bridges {
    all: Mutex<HashMap<String, Arc<Bridge>>>,
    changed: Condvar,
}

/// One such build.
struct Bridge {
    /// What was asked of the control service.
    asked: Asked,
    board: Arc<Board>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be built, by the names that results have.
    results: HashMap<String, Asked>,
    /// Which of the results is the one, if any; or why there is none.
    returned: Option<Result<Returned, Status>>,
    /// Whoever asked for the build waits no more.
    is_over: bool,
}

/// What a client has said is the result.
#[derive(Default)]
struct Returned {
    /// Its name, if there is one.
    id: Option<String>,
    /// The configuration that its image is to have.
    config: Option<Vec<u8>>,
}

impl Bridge {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be built for a result, without its ways out.
    fn only(&self, reference: &str) -> Result<Asked, Status> {
        let wanted = self.state().results.get(reference).cloned();
        let wanted = wanted.ok_or_else(|| Status::missing(format!("no such ref {reference}")))?;
        Ok(Asked { exporters: Vec::new(), exports: Vec::new(), ..wanted })
    }

    /// A result was built: what was done anew for it is not done once more.
    fn is_done(&self, reference: &str) {
        if let Some(done) = self.state().results.get_mut(reference) {
            done.attributes.remove("no-cache");
        }
    }
}

impl Bridges {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Bridge>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The build of this name, which may be about to begin.
    fn wait(&self, build: &str) -> Result<Arc<Bridge>, Status> {
        let begin = Instant::now();
        let mut all = self.all();
        loop {
            if let Some(bridge) = all.get(build) {
                return Ok(bridge.clone());
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(Status::missing(format!("no such job {build}")));
            }
            let waited = self.changed.wait_timeout(all, left);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The build that a call is about.
pub(super) fn build_of(metadata: &HeaderMap) -> Result<String, Status> {
    let text = metadata.get(BUILD).and_then(|value| value.to_str().ok());
    text.map(str::to_owned).ok_or_else(|| Status::invalid("a call that names no build"))
}

/// Waits for what the client says, and builds that.
pub(super) fn steered(
    app: &App,
    asked: &Asked,
    board: &Arc<Board>,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Facts, Status> {
    let bridges = &app.buildkit.bridges;
    let (state, changed) = Default::default();
    let bridge = Arc::new(Bridge { asked: asked.clone(), board: board.clone(), state, changed });
    bridges.all().insert(asked.reference.clone(), bridge.clone());
    bridges.changed.notify_all();
    let returned = loop {
        let state = bridge.state();
        let waited = bridge.changed.wait_timeout(state, ASKING);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(returned) = state.returned.take() {
            break returned.map(|Returned { id, config }| {
                let wanted = id.and_then(|id| state.results.remove(&id))?;
                let config = config.or_else(|| wanted.config.clone());
                Some(Asked { config, ..wanted })
            });
        }
        if is_stopped() {
            break Err(Status::gone());
        }
    };
    bridges.all().remove(&asked.reference);
    bridge.state().is_over = true;
    app.buildkit.containers.end(app, &asked.reference);
    match returned? {
        Some(wanted) => run(app, &wanted, board, is_stopped),
        // Nothing was to be built.
        None => Ok(Facts::new()),
    }
}

/// Says what is to be built.
pub(super) fn solve(
    app: &App,
    build: &str,
    request: SolveRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<SolveResponse, Status> {
    let bridge = app.buildkit.bridges.wait(build)?;
    let definition = request.definition.as_ref().filter(|graph| !graph.operations.is_empty());
    if request.frontend.is_empty() && definition.is_none() {
        // Nothing at all is a result, too.
        return Ok(result(build, None, &request));
    }
    let own = bridge.asked.clone();
    let wanted = Asked {
        frontend: request.frontend.clone(),
        definition: definition.cloned().map(Arc::new),
        attributes: request.frontend_options.clone().into_iter().collect(),
        imports: [own.imports.clone(), request.cache_imports.clone()].concat(),
        inputs: asked::inputs(request.frontend_inputs.clone()),
        ..own
    };
    check_frontend(&wanted)?;
    if let Some(id) = wanted.text("requestid") {
        return answer(app, &bridge, &wanted, id);
    }
    let random = sys::host::random_id()?;
    let mut state = bridge.state();
    if state.results.len() >= MAX_RESULTS {
        return Err(Status::invalid("a build with more results than are kept"));
    }
    state.results.insert(random.clone(), wanted);
    drop(state);
    if request.evaluate {
        evaluate(app, build, &EvaluateRequest { reference: random.clone() }, is_gone)?;
    }
    Ok(result(build, Some(random), &request))
}

fn result(build: &str, id: Option<String>, request: &SolveRequest) -> SolveResponse {
    let reference = id.clone().unwrap_or_default();
    if !request.allow_result_return {
        return SolveResponse { reference, result: None };
    }
    let results = id.map(|id| match request.allow_result_array {
        true => {
            let referred = Referred { build: build.to_owned(), reference: id.clone() };
            Results::One(ResultRef { id, definition: Some(referred.graph()) })
        }
        false => Results::OneByName(id),
    });
    let result = SolveResult { results, metadata: HashMap::new() };
    SolveResponse { reference: String::new(), result: Some(result) }
}

/// Builds a result without letting it out: its client wants to know that it can be built.
pub(super) fn evaluate(
    app: &App,
    build: &str,
    request: &EvaluateRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<Nothing, Status> {
    built(app, build, &request.reference, Vec::new(), is_gone)?;
    Ok(Nothing {})
}

/// Builds a result and lets it out by these ways.
pub(super) fn built(
    app: &App,
    build: &str,
    reference: &str,
    exporters: Vec<Exporter>,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<Facts, Status> {
    let bridge = app.buildkit.bridges.wait(build)?;
    let only = Asked { exporters, ..bridge.only(reference)? };
    let is_over = || is_gone() || bridge.state().is_over;
    let facts = run(app, &only, &bridge.board, &is_over)?;
    bridge.is_done(reference);
    Ok(facts)
}

/// What was asked of the control service for a build that its client steers.
pub(super) fn asked_of(app: &App, build: &str) -> Result<Asked, Status> {
    Ok(app.buildkit.bridges.wait(build)?.asked.clone())
}

/// Whether nobody steers a build any more.
pub(super) fn is_over(app: &App, build: &str) -> bool {
    !app.buildkit.bridges.all().contains_key(build)
}

/// What is to be built for a result of a build that goes on.
pub(super) fn result_of(app: &App, referred: &Referred) -> Result<Asked, Status> {
    let bridge = app.buildkit.bridges.all().get(&referred.build).cloned();
    let gone = || Status::missing(format!("build {} has ended", referred.build));
    bridge.ok_or_else(gone)?.only(&referred.reference)
}

/// Builds a result without letting it out, and looks into it.
pub(super) fn look<T>(
    app: &App,
    build: &str,
    reference: &str,
    is_gone: &(dyn Fn() -> bool + Sync),
    look: impl FnOnce(&OwnedFd) -> Result<T, Status>,
) -> Result<T, Status> {
    let bridge = app.buildkit.bridges.wait(build)?;
    let only = bridge.only(reference)?;
    only.check(app)?;
    let is_over = || is_gone() || bridge.state().is_over;
    let tell = |response| bridge.board.push(response);
    let watch = Watch::new(&only.reference, &tell, &is_over);
    let seen = Work::new(app, &only, &watch)?.look(look)?;
    bridge.is_done(reference);
    Ok(seen)
}

/// Answers a question about a Dockerfile.
fn answer(app: &App, bridge: &Bridge, asked: &Asked, id: &str) -> Result<SolveResponse, Status> {
    let call = match id {
        "frontend.subrequests.describe" => Call::Describe,
        "frontend.outline" => Call::Outline,
        "frontend.targets" => Call::Targets,
        "frontend.lint" => Call::Check,
        other => return Err(Status::unsupported(format!("unsupported request {other:?}"))),
    };
    let tell = |response| bridge.board.push(response);
    let watch = Watch::new(&asked.reference, &tell, &|| false);
    let work = Work::new(app, asked, &watch)?;
    let text = match call {
        Call::Describe => String::new(),
        _ => work.definition()?.text,
    };
    let request = asked.request()?;
    let platform = request.platforms.first().cloned().unwrap_or_else(Platform::host);
    let inputs = BuildInputs {
        arguments: request.arguments,
        target_platform: platform,
        build_platform: Platform::host(),
        target: request.target,
    };
    let name = asked.text("filename").unwrap_or("Dockerfile").to_owned();
    let own = |(name, _): (&str, &str)| name.split("::").next().unwrap_or_default().to_owned();
    let contexts = asked.family("context:").map(own).collect();
    let (path, ignore, has_context) = (None, None, true);
    let definition = engine::Definition { name, path, text, ignore, has_context, contexts };
    let engine = app.engine()?;
    let mut metadata = HashMap::new();
    for (key, format) in [("result.txt", Format::Text), ("result.json", Format::Json)] {
        let answer = definition.call((call, format), &inputs, Some(&engine))?;
        metadata.insert(key.to_owned(), answer.text.into_bytes());
        if call == Call::Check && !answer.succeeded {
            metadata.insert("result.statuscode".to_owned(), b"1".to_vec());
        }
    }
    metadata.insert("version".to_owned(), b"1.0.0".to_vec());
    Ok(SolveResponse {
        reference: String::new(),
        result: Some(SolveResult { results: None, metadata }),
    })
}

/// Says which result is the one.
pub(super) fn give_back(app: &App, build: &str, request: ReturnRequest) -> Result<Nothing, Status> {
    let bridge = app.buildkit.bridges.wait(build)?;
    let returned = match request.error {
        Some(error) => Err(Status::new(crate::wire::Code::Unknown, error.message)),
        None => Ok(request.result.map_or_else(Returned::default, |result| Returned {
            id: result.results.and_then(first),
            config: result.metadata.get(CONFIG).cloned(),
        })),
    };
    bridge.state().returned = Some(returned);
    bridge.changed.notify_all();
    Ok(Nothing {})
}

/// The name of a result. Those of several platforms are all of one build.
fn first(results: Results) -> Option<String> {
    let id = match results {
        Results::OneByName(id) => id,
        Results::One(result) => result.id,
        Results::ManyByName(map) => map.references.into_values().next()?,
        Results::Many(map) => map.references.into_values().next()?.id,
    };
    Some(id).filter(|id| !id.is_empty())
}

/// What was given to a build to begin with.
pub(super) fn inputs(app: &App, build: &str) -> Result<InputsResponse, Status> {
    let bridge = app.buildkit.bridges.wait(build)?;
    let own = bridge.asked.inputs.iter().map(|(name, graph)| (name.clone(), (**graph).clone()));
    Ok(InputsResponse { definitions: own.collect() })
}

/// What can be used.
pub(super) fn ping(app: &App) -> Result<PongResponse, Status> {
    let capability = |id: &&str| Capability { id: (*id).to_owned(), enabled: true };
    Ok(PongResponse {
        frontend_capabilities: FRONTEND_CAPABILITIES.iter().map(capability).collect(),
        llb_capabilities: LLB_CAPABILITIES.iter().map(capability).collect(),
        workers: vec![usage::worker(app)],
    })
}
