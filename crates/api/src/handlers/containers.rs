//! Containers: made, listed, started, ended, changed, removed.

use engine::{
    ContainerFilter, ContainerRow, CreateContainer, Engine, EngineError, ListContainers,
    PruneContainers, RemoveContainer, UpdateContainer,
};
use runtime::attach::{Request, StopRequest};
use runtime::state::Status;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spec::{
    ContainerConfig, ContainerId, HostConfig, Mount, MountKind, NetworkingConfig, Resources,
    RestartPolicy, Timestamp, go_json, parse_signal,
};

use crate::call::Call;
use crate::filters::Filters;
use crate::gates::{self, brought};
use crate::refusal::Refusal;
use crate::reply::Reply;

/// How many containers are worth a thread of their own.
const SHARE: usize = 128;

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
    let version = call.version;
    let shown = |row: &ContainerRow| {
        let mut document = row.document(now);
        gates::fit(&mut document, gates::CONTAINER_ROW, version.to_minor());
        document
    };
    Ok(Reply::json(&side_by_side(&rows, shown)))
}

/// The documents of many containers, which several threads make.
fn side_by_side(
    rows: &[ContainerRow],
    shown: impl Fn(&ContainerRow) -> Value + Sync,
) -> Vec<Value> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = rows.len().div_ceil(threads).max(SHARE);
    if rows.len() <= share {
        return rows.iter().map(shown).collect();
    }
    let shown = &shown;
    std::thread::scope(|scope| {
        let parts = rows
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(shown).collect::<Vec<_>>()));
        let parts: Vec<_> = parts.collect();
        let joined = parts.into_iter().map(|part| part.join().expect("showing does not panic"));
        joined.flatten().collect()
    })
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

/// A member of a document, however it spells the name; of several the last that says something.
fn member<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let mut members = document.as_object()?.iter().rev();
    let is_meant =
        |(own, value): &(&String, &Value)| own.eq_ignore_ascii_case(name) && !value.is_null();
    members.find(is_meant).map(|(_, value)| value)
}

/// The same, taken out of the document.
fn take_member(document: &mut Value, name: &str) -> Value {
    let mut taken = Value::Null;
    let Some(members) = document.as_object_mut() else { return taken };
    members.retain(|own, value| {
        let is_meant = own.eq_ignore_ascii_case(name);
        if is_meant && !value.is_null() {
            taken = value.take();
        }
        !is_meant
    });
    taken
}

/// Whether there is such a policy: docker has words of its own for names, and whatever reads documents
/// has others. What has another form is found by those who read it.
fn check_policy(policy: &Value) -> Result<(), Refusal> {
    let name = member(policy, "Name").and_then(Value::as_str);
    let known = name.map_or(Ok(RestartPolicy::default()), str::parse);
    known.map(|_| ()).map_err(|error| Refusal::bad(error.to_string()))
}

/// The same for a kind of mount.
fn check_mount(mount: &Value) -> Result<(), Refusal> {
    let Some(kind) = member(mount, "Type").and_then(Value::as_str) else { return Ok(()) };
    let known = kind.parse::<MountKind>();
    known.map(|_| ()).map_err(|error| Refusal::bad(error.to_string()))
}

/// Makes a part of a document what it is to be.
fn read<T: DeserializeOwned>(document: Value) -> Result<T, Refusal> {
    let wrong = |error: serde_json::Error| Refusal::bad(format!("invalid JSON: {error}"));
    go_json::from_value(document).map_err(wrong)
}

impl Wanted {
    fn read(mut document: Value) -> Result<Wanted, Refusal> {
        let host = take_member(&mut document, "HostConfig");
        let networks = take_member(&mut document, "NetworkingConfig");
        member(&host, "RestartPolicy").map_or(Ok(()), check_policy)?;
        let mounts = member(&host, "Mounts").and_then(Value::as_array);
        mounts.into_iter().flatten().try_for_each(check_mount)?;
        let (host, networks) = (read(host)?, read(networks)?);
        let members = document.as_object().into_iter().flatten();
        let said = members.filter(|(_, value)| !value.is_null()).count();
        let mut config: ContainerConfig = read(document)?;
        let unknown = config.rest.len();
        // What nobody here knows is not kept: it may be a newer client's, of which nothing would
        // come.
        config.rest.clear();
        match said == unknown {
            true => Err(empty()),
            false => Ok(Wanted { config, host, networks }),
        }
    }

    /// Makes of it what a client of this version means.
    fn fit(&mut self, call: &Call) -> Result<(), Refusal> {
        let Wanted { host, networks, .. } = self;
        if !call.since(brought::PRIVATE_IPC) && host.ipc_mode.is_empty() {
            "shareable".clone_into(&mut host.ipc_mode);
        }
        let several = networks.endpoints_config.len() > 1;
        if several && !call.since(brought::SEVERAL_NETWORKS) {
            let names: Vec<&str> = networks.endpoints_config.keys().map(String::as_str).collect();
            return Err(Refusal::bad(format!(
                "Container cannot be created with multiple network endpoints: {}",
                names.join(", ")
            )));
        }
        host.mounts.iter_mut().try_for_each(|mount| fit_mount(call, mount))
    }
}

fn fit_mount(call: &Call, mount: &mut Mount) -> Result<(), Refusal> {
    if !call.since(brought::FITTING_OPTIONS) {
        // They were not looked at.
        mount.volume_options.take_if(|_| mount.kind != MountKind::Volume);
        mount.tmpfs_options.take_if(|_| mount.kind != MountKind::Tmpfs);
        if let Some(options) = &mut mount.bind_options {
            options.create_mountpoint = false;
        }
    }
    let forced = mount.bind_options.as_ref().is_some_and(|it| it.read_only_force_recursive);
    let part = mount.volume_options.as_ref().is_some_and(|it| !it.subpath.is_empty());
    let needed = [
        (forced, "BindOptions.ReadOnlyForceRecursive needs API v1.44", brought::FORCED_READ_ONLY),
        (part, "VolumeOptions.Subpath needs API v1.45", brought::SUBPATH_OF_VOLUMES),
        (
            mount.kind == MountKind::Image,
            "Mount type \"Image\" needs API v1.48",
            brought::IMAGES_AS_MOUNTS,
        ),
    ];
    match needed.iter().find(|(asked, _, since)| *asked && !call.since(*since)) {
        Some((_, words, _)) => Err(Refusal::bad(format!("{words} or newer"))),
        None => Ok(()),
    }
}

fn empty() -> Refusal {
    Refusal::bad("config cannot be empty in order to create a container")
}

pub(crate) fn create(mut call: Call) -> Result<Reply, Refusal> {
    let document: Value = call.json()?.ok_or_else(empty)?;
    let mut wanted = Wanted::read(call.heard(document, gates::NEW_CONTAINER))?;
    wanted.fit(&call)?;
    let Wanted { mut config, mut host, networks } = wanted;
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
    // Who has another's network has no address of his own, and is told so by the engine.
    let joins = host.network_mode.starts_with("container:");
    let address = if joins { String::new() } else { std::mem::take(&mut config.mac_address) };
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
    if started.is_err()
        && let Ok(record) = engine.containers().read(id)
        && record.host_config.auto_remove
    {
        // The first failure is the one to tell. What runs stays.
        let request = RemoveContainer { force: false, volumes: true };
        let _ = engine.remove_container(id, request, engine);
    }
    started
}

pub(crate) fn start(call: Call) -> Result<Reply, Refusal> {
    // Once it told how the container is to run. Less is no document.
    let length = call.header("content-length").parse::<u64>().unwrap_or(0);
    if length > 7 || call.headers.contains_key("transfer-encoding") {
        return Err(Refusal::bad(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
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
    Ok(StopRequest { signal, timeout, for_good: false })
}

fn signal(text: &str) -> Result<i32, Refusal> {
    parse_signal(text).ok_or_else(|| Refusal::bad(format!("invalid signal: {text}")))
}

pub(crate) fn stop(call: Call) -> Result<Reply, Refusal> {
    let (engine, id) = call.container()?;
    let request = how(&call)?;
    if !engine.state_at_rest(&id)?.status.is_alive() {
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
    killed(&call).map(|()| Reply::done()).map_err(|Refusal { status, message }| {
        let name = call.parameter("id");
        Refusal { status, message: format!("cannot kill container: {name}: {message}") }
    })
}

fn killed(call: &Call) -> Result<(), Refusal> {
    // The signal is looked at before anybody looks for the container.
    let signal = signal(call.query.given("signal").unwrap_or("KILL"))?;
    let (engine, id) = call.container()?;
    if !engine.container_state(&id)?.status.is_alive() {
        return Err(Refusal::conflict(format!("container {id} is not running")));
    }
    Ok(engine.kill_container(&id, signal)?)
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

pub(crate) fn update(mut call: Call) -> Result<Reply, Refusal> {
    let mut document: Value = call.json()?.unwrap_or_else(|| json!({}));
    let policy = take_member(&mut document, "RestartPolicy");
    check_policy(&policy)?;
    let restart_policy: Option<RestartPolicy> = read(policy)?;
    let resources: Resources = read(document)?;
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
