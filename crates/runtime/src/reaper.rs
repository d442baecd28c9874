//! A first process that does nothing but what a first process must: it takes in orphans, hands
//! signals on to the program, and ends as the program ends.

use std::io;
use std::process::Command;

use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;
use sys::clone::{Birth, Cloned};

use crate::error::{Explain, Failure};
use crate::init::Prepared;
use crate::init::process::lock_down;

/// Where this program lies in a container that another runtime makes, as its first process.
pub const PLACE: &str = "/sbin/docker-init";

/// Runs the program that these words name, after a `--`, watches over it and gives its exit code.
pub fn supervise(words: &[String]) -> io::Result<i32> {
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let (name, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // Where it is not the first process of its namespace, orphans are given to it all the same.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    sys::task::block_signals()?;
    let mut command = Command::new(name);
    command.args(arguments);
    sys::process::leading_the_terminal(&mut command);
    sys::process::with_default_signals(&mut command);
    // Not by a call of ours: filters of containers know none that makes namespaces.
    let program = command.spawn()?.id();
    let _ = rustix::thread::set_name(c"mica-init");
    Ok(serve(i32::try_from(program).map_err(io::Error::other)?))
}

/// Makes the program's process; the one that was here before stays as the reaper and does not come
/// back.
pub(crate) fn divide(prepared: &Prepared) -> Result<(), Failure> {
    sys::task::block_signals().call("sigprocmask", "all")?;
    let birth = Birth { namespaces: UnshareFlags::empty(), sibling: false, cgroup: None };
    match sys::clone::clone(birth).call("clone3", "the program")? {
        Cloned::Child => {
            // Job control: the program leads a group of its own, on the terminal if there is one.
            let _ = rustix::process::setpgid(None, None);
            let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
            Ok(())
        }
        Cloned::Parent { pid, .. } => sys::task::exit_now(watch(prepared, pid)),
    }
}

/// Ends with the program's exit code.
fn watch(prepared: &Prepared, program: i32) -> i32 {
    hide_arguments();
    let _ = rustix::thread::set_name(c"mica-init");
    let plan = &prepared.plan;
    // Under the same limits as the program: it lives as long and is as exposed.
    let filter = prepared.filter.as_ref();
    if lock_down(&plan.process, filter, None, None).is_err() {
        let _ = sys::task::kill(program, libc::SIGKILL);
        return 1;
    }
    let _ = sys::task::block_signals();
    serve(program)
}

/// Hands signals on and takes in orphans until the program has ended.
fn serve(program: i32) -> i32 {
    // Nothing of what the program has must be held open here.
    let _ = sys::task::close_all(0, i32::MAX);
    let Ok(signals) = sys::task::signal_descriptor() else { return 1 };
    loop {
        match sys::task::read_signal(&signals) {
            Ok(told) if told.signal == libc::SIGCHLD => {
                if let Some(code) = reap(program) {
                    return code;
                }
            }
            // Meant for whoever writes to the terminal, not for one who never does.
            Ok(told) if matches!(told.signal, libc::SIGTTIN | libc::SIGTTOU) => {}
            Ok(told) => drop(sys::task::kill(program, told.signal)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return 1,
        }
    }
}

/// Takes in all that have ended; the program's exit code when it is among them.
fn reap(program: i32) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Pid::from_raw(program) == Some(pid) {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> i32 {
    let killed = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(killed).unwrap_or(1)
}

/// Overwrites this process's arguments and environment, which anybody in the container may read
/// and which are the command line of whoever made it. Only its own copy of the memory changes.
fn hide_arguments() {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    // The program's name is in brackets and may hold anything.
    let Some((_, fields)) = stat.rsplit_once(')') else { return };
    let fields: Vec<u64> =
        fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    // Fields 48 to 51 of proc(5); the first after the bracket is the third.
    let Some(&[start, end, env_start, env_end]) = fields.get(45..49) else { return };
    let Ok(memory) = std::fs::OpenOptions::new().write(true).open("/proc/self/mem") else { return };
    let write = |start: u64, end: u64, text: &[u8]| {
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0).min(1 << 20);
        let mut bytes = vec![0; length];
        let shown = text.len().min(length);
        bytes[..shown].copy_from_slice(&text[..shown]);
        let _ = std::os::unix::fs::FileExt::write_all_at(&memory, &bytes, start);
    };
    write(start, end, b"mica-init");
    write(env_start, env_end, b"");
}
