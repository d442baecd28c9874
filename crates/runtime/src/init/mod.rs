//! The container's first process, from its birth to the program.
//!
//! It is a copy of the process that asked for it, so all that it needs lies ready in memory
//! ([`Prepared`]). It never returns: it becomes the program, or says on the channel which call
//! failed with what, and ends. Nothing here trusts a path inside the root: see [`crate::path`].

mod copy;
mod devices;
mod fresh;
mod hide;
mod home;
mod identity;
mod mounts;
pub(crate) mod process;
mod root;
mod terminal;

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use spec::bundle::{Hook, NamespaceKind, State, Status};

use crate::cgroup::Entry;
use crate::channel::{Channel, Message};
use crate::error::{During, Explain, Failure, refused};
use crate::launch::{Begin, Manner};
use crate::plan::Plan;
use crate::seccomp::Filter;
use crate::stdio::Stdio;
use crate::{hooks, reaper};

pub(crate) use identity::become_root;
pub(crate) use mounts::{bind, create};
pub(crate) use root::Host;
pub(crate) use root::detached as detached_root;
pub(crate) use terminal::{is_terminal, pair, take};

type Result<T> = std::result::Result<T, Failure>;

/// All that the new process needs.
pub(crate) struct Prepared {
    pub(crate) id: String,
    pub(crate) plan: Plan,
    pub(crate) channel: Channel,
    /// Who starts it, if it waits.
    pub(crate) begin: Begin,
    /// The root, where the parent has opened it.
    pub(crate) root: Option<OwnedFd>,
    /// For each mount what is bound, where the parent has opened it.
    pub(crate) binds: Vec<Option<OwnedFd>>,
    pub(crate) joins: Vec<(NamespaceKind, OwnedFd)>,
    pub(crate) entry: Entry,
    /// Where trees of groups are shown, if that is a folder which others have too.
    pub(crate) places: Option<PathBuf>,
    pub(crate) filter: Option<Filter>,
    pub(crate) stdio: Stdio,
    /// How many descriptors after the third the program keeps.
    pub(crate) preserve: u32,
    /// Whether the first process only reaps, and the program is its child.
    pub(crate) reaper: bool,
    /// What is done otherwise than usual.
    pub(crate) manner: Manner,
    /// Whether the parent has hooks to run when the namespaces are there.
    pub(crate) outer_hooks: bool,
    pub(crate) create_hooks: Vec<Hook>,
    pub(crate) start_hooks: Vec<Hook>,
    /// The state that hooks of the container are given, as JSON without the pid.
    pub(crate) state: spec::bundle::State,
}

/// Becomes the container's program, or says why not.
pub(crate) fn run(mut prepared: Prepared) -> ! {
    let result = first_stage(&mut prepared);
    let failure = match result.and_then(|()| last_stage(&prepared)) {
        Err(failure) => failure,
        Ok(never) => match never {},
    };
    // Nobody may be listening any more; then there is nobody to tell.
    let _ = prepared.channel.send(&Message::Failed(failure));
    sys::task::exit_now(1)
}

/// Up to the point where everything is there and the program waits.
fn first_stage(prepared: &mut Prepared) -> Result<()> {
    sys::task::set_dumpable(false).call("prctl", "PR_SET_DUMPABLE, 0").during("shut out others")?;
    if waits_early(prepared) {
        close_others(prepared).during("close descriptors of others")?;
    }
    enter_groups(&prepared.entry).during("enter the cgroup")?;
    enter_namespaces(prepared).during("enter namespaces")?;
    if prepared.plan.makes(NamespaceKind::User) {
        await_mapping(&prepared.channel).during("become root among the container's users")?;
    }
    if prepared.plan.makes(NamespaceKind::Cgroup) {
        unshare(UnshareFlags::NEWCGROUP).during("enter namespaces")?;
    }
    loopback(&prepared.plan).during("switch on the loopback device")?;
    let null = root::open_null().during("look at the host")?;
    connect_streams(&prepared.stdio, &null).during("connect standard streams")?;
    rustix::process::setsid().call("setsid", "").during("open a session")?;
    if !prepared.manner.without_keyring {
        open_keyring(&prepared.id).during("open a keyring")?;
    }
    name_host(&prepared.plan).during("set the host's name")?;
    let terminal = root::build(prepared, null)?;
    close_rest(prepared).during("close descriptors")?;
    process::prepare(&prepared.plan.process, &terminal)
}

fn open_keyring(id: &str) -> Result<()> {
    // A kernel without keyrings, and a filter of somebody's above us, leave the parent's: those
    // who may not join one may not read it either.
    let keyring = sys::task::join_session_keyring(&crate::launch::keyring_name(id));
    match keyring.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) | Err(Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT)) => Ok(()),
        Err(_) => keyring.call("keyctl", "JOIN_SESSION_KEYRING"),
    }
}

/// From there to the program.
fn last_stage(prepared: &Prepared) -> Result<Infallible> {
    let process = &prepared.plan.process;
    let program = process::find_program(process)?;
    let ready = || {
        let said = prepared.channel.send(&Message::Ready).call("sendmsg", "ready");
        said.during("say that everything is ready")
    };
    match &prepared.begin {
        Begin::AtOnce => start(prepared, &program),
        Begin::Told => {
            ready()?;
            await_start(&prepared.channel)?;
            start(prepared, &program)
        }
        Begin::Gate(listener) => {
            ready()?;
            let flags = rustix::net::SocketFlags::CLOEXEC;
            let accepted = rustix::io::retry_on_intr(|| rustix::net::accept_with(listener, flags));
            let gate = Channel(accepted.call("accept4", "").during("wait for the start")?);
            await_start(&gate).and_then(|()| start(prepared, &program)).or_else(|failure| {
                let _ = gate.send(&Message::Failed(failure));
                sys::task::exit_now(1)
            })
        }
    }
}

fn await_start(gate: &Channel) -> Result<()> {
    match gate.receive().call("recvmsg", "").during("wait for the start")? {
        Message::Go => Ok(()),
        // Whoever made the container is gone and has not started it: so it never will be.
        _ => Err(refused("await", "a start").with_step("wait for the start")),
    }
}

fn start(prepared: &Prepared, program: &process::Program) -> Result<Infallible> {
    let state = State { status: Status::Created, ..prepared.state.clone() };
    hooks::run_inside(&prepared.start_hooks, &state)
        .map_err(|error| refused("hook", error))
        .during("run the hooks before the start")?;
    // What the program is not to have was closed, and what is left of ours ends by itself.
    if prepared.preserve > 0 {
        keep_descriptors(prepared.preserve)?;
    }
    if prepared.reaper {
        reaper::divide(prepared).during("divide into init and the program")?;
    }
    process::become_program(&prepared.plan.process, program, prepared)
}

/// Keeps a descriptor open that is not needed any more: what was opened while the root was built is
/// closed by one call when it is done.
pub(super) fn leave_open(file: OwnedFd) {
    std::mem::forget(file);
}

/// Hands so many descriptors after the third to the program, and no others.
pub(crate) fn keep_descriptors(preserve: u32) -> Result<()> {
    let end = RawFd::try_from(preserve).unwrap_or(0).saturating_add(3);
    sys::task::close_on_execute(end).call("close_range", "").during("close descriptors")?;
    for number in 3..end {
        // A number in the middle may be free.
        let _ = sys::task::keep_on_execute(number);
    }
    Ok(())
}

/// What is needed of the host by those who leave it.
pub(crate) fn host() -> Result<Host> {
    Host::open(root::open_null()?, true)
}

/// Whether the root is built only after others have answered, which they may never do; hooks are such
/// others. Without, all that is not needed is closed when it stands.
fn waits_early(prepared: &Prepared) -> bool {
    prepared.plan.makes(NamespaceKind::User)
        || prepared.outer_hooks
        || !prepared.create_hooks.is_empty()
}

/// Closes what the parent had open and the container does not need: its end of our channel is among
/// it, so that its end is seen while it is waited for.
fn close_others(prepared: &Prepared) -> Result<()> {
    let mut needed: Vec<RawFd> = lasting(prepared);
    let mut need = |file: BorrowedFd<'_>| needed.push(file.as_raw_fd());
    prepared.root.iter().chain(prepared.binds.iter().flatten()).for_each(|file| need(file.as_fd()));
    prepared.joins.iter().for_each(|(_, file)| need(file.as_fd()));
    prepared.entry.tasks.iter().for_each(|file| need(file.as_fd()));
    if let Stdio::Pipes { stdin, stdout, stderr } = &prepared.stdio {
        stdin.iter().chain([stdout, stderr]).for_each(|file| need(file.as_fd()));
    }
    close_all_but(needed)
}

/// Closes what was needed to build the root and to get there, and what else the parent had open, so
/// that nothing of the host can be reached through it, not even while the program waits for its
/// start.
fn close_rest(prepared: &mut Prepared) -> Result<()> {
    // Their numbers are free from here on: nobody may close them again.
    std::mem::forget(std::mem::take(&mut prepared.joins));
    std::mem::forget(std::mem::take(&mut prepared.entry));
    std::mem::forget(std::mem::replace(&mut prepared.stdio, Stdio::Inherit));
    close_all_but(lasting(prepared))
}

/// The descriptors that are needed until the program runs.
fn lasting(prepared: &Prepared) -> Vec<RawFd> {
    let end = RawFd::try_from(prepared.preserve).unwrap_or(0).saturating_add(3);
    let listener = prepared.filter.as_ref().and_then(|filter| filter.listener.as_ref());
    let gate = if let Begin::Gate(gate) = &prepared.begin { Some(gate) } else { None };
    let files = gate.into_iter().chain(listener).chain([&prepared.channel.0]);
    (0..end).chain(files.map(AsRawFd::as_raw_fd)).collect()
}

fn close_all_but(mut needed: Vec<RawFd>) -> Result<()> {
    needed.sort_unstable();
    let mut next = 0;
    for number in needed {
        if number > next {
            sys::task::close_all(next, number - 1).call("close_range", next)?;
        }
        next = number + 1;
    }
    sys::task::close_all(next, RawFd::MAX).call("close_range", next)
}

/// Version 1: by its own hand, one thread at a time. Written by another process, or as a whole
/// process, the kernel would wait for all processors.
pub(crate) fn enter_groups(entry: &Entry) -> Result<()> {
    for tasks in &entry.tasks {
        rustix::io::write(tasks, b"0").call("write", "tasks, 0")?;
    }
    for path in &entry.paths {
        leave_open(
            crate::cgroup::enter(path).call("write", format_args!("{}, 0", path.display()))?,
        );
    }
    Ok(())
}

fn enter_namespaces(prepared: &Prepared) -> Result<()> {
    for (kind, file) in &prepared.joins {
        let kind = match kind {
            // The middle process has entered these, so this one was born in them.
            NamespaceKind::User | NamespaceKind::Pid | NamespaceKind::Time => continue,
            NamespaceKind::Network => LinkNameSpaceType::Network,
            NamespaceKind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
            NamespaceKind::Ipc => LinkNameSpaceType::InterProcessCommunication,
            NamespaceKind::Cgroup => LinkNameSpaceType::ControlGroup,
            NamespaceKind::Mount => LinkNameSpaceType::Mount,
        };
        let moved = rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind));
        moved.call("setns", format_args!("{kind:?}"))?;
    }
    Ok(())
}

/// A namespace of networks that is new has one device, which is off.
fn loopback(plan: &Plan) -> Result<()> {
    match plan.makes(NamespaceKind::Network) {
        true => sys::netns::loopback_up().call("ioctl", "SIOCSIFFLAGS, lo").map(leave_open),
        false => Ok(()),
    }
}

fn unshare(flags: UnshareFlags) -> Result<()> {
    sys::clone::unshare(flags).call("unshare", format_args!("{flags:?}"))
}

pub(crate) fn await_mapping(channel: &Channel) -> Result<()> {
    match channel.receive().call("recvmsg", "")? {
        Message::Mapped => become_root(),
        _ => Err(refused("await", "mapped users")),
    }
}

fn name_host(plan: &Plan) -> Result<()> {
    if !plan.hostname.is_empty() {
        let name = plan.hostname.as_bytes();
        rustix::system::sethostname(name).call("sethostname", &plan.hostname)?;
    }
    if !plan.domainname.is_empty() {
        let name = plan.domainname.as_bytes();
        rustix::system::setdomainname(name).call("setdomainname", &plan.domainname)?;
    }
    Ok(())
}

/// Puts the streams that are known in place; a terminal is made later, inside.
pub(crate) fn connect_streams(stdio: &Stdio, null: &OwnedFd) -> Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    match stdio {
        Stdio::Inherit | Stdio::Terminal(_) => {}
        Stdio::Null => {
            dup2_stdin(null).and(dup2_stdout(null)).and(dup2_stderr(null)).call("dup2", "")?;
        }
        Stdio::Pipes { stdin, stdout, stderr } => {
            dup2_stdin(stdin.as_ref().unwrap_or(null)).call("dup2", "0")?;
            dup2_stdout(stdout).and(dup2_stderr(stderr)).call("dup2", "1, 2")?;
        }
    }
    Ok(())
}

impl Failure {
    /// The same failure with its step.
    pub(crate) fn with_step(mut self, step: &str) -> Failure {
        self.step = step.to_owned();
        self
    }
}
