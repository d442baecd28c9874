//! `mica exec`.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use engine::ExecProcess;
use runtime::attach::{Console, ExecOutcome, ExecRequest, Streams, run_exec};
use runtime::keys::DetachKeys;

use super::create::variables;
use super::foreground::{check_tty, failed, keys, left};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let (name, words) = context.names().split_first().expect("its arity says so");
    let (tty, detach) = (matches.flag("tty"), matches.flag("detach"));
    let stdin = matches.flag("interactive");
    if !detach {
        check_tty(stdin, tty)?;
    }
    let keys = keys(matches.string("detach-keys"))?;
    let process = ExecProcess {
        cmd: words.to_vec(),
        user: text("user"),
        env: variables(matches.list("env-file"), matches.list("env"), context.environment())?,
        working_dir: text("workdir"),
        privileged: matches.flag("privileged"),
        tty,
    };
    let engine = context.engine()?;
    let id = engine.containers().find(name)?;
    engine.check_exec(&id)?;
    let process = serde_json::to_value(&process).map_err(|e| Failure::new(e.to_string()))?;
    let request = ExecRequest {
        id: engine.invent_exec_id()?,
        process,
        tty,
        stdin: stdin && !detach,
        attach: !detach,
    };
    let mut connection = engine.monitor(&id)?;
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let io = |error: io::Error| Failure::new(format!("error: {error}"));
    let window = output.is_terminal().then(|| output.as_fd());
    let mut console = Console::take(false, window.filter(|_| tty)).map_err(io)?;
    let is_terminal = input.is_terminal();
    if tty && stdin && is_terminal && !detach {
        console.enter_raw(input.as_fd()).map_err(io)?;
    }
    let streams = Streams {
        stdin: (stdin && !detach).then(|| input.as_fd()),
        stdout: output.as_fd(),
        stderr: errors.as_fd(),
    };
    let keys = if tty && is_terminal { keys } else { DetachKeys::none() };
    match run_exec(&mut connection, request, streams, keys, &console).map_err(io)? {
        ExecOutcome::Exited(code) => Ok(code as u8),
        ExecOutcome::Detached if detach => Ok(0),
        ExecOutcome::Detached => Err(left()),
        ExecOutcome::Interrupted(signal) => Ok(128 + signal as u8),
        ExecOutcome::Failed(said) => {
            let code = said.exec_code();
            Err(failed(said).code(code))
        }
    }
}
