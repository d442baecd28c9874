//! One more process in a container.

use std::os::fd::AsFd;
use std::path::PathBuf;

use spec::bundle::{Capabilities, Process, Spec, Status};

use super::config::check_environment;
use super::make::{NOBODY_TAKES_TERMINAL, write_pid};
use super::{Containers, console, foreground, wrong_state};
use crate::error::{Result, RuntimeError};
use crate::exec::{Target, exec};
use crate::launch::Exit;
use crate::plan::Warning;
use crate::seccomp::Filter;
use crate::stdio::Stdio;

/// What `exec` is given.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The process.
    pub process: Process,
    /// The socket that the terminal's outer end is sent to.
    pub console_socket: Option<PathBuf>,
    /// The socket that a descriptor of the process is sent to.
    pub pidfd_socket: Option<PathBuf>,
    /// Groups below the container's own, made by somebody else, that it is in: one, or
    /// `CONTROLLER:PATH` for each of several.
    pub groups: Vec<String>,
    /// The file that the process's number is written to.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors after the third the program inherits.
    pub preserve: u32,
    /// Whether it is not waited for.
    pub detach: bool,
    /// Whether it is made in a paused container too, where it waits with all others.
    pub ignore_paused: bool,
}

impl Containers {
    /// Runs one more process.
    pub fn exec(&self, id: &str, options: &ExecOptions) -> Result<(Exit, Vec<Warning>)> {
        let record = self.record(id)?;
        let status = record.status();
        let allowed = match status {
            Status::Created | Status::Running => true,
            Status::Paused => options.ignore_paused,
            Status::Creating | Status::Stopped => false,
        };
        let Some(pidfd) = record.pidfd().filter(|_| allowed) else {
            return Err(wrong_state("exec", id, status));
        };
        let mut process = options.process.clone();
        check_environment(&process.env)?;
        complete(&mut process, &record.spec);
        let filter = Filter::of_spec(&record.spec)?;
        let cgroup = match options.groups.as_slice() {
            [] => record.own_cgroup()?.filter(|cgroup| cgroup.exists()),
            below => Some(record.cgroup()?.existing_below(below)?),
        };
        let kinds = record.namespaces();
        let linux = record.spec.linux.as_ref();
        let personality = linux.map(crate::plan::personality).transpose()?.flatten();
        let cgroup = cgroup.as_ref();
        let target = Target { id, pidfd, namespaces: &kinds, cgroup, personality };
        if process.terminal && options.detach && options.console_socket.is_none() {
            return Err(RuntimeError::invalid(NOBODY_TAKES_TERMINAL));
        }
        let stdio = match process.terminal {
            true => Stdio::Terminal(process.console_size.or_else(foreground::size)),
            false => Stdio::Inherit,
        };
        let mut done = exec(target, &process, filter, stdio, options.preserve)?;
        if let Some(socket) = &options.console_socket {
            console::send(socket, done.terminal.take())?;
        }
        if let Some(socket) = &options.pidfd_socket {
            console::send_process(socket, done.pidfd.as_fd())?;
        }
        write_pid(options.pid_file.as_deref(), done.pid)?;
        let warnings = std::mem::take(&mut done.warnings);
        if options.detach {
            return Ok((Exit::Code(0), warnings));
        }
        Ok((foreground::watch(done.pidfd.as_fd(), done.terminal.take())?, warnings))
    }
}

/// What an exec'd process has of the container's own where it says nothing. All else is as it says:
/// whoever describes a process describes all of it.
fn complete(process: &mut Process, spec: &Spec) {
    let Some(first) = &spec.process else { return };
    if process.capabilities.is_none() {
        process.capabilities.clone_from(&first.capabilities);
    }
    if process.apparmor_profile.is_empty() {
        process.apparmor_profile.clone_from(&first.apparmor_profile);
    }
    if process.selinux_label.is_empty() {
        process.selinux_label.clone_from(&first.selinux_label);
    }
    if process.exec_cpu_affinity.is_none() {
        process.exec_cpu_affinity.clone_from(&first.exec_cpu_affinity);
    }
    process.user.umask = process.user.umask.or(first.user.umask);
    process.oom_score_adj = process.oom_score_adj.or(first.oom_score_adj);
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
