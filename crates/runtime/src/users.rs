//! Users of a container mapped to those of the host.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use rustix::thread::UnshareFlags;
use spec::bundle::IdMapping;
use sys::clone::{Birth, Cloned};

use crate::channel::{Channel, Message};
use crate::error::{Result, RuntimeError};

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

/// A user namespace with these maps and nobody in it, for a mount whose users are mapped.
pub(crate) fn namespace(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let step = || RuntimeError::step("make a user namespace");
    let (ours, theirs) = Channel::pair().map_err(step())?;
    let birth = Birth { namespaces: UnshareFlags::NEWUSER, sibling: false, cgroup: None };
    match sys::clone::clone(birth).map_err(step())? {
        Cloned::Child => {
            drop(ours);
            // It only has to be there until the other end is closed.
            let _ = theirs.receive();
            sys::task::exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let mapped = map(pid, uids, gids);
            let opened = fs::File::open(format!("/proc/{pid}/ns/user"));
            let _ = ours.send(&Message::Go);
            crate::launch::wait(pidfd.as_fd())?;
            mapped?;
            Ok(opened.map_err(step())?.into())
        }
    }
}
