//! Users of a container mapped to those of the host.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use spec::bundle::IdMapping;
use sys::clone::{Birth, Cloned};

use crate::channel::{Channel, Message};
use crate::error::{Explain, Failure, Result, RuntimeError};

/// Maps users and groups of a new user namespace's process. Root writes the maps itself; anybody
/// else may map himself alone, and for more needs the system's programs.
pub(crate) fn map(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let step = RuntimeError::step;
    let (me, my_group) = (sys::host::user_id(), rustix::process::getegid().as_raw());
    if me == 0 {
        write(pid, "uid_map", &text(uids)).map_err(step("map users"))?;
        return write(pid, "gid_map", &text(gids)).map_err(step("map groups"));
    }
    match uids {
        [IdMapping { host_id, size: 1, .. }] if *host_id == me => {
            write(pid, "uid_map", &text(uids)).map_err(step("map users"))?;
        }
        _ => helper("newuidmap", pid, uids)?,
    }
    match gids {
        [IdMapping { host_id, size: 1, .. }] if *host_id == my_group => {
            // Whoever could drop groups could reach what was forbidden to them.
            write(pid, "setgroups", "deny").map_err(step("keep groups"))?;
            write(pid, "gid_map", &text(gids)).map_err(step("map groups"))
        }
        _ => helper("newgidmap", pid, gids),
    }
}

fn text(map: &[IdMapping]) -> String {
    map.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}

fn write(pid: i32, file: &str, text: &str) -> io::Result<()> {
    // The kernel wants the whole map in one write.
    fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{pid}/{file}"))
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
}

fn helper(program: &'static str, pid: i32, map: &[IdMapping]) -> Result<()> {
    let numbers = map.iter().flat_map(|m| [m.container_id, m.host_id, m.size]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RuntimeError::NoHelper { program });
        }
        other => other.map_err(RuntimeError::step(format!("run {program}")))?,
    };
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty());
            let line = line.map(|line| line.strip_prefix(program).unwrap_or(line));
            let why = line.map_or("it does not say why", |line| line.trim_start_matches(": "));
            Err(RuntimeError::Helper { program, why: why.trim().to_owned() })
        }
    }
}

/// A user namespace with these maps and nobody in it. The calling process must have one thread.
pub fn namespace(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let look = |pid| {
        map(pid, uids, gids)?;
        opened(pid, "user")
    };
    born(UnshareFlags::NEWUSER, || Ok(()), look)
}

/// A network namespace that belongs to the users of a namespace and has nothing in it. The calling
/// process must have one thread.
pub fn network_of(users: BorrowedFd<'_>) -> Result<OwnedFd> {
    let enter = || {
        let kind = Some(LinkNameSpaceType::User);
        rustix::thread::move_into_link_name_space(users, kind).call("setns", "User")?;
        sys::netns::leave_for_a_new_one().call("unshare", "NEWNET")
    };
    born(UnshareFlags::empty(), enter, |pid| opened(pid, "net"))
}

fn opened(pid: i32, kind: &str) -> Result<OwnedFd> {
    let file = fs::File::open(format!("/proc/{pid}/ns/{kind}"));
    Ok(file.map_err(RuntimeError::step("open a new namespace"))?.into())
}

/// Has a process that enters namespaces and does nothing more, and looks at it.
fn born<T>(
    namespaces: UnshareFlags,
    enter: impl FnOnce() -> std::result::Result<(), Failure>,
    look: impl FnOnce(i32) -> Result<T>,
) -> Result<T> {
    let step = || RuntimeError::step("make a namespace");
    let (ours, theirs) = Channel::pair().map_err(step())?;
    let birth = Birth { namespaces, sibling: false, cgroup: None };
    match sys::clone::clone(birth).map_err(step())? {
        Cloned::Child => {
            drop(ours);
            let _ = theirs.send(&match enter() {
                Ok(()) => Message::Ready,
                Err(failure) => Message::Failed(failure.with_step("make a namespace")),
            });
            // It only has to be there until the other end is closed.
            let _ = theirs.receive();
            sys::task::exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let seen = match ours.receive() {
                Ok(Message::Ready) => look(pid),
                Ok(Message::Failed(failure)) => Err(RuntimeError::Init(failure)),
                Ok(_) => Err(RuntimeError::InitGone),
                Err(error) => Err(step()(error)),
            };
            let _ = ours.send(&Message::Go);
            crate::launch::wait(pidfd.as_fd())?;
            seen
        }
    }
}
