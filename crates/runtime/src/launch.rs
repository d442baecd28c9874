//! A container made and started.
//!
//! Everything that can be prepared is prepared here, before the new process exists; see
//! `crate::init` for what it then does by itself.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{WaitId, WaitIdOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use spec::bundle::{Hooks, NamespaceKind, OCI_VERSION, Spec, State, Status};
use sys::clone::{Birth, Cloned};

use crate::cgroup::{self, Cgroup, Entry, SharedPlaces};
use crate::channel::{Channel, Message};
use crate::error::{Failure, Result, RuntimeError};
use crate::init::{self, Prepared};
use crate::plan::{Facts, IdMap, MountPlan, Plan, Warning, What};
use crate::seccomp::Filter;
use crate::stdio::Stdio;
use crate::{hooks, users};

/// A container to be made.
pub struct Request<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its configuration.
    pub spec: &'a Spec,
    /// The folder that relative paths in it mean.
    pub bundle: &'a Path,
    /// Its root, mounted and not attached anywhere; without it, the configuration's path is taken.
    pub root: Option<OwnedFd>,
    /// What its program reads and writes.
    pub stdio: Stdio,
    /// The group that it is born into, made already.
    pub cgroup: Option<&'a Cgroup>,
    /// Where a folder that shows trees of groups may be kept for all containers.
    pub places: Option<SharedPlaces<'a>>,
    /// When the program starts.
    pub begin: Begin,
    /// How many descriptors after the third the program inherits.
    pub preserve: u32,
    /// Whether the first process is a reaper of ours and the program its child.
    pub reaper: bool,
    /// What is done otherwise than usual.
    pub manner: Manner,
}

/// What is done otherwise than usual when a container is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// The host's root stays below the container's instead of going: for hosts that run from an
    /// initial ramdisk, whose root cannot be put aside.
    pub without_pivot: bool,
    /// The keyring of whoever makes it is the container's too.
    pub without_keyring: bool,
}

/// When a container's program starts.
#[derive(Debug)]
pub enum Begin {
    /// As soon as everything is ready.
    AtOnce,
    /// When [`Created::start`] says so.
    Told,
    /// When somebody says so ([`start`]) who connects to this listening socket.
    Gate(OwnedFd),
}

/// A container whose program runs, or waits for its start. When this is dropped without a start,
/// and there is no gate, one that waits ends.
pub struct Created {
    /// The first process.
    pub pid: i32,
    /// The same, safe from numbers that are given again.
    pub pidfd: OwnedFd,
    /// The outer end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What the host did not let us give.
    pub warnings: Vec<Warning>,
    channel: Channel,
    poststart: (Vec<spec::bundle::Hook>, State),
}

/// How a process has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The code that shells and docker show.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Makes a container, and starts its program if that is not to wait. The calling process must have one thread; the new one is its child, and is
/// to be waited for ([`wait`]).
pub fn create(request: Request<'_>) -> Result<Created> {
    let facts = Facts::of_host(request.spec.process.as_ref(), request.spec.linux.as_ref());
    let mut plan = Plan::new(request.spec, &facts)?;
    plan.root = request.bundle.join(&plan.root);
    for mount in &mut plan.mounts {
        if let What::Bind { source, .. } = &mut mount.what {
            *source = request.bundle.join(&*source);
        }
    }
    let warnings = std::mem::take(&mut plan.warnings);
    let filter = Filter::of_spec(request.spec)?;
    let state = state(&request);
    let hooks = &request.spec.hooks;
    let at_once = matches!(request.begin, Begin::AtOnce);
    let (ours, theirs) = Channel::pair().map_err(RuntimeError::step("make a channel"))?;
    // Users of a namespace of their own may not write to the host's groups.
    let users = plan.makes(NamespaceKind::User)
        || plan.join.iter().any(|join| join.kind == NamespaceKind::User);
    let enter = if users { Cgroup::entry } else { Cgroup::entry_by_path };
    let group = request.cgroup;
    let entry = group.map_or_else(|| Ok(Entry::default()), enter)?;
    let may_share = request.places.filter(|_| !users && shows_groups_alone(&plan));
    let mut prepared = Prepared {
        id: request.id.to_owned(),
        joins: open_namespaces(&plan)?,
        places: may_share.and_then(|kept| cgroup::places(kept, &entry.views)),
        entry,
        binds: Vec::new(),
        root: request.root,
        channel: theirs,
        begin: request.begin,
        filter,
        stdio: request.stdio,
        preserve: request.preserve,
        reaper: request.reaper,
        manner: request.manner,
        outer_hooks: !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty()),
        create_hooks: hooks.create_container.clone(),
        start_hooks: hooks.start_container.clone(),
        state: state.clone(),
        plan,
    };
    open_ahead(&mut prepared, facts.root)?;
    let maps = prepared.plan.makes(NamespaceKind::User);
    let (uids, gids) = (prepared.plan.uids.clone(), prepared.plan.gids.clone());
    let (pid, pidfd) = spawn(prepared, &ours)?;
    let mut created = Created {
        pid,
        pidfd,
        terminal: None,
        warnings,
        channel: ours,
        poststart: (hooks.poststart.clone(), State { pid, ..state }),
    };
    let mapped = if maps { map_users(&created, &uids, &gids) } else { Ok(()) };
    let ready = mapped.and_then(|()| await_ready(&mut created, hooks, at_once));
    let ready = ready.and_then(|()| group.map_or(Ok(()), Cgroup::settle));
    match ready.and_then(|()| if at_once { created.run_poststart() } else { Ok(()) }) {
        Ok(()) => Ok(created),
        Err(error) => {
            end(created.pidfd.as_fd());
            Err(error)
        }
    }
}

/// Runs what a container's configuration wants run when it is no more, and gives what failed.
pub fn run_last_hooks(spec: &Spec, id: &str, bundle: &Path) -> Vec<RuntimeError> {
    let state = State {
        oci_version: OCI_VERSION.to_owned(),
        id: id.to_owned(),
        status: Status::Stopped,
        pid: 0,
        bundle: bundle.display().to_string(),
        annotations: spec.annotations.clone(),
    };
    hooks::run_all(&spec.hooks.poststop, &state)
}

impl Created {
    /// Ends a container that could not be started, and takes its process in.
    pub fn end(self) {
        end(self.pidfd.as_fd());
    }

    /// Starts the program; fails when it cannot be run.
    pub fn start(&self) -> Result<()> {
        go(&self.channel)?;
        self.run_poststart()
    }

    fn run_poststart(&self) -> Result<()> {
        let (hooks, state) = &self.poststart;
        hooks::run(hooks, &State { status: Status::Running, ..state.clone() })
    }
}

/// Starts the program of a container through the gate that it was made with.
pub fn start(gate: OwnedFd) -> Result<()> {
    go(&Channel(gate))
}

fn go(channel: &Channel) -> Result<()> {
    let step = || RuntimeError::step("start the program");
    channel.send(&Message::Go).map_err(step())?;
    match channel.receive().map_err(step())? {
        Message::Failed(failure) => Err(RuntimeError::Init(failure)),
        // The socket was closed by becoming the program.
        _ => Ok(()),
    }
}

/// Waits until a child has ended.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    let waited = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED)
    });
    let status = waited.map_err(|error| RuntimeError::step("wait for a process")(error.into()))?;
    let status = status.ok_or(RuntimeError::InitGone)?;
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    })
}

/// Ends a child that has failed and takes it in.
pub(crate) fn end(pidfd: BorrowedFd<'_>) {
    let _ = sys::task::send_signal(pidfd, libc::SIGKILL);
    let _ = wait(pidfd);
}

/// The keyring of a container is named as other runtimes name theirs.
pub(crate) fn keyring_name(id: &str) -> CString {
    CString::new(format!("_ses.{id}")).unwrap_or_default()
}

fn state(request: &Request<'_>) -> State {
    State {
        oci_version: OCI_VERSION.to_owned(),
        id: request.id.to_owned(),
        status: Status::Creating,
        pid: 0,
        bundle: request.bundle.display().to_string(),
        annotations: request.spec.annotations.clone(),
    }
}

/// Whether the container's processes can neither write to the folder that shows trees of groups nor
/// make it writable, but for one that is given all rights later, and nothing else is mounted in it.
fn shows_groups_alone(plan: &Plan) -> bool {
    let power = crate::capability::bit("SYS_ADMIN").unwrap_or(u64::MAX);
    let is_shown = |mount: &MountPlan| matches!(mount.what, What::Cgroups);
    let is_read = |mount: &MountPlan| mount.change.set & libc::MOUNT_ATTR_RDONLY != 0;
    // Where nothing is said of them, a process has all.
    let sets = plan.process.capabilities.as_ref();
    let shown: Vec<_> = plan.mounts.iter().filter(|mount| is_shown(mount)).collect();
    let has_more = |shown: &&MountPlan| {
        plan.mounts
            .iter()
            .any(|one| one.target != shown.target && one.target.starts_with(&shown.target))
    };
    sets.is_some_and(|sets| sets.bounding & power == 0)
        && !shown.is_empty()
        && shown.iter().all(|mount| is_read(mount) && !has_more(mount))
}

fn open_namespaces(plan: &Plan) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let open = |path: &PathBuf| {
        let read = |source| RuntimeError::Read { path: path.clone(), source };
        File::open(path).map(OwnedFd::from).map_err(read)
    };
    plan.join.iter().map(|join| Ok((join.kind, open(&join.path)?))).collect()
}

/// Where a process finds what it has open. What such a path names is in this process's namespace of
/// mounts, out of which the container's cannot take anything.
const OPEN: &str = "/proc/self/fd";

/// A mount that is attached nowhere yet, made in this process's own namespace.
pub fn detached(mount: &spec::bundle::Mount) -> Result<OwnedFd> {
    let (planned, _) = crate::plan::mount(mount)?;
    let made = match &planned.what {
        What::Bind { source, recursive } => init::bind(&planned, source, *recursive),
        What::New { kind, source, options } => init::create(&planned, kind, source, options, None),
        What::Cgroups => return Err(RuntimeError::invalid("control groups are no volume")),
    };
    made.map_err(RuntimeError::Init)
}

/// Opens what the container's own users may not reach, and what needs the host's powers: mounts
/// whose users are mapped, and what is open in this process alone.
fn open_ahead(prepared: &mut Prepared, root: bool) -> Result<()> {
    let plan = &prepared.plan;
    let joined = prepared.joins.iter().find(|(kind, _)| *kind == NamespaceKind::User);
    let users = root && (plan.makes(NamespaceKind::User) || joined.is_some());
    let failed = |mount: String| {
        move |failure: Failure| RuntimeError::Init(failure.with_step(&format!("mount {mount}")))
    };
    if users && prepared.root.is_none() {
        let made = init::detached_root(&plan.root).map_err(failed("the root".into()))?;
        prepared.root = Some(made);
    }
    for mount in &plan.mounts {
        let mut made = None;
        if let What::Bind { source, recursive } = &mount.what
            && (users || mount.id_map.is_some() || source.starts_with(OPEN))
        {
            let name = mount.target.display().to_string();
            let bound = init::bind(mount, source, *recursive).map_err(failed(name.clone()))?;
            if let Some(map) = &mount.id_map {
                let users = joined.map(|(_, users)| users.as_fd());
                map_mount(&bound, name, map, plan, users)?;
            }
            made = Some(bound);
        }
        prepared.binds.push(made);
    }
    Ok(())
}

/// Maps a mount's users as it says itself, or else as those of the container are.
fn map_mount(
    bound: &OwnedFd,
    mount: String,
    map: &IdMap,
    plan: &Plan,
    joined: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let own = map.uids.is_empty();
    let made = match (own, joined) {
        (true, Some(_)) => None,
        (true, None) => Some(users::namespace(&plan.uids, &plan.gids)?),
        (false, _) => Some(users::namespace(&map.uids, &map.gids)?),
    };
    let users = made.as_ref().map(AsFd::as_fd).or(joined);
    let changed = sys::mount::change(bound, Default::default(), map.recursive, users);
    changed.map_err(|source| RuntimeError::MapMount { mount, source })
}

/// Makes the process: directly, or out of a middle one where namespaces must be entered before it
/// is born.
fn spawn(prepared: Prepared, ours: &Channel) -> Result<(i32, OwnedFd)> {
    let early = |kind: &NamespaceKind| matches!(kind, NamespaceKind::User | NamespaceKind::Pid);
    let joins = prepared.joins.iter().any(|(kind, _)| early(kind));
    let step = || RuntimeError::step("make the container's process");
    if !joins && !prepared.plan.makes(NamespaceKind::Time) {
        let failed = |source: std::io::Error| clone_failed(&prepared.plan, source);
        return match born(&prepared, false).map_err(failed)? {
            Cloned::Child => init::run(prepared),
            Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        };
    }
    let birth = Birth { namespaces: UnshareFlags::empty(), sibling: false, cgroup: None };
    match sys::clone::clone(birth).map_err(step())? {
        Cloned::Child => middle(prepared),
        Cloned::Parent { pidfd, .. } => {
            drop(prepared);
            born_of(pidfd, ours, step)
        }
    }
}

/// What a middle process has had, which it tells before it ends. Whatever goes wrong, no process is
/// left that nobody waits for: one in the container's namespace would keep its first from ending.
pub(crate) fn born_of<F: FnOnce(std::io::Error) -> RuntimeError>(
    middle: OwnedFd,
    channel: &Channel,
    step: impl Fn() -> F,
) -> Result<(i32, OwnedFd)> {
    let message = channel.receive();
    wait(middle.as_fd())?;
    match message.map_err(step())? {
        Message::Born(pid, pidfd) => match channel.send(&Message::Go) {
            Ok(()) => Ok((pid, pidfd)),
            Err(error) => {
                end(pidfd.as_fd());
                Err(step()(error))
            }
        },
        Message::Failed(failure) => Err(RuntimeError::Init(failure)),
        _ => Err(RuntimeError::InitGone),
    }
}

fn clone_failed(plan: &Plan, source: std::io::Error) -> RuntimeError {
    RuntimeError::Init(Failure {
        step: "make the container's process".into(),
        call: "clone3".into(),
        argument: format!("{:?}", plan.born_into()),
        errno: source.raw_os_error().unwrap_or(0),
    })
}

fn born(prepared: &Prepared, sibling: bool) -> std::io::Result<Cloned> {
    let namespaces = prepared.plan.born_into();
    sys::clone::clone(Birth { namespaces, sibling, cgroup: prepared.entry.birthplace() })
}

/// The middle process: enters what only its children will be in, has one as its own sibling, says
/// so and ends.
fn middle(prepared: Prepared) -> ! {
    let result = enter_early(&prepared).and_then(|()| {
        use crate::error::Explain;
        match born(&prepared, true)
            .call("clone3", format_args!("{:?}", prepared.plan.born_into()))?
        {
            Cloned::Child => Ok(None),
            Cloned::Parent { pid, pidfd } => Ok(Some((pid, pidfd))),
        }
    });
    let message = match result {
        // Both speak through one socket: the child is silent until the middle process was heard.
        Ok(None) => match prepared.channel.receive() {
            Ok(Message::Go) => init::run(prepared),
            _ => sys::task::exit_now(1),
        },
        Ok(Some((pid, pidfd))) => Message::Born(pid, pidfd),
        Err(failure) => Message::Failed(failure.with_step("enter namespaces")),
    };
    let _ = prepared.channel.send(&message);
    sys::task::exit_now(0)
}

fn enter_early(prepared: &Prepared) -> std::result::Result<(), Failure> {
    use crate::error::Explain;
    let of = |wanted| prepared.joins.iter().find(|(kind, _)| *kind == wanted);
    for (kind, name) in [
        (NamespaceKind::Pid, LinkNameSpaceType::ProcessID),
        (NamespaceKind::Time, LinkNameSpaceType::Time),
        (NamespaceKind::User, LinkNameSpaceType::User),
    ] {
        if let Some((_, file)) = of(kind) {
            let moved = rustix::thread::move_into_link_name_space(file.as_fd(), Some(name));
            moved.call("setns", format_args!("{kind:?}"))?;
        }
        if kind == NamespaceKind::User && of(kind).is_some() {
            init::become_root()?;
        }
    }
    if prepared.plan.makes(NamespaceKind::Time) {
        sys::clone::unshare(UnshareFlags::NEWTIME).call("unshare", "NEWTIME")?;
        std::fs::write("/proc/self/timens_offsets", &prepared.plan.time_offsets)
            .call("write", "/proc/self/timens_offsets")?;
    }
    Ok(())
}

fn map_users(
    created: &Created,
    uids: &[spec::bundle::IdMapping],
    gids: &[spec::bundle::IdMapping],
) -> Result<()> {
    users::map(created.pid, uids, gids)?;
    let sent = created.channel.send(&Message::Mapped);
    sent.map_err(RuntimeError::step("tell that users are mapped"))
}

/// Answers the new process until it is ready, or has become a program that does not wait.
fn await_ready(created: &mut Created, hooks: &Hooks, at_once: bool) -> Result<()> {
    let step = || RuntimeError::step("hear from the container's first process");
    loop {
        match created.channel.receive().map_err(step())? {
            Message::Ready => return Ok(()),
            // The socket was closed by becoming the program.
            Message::Closed if at_once => return Ok(()),
            Message::Failed(failure) => return Err(RuntimeError::Init(failure)),
            Message::Terminal(file) if init::is_terminal(&file) => created.terminal = Some(file),
            Message::Hooks => {
                let state = &created.poststart.1;
                hooks::run(&hooks.prestart, state)?;
                hooks::run(&hooks.create_runtime, state)?;
                created.channel.send(&Message::Go).map_err(step())?;
            }
            _ => return Err(RuntimeError::InitGone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_groups_is_shared_by_those_who_cannot_change_it() {
        let check = |sets: &str, more: &str, wanted: bool| {
            let groups =
                r#"{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}"#;
            let user = r#""user": {"uid": 0, "gid": 0}"#;
            let text = format!(
                r#"{{"ociVersion": "1.0.0", "root": {{"path": "r"}}, "mounts": [{groups}{more}],
                    "process": {{"args": ["x"], "cwd": "/", {user} {sets}}},
                    "linux": {{"namespaces": [{{"type": "mount"}}]}}}}"#
            );
            let spec: Spec = serde_json::from_str(&text).unwrap();
            let facts = Facts { root: true, bounding: u64::MAX, ..Facts::default() };
            let plan = Plan::new(&spec, &facts).unwrap();
            assert_eq!(shows_groups_alone(&plan), wanted, "{sets} {more}");
        };
        let few = r#", "capabilities": {"bounding": ["CAP_CHOWN"]}"#;
        check(few, "", true);
        check(r#", "capabilities": {"bounding": ["CAP_SYS_ADMIN"]}"#, "", false);
        check("", "", false);
        let bind = |place: &str| {
            format!(r#", {{"destination": "{place}", "source": "/", "options": ["bind"]}}"#)
        };
        check(few, &bind("/sys/fs/other"), true);
        check(few, &bind("/sys/fs/cgroup/systemd"), false);
    }
}
