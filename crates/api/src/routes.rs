//! The one table of what there is: it routes requests, says from which version on something is
//! there, and is what the census of the API is held against.

use std::sync::Arc;

use hyper::Method;

use crate::app::App;
use crate::call::{BodyReader, Call};
use crate::escaping::rest_of_query;
use crate::handlers::{
    attach, build, buildkit, containers, events, exec, files, images, logs, networks, stats, swarm,
    system, transfer, usage, volumes, wait,
};
use crate::query::{Query, decode};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::version::{self, OLDEST, Version};

/// Answers a call.
pub(crate) type Handler = fn(Call) -> Result<Reply, Refusal>;

/// Something that can be asked for.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// Its path; `{name}` stands for one part of it, `{name..}` for one or more.
    pub(crate) path: &'static str,
    /// The first version that has it.
    pub(crate) since: Version,
    /// The first version that has it no more.
    pub(crate) until: Option<Version>,
    pub(crate) handler: Handler,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, handler: Handler) -> Route {
        Route { method, path, since: OLDEST, until: None, handler }
    }

    /// From `1.MINOR` on.
    const fn since(self, minor: u32) -> Route {
        Route { since: Version::minor(minor), ..self }
    }

    fn has(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|until| version < until)
    }
}

const fn get(path: &'static str, handler: Handler) -> Route {
    Route::new("GET", path, handler)
}

const fn head(path: &'static str, handler: Handler) -> Route {
    Route::new("HEAD", path, handler)
}

const fn post(path: &'static str, handler: Handler) -> Route {
    Route::new("POST", path, handler)
}

const fn put(path: &'static str, handler: Handler) -> Route {
    Route::new("PUT", path, handler)
}

const fn delete(path: &'static str, handler: Handler) -> Route {
    Route::new("DELETE", path, handler)
}

/// All that there is. Of two that fit a path the first counts.
pub(crate) static ROUTES: &[Route] = &[
    get("/_ping", system::ping),
    head("/_ping", system::ping),
    get("/version", system::version),
    get("/info", system::info),
    get("/events", events::events),
    get("/system/df", usage::df).since(25),
    post("/auth", transfer::auth),
    get("/distribution/{name..}/json", transfer::distribution).since(30),
    get("/images/json", images::list),
    get("/images/search", transfer::search),
    get("/images/get", images::save),
    get("/images/{name..}/get", images::save),
    get("/images/{name..}/history", images::history),
    get("/images/{name..}/json", images::inspect),
    post("/images/load", images::load),
    post("/images/create", transfer::create),
    post("/images/prune", images::prune).since(25),
    post("/images/{name..}/push", transfer::push),
    post("/images/{name..}/tag", images::tag),
    delete("/images/{name..}", images::remove),
    post("/build", build::build),
    post("/build/prune", build::prune).since(31),
    post("/build/cancel", buildkit::cancel).since(39),
    post("/session", buildkit::session).since(31),
    post("/grpc", buildkit::grpc).since(31),
    post("/commit", files::commit),
    get("/containers/json", containers::list),
    post("/containers/create", containers::create),
    post("/containers/prune", containers::prune).since(25),
    get("/containers/{id}/json", containers::inspect),
    get("/containers/{id}/top", containers::top),
    get("/containers/{id}/logs", logs::logs),
    get("/containers/{id}/changes", containers::changes),
    get("/containers/{id}/export", files::export),
    get("/containers/{id}/stats", stats::stats),
    post("/containers/{id}/resize", attach::resize),
    post("/containers/{id}/start", containers::start),
    post("/containers/{id}/stop", containers::stop),
    post("/containers/{id}/restart", containers::restart),
    post("/containers/{id}/kill", containers::kill),
    post("/containers/{id}/update", containers::update),
    post("/containers/{id}/rename", containers::rename),
    post("/containers/{id}/pause", containers::pause),
    post("/containers/{id}/unpause", containers::unpause),
    post("/containers/{id}/attach", attach::attach),
    get("/containers/{id}/attach/ws", attach::attach_by_messages),
    post("/containers/{id}/wait", wait::wait),
    post("/containers/{id}/exec", exec::create),
    delete("/containers/{id..}", containers::remove),
    head("/containers/{id}/archive", files::stat),
    get("/containers/{id}/archive", files::take_out),
    put("/containers/{id}/archive", files::put_in),
    post("/exec/{id}/start", exec::start),
    post("/exec/{id}/resize", exec::resize),
    get("/exec/{id}/json", exec::inspect),
    get("/volumes", volumes::list),
    post("/volumes/create", volumes::create),
    post("/volumes/prune", volumes::prune).since(25),
    get("/volumes/{name}", volumes::inspect),
    put("/volumes/{name}", swarm::managed).since(42),
    delete("/volumes/{name}", volumes::remove),
    get("/networks", networks::list),
    get("/networks/", networks::list),
    post("/networks/create", networks::create),
    post("/networks/prune", networks::prune).since(25),
    get("/networks/{id}", networks::inspect),
    delete("/networks/{id}", networks::remove),
    post("/networks/{id}/connect", networks::connect),
    post("/networks/{id}/disconnect", networks::disconnect),
    get("/plugins", swarm::plugins),
    get("/plugins/privileges", swarm::no_plugins),
    post("/plugins/pull", swarm::no_plugins),
    post("/plugins/create", swarm::no_plugins),
    get("/plugins/{name..}/json", swarm::plugin),
    delete("/plugins/{name..}", swarm::plugin),
    post("/plugins/{name..}/enable", swarm::plugin),
    post("/plugins/{name..}/disable", swarm::plugin),
    post("/plugins/{name..}/upgrade", swarm::plugin).since(26),
    post("/plugins/{name..}/push", swarm::plugin),
    post("/plugins/{name..}/set", swarm::plugin),
    get("/swarm", swarm::managed),
    post("/swarm/init", swarm::none),
    post("/swarm/join", swarm::none),
    post("/swarm/leave", swarm::leave),
    post("/swarm/update", swarm::managed),
    get("/swarm/unlockkey", swarm::managed),
    post("/swarm/unlock", swarm::managed),
    get("/nodes", swarm::managed),
    get("/nodes/{id}", swarm::managed),
    delete("/nodes/{id}", swarm::managed),
    post("/nodes/{id}/update", swarm::managed),
    get("/services", swarm::managed),
    post("/services/create", swarm::managed),
    get("/services/{id}", swarm::managed),
    delete("/services/{id}", swarm::managed),
    post("/services/{id}/update", swarm::managed),
    get("/services/{id}/logs", swarm::managed).since(29),
    get("/tasks", swarm::managed),
    get("/tasks/{id}", swarm::managed),
    get("/tasks/{id}/logs", swarm::managed).since(29),
    get("/secrets", swarm::managed).since(25),
    post("/secrets/create", swarm::managed).since(25),
    get("/secrets/{id}", swarm::managed).since(25),
    delete("/secrets/{id}", swarm::managed).since(25),
    post("/secrets/{id}/update", swarm::managed).since(25),
    get("/configs", swarm::managed).since(30),
    post("/configs/create", swarm::managed).since(30),
    get("/configs/{id}", swarm::managed).since(30),
    delete("/configs/{id}", swarm::managed).since(30),
    post("/configs/{id}/update", swarm::managed).since(30),
];

/// A request whose route was found.
pub(crate) struct Asked {
    route: &'static Route,
    version: Version,
    parameters: Vec<(&'static str, String)>,
}

/// Finds whom a request is for. A path with the wrong method is no page either, as docker has it.
pub(crate) fn find(method: &Method, path: &str) -> Result<Asked, Refusal> {
    let (path, version) = version::negotiate(path).map_err(Refusal::bad)?;
    let path = decode(path, false).map_err(Refusal::bad)?;
    let fits = |route: &'static Route| {
        let fits = *method == route.method && route.has(version);
        let parameters = fits.then(|| parameters(route.path, &path)).flatten()?;
        Some(Asked { route, version, parameters })
    };
    ROUTES.iter().find_map(fits).ok_or_else(|| Refusal::missing("page not found"))
}

/// What stands in a path for the names of a pattern, if it fits.
fn parameters(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let mut wanted = pattern.split('/');
    let mut rest: Vec<&str> = path.split('/').collect();
    rest.reverse();
    while let Some(part) = wanted.next() {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            (rest.pop()? == part).then_some(())?;
            continue;
        };
        let after = wanted.clone().count();
        let count = match name.ends_with("..") {
            true => rest.len().checked_sub(after)?,
            false => 1,
        };
        let own: Vec<&str> = (0..count).filter_map(|_| rest.pop()).collect();
        let own = own.join("/");
        if own.is_empty() {
            return None;
        }
        found.push((name.trim_end_matches('.'), own));
    }
    rest.is_empty().then_some(found)
}

impl Asked {
    /// Answers it.
    pub(crate) fn answer(
        self,
        app: Arc<App>,
        head: hyper::http::request::Parts,
        mut body: BodyReader,
    ) -> Result<Reply, Refusal> {
        if head.version == hyper::Version::HTTP_11 && !head.headers.contains_key("host") {
            return Err(Refusal::bad("missing required Host header"));
        }
        let rest = head.headers.get(rest_of_query());
        let rest = rest.map(|rest| rest.as_bytes()).unwrap_or_default();
        let text = [head.uri.query().unwrap_or_default(), &String::from_utf8_lossy(rest)].concat();
        let query = form(&head, &mut body)?.and(Query::parse(&text)?);
        let call = Call {
            app,
            version: self.version,
            query,
            headers: head.headers,
            parameters: self.parameters,
            body,
        };
        (self.route.handler)(call)
    }
}

/// What a body says if it is a form, as that of `curl -d t=30` is. It counts more than the address.
fn form(head: &hyper::http::request::Parts, body: &mut BodyReader) -> Result<Query, Refusal> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let carries = [Method::POST, Method::PUT].contains(&head.method);
    if !carries || !kind.eq_ignore_ascii_case(FORM) {
        return Ok(Query::default());
    }
    let text = body.form().map_err(|e| Refusal::bad(format!("cannot read the request: {e}")))?;
    match text {
        // A document that nobody calls one, as that of `curl -d '{"Image": …}'`, has no parameters.
        Some(text) if !text.starts_with(['{', '[']) => Query::parse(&text),
        _ => Ok(Query::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(pattern: &'static str, path: &str, expected: &[(&str, &str)]) {
        let found = parameters(pattern, path).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_may_have_slashes_in_the_middle_of_a_path() {
        fits("/images/{name..}/json", "/images/a/json", &[("name", "a")]);
        fits("/images/{name..}/json", "/images/r:5/b/c:1/json", &[("name", "r:5/b/c:1")]);
        fits("/images/{name..}/json", "/images/json/json", &[("name", "json")]);
        fits("/containers/{id}/top", "/containers/x/top", &[("id", "x")]);
        fits("/info", "/info", &[]);
        for (pattern, path) in [
            ("/images/{name..}/json", "/images/json"),
            ("/images/{name..}/json", "/images//json"),
            ("/containers/{id}/top", "/containers/x/y/top"),
            ("/containers/{id}", "/containers/"),
            ("/info", "/info/"),
        ] {
            assert_eq!(parameters(pattern, path), None, "{pattern} {path}");
        }
    }

    #[test]
    fn a_wrong_method_is_no_page() {
        assert!(find(&Method::GET, "/v1.30/_ping").is_ok());
        let refused = find(&Method::GET, "/containers/%zz/json").err();
        assert_eq!(refused, Some(Refusal::bad("invalid URL escape \"%zz\"")));
        let missing = Some(Refusal::missing("page not found"));
        assert_eq!(find(&Method::DELETE, "/_ping").err(), missing);
        assert_eq!(find(&Method::GET, "/v1.30/nothing").err(), missing);
        assert_eq!(find(&Method::GET, "/v1.2/info").err().map(|refusal| refusal.status), Some(400));
    }
}
