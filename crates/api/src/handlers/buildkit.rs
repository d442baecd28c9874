//! BuildKit within docker's API: sessions and its services on connections that are taken over, and
//! builds that are asked for in docker's words and use a session.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::Deserialize;
use serde_json::json;
use sys::event::{Interest, poll};

use crate::app::App;
use crate::buildkit::messages::control::{CacheEntry, Exporter, StatusResponse};
use crate::buildkit::sessions::Facts;
use crate::buildkit::{Asked, BuildKit, UPLOAD_REQUEST};
use crate::call::Call;
use crate::progress::JsonProgress;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::wire;

/// What a client calls its progress.
const TRACE: &str = "moby.buildkit.trace";
/// What a client calls the id of its image.
const IMAGE_ID: &str = "moby.image.id";
/// The remote of a build whose context is the session's.
const SESSION_CONTEXT: &str = "client-session";

/// Opens a session on the connection of the request.
pub(crate) fn session(call: Call) -> Result<Reply, Refusal> {
    check_upgrade(&call)?;
    let facts = Facts::read(&call.headers).map_err(|status| Refusal::bad(status.message))?;
    let app = call.app.clone();
    Ok(Reply::talk(Box::new(move |stream, end| {
        Box::pin(async move {
            // Whose session is refused sees its connection end.
            let _ = app.buildkit.sessions.hold(facts, stream, end).await;
        })
    })))
}

/// Serves BuildKit's services on the connection of the request.
pub(crate) fn grpc(call: Call) -> Result<Reply, Refusal> {
    check_upgrade(&call)?;
    let app = call.app.clone();
    Ok(Reply::talk(Box::new(move |stream, end| {
        Box::pin(async move {
            let calls = app.buildkit.calls.clone();
            let services = Arc::new(BuildKit::new(app, end.clone()));
            wire::serve(stream, services, calls, end).await;
        })
    })))
}

fn check_upgrade(call: &Call) -> Result<(), Refusal> {
    match call.header("upgrade") {
        "h2c" => Ok(()),
        "" => Err(Refusal::bad("no upgrade proto in request")),
        other => Err(Refusal::bad(format!("protocol {other} not supported"))),
    }
}

/// Ends a build that the client has given a name.
pub(crate) fn cancel(call: Call) -> Result<Reply, Refusal> {
    let Some(id) = call.query.given("id") else {
        return Err(Refusal::bad("build ID not provided"));
    };
    if let Some(stop) = stops(&call.app).get(id) {
        stop.store(true, Ordering::Relaxed);
    }
    Ok(Reply::status(200))
}

type Stops = HashMap<String, Arc<AtomicBool>>;

fn stops(app: &App) -> std::sync::MutexGuard<'_, Stops> {
    app.buildkit.stops.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a build under which it can be ended, as long as this is there.
struct Stoppable {
    app: Arc<App>,
    id: String,
    stop: Arc<AtomicBool>,
}

impl Stoppable {
    fn new(app: &Arc<App>, id: String) -> Stoppable {
        let stop = Arc::<AtomicBool>::default();
        if !id.is_empty() {
            stops(app).insert(id.clone(), stop.clone());
        }
        Stoppable { app: app.clone(), id, stop }
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        stops(&self.app).remove(&self.id);
    }
}

/// The build that a request sends a context for.
fn upload_for(id: &str) -> Option<&str> {
    id.strip_prefix(UPLOAD_REQUEST)?.strip_prefix(':')
}

/// `POST /build?version=2`: the client's session has the context.
pub(crate) fn build(mut call: Call) -> Result<Reply, Refusal> {
    if let Some(id) = upload_for(call.query.text("buildid")) {
        let body = call.body.take_all();
        return match call.app.buildkit.uploads.offer(id, body) {
            true => Ok(Reply::status(200)),
            false => Err(Refusal::missing(format!("nobody has asked for build {id}"))),
        };
    }
    let asked = asked(&call.query)?;
    // Wrong words are told before anything is begun.
    asked.check(&call.app).map_err(Refusal::from)?;
    let stoppable = Stoppable::new(&call.app, call.query.text("buildid").to_owned());
    Ok(Reply::stream("application/json", move |sink| {
        let gone = sink.gone().try_clone_to_owned()?;
        let progress = JsonProgress::new(sink, false);
        let tell = |response: StatusResponse| {
            let bytes = STANDARD.encode(response.encode_to_vec());
            progress.tell(&json!({ "id": TRACE, "aux": bytes }));
        };
        let is_stopped = || {
            let polled = poll([(Some(gone.as_fd()), Interest::READ)], Some(Duration::ZERO));
            stoppable.stop.load(Ordering::Relaxed) || polled.is_ok_and(|[gone]| gone.read)
        };
        let built = asked.build(&stoppable.app, &tell, &is_stopped);
        let ended = match built {
            Ok(facts) => {
                if let Some(id) = facts.get("containerimage.config.digest") {
                    progress.tell(&json!({ "id": IMAGE_ID, "aux": { "ID": id } }));
                }
                Ok(())
            }
            Err(status) => Err(Refusal::from(status)),
        };
        progress.end(ended)
    }))
}

/// An `outputs` entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OutputEntry {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    attrs: Option<HashMap<String, String>>,
}

/// What the address asks for, as attributes of a frontend.
fn asked(query: &Query) -> Result<Asked, Refusal> {
    let mut attributes = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        if !value.is_empty() {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    };
    set("target", query.text("target"));
    set("filename", query.text("dockerfile"));
    set("platform", query.text("platform"));
    set("cgroup-parent", query.text("cgroupparent"));
    set("shm-size", query.text("shmsize").trim_start_matches('0'));
    let remote = query.text("remote");
    set("context", if remote == SESSION_CONTEXT { "" } else { remote });
    match query.text("networkmode") {
        network @ ("none" | "host") => set("force-network-mode", network),
        "" | "default" => {}
        other => {
            return Err(Refusal::bad(format!("network mode {other:?} not supported by buildkit")));
        }
    }
    let hosts = query.list("extrahosts");
    let hosts = hosts.iter().map(|host| host.replacen(':', "=", 1)).collect::<Vec<_>>();
    set("add-hosts", &hosts.join(","));
    if query.flag("pull") {
        set("image-resolve-mode", "pull");
    }
    let families = [("build-arg:", "buildargs"), ("label:", "labels")];
    for (prefix, name) in families {
        let given: BTreeMap<String, Option<String>> = super::build::document(query, name)?;
        for (name, value) in given {
            if let Some(value) = value {
                attributes.insert(format!("{prefix}{name}"), value);
            }
        }
    }
    if query.flag("nocache") {
        attributes.insert("no-cache".to_owned(), String::new());
    }
    let from: Vec<String> = super::build::document(query, "cachefrom")?;
    // Docker's own builder asks for that in the client's place.
    let is_host = query.text("networkmode") == "host";
    let entitlements = is_host.then(|| "network.host".to_owned()).into_iter().collect();
    let import = |name: String| CacheEntry {
        kind: "registry".to_owned(),
        attributes: HashMap::from([("ref".to_owned(), name)]),
    };
    let imports = from.into_iter().map(import).collect();
    Ok(Asked {
        reference: query.text("buildid").to_owned(),
        session: query.text("session").to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        attributes,
        exporters: exporters(query)?,
        imports,
        entitlements,
        ..Asked::default()
    })
}

fn exporters(query: &Query) -> Result<Vec<Exporter>, Refusal> {
    let entries: Vec<OutputEntry> = super::build::document(query, "outputs")?;
    if entries.len() > 1 {
        return Err(Refusal::bad("multiple outputs not supported"));
    }
    let names = query.list("t").iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>();
    let mut exporters = Vec::new();
    for entry in entries {
        // Nothing at all is asked for so, too.
        if !entry.kind.is_empty() && entry.kind != "cacheonly" {
            let attributes = entry.attrs.unwrap_or_default();
            exporters.push(Exporter { kind: entry.kind, attributes });
        }
    }
    if query.given("outputs").is_none() || query.text("outputs") == "null" {
        exporters.push(Exporter { kind: "moby".to_owned(), ..Exporter::default() });
    }
    for exporter in exporters.iter_mut().filter(|exporter| exporter.kind == "moby") {
        exporter.attributes.entry("name".to_owned()).or_insert_with(|| names.join(","));
    }
    Ok(exporters)
}
