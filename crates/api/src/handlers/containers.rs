//! Containers: made, listed, started, ended, changed, removed.

use engine::{
    ContainerFilter, CreateContainer, Engine, EngineError, ListContainers, PruneContainers,
    RemoveContainer, UpdateContainer,
};
use runtime::attach::{Request, StopRequest};
use runtime::state::Status;
use serde::Deserialize;
use serde_json::{Value, json};
use spec::{
    ContainerConfig, ContainerId, HostConfig, MountKind, NetworkingConfig, Resources,
    RestartPolicy, Timestamp, parse_signal,
};

use crate::call::Call;
use crate::filters::Filters;
use crate::gates::{self, brought};
use crate::refusal::Refusal;
use crate::reply::Reply;

pub(crate) fn list(call: Call) -> Result<Reply, Refusal> {
    let query = &call.query;
    let mut lines = Filters::of(query)?.lines();
    // Parameters of their own before they were filters.
    for name in ["since", "before"] {
        lines.extend(query.given(name).map(|value| format!("{name}={value}")));
    }
    let filters = lines.iter().map(|line| ContainerFilter::parse(line));
    let last = query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let request = ListContainers {
        all: query.flag("all"),
        last: last.filter(|last| *last > 0),
        size: query.flag("size"),
        filters: filters.collect::<Result<_, _>>()?,
    };
    let rows = call.engine()?.list_containers(&request)?;
    let now = Timestamp::now();
    let shown = rows.iter().map(|row| call.fitted(row.document(now), gates::CONTAINER_ROW));
    Ok(Reply::json(&shown.collect::<Vec<_>>()))
}

pub(crate) fn inspect(call: Call) -> Result<Reply, Refusal> {
    let engine = call.engine()?;
    let shown = engine.inspect_container(call.parameter("id"), call.query.flag("size"))?;
    Ok(Reply::json(&call.fitted(shown, gates::CONTAINER)))
}

/// What a client sends to make a container: its configuration, with two more fields.
struct Wanted {
    config: ContainerConfig,
    host: HostConfig,
    networks: NetworkingConfig,
}

/// Says in docker's words that there is no such policy: whatever reads documents has its own.
fn check_policy(of: &Value) -> Result<(), Refusal> {
    let name = of["RestartPolicy"]["Name"].as_str().unwrap_or_default();
    let policy: Result<RestartPolicy, _> = name.parse();
    policy.map(drop).map_err(|error| Refusal::bad(error.to_string()))
}

/// The same of kinds of mounts.
fn check_mounts(of: &Value) -> Result<(), Refusal> {
    let kinds = of["Mounts"].as_array().into_iter().flatten();
    for kind in kinds.filter_map(|mount| mount["Type"].as_str()) {
        kind.parse::<MountKind>().map_err(|error| Refusal::bad(error.to_string()))?;
    }
    Ok(())
}

impl Wanted {
    fn read(document: Value) -> Result<Wanted, Refusal> {
        let wrong = |error: serde_json::Error| Refusal::bad(format!("invalid JSON: {error}"));
        let Value::Object(mut fields) = document else {
            return Err(Refusal::bad("config cannot be empty in order to create a container"));
        };
        let mut take = |name: &str| {
            let value = fields.remove(name).unwrap_or(Value::Null);
            if value.is_null() { json!({}) } else { value }
        };
        let (host, networks) = (take("HostConfig"), take("NetworkingConfig"));
        check_policy(&host)?;
        check_mounts(&host)?;
        Ok(Wanted {
            config: serde_json::from_value(Value::Object(fields)).map_err(wrong)?,
            host: serde_json::from_value(host).map_err(wrong)?,
            networks: serde_json::from_value(networks).map_err(wrong)?,
        })
    }
}

pub(crate) fn create(mut call: Call) -> Result<Reply, Refusal> {
    let empty = || Refusal::bad("config cannot be empty in order to create a container");
    let document = call.json()?.ok_or_else(empty)?;
    let wanted = Wanted::read(call.fitted(document, gates::NEW_CONTAINER))?;
    let Wanted { mut config, mut host, networks } = wanted;
    // What nobody here knows is not kept: it may be a newer client's, of which nothing would come.
    config.rest.clear();
    let mut networks = networks.endpoints_config;
    if matches!(host.network_mode.as_str(), "" | "default") {
        let usual = call.app.settings().containers.network_mode.clone();
        host.network_mode = Some(usual).filter(|mode| !mode.is_empty()).unwrap_or_else(bridge);
    }
    if config.network_disabled {
        "none".clone_into(&mut host.network_mode);
    }
    if let Some(settings) = networks.remove("default") {
        networks.insert("bridge".to_owned(), settings);
    }
    if host.network_mode == "none" {
        // Whoever has no network is in that one, and in no other beside it.
        networks.entry("none".to_owned()).or_default();
    }
    let address = std::mem::take(&mut config.mac_address);
    if !address.is_empty() {
        networks.entry(host.network_mode.clone()).or_default().mac_address = address;
    }
    let name = call.query.given("name").map(str::to_owned);
    let platform = match call.since(brought::PLATFORM_TO_CREATE) {
        true => super::images::platform(&call)?,
        false => None,
    };
    let request = CreateContainer { name, platform, config, host, networks };
    let created = call.engine()?.create_container(request)?;
    let shown = json!({ "Id": created.id.to_string(), "Warnings": created.warnings });
    Ok(Reply::json(&shown).at_status(201))
}

fn bridge() -> String {
    "bridge".to_owned()
}

/// Starts a container that does not run, and removes one that was to go with its end.
fn start_at_rest(call: &Call, engine: &Engine, id: &ContainerId) -> Result<(), Refusal> {
    let started = call.app.gate.start(engine, id);
    if started.is_err() && !engine.container_state(id)?.status.is_alive() {
        let record = engine.containers().read(id);
        if let Ok(record) = record.as_ref()
            && record.host_config.auto_remove
        {
            // The first failure is the one to tell.
            let _ = engine.discard_container(record, true);
        }
    }
    started
}

pub(crate) fn start(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    match engine.container_state(&id)?.status {
        Status::Paused => {
            return Err(Refusal::conflict("cannot start a paused container, try unpause instead"));
        }
        status if status.is_alive() => return Ok(Reply::status(304)),
        _ => {}
    }
    match start_at_rest(&call, &engine, &id) {
        // Somebody else was quicker.
        Err(_) if engine.container_state(&id).is_ok_and(|state| state.status.is_alive()) => {
            Ok(Reply::status(304))
        }
        started => started.map(|()| Reply::done()),
    }
}

/// How a container is asked to end.
fn how(call: &Call) -> Result<StopRequest, Refusal> {
    let timeout = call.query.number::<i64>("t")?;
    let given = call.query.given("signal").filter(|_| call.since(brought::STOP_SIGNAL));
    let signal = given.map(signal).transpose()?;
    Ok(StopRequest { signal, timeout })
}

fn signal(text: &str) -> Result<i32, Refusal> {
    parse_signal(text).ok_or_else(|| Refusal::bad(format!("invalid signal: {text}")))
}

pub(crate) fn stop(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let request = how(&call)?;
    if !engine.container_state(&id)?.status.is_alive() {
        return Ok(Reply::status(304));
    }
    engine.stop_container(&id, request)?;
    Ok(Reply::done())
}

pub(crate) fn restart(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let request = how(&call)?;
    if engine.container_state(&id)?.status.is_alive() {
        match engine.ask_monitor(&id, &Request::Restart(request)) {
            // It has just ended by itself.
            Err(EngineError::NotRunning(_)) => {}
            other => return Ok(other.map(|_| Reply::done())?),
        }
    }
    start_at_rest(&call, &engine, &id).map(|()| Reply::done())
}

pub(crate) fn kill(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let signal = signal(call.query.given("signal").unwrap_or("KILL"))?;
    if !engine.container_state(&id)?.status.is_alive() {
        let name = call.parameter("id");
        return Err(Refusal::conflict(format!(
            "cannot kill container: {name}: container {id} is not running"
        )));
    }
    engine.kill_container(&id, signal)?;
    Ok(Reply::done())
}

pub(crate) fn pause(call: Call) -> Result<Reply, Refusal> {
    freeze(&call, true)
}

pub(crate) fn unpause(call: Call) -> Result<Reply, Refusal> {
    freeze(&call, false)
}

fn freeze(call: &Call, frozen: bool) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let status = engine.container_state(&id)?.status;
    match (frozen, status) {
        (true, Status::Paused) => {
            return Err(Refusal::conflict(format!("Container {id} is already paused")));
        }
        (false, status) if status != Status::Paused => {
            return Err(Refusal::failed(format!("Container {id} is not paused")));
        }
        _ => {}
    }
    engine.freeze_container(&id, frozen)?;
    Ok(Reply::done())
}

pub(crate) fn rename(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    engine.rename_container(&id, call.query.text("name"))?;
    Ok(Reply::done())
}

pub(crate) fn remove(call: Call) -> Result<Reply, Refusal> {
    if call.query.flag("link") {
        call.engine()?.unlink(call.parameter("id"))?;
        return Ok(Reply::done());
    }
    let (engine, id) = call.container()?;
    let request =
        RemoveContainer { force: call.query.flag("force"), volumes: call.query.flag("v") };
    engine.remove_container(&id, request, &engine)?;
    Ok(Reply::done())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Update {
    #[serde(flatten)]
    resources: Resources,
    restart_policy: Option<RestartPolicy>,
}

pub(crate) fn update(mut call: Call) -> Result<Reply, Refusal> {
    let document: Value = call.json()?.unwrap_or_else(|| json!({}));
    check_policy(&document)?;
    let wrong = |error: serde_json::Error| Refusal::bad(format!("invalid JSON: {error}"));
    let Update { resources, restart_policy } = serde_json::from_value(document).map_err(wrong)?;
    let (engine, id) = call.container()?;
    // A policy without a name is none.
    let restart = restart_policy.filter(|policy| *policy != RestartPolicy::default());
    let warnings = engine.update_container(&id, &UpdateContainer { resources, restart })?;
    let warnings = if warnings.is_empty() { Value::Null } else { json!(warnings) };
    Ok(Reply::json(&json!({ "Warnings": warnings })))
}

pub(crate) fn top(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let options: Vec<String> = call.query.given("ps_args").map(str::to_owned).into_iter().collect();
    let table = engine.container_processes(&id, &options)?;
    Ok(Reply::json(&json!({ "Titles": table.titles, "Processes": table.processes })))
}

pub(crate) fn changes(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let changes = engine.diff_container(&id)?;
    let document = |change: &engine::Altered| {
        let kind = match engine::change_letter(change.change) {
            'A' => 1,
            'D' => 2,
            _ => 0,
        };
        json!({ "Path": String::from_utf8_lossy(&change.path), "Kind": kind })
    };
    Ok(match changes.is_empty() {
        true => Reply::json(&Value::Null),
        false => Reply::json(&changes.iter().map(document).collect::<Vec<_>>()),
    })
}

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filters = Filters::of(&call.query)?;
    filters.check(&["label", "label!", "until"])?;
    let labels = |name: &str| -> Vec<(String, Option<String>)> {
        let label = |text: &String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text.clone(), None),
        };
        filters.values(name).iter().map(label).collect()
    };
    let until = filters.values("until").first().map(|text| time(text)).transpose()?;
    let request = PruneContainers { until, labels: labels("label"), not_labels: labels("label!") };
    let (removed, bytes) = call.engine()?.prune_containers(&request)?;
    let removed = if removed.is_empty() { Value::Null } else { json!(removed) };
    Ok(Reply::json(&json!({ "ContainersDeleted": removed, "SpaceReclaimed": bytes })))
}

/// A moment as docker's clients write it.
pub(crate) fn time(text: &str) -> Result<Timestamp, Refusal> {
    Timestamp::parse_docker(text, Timestamp::now()).map_err(|error| Refusal::bad(error.to_string()))
}
