//! Programs that are run at points of a container's life.
//!
//! What they print is nobody's but theirs: the streams of whoever runs them are the container's, or
//! are read by programs. It is told where they fail.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use spec::bundle::{Hook, State};

use crate::error::{Result, RuntimeError};

/// So much of the end of what a hook prints is told.
const MOST_TOLD: usize = 1024;

/// Runs hooks of the host in order, in the bundle's folder, each with the state on its standard
/// input. The first that fails ends it.
pub(crate) fn run(hooks: &[Hook], state: &State) -> Result<()> {
    // Whoever deletes a container may have taken its bundle away before.
    let folder = Path::new(&state.bundle);
    run_in(hooks, state, Some(folder).filter(|folder| !hooks.is_empty() && folder.is_dir()))
}

/// Runs hooks of the container in order, where this process stands.
pub(crate) fn run_inside(hooks: &[Hook], state: &State) -> Result<()> {
    run_in(hooks, state, None)
}

/// Runs all hooks of the host, whatever becomes of those before, and gives what failed.
pub(crate) fn run_all(hooks: &[Hook], state: &State) -> Vec<RuntimeError> {
    let one = |hook: &Hook| run(std::slice::from_ref(hook), state).err();
    hooks.iter().filter_map(one).collect()
}

fn run_in(hooks: &[Hook], state: &State, folder: Option<&Path>) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state).expect("it has only string keys");
    hooks.iter().try_for_each(|hook| one(hook, &state, folder))
}

fn one(hook: &Hook, state: &[u8], folder: Option<&Path>) -> Result<()> {
    let failed = |why: String| RuntimeError::Hook { path: hook.path.clone(), why };
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command.env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sys::process::with_own_limits(&mut command);
    command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let limit = hook.timeout.map(|seconds| u64::try_from(seconds).unwrap_or(0));
    let followed = follow(&mut child, state, limit.map(Duration::from_secs));
    if !matches!(followed, Ok(Some(_))) {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match followed.map_err(|error| failed(error.to_string()))? {
        None => Err(failed(format!("it took longer than {} s", limit.unwrap_or(0)))),
        Some(_) if status.success() => Ok(()),
        Some(said) => Err(failed(words(status, &said))),
    }
}

/// How a hook has ended and what it said, as other runtimes tell it.
fn words(status: ExitStatus, said: &[Vec<u8>; 2]) -> String {
    let how = match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    };
    let [stdout, stderr] = said.each_ref().map(|bytes| String::from_utf8_lossy(bytes));
    format!("{how}, stdout: {}, stderr: {}", stdout.trim_end(), stderr.trim_end())
}

/// Gives a hook its state and takes what it says, until it has ended; nothing if it takes too long.
/// What it leaves behind may hold the pipes open and is not waited for.
fn follow(
    child: &mut Child,
    state: &[u8],
    limit: Option<Duration>,
) -> io::Result<Option<[Vec<u8>; 2]>> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let end = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let stdin = child.stdin.take().map(OwnedFd::from);
    let stdout = child.stdout.take().map(OwnedFd::from);
    let mut streams = [stdout, child.stderr.take().map(OwnedFd::from)];
    for pipe in stdin.iter().chain(streams.iter().flatten()) {
        rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
    }
    let mut input = stdin.map(|pipe| (pipe, state));
    let mut said = [Vec::new(), Vec::new()];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        let left = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut polled = vec![PollFd::new(&end, PollFlags::IN)];
        polled.extend(input.iter().map(|(pipe, _)| PollFd::new(pipe, PollFlags::OUT)));
        polled.extend(streams.iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut polled, left.as_ref()) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let has_ended = !polled[0].revents().is_empty();
        feed(&mut input);
        for (pipe, said) in streams.iter_mut().zip(&mut said) {
            drain(pipe, said);
        }
        if has_ended {
            return Ok(Some(said));
        }
    }
}

/// Writes as much as fits. A hook that does not read its state is no failure.
fn feed(input: &mut Option<(OwnedFd, &[u8])>) {
    while let Some((pipe, rest)) = input {
        match rustix::io::write(pipe, rest) {
            Ok(written) if written < rest.len() => *rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return,
            _ => *input = None,
        }
    }
}

/// Takes what is there, though no more at once than a pipe holds.
fn drain(pipe: &mut Option<OwnedFd>, said: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    for _ in 0..32 {
        let Some(open) = pipe else { return };
        match rustix::io::read(open, &mut buffer) {
            Ok(bytes @ 1..) => {
                said.extend(&buffer[..bytes]);
                said.drain(..said.len().saturating_sub(MOST_TOLD));
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return,
            _ => *pipe = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use spec::bundle::Status;

    use super::*;

    #[track_caller]
    fn check(script: &str, timeout: Option<i64>, error: Option<&str>) {
        let hook = Hook {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "-c".into(), script.into()],
            env: vec!["A=1".into()],
            timeout,
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("here"), "").unwrap();
        let state = State {
            oci_version: "1.2.0".into(),
            id: "x".into(),
            status: Status::Created,
            pid: 1,
            bundle: folder.path().display().to_string(),
            annotations: Default::default(),
        };
        let said = run(&[hook], &state).err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), error);
    }

    #[test]
    fn hooks_get_their_state_and_environment_alone() {
        check("grep -q '\"id\":\"x\"' && test $A = 1 && test -z \"$HOME\"", None, None);
        check("test -e here", None, None);
        check("exit 0", Some(i64::MAX), None);
        let words = "hook /bin/sh failed: exit status 3, stdout: , stderr: ";
        check("exit 3", None, Some(words));
        check("exec sleep 9", Some(0), Some("hook /bin/sh failed: it took longer than 0 s"));
    }

    #[test]
    fn what_a_hook_says_is_told_when_it_fails() {
        let words = "hook /bin/sh failed: exit status 3, stdout: out, stderr: err";
        check("echo out; echo err >&2; exit 3", None, Some(words));
        let end =
            format!("hook /bin/sh failed: exit status 1, stdout: , stderr: {}", "x".repeat(1023));
        check("head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; exit 1", None, Some(&end));
        let words = "hook /bin/sh failed: signal: 9 (SIGKILL), stdout: , stderr: ";
        check("kill -9 $$", None, Some(words));
        check("exec cat /dev/zero", Some(1), Some("hook /bin/sh failed: it took longer than 1 s"));
    }

    #[test]
    fn what_a_hook_leaves_behind_is_not_waited_for() {
        let start = Instant::now();
        check("sleep 20 & exit 0", Some(10), None);
        assert!(start.elapsed() < Duration::from_secs(9));
    }
}
