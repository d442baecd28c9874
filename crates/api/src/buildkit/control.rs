//! The services by their names, and `Solve` and `Status` of the control service: builds asked for
//! and watched.

use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::asked::Asked;
use super::boards::Board;
use super::build::Facts;
use super::carry::carry;
use super::messages::control::{SolveRequest, SolveResponse, StatusRequest};
use super::messages::{Health, Nothing};
use super::sessions::Facts as SessionFacts;
use super::{containers, gateway, llb, look, processes, usage};
use crate::app::App;
use crate::wire::{Code, Exchange, Service, Status};

/// How often somebody who waits asks whether the client still does.
pub(super) const ASKING: Duration = Duration::from_millis(200);
/// How long a client waits for the news of a build that is about to begin.
const NEWS_PATIENCE: Duration = Duration::from_secs(5);
/// What a service of health says when all is well.
const SERVING: Health = Health { status: 1 };

/// BuildKit's services over the engine.
pub(crate) struct BuildKit {
    pub(super) app: Arc<App>,
    runtime: Handle,
    end: watch::Receiver<bool>,
}

impl BuildKit {
    /// Services that end when `end` changes.
    pub(crate) fn new(app: Arc<App>, end: watch::Receiver<bool>) -> BuildKit {
        BuildKit { app, runtime: Handle::current(), end }
    }
}

impl Service for BuildKit {
    fn call(&self, path: &str, metadata: HeaderMap, exchange: Exchange) -> Result<(), Status> {
        let app = &*self.app;
        let build = || gateway::build_of(&metadata);
        match path {
            "/grpc.health.v1.Health/Check" => exchange.answer(|_: Nothing| Ok(SERVING)),
            "/moby.buildkit.v1.Control/Solve" => solve(app, exchange),
            "/moby.buildkit.v1.Control/Status" => status(app, exchange),
            "/moby.buildkit.v1.Control/Session" => self.session(&metadata, exchange),
            "/moby.buildkit.v1.Control/DiskUsage" => {
                exchange.answer(|request| usage::disk_usage(app, &request))
            }
            "/moby.buildkit.v1.Control/Prune" => usage::prune(app, exchange),
            "/moby.buildkit.v1.Control/ListWorkers" => {
                exchange.answer(|request| usage::workers(app, &request))
            }
            "/moby.buildkit.v1.Control/Info" => exchange.answer(|_: Nothing| Ok(usage::info())),
            "/moby.buildkit.v1.Control/ListenBuildHistory" => usage::history(app, exchange),
            "/moby.buildkit.v1.Control/UpdateBuildHistory" => {
                exchange.answer(|request| usage::update_history(app, &request))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Ping" => {
                exchange.answer(|_: Nothing| gateway::ping(app))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Solve" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| gateway::solve(app, &build()?, request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Evaluate" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| gateway::evaluate(app, &build()?, &request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Inputs" => {
                exchange.answer(|_: Nothing| gateway::inputs(app, &build()?))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig" => {
                exchange.answer(|request| look::resolve(app, &build()?, &request))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/ReadFile" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| look::read_file(app, &build()?, &request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/ReadDir" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| look::read_folder(app, &build()?, &request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/StatFile" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| look::stat(app, &build()?, &request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/NewContainer" => {
                let outgoing = exchange.outgoing.clone();
                let is_gone = || outgoing.is_gone();
                exchange.answer(|request| containers::make(app, &build()?, request, &is_gone))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/ReleaseContainer" => {
                exchange.answer(|request| containers::release(app, &build()?, &request))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess" => {
                processes::serve(app, &build()?, exchange)
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Warn" => {
                exchange.answer(|_: Nothing| Ok(Nothing {}))
            }
            "/moby.buildkit.v1.frontend.LLBBridge/Return" => {
                exchange.answer(|request| gateway::give_back(app, &build()?, request))
            }
            path => Err(Status::unsupported(format!("method {path} is not served"))),
        }
    }
}

impl BuildKit {
    /// A client's session whose connection comes in messages of a call.
    fn session(&self, metadata: &HeaderMap, exchange: Exchange) -> Result<(), Status> {
        let facts = SessionFacts::read(metadata)?;
        let (ours, theirs) = StdUnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let theirs = {
            let _runtime = self.runtime.enter();
            UnixStream::from_std(theirs)?
        };
        let (app, end) = (self.app.clone(), self.end.clone());
        let held =
            self.runtime.spawn(async move { app.buildkit.sessions.hold(facts, theirs, end).await });
        carry(exchange, ours)?;
        let held = self.runtime.block_on(held);
        held.unwrap_or_else(|_| Err(Status::internal("a session has died")))
    }
}

/// Asks for a build and waits until it is done.
fn solve(app: &App, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let request: SolveRequest = incoming.one()?;
    let is_steered = request.frontend.is_empty() && request.definition.is_none();
    let asked = Asked::of(request);
    let board = app.buildkit.boards.begin(&asked.reference).ok_or_else(|| {
        Status::new(Code::AlreadyExists, format!("build {} is there already", asked.reference))
    })?;
    let is_stopped = || outgoing.is_gone();
    let built = match is_steered {
        true => gateway::steered(app, &asked, &board, &is_stopped),
        false => run(app, &asked, &board, &is_stopped),
    };
    app.buildkit.boards.end(&asked.reference);
    let exporter_response = built?.into_iter().collect();
    outgoing.send(&SolveResponse { exporter_response })
}

/// Builds, and tells a board of it.
pub(super) fn run(
    app: &App,
    asked: &Asked,
    board: &Board,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Facts, Status> {
    asked.build(app, &|response| board.push(response), is_stopped)
}

/// Images that read Dockerfiles, in whose place we do.
const DOCKERFILE_IMAGES: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Refuses frontends that are other programs, and graphs that could not be built.
pub(super) fn check_frontend(asked: &Asked) -> Result<(), Status> {
    match (asked.frontend.as_str(), &asked.definition) {
        ("", Some(graph)) => return llb::check(graph),
        ("", None) => return Err(Status::invalid("a build of nothing")),
        (_, Some(_)) => return Err(Status::invalid("a build of a graph and of a frontend")),
        (_, None) => {}
    }
    match asked.frontend.as_str() {
        "dockerfile.v0" => Ok(()),
        "gateway.v0" => {
            let source = asked.text("source").unwrap_or_default();
            let name = spec::Reference::parse(source).map(|name| name.familiar());
            let name = name.unwrap_or_default();
            let repository = name.split(['@', ':']).next().unwrap_or_default();
            match DOCKERFILE_IMAGES.contains(&repository) {
                true => Ok(()),
                false => Err(Status::unsupported(format!(
                    "frontend image {source:?} is not run: docker/dockerfile is read by mica itself"
                ))),
            }
        }
        other => Err(Status::unsupported(format!("frontend {other:?} is not there"))),
    }
}

/// Tells of a build until it has ended.
fn status(app: &App, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let StatusRequest { reference } = incoming.one()?;
    let boards = &app.buildkit.boards;
    let board = match boards.get(&reference) {
        Some(board) => board,
        // One that was, by the name that the history has for it.
        None if usage::replay(app, &reference, &outgoing)? => return Ok(()),
        None => boards
            .wait(&reference, NEWS_PATIENCE)
            .ok_or_else(|| Status::missing(format!("no such job {reference}")))?,
    };
    let mut known = 0;
    while let Some(more) = board.after(known, ASKING) {
        known += more.len();
        for response in more {
            outgoing.send(&*response)?;
        }
        if outgoing.is_gone() {
            return Err(Status::gone());
        }
    }
    Ok(())
}
