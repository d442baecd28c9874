//! One run of a container: what it stands in, and how its processes are started.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use network::dns::Links;
use network::{Endpoint, NetworkError, Networks};
use runtime::RuntimeError;
use runtime::attach::ExecRequest;
use runtime::cgroup::{Cgroup, Layout, Missing, SharedPlaces};
use runtime::exec::{self, Target};
use runtime::external::{Begun, External};
use runtime::failure::{Failure, FailureKind};
use runtime::launch::{self, Begin, Manner, Request};
use runtime::monitor::{Extra, Run, Started, Stdio};
use serde::Deserialize;
use serde_json::Value;
use spec::bundle::{NamespaceKind, Process, Spec};
use spec::{IpcMode, NamespaceMode, NetworkMode};
use store::{Lasting, Paths, Stacked};

use super::super::bundle::{self, Accounts, Facts};
use super::super::exec::ExecProcess;
use super::super::link::{self, Linked};
use super::super::network::{Move, Places};
use super::super::users::Users;
use super::super::{ContainerRecord, Containers};
use super::extras::{Carrier, NameServer};
use super::memory::Memory;
use super::opened::Opened;
use super::outside::Outside;
use super::{failure, files};
use crate::error::{EngineError, Result};
use crate::{Engine, Standing};

/// The exit code of a process that the kernel has killed.
const KILLED: i32 = 137;

/// What a run stands in, from its preparation to its end.
pub(super) struct OneRun {
    record: ContainerRecord,
    containers: Containers,
    standing: Standing,
    bundle: PathBuf,
    spec: Spec,
    accounts: Accounts,
    root: Option<OwnedFd>,
    cgroup: Cgroup,
    places: Places,
    networks: Option<Networks>,
    /// Work beside the run that the monitor has not been handed yet.
    new_extras: Vec<Box<dyn Extra>>,
    /// The further names that are answered, if any are answered here.
    links: Option<Links>,
    /// Its users, if they are not the host's.
    users: Option<Users>,
    /// Where its shared memory is mounted, if others may have it too.
    memory: Option<Memory>,
    paths: Paths,
    first: Option<Rc<OwnedFd>>,
    kills_before: u64,
    opened: Opened,
    /// The bundle for another runtime, if not our own runs it.
    outside: Option<Outside>,
}

impl OneRun {
    /// Mounts the container's files (over this `stack` of layers, if it is known), joins its networks, makes its control group and plans its
    /// process. What was done is undone if something fails.
    pub(super) fn prepare(
        engine: &Engine,
        containers: &Containers,
        record: &ContainerRecord,
        stack: Option<&[Stacked]>,
    ) -> Result<OneRun> {
        let id = record.id.to_string();
        let folder = containers.folder(&record.id);
        let others = engine.others(record)?;
        let lasting = match record.host_config.auto_remove {
            true => Lasting::ThrownAway,
            false => Lasting::Kept,
        };
        let store = engine.store();
        let users = Users::of(record, &others)?;
        let shown = users.as_ref().map(Users::shown);
        let root = match stack {
            Some(stack) => store.mount_fresh(&id, stack, lasting, shown)?,
            None => store.mount_snapshot_for(&store.snapshot(&id)?, lasting, shown)?,
        };
        let accounts = files::accounts(&root)?;
        let opened = Opened::of(engine, record, shown)?;
        engine.fill_volumes(record, &root, users.as_ref(), opened.plain())?;
        let is_of_user = engine.settings().standing.is_of_user();
        let has_network = super::has_network(record);
        if has_network {
            // A port is a descriptor for each family, and ranges of ports are long. Who may not have
            // more is told when they are used up.
            let _ = sys::process::raise_open_files();
        }
        let networks = match has_network && !is_of_user {
            true => Some(engine.networks()?),
            false => None,
        };
        let places = match has_network && is_of_user {
            true => Places::of_user(engine, record, &engine.container_run_folder(&record.id))?,
            false => Places::take(networks.as_ref(), record, users.as_ref(), |name| {
                others.get(name).copied().ok_or_else(|| EngineError::NotRunning(name.to_owned()))
            })?,
        };
        let cgroup = Cgroup::presumed(&bundle::cgroup_path(record))?;
        let memory = engine.own_memory(record, users.as_ref().map(Users::root))?;
        let mut facts = Facts {
            accounts: accounts.clone(),
            memory: engine.memory_of(record)?,
            unified_cgroups: matches!(cgroup.layout(), Layout::Version2 { .. }),
            network: None,
            others,
            folder: folder.clone(),
            guards: bundle::Guards::of_host(&record.host_config),
            devices: bundle::look_up_devices(&record.host_config)?,
            opened: opened.paths(),
            users: users.as_ref().map(Users::path),
            plain: opened.plain().clone(),
            linked: Vec::new(),
            standing: engine.settings().standing,
        };
        let mut run = OneRun {
            record: record.clone(),
            containers: engine.containers(),
            standing: engine.settings().standing,
            bundle: folder,
            spec: Spec::default(),
            accounts,
            root: Some(root),
            cgroup,
            places,
            networks,
            new_extras: Vec::new(),
            links: None,
            users,
            memory,
            paths: store.paths().clone(),
            first: None,
            kills_before: 0,
            opened,
            outside: None,
        };
        let linked = match &run.networks {
            Some(networks) => engine.linked(record, networks)?,
            None => Linked::default(),
        };
        run.serve_names(&linked)?;
        run.serve_ports()?;
        facts.linked = linked.env;
        facts.network = run.places.path();
        run.spec = bundle::plan(record, &facts)?;
        let (root, spec) = (&mut run.root, &mut run.spec);
        run.outside = Outside::prepare(engine, record, root, spec, &run.opened)?;
        if run.outside.is_some() {
            // It makes the group and sets its limits.
            return Ok(run);
        }
        if !is_of_user && bundle::has_usual_rules(&record.host_config, &run.spec) {
            let linux = run.spec.linux.as_ref();
            let resources = linux.and_then(|linux| linux.resources.as_ref());
            run.cgroup.share_devices(resources.map_or(&[], |resources| &resources.devices))?;
        }
        let is_new = match is_of_user {
            true => run.cgroup.create_where_allowed()?,
            false => run.cgroup.create()?,
        };
        let resources = run.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        if let Some(resources) = resources {
            run.cgroup.apply(resources, Missing::Warn)?;
        }
        if !is_new {
            run.kills_before = run.cgroup.out_of_memory_kills().unwrap_or_default();
        }
        Ok(run)
    }

    /// Its places in networks.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.places.endpoints()
    }

    /// Writes the container's own files, and answers for names where it stands in a network of the
    /// user's.
    fn serve_names(&mut self, linked: &Linked) -> Result<()> {
        let internal = match &self.networks {
            Some(networks) => self.places.are_internal(networks)?,
            None => false,
        };
        let (bundle, record, hosts) = (&self.bundle, &self.record, &linked.hosts);
        let settings = files::write(bundle, record, &self.places, internal, hosts)?;
        self.begin_names(settings)
    }

    fn begin_names(&mut self, settings: Option<network::dns::ServerSettings>) -> Result<()> {
        if let (Some(settings), Some(networks), Some(namespace)) =
            (settings, &self.networks, &self.places.namespace)
        {
            let id = self.record.id.to_string();
            let links = settings.links.clone();
            let server = networks.serve_names(namespace.try_clone()?, &id, settings)?;
            self.new_extras.push(Box::new(NameServer(server)));
            self.links = Some(links);
        }
        Ok(())
    }

    /// Carries calls to the ports that are published now.
    fn serve_ports(&mut self) -> Result<()> {
        if let Some(relay) = self.places.serve_ports()? {
            let carrier = Carrier::new(relay).map_err(NetworkError::Relay)?;
            self.new_extras.push(Box::new(carrier));
        }
        Ok(())
    }

    /// Calls the container by the name that it has now: it may have got another one since its start.
    /// Nothing else of what was changed counts before its next start.
    fn follow_name(&mut self) {
        if let Ok(now) = self.containers.read(&self.record.id) {
            self.record.name = now.name;
        }
    }

    /// Joins or leaves a network while the container runs: with its addresses in `hosts`, its names,
    /// and its ports.
    fn go(&mut self, change: Move) -> Result<()> {
        self.follow_name();
        let Some(networks) = &self.networks else {
            let words = "the container was started without networks: stop it first";
            return Err(EngineError::Refused(words.to_owned()));
        };
        let before: Vec<IpAddr> = self.places.endpoints().flat_map(Endpoint::addresses).collect();
        match change {
            Move::Connect { network, settings } => {
                self.record.networks.insert(network.clone(), *settings);
                let joined = self.places.join(networks, &self.record, &network);
                if joined.is_err() {
                    self.record.networks.remove(&network);
                }
                joined?;
            }
            Move::Disconnect { network } => {
                self.record.networks.remove(&network);
                self.places.leave_one(networks, &self.record, &network)?;
                networks.shut_down()?;
            }
            Move::Unlink { alias } => {
                link::forget(&mut self.record, &alias);
            }
        }
        let now: Vec<IpAddr> = self.places.endpoints().flat_map(Endpoint::addresses).collect();
        let only = |these: &[IpAddr], those: &[IpAddr]| -> Vec<IpAddr> {
            these.iter().filter(|one| !those.contains(one)).copied().collect()
        };
        if before != now {
            // The container may write to the file what it likes, and make it one that nobody writes to:
            // it has joined or left whatever becomes of the file.
            let (left, got) = (only(&before, &now), only(&now, &before));
            let _ = files::move_hosts(&self.bundle, &self.record, &left, &got);
        }
        if let Some(links) = &self.links {
            links.replace(link::names(&self.record)?);
        } else if self.places.have_names() {
            let internal = self.places.are_internal(networks)?;
            let (bundle, record) = (&self.bundle, &self.record);
            let settings = files::write_resolver(bundle, record, &self.places, internal)?;
            self.begin_names(settings)?;
        }
        self.serve_ports()
    }

    fn pipes(&self, stdin: bool) -> io::Result<(runtime::Stdio, Stdio)> {
        let input = if stdin { Some(io::pipe()?) } else { None };
        let (out_read, out_write) = io::pipe()?;
        let (err_read, err_write) = io::pipe()?;
        let (in_read, in_write) = match input {
            Some((read, write)) => (Some(read.into()), Some(write.into())),
            None => (None, None),
        };
        let theirs = runtime::Stdio::Pipes {
            stdin: in_read,
            stdout: out_write.into(),
            stderr: err_write.into(),
        };
        let ours = Stdio::Pipes {
            stdin: in_write,
            stdout: Some(out_read.into()),
            stderr: Some(err_read.into()),
        };
        Ok((theirs, ours))
    }

    fn namespaces(&self) -> Vec<NamespaceKind> {
        let linux = self.spec.linux.as_ref();
        linux.map(|linux| linux.namespaces.iter().map(|one| one.kind).collect()).unwrap_or_default()
    }

    /// Starts the first process by ourselves.
    fn launch(&mut self, stdio: runtime::Stdio) -> runtime::Result<Begun> {
        let id = self.record.id.to_string();
        let prepare = || self.paths.seclude().map_err(io::Error::other);
        let places = SharedPlaces { folder: &self.paths.groups(), prepare: &prepare };
        let request = Request {
            id: &id,
            spec: &self.spec,
            bundle: &self.bundle,
            root: self.root.take(),
            stdio,
            cgroup: Some(&self.cgroup),
            places: Some(places),
            begin: Begin::AtOnce,
            preserve: 0,
            reaper: self.record.host_config.init == Some(true),
            manner: Manner::default(),
        };
        let mut created = launch::create(request)?;
        let terminal = created.terminal.take();
        Ok(Begun { pid: created.pid, pidfd: created.pidfd, terminal })
    }

    /// Starts a further process by ourselves.
    fn join(
        &self,
        process: &Process,
        privileged: bool,
        stdio: runtime::Stdio,
    ) -> runtime::Result<Begun> {
        let gone = || RuntimeError::InitGone;
        let pidfd = self.first.as_ref().and_then(|fd| fd.try_clone().ok()).ok_or_else(gone)?;
        let id = self.record.id.to_string();
        let namespaces = self.namespaces();
        let (namespaces, cgroup) = (namespaces.as_slice(), Some(&self.cgroup));
        let target = Target { id: &id, pidfd, namespaces, cgroup, personality: None };
        let filter = match privileged {
            true => None,
            false => runtime::seccomp::Filter::of_spec(&self.spec)?,
        };
        let done = exec::exec(target, process, filter, stdio, 0)?;
        Ok(Begun { pid: done.pid, pidfd: done.pidfd, terminal: done.terminal })
    }

    fn has_new_kills(&self) -> bool {
        self.cgroup.out_of_memory_kills().is_some_and(|kills| kills > self.kills_before)
    }

    fn process(&self, asked: &ExecProcess) -> Result<Process> {
        bundle::exec_process(&self.record, &self.accounts, asked, self.standing)
    }
}

impl Run for OneRun {
    fn start(&mut self) -> Result<Started, Failure> {
        let config = &self.record.config;
        let (theirs, ours) = match config.tty {
            true => {
                let size = bundle::console_size(&self.record);
                (runtime::Stdio::Terminal(size), None)
            }
            false => {
                let pair = self.pipes(config.open_stdin);
                let (theirs, ours) = pair.map_err(|e| Failure::doing("cannot make pipes", &e))?;
                (theirs, Some(ours))
            }
        };
        let begun = match &self.outside {
            Some(outside) => begin(&outside.runtime, theirs),
            None => self.launch(theirs),
        };
        let begun = begun.map_err(launched)?;
        let started = started(begun, ours);
        self.first = Some(Rc::clone(&started.process));
        Ok(started)
    }

    fn exec(&mut self, request: &ExecRequest) -> Result<Started, Failure> {
        let wrong = |error: serde_json::Error| {
            Failure::new(FailureKind::InvalidInput, format!("no process: {error}"))
        };
        let asked: ExecProcess = serde_json::from_value(request.process.clone()).map_err(wrong)?;
        let mut process = self.process(&asked).map_err(failure)?;
        process.terminal = request.tty;
        let (theirs, ours) = match (request.tty, request.attach) {
            (true, _) => (runtime::Stdio::Terminal(None), None),
            (false, false) => (
                runtime::Stdio::Null,
                Some(Stdio::Pipes { stdin: None, stdout: None, stderr: None }),
            ),
            (false, true) => {
                let pair = self.pipes(request.stdin);
                let (theirs, ours) = pair.map_err(|e| Failure::doing("cannot make pipes", &e))?;
                (theirs, Some(ours))
            }
        };
        let begun = match &self.outside {
            Some(outside) => outside.runtime.exec(&process, theirs),
            None => self.join(&process, asked.privileged, theirs),
        };
        Ok(started(begun.map_err(launched)?, ours))
    }

    fn signal(&mut self, first: &OwnedFd, signal: i32) -> io::Result<()> {
        match &self.outside {
            Some(outside) => outside.runtime.kill(signal).map_err(io::Error::other),
            None => sys::watched::signal(first, signal),
        }
    }

    fn freeze(&mut self, frozen: bool) -> io::Result<()> {
        let frozen = match &self.outside {
            Some(outside) => outside.runtime.freeze(frozen),
            None => self.cgroup.freeze(frozen),
        };
        frozen.map_err(io::Error::other)
    }

    fn kill_rest(&mut self) -> io::Result<()> {
        let linux = self.spec.linux.as_ref();
        let mut namespaces = linux.iter().flat_map(|linux| &linux.namespaces);
        // With the first process of a namespace of processes the kernel has ended all others.
        if namespaces.any(|one| one.kind == NamespaceKind::Pid && one.path.is_empty()) {
            return Ok(());
        }
        self.cgroup.kill_all().map_err(io::Error::other)
    }

    fn ran_out_of_memory(&mut self, code: i32) -> bool {
        // Without a limit only the whole machine runs out of memory, which version 1 tells nobody of.
        let may = self.record.host_config.resources.memory > 0
            || matches!(self.cgroup.layout(), Layout::Version2 { .. })
            || code == KILLED;
        may && self.has_new_kills()
    }

    fn leaves_at_once(&self) -> bool {
        let has_places = self.networks.is_some() || self.places.way_out.is_some();
        !has_places
            && self.record.mounts.is_empty()
            && self.outside.is_none()
            && self.spec.hooks.poststop.is_empty()
    }

    fn told(&mut self, words: &Value) -> Result<Value, Failure> {
        let change = Move::deserialize(words).map_err(|_| {
            let text = "this monitor does not understand what it was told";
            Failure::new(FailureKind::Unsupported, text)
        })?;
        self.go(change).map_err(failure)?;
        Ok(Value::Null)
    }

    fn extras(&mut self) -> Vec<Box<dyn Extra>> {
        std::mem::take(&mut self.new_extras)
    }
}

impl Drop for OneRun {
    fn drop(&mut self) {
        // The next run, or the next clean-up, finds what cannot be let go of now.
        self.first = None;
        self.root = None;
        if self.outside.is_none() && !self.spec.hooks.poststop.is_empty() {
            // The container is gone whatever they say.
            let id = self.record.id.to_string();
            drop(launch::run_last_hooks(&self.spec, &id, &self.bundle));
        }
        self.outside = None;
        self.opened = Opened::default();
        match &self.networks {
            Some(networks) => drop(self.places.leave(networks)),
            None => self.places = Places::default(),
        }
        let _ = self.cgroup.remove();
        self.memory = None;
        self.users = None;
    }
}

/// Makes a container by another runtime and starts it.
fn begin(runtime: &External, stdio: runtime::Stdio) -> runtime::Result<Begun> {
    let begun = runtime.create(stdio)?;
    runtime.start().inspect_err(|_| drop(runtime.delete()))?;
    Ok(begun)
}

/// A process with our ends of its streams: its terminal, or what was made for it.
fn started(begun: Begun, ours: Option<Stdio>) -> Started {
    let stdio = match (begun.terminal, ours) {
        (Some(terminal), _) => Stdio::Terminal(terminal),
        (None, Some(ours)) => ours,
        (None, None) => Stdio::Pipes { stdin: None, stdout: None, stderr: None },
    };
    Started { pid: begun.pid, process: Rc::new(begun.pidfd), stdio }
}

/// What the launcher says, which where scripts match them are docker's words.
fn launched(error: RuntimeError) -> Failure {
    Failure::from(&error)
}

pub(super) fn io_words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

impl Engine {
    /// First processes of the containers whose namespaces this one shares.
    pub(in crate::container) fn others(
        &self,
        record: &ContainerRecord,
    ) -> Result<BTreeMap<String, i32>> {
        let host = &record.host_config;
        let mut names = Vec::new();
        if let NetworkMode::Container(name) = NetworkMode::parse(&host.network_mode) {
            names.push((Some("network"), name));
        }
        if let Some(NamespaceMode::Container(name)) = NamespaceMode::parse(&host.pid_mode) {
            names.push((Some("PID"), name));
        }
        if let Some(IpcMode::Container(name)) = IpcMode::parse(&host.ipc_mode) {
            names.push((None, name));
        }
        let mut others = BTreeMap::new();
        for (what, name) in names {
            let id = self.containers().find(&name)?;
            let state = self.container_state(&id)?;
            if !state.status.is_alive() || state.process.pid == 0 {
                let id = id.to_string();
                return Err(match what {
                    Some(what) => EngineError::CannotJoin { what, id },
                    None => EngineError::NotRunning(id),
                });
            }
            others.insert(name, state.process.pid);
        }
        Ok(others)
    }
}
