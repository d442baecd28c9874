//! The process that watches one container: what the engine does around its runs.
//!
//! The monitor itself is the runtime's. Here a container's files are mounted, its networks joined
//! and its document made before a run, and all that is let go of when the run has ended.

mod extras;
mod files;
mod run;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use runtime::attach::Exit;
use runtime::failure::{Failure, FailureKind};
use runtime::health::HealthRules;
use runtime::logs::{LogConfig, LogFacts};
use runtime::monitor::{Event, HealthSetup, Run, Setup, Surroundings};
use serde_json::{Value, json};
use spec::{ContainerId, parse_signal};

use super::{ContainerRecord, Containers};
use crate::Engine;
use crate::error::{EngineError, Result};
use run::OneRun;

/// How long a container may take to end when it is asked to, unless told otherwise.
const STOP_SECONDS: i64 = 10;
const SIGTERM: i32 = 15;

/// What the monitor of one container knows.
struct Watch<'a> {
    engine: &'a Engine,
    containers: Containers,
    record: ContainerRecord,
}

impl Engine {
    /// Watches a container until it has ended for good. `client` is the end of a connection whose
    /// other end asks for the start; without it the container is started at once.
    pub fn watch_container(&self, id: &ContainerId, client: Option<OwnedFd>) -> Result<i32> {
        let containers = self.containers();
        let record = containers.read(id)?;
        let setup = setup(self, &containers, &record, client)?;
        let mut watch = Watch { engine: self, containers, record };
        Ok(runtime::monitor::run(setup, &mut watch))
    }

    /// A container's folder for this boot.
    pub fn container_run_folder(&self, id: &ContainerId) -> PathBuf {
        self.store.paths().run().join("containers").join(id.to_string())
    }
}

fn setup(
    engine: &Engine,
    containers: &Containers,
    record: &ContainerRecord,
    client: Option<OwnedFd>,
) -> Result<Setup> {
    let (config, host) = (&record.config, &record.host_config);
    let run_folder = engine.container_run_folder(&record.id);
    fs::create_dir_all(&run_folder).map_err(EngineError::io("create", &run_folder))?;
    let start = |why: String| EngineError::Start(why);
    let log = LogConfig::parse(&host.log_config.kind, &host.log_config.config)
        .map_err(|error| start(error.to_string()))?;
    let restart = host.restart_policy.to_string().parse();
    let own_signal = parse_signal(&config.stop_signal);
    let seconds = config.stop_timeout.unwrap_or(STOP_SECONDS);
    Ok(Setup {
        folder: containers.folder(&record.id),
        run_folder,
        client,
        log,
        log_facts: log_facts(containers, record),
        tty: config.tty,
        stdin_once: config.stdin_once,
        restart: restart
            .map_err(|error: runtime::restart::PolicyError| start(error.to_string()))?,
        stop_signal: own_signal.unwrap_or(SIGTERM),
        own_stop_signal: own_signal.is_some(),
        // Less than nothing is for as long as it likes.
        stop_timeout: u64::try_from(seconds).ok().map(Duration::from_secs),
        auto_remove: host.auto_remove,
        health: health(record),
    })
}

fn log_facts(containers: &Containers, record: &ContainerRecord) -> LogFacts {
    LogFacts {
        path: containers.log_path(&record.id),
        id: record.id.to_string(),
        name: record.name.clone(),
        image: record.config.image.clone(),
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

impl Surroundings for Watch<'_> {
    fn prepare(&mut self) -> Result<Box<dyn Run>, Failure> {
        // What was changed meanwhile, as its name or its limits, counts from now on.
        self.record = self.containers.read(&self.record.id).map_err(failure)?;
        let run = OneRun::prepare(self.engine, &self.containers, &self.record);
        Ok(Box::new(run.map_err(failure)?))
    }

    fn leave(
        &mut self,
        run: Option<Box<dyn Run>>,
        _exit: &Exit,
        again: bool,
    ) -> Result<(), Failure> {
        drop(run);
        if !again && self.record.host_config.auto_remove {
            self.engine.discard_container(&self.record, true).map_err(failure)?;
        }
        Ok(())
    }

    fn happened(&mut self, event: Event<'_>) {
        let record = &self.record;
        let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
        attributes.insert("image".to_owned(), record.config.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        let mut add = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        let action = match event {
            Event::Start => "start".to_owned(),
            Event::Die(exit) => {
                add("exitCode", exit.code.to_string());
                "die".to_owned()
            }
            Event::OutOfMemory => "oom".to_owned(),
            Event::Kill(signal) => {
                add("signal", signal.to_string());
                "kill".to_owned()
            }
            Event::Stop => "stop".to_owned(),
            Event::Restart => "restart".to_owned(),
            Event::Pause => "pause".to_owned(),
            Event::Unpause => "unpause".to_owned(),
            Event::Health(health) => format!("health_status: {}", health.name()),
            Event::ExecStart(id) => {
                add("execID", id.to_owned());
                "exec_start".to_owned()
            }
            Event::ExecDie(id, code) => {
                add("execID", id.to_owned());
                add("exitCode", code.to_string());
                "exec_die".to_owned()
            }
        };
        let pairs: Vec<(&str, &str)> =
            attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.engine.store.record_event("container", &action, &record.id.to_string(), &pairs);
    }

    fn told(&mut self, _words: &Value) -> Result<Value, Failure> {
        let text = "this monitor does not understand what it was told";
        Err(Failure::new(FailureKind::Unsupported, text))
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
    let layout = runtime::cgroup::Layout::of_host()?;
    let path = super::bundle::cgroup_path(record);
    let cgroup = runtime::cgroup::Cgroup::at(layout, &path)?;
    if cgroup.exists() {
        cgroup.kill_all()?;
        cgroup.remove()?;
    }
    let networks = engine.networks()?;
    for endpoint in networks.of_container(&record.id.to_string())? {
        networks.detach(&endpoint, network::Cable::EndsWithNamespace)?;
    }
    Ok(())
}
