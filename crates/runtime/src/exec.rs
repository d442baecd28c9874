//! One more process in a container that runs.
//!
//! A middle process joins the container's namespaces through the descriptor of its first process
//! and has one child, which is born inside them and becomes the program.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};
use spec::bundle::{NamespaceKind, Process};
use sys::clone::{Birth, Cloned};

use crate::cgroup::{Cgroup, Entry};
use crate::channel::{Channel, Message};
use crate::error::{During, Explain, Failure, Result, RuntimeError, refused};
use crate::init::{self, process};
use crate::launch::{born_of, end, keyring_name};
use crate::plan::{Facts, Plan, ProcessPlan, Warning};
use crate::seccomp::Filter;
use crate::stdio::Stdio;

/// A container that runs.
pub struct Target<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its first process.
    pub pidfd: OwnedFd,
    /// The namespaces that it does not share with the host.
    pub namespaces: &'a [NamespaceKind],
    /// Its group.
    pub cgroup: Option<&'a Cgroup>,
    /// The execution domain of its processes, if it is not the host's.
    pub personality: Option<u64>,
}

/// A process that was started in a container. It is a child of the calling process.
#[derive(Debug)]
pub struct Executed {
    /// Its number on the host.
    pub pid: i32,
    /// The same, safe from numbers that are given again.
    pub pidfd: OwnedFd,
    /// The outer end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What the host did not let us give.
    pub warnings: Vec<Warning>,
}

/// All that the new process needs.
struct Joining {
    target: OwnedFd,
    namespaces: ThreadNameSpaceType,
    users: bool,
    name: std::ffi::CString,
    entry: Entry,
    plan: ProcessPlan,
    filter: Option<Filter>,
    stdio: Stdio,
    channel: Channel,
    preserve: u32,
    personality: Option<u64>,
}

/// Starts a process in a container and comes back when its program runs. The calling process must
/// have one thread.
pub fn exec(
    target: Target<'_>,
    wanted: &Process,
    filter: Option<Filter>,
    stdio: Stdio,
    preserve: u32,
) -> Result<Executed> {
    let (plan, warnings) = Plan::process(wanted, &Facts::of_host(Some(wanted), None))?;
    let step = || RuntimeError::step("make a process for the container");
    let (ours, theirs) = Channel::pair().map_err(step())?;
    let joining = Joining {
        users: target.namespaces.contains(&NamespaceKind::User),
        namespaces: kinds(target.namespaces),
        name: keyring_name(target.id),
        entry: target.cgroup.map_or_else(|| Ok(Entry::default()), Cgroup::entry)?,
        target: target.pidfd,
        plan,
        filter,
        stdio,
        channel: theirs,
        preserve,
        personality: target.personality,
    };
    let birth = Birth { namespaces: UnshareFlags::empty(), sibling: false, cgroup: None };
    let (pid, pidfd) = match sys::clone::clone(birth).map_err(step())? {
        Cloned::Child => middle(joining),
        Cloned::Parent { pidfd, .. } => {
            drop(joining);
            born_of(pidfd, &ours, step)?
        }
    };
    let mut executed = Executed { pid, pidfd, terminal: None, warnings };
    match await_program(&mut executed, &ours) {
        Ok(()) => Ok(executed),
        Err(error) => {
            end(executed.pidfd.as_fd());
            Err(error)
        }
    }
}

fn kinds(list: &[NamespaceKind]) -> ThreadNameSpaceType {
    let flag = |kind: &NamespaceKind| match kind {
        NamespaceKind::User => ThreadNameSpaceType::USER,
        NamespaceKind::Pid => ThreadNameSpaceType::PROCESS_ID,
        NamespaceKind::Network => ThreadNameSpaceType::NETWORK,
        NamespaceKind::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        NamespaceKind::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        NamespaceKind::Cgroup => ThreadNameSpaceType::CONTROL_GROUP,
        NamespaceKind::Mount => ThreadNameSpaceType::MOUNT,
        NamespaceKind::Time => ThreadNameSpaceType::TIME,
    };
    list.iter().fold(ThreadNameSpaceType::empty(), |flags, kind| flags | flag(kind))
}

fn await_program(executed: &mut Executed, channel: &Channel) -> Result<()> {
    let step = || RuntimeError::step("hear from the new process");
    let mut ready = false;
    loop {
        match channel.receive().map_err(step())? {
            Message::Ready => {
                ready = true;
                channel.send(&Message::Go).map_err(step())?;
            }
            Message::Failed(failure) => return Err(RuntimeError::Init(failure)),
            Message::Terminal(file) if init::is_terminal(&file) => executed.terminal = Some(file),
            // The socket was closed by becoming the program.
            Message::Closed if ready => return Ok(()),
            _ => return Err(RuntimeError::InitGone),
        }
    }
}

fn middle(joining: Joining) -> ! {
    let message = match enter(&joining) {
        // Both speak through one socket: the child is silent until the middle process was heard.
        Ok(Half::Inner(host)) => match joining.channel.receive() {
            Ok(Message::Go) => run(joining, host),
            _ => sys::task::exit_now(1),
        },
        Ok(Half::Outer(pid, pidfd)) => Message::Born(pid, pidfd),
        Err(failure) => Message::Failed(failure.with_step("enter the container")),
    };
    let _ = joining.channel.send(&message);
    sys::task::exit_now(0)
}

/// What the middle process is after it has had its child.
enum Half {
    /// The child, with what it needs of the host.
    Inner(init::Host),
    /// Itself, with the child's number.
    Outer(i32, OwnedFd),
}

fn enter(joining: &Joining) -> std::result::Result<Half, Failure> {
    // Whoever is in the container's namespaces can be looked at by its root from now on.
    sys::task::set_dumpable(false).call("prctl", "PR_SET_DUMPABLE, 0")?;
    let host = init::host()?;
    rustix::thread::move_into_thread_name_spaces(joining.target.as_fd(), joining.namespaces)
        .call("setns", format_args!("{:?}", joining.namespaces))?;
    if joining.users {
        init::become_root()?;
    }
    let namespaces = UnshareFlags::empty();
    let birth = Birth { namespaces, sibling: true, cgroup: joining.entry.birthplace() };
    match sys::clone::clone(birth).call("clone3", "a sibling")? {
        Cloned::Child => Ok(Half::Inner(host)),
        Cloned::Parent { pid, pidfd } => Ok(Half::Outer(pid, pidfd)),
    }
}

fn run(joining: Joining, host: init::Host) -> ! {
    let failure = match become_program(&joining, host) {
        Err(failure) => failure,
        Ok(never) => match never {},
    };
    let _ = joining.channel.send(&Message::Failed(failure));
    sys::task::exit_now(1)
}

fn become_program(joining: &Joining, host: init::Host) -> std::result::Result<Infallible, Failure> {
    process::choose_processors(&joining.plan.affinity.first)?;
    init::enter_groups(&joining.entry).during("enter the cgroup")?;
    init::connect_streams(&joining.stdio, host.null()).during("connect standard streams")?;
    rustix::process::setsid().call("setsid", "").during("open a session")?;
    // As at the container's start: without keyrings there is none to join.
    let _ = sys::task::join_session_keyring(&joining.name);
    let own = open_terminal(joining).during("open a terminal")?;
    process::write_files(&joining.plan, |path, text| host.write(path, text))?;
    drop(host);
    process::prepare_joined(&joining.plan, own)?;
    let program = process::find_program(&joining.plan)?;
    joining.channel.send(&Message::Ready).call("sendmsg", "ready").during("say it is ready")?;
    match joining.channel.receive().call("recvmsg", "").during("wait for the start")? {
        Message::Go => {}
        _ => return Err(refused("await", "a start").with_step("wait for the start")),
    }
    init::keep_descriptors(joining.preserve)?;
    process::lock_down(&joining.plan, joining.filter.as_ref(), joining.personality, None)?;
    process::execute(&joining.plan, &program)
}

/// Whether the streams belong to the container's user.
fn open_terminal(joining: &Joining) -> std::result::Result<bool, Failure> {
    let size = match &joining.stdio {
        Stdio::Terminal(size) => size.or(joining.plan.size),
        Stdio::Pipes { .. } => return Ok(true),
        Stdio::Inherit | Stdio::Null => return Ok(false),
    };
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = root.call("open", "/")?;
    let (outer, inner) = init::pair(root.as_fd(), size)?;
    init::take(&joining.channel, outer, &inner)?;
    Ok(true)
}
