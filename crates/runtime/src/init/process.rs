//! What a process sets of itself, and the program that it becomes. For a container's first process
//! and for those that come later.

use std::convert::Infallible;
use std::ffi::{CStr, CString};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode};
use rustix::process::Rlimit;
use spec::bundle::State;

use super::terminal::Terminal;
use super::{Prepared, Result, home, identity};
use crate::error::{During, ENTER_FOLDER, Explain, FIND_PROGRAM, RUN_PROGRAM, refused};
use crate::plan::ProcessPlan;
use crate::seccomp::Filter;

use super::root::Host;

/// Sets what is written into the host's `/proc`, while it can still be reached.
pub(super) fn set_on_host(process: &ProcessPlan, host: &Host) -> Result<()> {
    write_files(process, |path, text| host.write(path, text))
}

/// Whether anything is written there for it.
pub(super) fn is_set_on_host(process: &ProcessPlan) -> bool {
    process.oom_score.is_some() || !process.labels.is_empty()
}

/// Sets what is written into files about a process.
pub(crate) fn write_files(
    process: &ProcessPlan,
    write: impl Fn(&str, &str) -> Result<()>,
) -> Result<()> {
    if let Some(score) = process.oom_score {
        write("self/oom_score_adj", &score.to_string()).during("set the OOM score")?;
    }
    for (file, label) in &process.labels {
        let written = match write(&format!("self/attr/{file}"), label) {
            // Before AppArmor had a folder of its own.
            Err(failure) if failure.errno == libc::ENOENT && *file == "apparmor/exec" => {
                write("self/attr/exec", label)
            }
            other => other,
        };
        written.during("set the security label")?;
    }
    Ok(())
}

/// Sets everything that needs root's powers and then gives them up.
pub(super) fn prepare(process: &ProcessPlan, terminal: &Terminal) -> Result<()> {
    set_limits(process)?;
    if let Terminal::Own = terminal {
        own_streams(process);
    }
    // The root is where we stand already, and there is no way to stand outside of it.
    let moves = process.folder != "/";
    if moves {
        enter_folder(process)?;
    }
    identity::assume(process).during("become the program's user")?;
    if moves { check_folder(process) } else { Ok(()) }
}

/// The same for a process that joins a container.
pub(crate) fn prepare_joined(process: &ProcessPlan, own: bool) -> Result<()> {
    prepare(process, if own { &Terminal::Own } else { &Terminal::Given })
}

fn set_limits(process: &ProcessPlan) -> Result<()> {
    // The container's own are counted from what the monitor was started with.
    sys::process::lower_open_files().call("setrlimit", "Nofile").during("set limits")?;
    for (resource, soft, hard) in &process.limits {
        let limit = Rlimit { current: *soft, maximum: *hard };
        let set = rustix::process::setrlimit(*resource, limit);
        set.call("setrlimit", format_args!("{resource:?}, {soft:?}, {hard:?}"))
            .during("set limits")?;
    }
    if let Some((class, priority)) = process.io_priority {
        sys::task::set_io_priority(class, priority)
            .call("ioprio_set", format_args!("{class}, {priority}"))
            .during("set the share of the disks")?;
    }
    if let Some(scheduling) = process.scheduling {
        sys::task::set_scheduling(scheduling)
            .call("sched_setattr", format_args!("{scheduling:?}"))
            .during("set the scheduler")?;
    }
    choose_processors(&process.affinity.last)
}

/// Keeps this process on some processors; on any where none are named.
pub(crate) fn choose_processors(processors: &[usize]) -> Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    processors.iter().for_each(|number| set.set(*number));
    rustix::thread::sched_setaffinity(None, &set)
        .call("sched_setaffinity", format_args!("{processors:?}"))
        .during("choose processors")
}

/// The program's user must be able to open its streams again by their paths. What cannot be given
/// away is left.
fn own_streams(process: &ProcessPlan) {
    if process.user == 0 {
        return;
    }
    let user = rustix::fs::Uid::from_raw(process.user);
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        let null = rustix::fs::makedev(1, 3);
        let is_null = rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_rdev == null);
        if !is_null {
            let _ = rustix::fs::fchown(stream, Some(user), None);
        }
    }
}

/// Root may reach folders that the program's user may not, and the other way round (on a network
/// file system): the second attempt follows as the user.
fn enter_folder(process: &ProcessPlan) -> Result<()> {
    match rustix::process::chdir(process.folder.as_str()) {
        Err(rustix::io::Errno::ACCESS) => Ok(()),
        other => other.call("chdir", &process.folder).during(ENTER_FOLDER),
    }
}

/// The folder must be one of the container's: a path through a descriptor that was left open would
/// be the host's.
fn check_folder(process: &ProcessPlan) -> Result<()> {
    let step = ENTER_FOLDER;
    rustix::process::chdir(process.folder.as_str()).call("chdir", &process.folder).during(step)?;
    let reached = rustix::process::getcwd(Vec::new()).call("getcwd", "").during(step)?;
    match reached.to_bytes().first() {
        Some(b'/') => Ok(()),
        _ => Err(refused("check", "the working folder is outside the root").with_step(step)),
    }
}

/// The program as its user finds it.
pub(crate) struct Program {
    path: CString,
    /// The variable that nobody has set.
    home: Option<CString>,
}

/// Looks for the program as its user.
pub(crate) fn find_program(process: &ProcessPlan) -> Result<Program> {
    let name = &process.arguments[0];
    let path = find(name, &process.search).during(FIND_PROGRAM)?;
    Ok(Program { path, home: process.needs_home.then(|| home::variable(process.user)) })
}

fn find(name: &CStr, search: &str) -> Result<CString> {
    let shown = name.to_string_lossy();
    if name.is_empty() {
        return Err(rustix::io::Errno::NOENT).call("access", format_args!("{shown} in $PATH"));
    }
    if name.to_bytes().contains(&b'/') {
        runnable(name).call("access", &shown)?;
        return Ok(name.to_owned());
    }
    let mut denied = None;
    for folder in search.split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let path = [folder.as_bytes(), b"/", name.to_bytes()].concat();
        let Ok(path) = CString::new(path) else { continue };
        match runnable(&path) {
            Ok(()) => return Ok(path),
            Err(rustix::io::Errno::ACCESS) => denied = Some(path),
            Err(_) => {}
        }
    }
    match denied {
        Some(path) => Err(rustix::io::Errno::ACCESS).call("access", path.to_string_lossy()),
        None => Err(rustix::io::Errno::NOENT).call("access", format_args!("{shown} in $PATH")),
    }
}

fn runnable(path: &CStr) -> rustix::io::Result<()> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(rustix::io::Errno::ACCESS);
    }
    // Whoever asks may run it. What else forbids that is told when it is to run.
    if stat.st_mode & 0o111 == 0o111 {
        return Ok(());
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

/// The last steps of a container's first process.
pub(super) fn become_program(
    process: &ProcessPlan,
    program: &Program,
    prepared: &Prepared,
) -> Result<Infallible> {
    lock_down(process, prepared.filter.as_ref(), prepared.plan.personality, Some(&prepared.state))?;
    execute(process, program)
}

/// Gives up the rest: privileges by execution, system calls, the last capabilities.
pub(crate) fn lock_down(
    process: &ProcessPlan,
    filter: Option<&Filter>,
    personality: Option<u64>,
    state: Option<&State>,
) -> Result<()> {
    rustix::process::umask(Mode::from_raw_mode(process.umask));
    if let Some(domain) = personality {
        let set = sys::task::set_personality(domain).call("personality", domain);
        set.during("set the execution domain")?;
    }
    sys::task::reset_signals(process.ignored_signals)
        .call("sigaction", "")
        .during("reset signals")?;
    if process.no_new_privileges {
        let set = rustix::thread::set_no_new_privs(true);
        set.call("prctl", "PR_SET_NO_NEW_PRIVS").during("forbid new privileges")?;
    }
    if let Some(filter) = filter {
        filter.load(state).during("filter system calls")?;
    }
    identity::finish(process).during("give up capabilities")
}

/// Becomes the program.
pub(crate) fn execute(process: &ProcessPlan, program: &Program) -> Result<Infallible> {
    let environment = match &program.home {
        Some(home) => &[process.environment.as_slice(), std::slice::from_ref(home)].concat(),
        None => &process.environment,
    };
    let error = sys::task::execute(&program.path, &process.arguments, environment);
    Err(error).call("execve", program.path.to_string_lossy()).during(RUN_PROGRAM)
}
