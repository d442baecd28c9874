//! Programs that are run at points of a container's life.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use spec::bundle::{Hook, State};

use crate::error::{Result, RuntimeError};

/// Runs hooks in order, each with the state on its standard input. The first that fails ends it.
pub(crate) fn run(hooks: &[Hook], state: &State) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state).expect("it has only string keys");
    hooks.iter().try_for_each(|hook| one(hook, &state))
}

/// Runs all hooks, whatever becomes of those before, and gives what failed.
pub(crate) fn run_all(hooks: &[Hook], state: &State) -> Vec<RuntimeError> {
    let one = |hook: &Hook| run(std::slice::from_ref(hook), state).err();
    hooks.iter().filter_map(one).collect()
}

fn one(hook: &Hook, state: &[u8]) -> Result<()> {
    let failed = |why: String| RuntimeError::Hook { path: hook.path.clone(), why };
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear().stdin(Stdio::piped());
    sys::process::with_own_limits(&mut command);
    command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read its state is no failure.
        let _ = stdin.write_all(state);
    }
    let status = match hook.timeout {
        None => child.wait().map_err(|error| failed(error.to_string()))?,
        Some(seconds) => {
            let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            wait_at_most(&mut child, limit).map_err(failed)?
        }
    };
    match status.success() {
        true => Ok(()),
        false => Err(failed(status.to_string())),
    }
}

fn wait_at_most(
    child: &mut Child,
    limit: Duration,
) -> std::result::Result<std::process::ExitStatus, String> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {} s", limit.as_secs()));
            }
            Ok(None) => sleep(Duration::from_millis(2)),
            Err(error) => return Err(error.to_string()),
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
        let state = State {
            oci_version: "1.2.0".into(),
            id: "x".into(),
            status: Status::Created,
            pid: 1,
            bundle: "/b".into(),
            annotations: Default::default(),
        };
        let said = run(&[hook], &state).err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), error);
    }

    #[test]
    fn hooks_get_their_state_and_environment_alone() {
        check("grep -q '\"id\":\"x\"' && test $A = 1 && test -z \"$HOME\"", None, None);
        check("exit 3", None, Some("hook /bin/sh failed: exit status: 3"));
        check("exec sleep 9", Some(0), Some("hook /bin/sh failed: it took longer than 0 s"));
    }
}
