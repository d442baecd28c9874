//! The OCI runtime command line as calls: what `create`, `start`, `state`, `kill`, `delete` and
//! their like do, with a folder for each container below a root.
//!
//! A container's folder holds `record.json`, written once when the container is made, and while
//! the program waits for its start, the socket `start`. How a container is follows from these and
//! from the kernel: nothing has to be kept up to date.

mod console;
mod features;
mod foreground;
mod record;
mod template;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags};
use spec::bundle::{
    Capabilities, DeviceRule, NamespaceKind, Process, Resources, Spec, State, Status,
};

pub use features::features;
pub use record::Record;
pub use template::template;

use crate::cgroup::{Cgroup, Layout, Missing, Stats};
use crate::error::{Result, RuntimeError};
use crate::exec::{Target, exec};
use crate::hooks;
use crate::launch::{self, Begin, Created, Exit, Request};
use crate::plan::Warning;
use crate::seccomp::Filter;
use crate::stdio::Stdio;

/// The socket on which a program waits for its start.
const GATE: &str = "start";

/// Containers below one root folder.
pub struct Containers {
    root: PathBuf,
}

/// What `create` and `run` are given.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The socket that the terminal's outer end is sent to.
    pub console_socket: Option<PathBuf>,
    /// The file that the first process's number is written to.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors after the third the program inherits.
    pub preserve: u32,
    /// Whether no keyring is made; kept for callers that ask for it.
    pub detach: bool,
    /// Whether the container stays when its program has ended.
    pub keep: bool,
}

/// What `exec` is given.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The process.
    pub process: Process,
    /// The socket that the terminal's outer end is sent to.
    pub console_socket: Option<PathBuf>,
    /// The file that the process's number is written to.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors after the third the program inherits.
    pub preserve: u32,
    /// Whether it is not waited for.
    pub detach: bool,
}

/// A row of `list`.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its state.
    pub state: State,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Who made it.
    pub owner: u32,
}

impl Containers {
    /// Those below this folder.
    pub fn below(root: impl Into<PathBuf>) -> Containers {
        Containers { root: root.into() }
    }

    fn folder(&self, id: &str) -> Result<PathBuf> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        match id.is_empty() || id.starts_with('.') || id.len() > 1024 || !id.chars().all(fits) {
            true => Err(RuntimeError::invalid(format!("{id:?} is no name of a container"))),
            false => Ok(self.root.join(id)),
        }
    }

    /// Makes a container whose program waits for [`Containers::start`].
    pub fn create(&self, id: &str, options: &CreateOptions) -> Result<Vec<Warning>> {
        let made = self.make(id, options, true)?;
        Ok(made.created.warnings)
    }

    /// Makes a container and starts its program; unless detached, waits for its end and deletes it.
    pub fn run(&self, id: &str, options: &CreateOptions) -> Result<(Exit, Vec<Warning>)> {
        let mut made = self.make(id, options, false)?;
        let warnings = std::mem::take(&mut made.created.warnings);
        if let Err(error) = made.created.start() {
            launch::end(made.created.pidfd.as_fd());
            self.discard(&made.record)?;
            return Err(error);
        }
        if options.detach {
            return Ok((Exit::Code(0), warnings));
        }
        let terminal = made.created.terminal.take();
        let exit = foreground::watch(made.created.pidfd.as_fd(), terminal)?;
        if !options.keep {
            self.discard(&made.record)?;
        }
        Ok((exit, warnings))
    }

    fn make(&self, id: &str, options: &CreateOptions, gated: bool) -> Result<Made> {
        let folder = self.folder(id)?;
        let bundle = fs::canonicalize(&options.bundle);
        let bundle =
            bundle.map_err(|source| RuntimeError::Read { path: options.bundle.clone(), source })?;
        let spec = read_spec(&bundle)?;
        fs::create_dir_all(&self.root).map_err(write_failed(&self.root))?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Exists { id: id.to_owned() });
            }
            other => other.map_err(write_failed(&folder))?,
        }
        let made = self.make_in(id, &folder, &bundle, spec, options, gated);
        if made.is_err() {
            // What is left of a container that never was tells nobody anything.
            let _ = fs::remove_dir_all(&folder);
        }
        made
    }

    fn make_in(
        &self,
        id: &str,
        folder: &Path,
        bundle: &Path,
        spec: Spec,
        options: &CreateOptions,
        gated: bool,
    ) -> Result<Made> {
        let cgroup = cgroup_of(id, &spec)?;
        let result = cgroup.create().and_then(|_| {
            let mut warnings = match spec.linux.as_ref().and_then(|l| l.resources.as_ref()) {
                Some(resources) => cgroup.apply(&with_usual_devices(resources), Missing::Fail)?,
                None => Vec::new(),
            };
            let stdio = stdio(&spec, options.console_socket.is_some() || !gated)?;
            let request = Request {
                id,
                spec: &spec,
                bundle,
                root: None,
                stdio,
                cgroup: Some(&cgroup),
                begin: if gated { Begin::Gate(listen(folder)?) } else { Begin::Told },
                preserve: options.preserve,
                reaper: false,
            };
            let mut created = launch::create(request)?;
            warnings.append(&mut created.warnings);
            created.warnings = warnings;
            let settled = self.settle(folder, &mut created, options);
            match settled.and_then(|()| Record::new(id, bundle, created.pid, &cgroup, &spec)) {
                Ok(record) => Ok((created, record)),
                Err(error) => {
                    launch::end(created.pidfd.as_fd());
                    Err(error)
                }
            }
        });
        let written = result.and_then(|(created, record)| match record.write(folder) {
            Ok(()) => Ok(Made { created, record }),
            Err(error) => {
                launch::end(created.pidfd.as_fd());
                Err(error)
            }
        });
        written.inspect_err(|_| drop(cgroup.remove()))
    }

    fn settle(&self, _: &Path, created: &mut Created, options: &CreateOptions) -> Result<()> {
        if let Some(socket) = &options.console_socket {
            console::send(socket, created.terminal.take())?;
        }
        write_pid(options.pid_file.as_deref(), created.pid)
    }

    /// Starts the program of a container that was created.
    pub fn start(&self, id: &str) -> Result<()> {
        let record = self.record(id)?;
        let status = record.status();
        if status != Status::Created {
            return Err(wrong_state("start", id, status));
        }
        let folder = self.folder(id)?;
        let gate = connect(&folder)?;
        let gone = fs::remove_file(folder.join(GATE));
        gone.map_err(write_failed(&folder.join(GATE)))?;
        launch::start(gate)?;
        let state = State { status: Status::Running, ..record.state() };
        hooks::run(&record.spec.hooks.poststart, &state)
    }

    /// How a container is.
    pub fn state(&self, id: &str) -> Result<State> {
        Ok(self.record(id)?.state())
    }

    /// Sends a signal to the first process, or to all.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let record = self.record(id)?;
        let status = record.status();
        if all && record.cgroup()?.exists() {
            return match signal {
                libc::SIGKILL => record.cgroup()?.kill_all(),
                signal => record.cgroup()?.signal_all(signal),
            };
        }
        match record.pidfd() {
            Some(pidfd) if status != Status::Stopped => {
                let sent = sys::task::send_signal(pidfd, signal);
                sent.map_err(RuntimeError::step(format!("send signal {signal} to {id}")))
            }
            _ => Err(wrong_state("kill", id, Status::Stopped)),
        }
    }

    /// Removes what is left of a container that has ended; with `force`, ends it first.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let record = match self.record(id) {
            Err(RuntimeError::NotFound { .. }) if force => return Ok(()),
            other => other?,
        };
        let status = record.status();
        if status != Status::Stopped && !force {
            return Err(wrong_state("delete", id, status));
        }
        if let Some(pidfd) = record.pidfd() {
            let _ = sys::task::send_signal(&pidfd, libc::SIGKILL);
            await_end(&pidfd);
        }
        self.discard(&record)
    }

    fn discard(&self, record: &Record) -> Result<()> {
        let cgroup = record.cgroup()?;
        if cgroup.exists() {
            cgroup.kill_all()?;
            cgroup.remove()?;
        }
        let folder = self.folder(&record.id)?;
        fs::remove_dir_all(&folder).map_err(write_failed(&folder))?;
        let state = State { status: Status::Stopped, pid: 0, ..record.stored_state() };
        // A container is gone whatever its last hooks say; the error is told all the same.
        hooks::run(&record.spec.hooks.poststop, &state)
    }

    /// The configuration that a container was made with.
    pub fn spec(&self, id: &str) -> Result<Spec> {
        Ok(self.record(id)?.spec)
    }

    /// Runs one more process.
    pub fn exec(&self, id: &str, options: &ExecOptions) -> Result<(Exit, Vec<Warning>)> {
        let record = self.record(id)?;
        let status = record.status();
        let pidfd = record.pidfd();
        let Some(pidfd) = pidfd.filter(|_| matches!(status, Status::Created | Status::Running))
        else {
            return Err(wrong_state("exec in", id, status));
        };
        let mut process = options.process.clone();
        complete(&mut process, &record.spec);
        let mut warnings = Vec::new();
        let filter = Filter::of_spec(&record.spec)?;
        let cgroup = record.cgroup()?;
        let kinds = record.namespaces();
        let target =
            Target { id, pidfd, namespaces: &kinds, cgroup: cgroup.exists().then_some(&cgroup) };
        let stdio = match process.terminal {
            true => Stdio::Terminal(process.console_size.or_else(foreground::size)),
            false => Stdio::Inherit,
        };
        let mut done = exec(target, &process, filter, stdio, options.preserve)?;
        warnings.append(&mut done.warnings);
        if let Some(socket) = &options.console_socket {
            console::send(socket, done.terminal.take())?;
        }
        write_pid(options.pid_file.as_deref(), done.pid)?;
        if options.detach {
            return Ok((Exit::Code(0), warnings));
        }
        Ok((foreground::watch(done.pidfd.as_fd(), done.terminal.take())?, warnings))
    }

    /// The processes of a container, by their numbers on the host.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        self.record(id)?.cgroup()?.processes()
    }

    /// Stops all processes of a container, or lets them go on.
    pub fn freeze(&self, id: &str, frozen: bool) -> Result<()> {
        let record = self.record(id)?;
        match (record.status(), frozen) {
            (Status::Running | Status::Created, true) | (Status::Paused, false) => {
                record.cgroup()?.freeze(frozen)
            }
            (status, true) => Err(wrong_state("pause", id, status)),
            (status, false) => Err(wrong_state("resume", id, status)),
        }
    }

    /// Changes limits.
    pub fn update(&self, id: &str, resources: &Resources) -> Result<()> {
        self.record(id)?.cgroup()?.apply(resources, Missing::Fail).map(drop)
    }

    /// What a container has used.
    pub fn stats(&self, id: &str) -> Result<Stats> {
        Ok(self.record(id)?.cgroup()?.stats())
    }

    /// All containers, by name.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => {
                other.map_err(|source| RuntimeError::Read { path: self.root.clone(), source })?
            }
        };
        let mut list = Vec::new();
        for entry in entries.flatten() {
            // One that is just being made or deleted is not there.
            if let Ok(record) = Record::read(&entry.path()) {
                let (created, owner) = (record.created, record.owner);
                list.push(Listed { state: record.state(), created, owner });
            }
        }
        list.sort_by(|one, other| one.state.id.cmp(&other.state.id));
        Ok(list)
    }

    fn record(&self, id: &str) -> Result<Record> {
        let folder = self.folder(id)?;
        match Record::read(&folder) {
            Err(RuntimeError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(RuntimeError::NotFound { id: id.to_owned() })
            }
            other => other.map(|record| Record { waits: folder.join(GATE).exists(), ..record }),
        }
    }
}

struct Made {
    created: Created,
    record: Record,
}

/// `config.json` of a bundle.
pub fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text =
        fs::read(&path).map_err(|source| RuntimeError::Read { path: path.clone(), source })?;
    serde_json::from_slice(&text)
        .map_err(|source| RuntimeError::Read { path, source: source.into() })
}

fn cgroup_of(id: &str, spec: &Spec) -> Result<Cgroup> {
    let configured = spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
    Cgroup::at(Layout::of_host()?, &Cgroup::path_for(id, configured))
}

/// What every container may use whatever its rules say: the devices that are made for it, its
/// terminals, and making files of devices that it then may not open.
fn with_usual_devices(resources: &Resources) -> Resources {
    const USUAL: &[(&str, i64, i64, &str)] = &[
        ("c", -1, -1, "m"),
        ("b", -1, -1, "m"),
        ("c", 1, 3, "rwm"),
        ("c", 1, 5, "rwm"),
        ("c", 1, 7, "rwm"),
        ("c", 1, 8, "rwm"),
        ("c", 1, 9, "rwm"),
        ("c", 5, 0, "rwm"),
        ("c", 5, 2, "rwm"),
        ("c", 136, -1, "rwm"),
    ];
    let mut resources = resources.clone();
    if !resources.devices.is_empty() {
        resources.devices.extend(USUAL.iter().map(|(kind, major, minor, access)| DeviceRule {
            allow: true,
            kind: (*kind).to_owned(),
            major: Some(*major),
            minor: Some(*minor),
            access: (*access).to_owned(),
        }));
    }
    resources
}

fn stdio(spec: &Spec, someone: bool) -> Result<Stdio> {
    let process = spec.process.as_ref();
    match (process.is_some_and(|process| process.terminal), someone) {
        (false, _) => Ok(Stdio::Inherit),
        (true, true) => Ok(Stdio::Terminal(foreground::size())),
        (true, false) => Err(RuntimeError::invalid("a terminal needs --console-socket")),
    }
}

/// What an exec'd process takes over from the container's own where it says nothing.
fn complete(process: &mut Process, spec: &Spec) {
    let Some(first) = &spec.process else { return };
    if process.cwd.is_empty() {
        process.cwd.clone_from(&first.cwd);
    }
    if process.env.is_empty() {
        process.env.clone_from(&first.env);
    }
    if process.capabilities.is_none() {
        process.capabilities.clone_from(&first.capabilities);
    }
    if process.apparmor_profile.is_empty() {
        process.apparmor_profile.clone_from(&first.apparmor_profile);
    }
    if process.selinux_label.is_empty() {
        process.selinux_label.clone_from(&first.selinux_label);
    }
    if process.rlimits.is_empty() {
        process.rlimits.clone_from(&first.rlimits);
    }
    process.oom_score_adj = process.oom_score_adj.or(first.oom_score_adj);
    process.no_new_privileges |= first.no_new_privileges;
}

/// Adds capabilities to all sets of a process but the ambient one.
pub fn add_capabilities(process: &mut Process, names: &[String]) {
    let sets = process.capabilities.get_or_insert_with(Capabilities::default);
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        for name in names.iter().filter(|name| !name.is_empty()) {
            if !set.contains(name) {
                set.push(name.clone());
            }
        }
    }
}

fn listen(folder: &Path) -> Result<OwnedFd> {
    let failed = |error: rustix::io::Errno| write_failed(&folder.join(GATE))(error.into());
    let (address, held) = address(folder)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let socket = socket.map_err(failed)?;
    rustix::net::bind(&socket, &address).map_err(failed)?;
    rustix::net::listen(&socket, 1).map_err(failed)?;
    drop(held);
    Ok(socket)
}

fn connect(folder: &Path) -> Result<OwnedFd> {
    let failed = |error: rustix::io::Errno| RuntimeError::step("reach the container")(error.into());
    let (address, held) = address(folder)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let socket = socket.map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    drop(held);
    Ok(socket)
}

/// The address of the socket through its folder's descriptor: addresses are short, paths are not.
fn address(folder: &Path) -> Result<(SocketAddrUnix, OwnedFd)> {
    use std::os::fd::AsRawFd;
    let read = |source| RuntimeError::Read { path: folder.to_owned(), source };
    let held = sys::fs::open_folder(folder).map_err(read)?;
    let path = format!("/proc/self/fd/{}/{GATE}", held.as_raw_fd());
    let address = SocketAddrUnix::new(path).map_err(|error| read(error.into()))?;
    Ok((address, held))
}

fn write_pid(file: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = file else { return Ok(()) };
    // Callers watch for the file and read it at once: it appears whole.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}"));
    let written = fs::write(&aside, pid.to_string()).and_then(|()| fs::rename(&aside, path));
    written.map_err(write_failed(path))
}

/// Waits a while for a process that is not our child.
fn await_end(pidfd: &OwnedFd) {
    let mut polled = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&limit)));
}

fn write_failed(path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let path = path.to_owned();
    move |source| RuntimeError::Write { path, source }
}

fn wrong_state(action: &'static str, id: &str, status: Status) -> RuntimeError {
    RuntimeError::WrongState { action, id: id.to_owned(), status: status.to_string() }
}

impl Record {
    /// The first process, if it is still the one that was recorded.
    fn pidfd(&self) -> Option<OwnedFd> {
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty());
        // Compared when it is held: from here on the number cannot mean another process.
        pidfd.ok().filter(|_| record::started(self.pid) == Some(self.started))
    }

    fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::at(Layout::of_host()?, &self.cgroup)
    }

    /// How it is, asked of the kernel.
    fn status(&self) -> Status {
        match (self.pidfd(), self.waits) {
            (None, _) => Status::Stopped,
            (Some(_), true) => Status::Created,
            (Some(_), false) => match self.cgroup() {
                Ok(cgroup) if cgroup.is_frozen() => Status::Paused,
                _ => Status::Running,
            },
        }
    }

    fn state(&self) -> State {
        let status = self.status();
        let pid = if status == Status::Stopped { 0 } else { self.pid };
        State { status, pid, ..self.stored_state() }
    }

    fn namespaces(&self) -> Vec<NamespaceKind> {
        let linux = self.spec.linux.as_ref();
        linux.map(|l| l.namespaces.iter().map(|n| n.kind).collect()).unwrap_or_default()
    }
}
