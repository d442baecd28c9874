//! The process that watches one container: what the engine does around its runs.
//!
//! The monitor itself is the runtime's. Here a container's files are mounted, its networks joined
//! and its document made before a run, and all that is let go of when the run has ended.

mod extras;
pub(super) mod files;
pub(super) mod memory;
mod opened;
pub(super) mod outside;
mod run;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime::attach::{Exit, SOCKET_FILE};
use runtime::failure::{Failure, FailureKind};
use runtime::health::HealthRules;
use runtime::logs::{LogConfig, LogFacts};
use runtime::monitor::{Caller, Event, HealthSetup, Run, Setup, Surroundings};
use runtime::rootless::Stay;
use runtime::state::Hold;
use serde_json::{Value, json};
use spec::{ContainerId, MountKind, NetworkMode, parse_signal};
use store::Stacked;

use super::fresh::Told;
use super::{ContainerRecord, Containers};
use crate::error::{EngineError, Result};
use crate::{Engine, Standing};
use run::OneRun;

/// How long what containers share is kept for the next one, whose start it makes faster.
const LINGERS: Duration = Duration::from_secs(2);

/// How long the start of a container that goes with its end waits to be written down together with
/// that: many a one is there for a moment alone.
const WAITS: Duration = Duration::from_millis(20);

/// How long a container may take to end when it is asked to, unless told otherwise.
const STOP_SECONDS: i64 = 10;
const SIGTERM: i32 = 15;

/// What the monitor of one container knows.
struct Watch<'a> {
    engine: &'a Engine,
    containers: Containers,
    record: ContainerRecord,
    /// The layers of its image, if they were told for the run that comes next.
    stack: Option<Vec<Stacked>>,
    /// Whether the record was read for the run that comes next.
    is_current: bool,
    /// Whether leaving the run takes no longer than writing down that it is being left.
    leaves_at_once: bool,
    /// What has happened and is written down together with what follows at once.
    untold: Vec<store::Event>,
    /// When that is written down though nothing has followed.
    told_by: Option<Instant>,
}

impl Engine {
    /// Watches a container until it has ended for good. `client` is the end of a connection whose
    /// other end asks for the start; without it the container is started at once.
    /// What the client says of it first is waited for if that was `promised`.
    pub fn watch_container(
        &self,
        id: &ContainerId,
        mut client: Option<Caller>,
        promised: bool,
    ) -> Result<i32> {
        let _stay = match self.settings().standing {
            Standing::Namespace { .. } => Some(Stay::begin(&self.settings().run_root)?),
            Standing::Root | Standing::Ordinary => None,
        };
        let containers = self.containers();
        let words = client.as_mut().filter(|_| promised).and_then(Caller::says);
        let (record, stack, untold, boot) = match words.and_then(|words| Told::read(words, id)) {
            Some(Told { record, stack, made, boot }) => {
                (record, Some(stack), vec![made], Some(boot))
            }
            None => {
                let record = containers.read(id)?;
                // Whoever made it has not said so, and will not any more.
                let made = promised.then(|| super::events::event("create", &record, &[]));
                (record, None, Vec::from_iter(made), None)
            }
        };
        // Whoever made it a moment ago gives it to us as it is held. Of what was not understood nothing
        // stays locked either.
        let lock = client.as_mut().and_then(Caller::gives).filter(|_| boot.is_some());
        let hold = lock.map(|lock| Hold::of(&containers.folder(id), lock));
        let mut watch = Watch {
            engine: self,
            containers,
            record,
            stack,
            is_current: true,
            leaves_at_once: false,
            untold,
            told_by: None,
        };
        let begin = Instant::now();
        let setup = match (setup(self, &watch.containers, &watch.record), client) {
            (Ok(setup), client) => Setup { client, made_in: boot, hold, ..setup },
            (Err(error), None) => return Err(error),
            (Err(error), Some(client)) => {
                watch.tell_rest();
                // Whoever asks for the start is told.
                runtime::monitor::refuse(client, failure(error));
                return Ok(1);
            }
        };
        let code = runtime::monitor::run(setup, &mut watch);
        watch.tell_rest();
        watch.clear(begin.elapsed());
        Ok(code)
    }

    /// A container's folder for this boot.
    pub fn container_run_folder(&self, id: &ContainerId) -> PathBuf {
        self.store.paths().run().join("containers").join(id.to_string())
    }
}

fn setup(engine: &Engine, containers: &Containers, record: &ContainerRecord) -> Result<Setup> {
    let (config, host) = (&record.config, &record.host_config);
    let run_folder = engine.container_run_folder(&record.id);
    fs::create_dir_all(&run_folder).map_err(EngineError::io("create", &run_folder))?;
    let start = |why: String| EngineError::Start(why);
    let log = LogConfig::parse(&host.log_config.kind, &host.log_config.config)
        .map_err(|error| start(error.to_string()))?
        .believing(engine.settings().registry.authorities.clone());
    let own_signal = parse_signal(&config.stop_signal);
    let seconds = config.stop_timeout.unwrap_or(STOP_SECONDS);
    Ok(Setup {
        folder: containers.folder(&record.id),
        run_folder,
        client: None,
        made_in: None,
        hold: None,
        log_facts: log.tagged(log_facts(containers, record)).map_err(|e| start(e.to_string()))?,
        log,
        tty: config.tty,
        stdin_once: config.stdin_once,
        restart: host.restart_policy.clone(),
        stop_signal: own_signal.unwrap_or(SIGTERM),
        own_stop_signal: own_signal.is_some(),
        // Less than nothing is for as long as it likes.
        stop_timeout: u64::try_from(seconds).ok().map(Duration::from_secs),
        auto_remove: host.auto_remove,
        health: health(record),
    })
}

fn log_facts(containers: &Containers, record: &ContainerRecord) -> LogFacts {
    let config = &record.config;
    let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
    LogFacts {
        path: containers.log_path(&record.id),
        id: record.id.to_string(),
        name: record.name.clone(),
        image: record.config.image.clone(),
        image_id: record.image.to_string(),
        command: words.map(String::as_str).collect::<Vec<_>>().join(" "),
        labels: record.config.labels.clone(),
        env: record.config.env.clone(),
        tag: String::new(),
    }
}

/// How health is asked after, unless nobody does.
fn health(record: &ContainerRecord) -> Option<HealthSetup> {
    let check = record.config.healthcheck.as_ref()?;
    let args = match check.test.split_first()? {
        (kind, words) if kind == "CMD" => words.to_vec(),
        (kind, words) if kind == "CMD-SHELL" => {
            let shell = record.config.shell.clone();
            let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            [shell, words.to_vec()].concat()
        }
        _ => return None,
    };
    Some(HealthSetup { process: json!({ "Cmd": args }), rules: HealthRules::of(check) })
}

/// Whether a container is in networks, or leads out otherwise.
pub(super) fn has_network(record: &ContainerRecord) -> bool {
    let mode = NetworkMode::parse(&record.host_config.network_mode);
    matches!(mode, NetworkMode::Named(_))
}

impl Watch<'_> {
    fn has_networks(&self) -> bool {
        has_network(&self.record) && !self.engine.settings().standing.is_of_user()
    }

    /// Where the container stands in networks now.
    fn places(&self) -> Vec<network::Endpoint> {
        if !self.has_networks() {
            return Vec::new();
        }
        // They are for events alone.
        let of = |networks: network::Networks| networks.of_container(&self.record.id.to_string());
        self.engine.networks().and_then(|networks| Ok(of(networks)?)).unwrap_or_default()
    }

    /// Writes down what waited for something that did not follow.
    fn tell_rest(&mut self) {
        self.told_by = None;
        if !self.untold.is_empty() {
            self.engine.store().record_events(&std::mem::take(&mut self.untold));
        }
    }

    /// Whether somebody has attached before the start, of which nothing is written down yet.
    fn is_attached(&self) -> bool {
        self.untold.iter().any(|event| event.action == "attach")
    }

    /// Takes away what networks have on the host that nobody is in any more, and the group of all
    /// containers' groups if it has none. Nobody waits for this: the container is given back, and all
    /// who asked have their answers. What short runs leave is there for the next one.
    fn clear(&self, lasted: Duration) {
        if self.has_networks() {
            std::thread::sleep(LINGERS);
            // The next container that leaves a network clears what cannot be cleared now.
            let _ = self.engine.networks().and_then(|networks| Ok(networks.shut_down()?));
        }
        if self.has_networks() || lasted >= LINGERS {
            let _ = runtime::cgroup::Layout::whole().map(|layout| layout.remove_if_empty());
        }
    }
}

impl Watch<'_> {
    /// Calls the container by the name that it has now. Nothing else of what was changed counts before
    /// its next start.
    fn follow_name(&mut self) {
        if !self.containers.is_called(&self.record.id, &self.record.name)
            && let Ok(now) = self.containers.read(&self.record.id)
        {
            self.record.name = now.name;
        }
    }
}

impl Surroundings for Watch<'_> {
    fn prepare(&mut self) -> Result<Box<dyn Run>, Failure> {
        // What was changed meanwhile, as its name or its limits, counts from now on.
        if !std::mem::take(&mut self.is_current) {
            self.record = self.containers.read(&self.record.id).map_err(failure)?;
        }
        let stack = self.stack.take();
        let run = OneRun::prepare(self.engine, &self.containers, &self.record, stack.as_deref());
        let run = run.map_err(failure)?;
        self.leaves_at_once = run.leaves_at_once();
        let places: Vec<_> = run.endpoints().cloned().collect();
        if !(places.is_empty() && self.record.mounts.is_empty()) {
            self.tell_rest();
        }
        self.engine.tell_joined(&self.record, &places);
        Ok(Box::new(run))
    }

    fn leave(
        &mut self,
        run: Option<Box<dyn Run>>,
        _exit: &Exit,
        again: bool,
    ) -> Result<(), Failure> {
        let goes = !again && self.record.host_config.auto_remove;
        if !(goes && self.leaves_at_once) {
            self.tell_rest();
        }
        let places = self.places();
        drop(run);
        self.engine.tell_left(&self.record, &places);
        if goes {
            let gone = self.engine.drop_container(&self.record, true);
            if gone.is_ok() {
                self.untold.push(super::events::event("destroy", &self.record, &[]));
            }
            self.tell_rest();
            gone.map_err(failure)?;
        }
        Ok(())
    }

    fn happened(&mut self, event: Event<'_>) {
        // The record was read for the start; whatever comes after it may find another name.
        if !matches!(event, Event::Attach | Event::Start) {
            self.follow_name();
        }
        // Who starts a container in the foreground attaches first: one write for both. So it is for a
        // container that goes as soon as it has ended.
        let is_brief = self.record.host_config.auto_remove && self.leaves_at_once;
        let waits = match event {
            Event::Attach => self.is_current,
            // Who is attached waits for the end, and so do we for a moment.
            Event::Start if is_brief && self.is_attached() => {
                self.told_by = Some(Instant::now() + WAITS);
                true
            }
            Event::OutOfMemory | Event::Die(..) => is_brief,
            _ => false,
        };
        let (record, untold) = (&self.record, &mut self.untold);
        let mut tell = |action: &str, more: &[(&str, &str)]| {
            untold.push(super::events::event(action, record, more));
        };
        match event {
            Event::Attach => tell("attach", &[]),
            Event::Start => tell("start", &[]),
            Event::Die(exit, seconds) => {
                let (seconds, code) = (seconds.to_string(), exit.code.to_string());
                tell("die", &[("execDuration", &seconds), ("exitCode", &code)]);
            }
            Event::OutOfMemory => tell("oom", &[]),
            Event::Kill(signal) => tell("kill", &[("signal", &signal.to_string())]),
            Event::Stop => tell("stop", &[]),
            Event::Restart => tell("restart", &[]),
            Event::Pause => tell("pause", &[]),
            Event::Unpause => tell("unpause", &[]),
            Event::Health(health) => tell(&format!("health_status: {}", health.name()), &[]),
            Event::ExecStart(request) => {
                let words = exec_words(&request.process);
                let id = [("execID", request.id.as_str())];
                // Docker makes a session before it starts it; here both are one.
                tell(&format!("exec_create: {words}"), &id);
                tell(&format!("exec_start: {words}"), &id);
            }
            Event::ExecDie(id, code) => {
                tell("exec_die", &[("execID", id), ("exitCode", &code.to_string())]);
            }
        }
        if !waits {
            self.tell_rest();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.told_by
    }

    fn expired(&mut self) {
        self.tell_rest();
    }
}

/// What a further process runs, as events word it.
fn exec_words(process: &Value) -> String {
    let words = process["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words: Vec<_> = words.collect();
    match words.as_slice() {
        [program] => format!("{program} "),
        words => words.join(" "),
    }
}

/// An error of the engine as it travels.
pub(super) fn failure(error: EngineError) -> Failure {
    use crate::Kind;
    let kind = match error.kind() {
        Kind::NotFound => FailureKind::NotFound,
        Kind::Conflict => FailureKind::Conflict,
        Kind::InvalidInput => FailureKind::InvalidInput,
        Kind::Unsupported => FailureKind::Unsupported,
        _ => FailureKind::Other,
    };
    let hint = error.hint();
    Failure { hint, ..Failure::of(kind, &error) }
}

/// Ends whatever is left of a container whose monitor was killed: its processes, its places in
/// networks, its group.
pub(super) fn end_remains(engine: &Engine, record: &ContainerRecord) -> Result<()> {
    outside::release(record, &engine.container_run_folder(&record.id))?;
    let layout = runtime::cgroup::Layout::whole()?;
    let path = super::bundle::cgroup_path(record);
    if let Some(cgroup) = runtime::cgroup::Cgroup::left_at(layout, &path)? {
        cgroup.kill_all()?;
        cgroup.remove()?;
    }
    let run_folder = engine.container_run_folder(&record.id);
    memory::release(&run_folder)?;
    opened::clear(&run_folder)?;
    let volumes = record.mounts.iter().filter(|point| point.kind == MountKind::Volume);
    volumes.for_each(|point| engine.release_volume(&point.name));
    match engine.settings().standing.is_of_user() {
        true => super::way_out::release(&run_folder)?,
        false => leave_networks(engine, record)?,
    }
    // Its socket goes last: until then there is something left to end.
    let socket = run_folder.join(SOCKET_FILE);
    match fs::remove_file(&socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(EngineError::io("remove", socket)),
    }
}

fn leave_networks(engine: &Engine, record: &ContainerRecord) -> Result<()> {
    let networks = engine.networks()?;
    for endpoint in networks.of_container(&record.id.to_string())? {
        // The namespace ends with its last process, of which somebody else may still know.
        networks.detach(&endpoint, network::Cable::Remove)?;
    }
    Ok(networks.shut_down()?)
}
