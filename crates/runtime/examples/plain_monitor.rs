//! A monitor over plain processes in place of containers: what the tests of this crate start. Its
//! plan is its argument, its client its standard input.

#![allow(clippy::unwrap_used)]

#[path = "../tests/it/plan.rs"]
mod plan;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runtime::attach::{ExecRequest, Exit};
use runtime::failure::{Failure, FailureKind};
use runtime::health::HealthRules;
use runtime::logs::LogFacts;
use runtime::monitor::{self, Caller, Event, HealthSetup, Setup, Started, Surroundings};
use serde_json::{Value, json};

use plan::{Plan, terminal};

fn main() {
    let plan = std::env::args().nth(1).unwrap();
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let setup = Setup {
        folder: plan.folder.clone(),
        run_folder: plan.folder.clone(),
        client: Some(Caller::new(io::stdin().as_fd().try_clone_to_owned().unwrap())),
        made_in: None,
        hold: None,
        log: plan.log_config(),
        log_facts: LogFacts {
            path: plan.folder.join("log"),
            id: "one".to_owned(),
            ..LogFacts::default()
        },
        tty: plan.tty,
        stdin_once: plan.stdin_once,
        restart: plan.restart.parse().unwrap(),
        stop_signal: 15,
        own_stop_signal: false,
        stop_timeout: Some(Duration::from_secs(plan.stop_timeout)),
        auto_remove: plan.auto_remove,
        health: plan.check.as_ref().map(|args| HealthSetup {
            process: json!({ "args": args }),
            rules: HealthRules {
                interval: Duration::from_millis(30),
                timeout: Duration::from_millis(300),
                start_period: Duration::ZERO,
                start_interval: Duration::from_millis(30),
                retries: 2,
            },
        }),
    };
    // The copy that the monitor has is the only one.
    rustix::stdio::dup2_stdin(File::open("/dev/null").unwrap()).unwrap();
    std::process::exit(monitor::run(setup, &mut Plain { plan }));
}

struct Plain {
    plan: Plan,
}

impl Plain {
    fn note(&self, line: &str) {
        let path = self.plan.folder.join("events");
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

impl Surroundings for Plain {
    fn prepare(&mut self) -> Result<Box<dyn monitor::Run>, Failure> {
        Ok(Box::new(PlainRun { plan: self.plan.clone(), group: 0, beside: false }))
    }

    fn leave(
        &mut self,
        _: Option<Box<dyn monitor::Run>>,
        exit: &Exit,
        again: bool,
    ) -> Result<(), Failure> {
        self.note(&format!("leave {} {again}", exit.code));
        Ok(())
    }

    fn happened(&mut self, event: Event<'_>) {
        match event {
            Event::Die(exit, _) => self.note(&format!("die {}", exit.code)),
            other => self.note(&format!("{other:?}").to_lowercase()),
        }
    }
}

struct PlainRun {
    plan: Plan,
    group: i32,
    beside: bool,
}

impl PlainRun {
    #[allow(clippy::zombie_processes)] // The monitor reaps it.
    fn spawn(&self, args: &[String], tty: bool, stdin: bool) -> Result<Started, Failure> {
        let mut words = args.to_vec();
        if tty {
            words.splice(0..0, ["setsid", "-c"].map(str::to_owned));
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", "/usr/bin:/bin");
        let stdio = |wanted| if wanted { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdio(stdin)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut master = None;
        if tty {
            let (ours, theirs) = terminal();
            for set in [Command::stdin, Command::stdout, Command::stderr] {
                set(&mut command, Stdio::from(theirs.try_clone().unwrap()));
            }
            master = Some(ours);
        } else {
            command.process_group(0);
        }
        // The monitor has signals blocked, which a program inherits.
        let mut child = sys::event::unblocked(|| command.spawn()).map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => FailureKind::CommandNotFound,
                io::ErrorKind::PermissionDenied => FailureKind::CommandNotExecutable,
                _ => FailureKind::Other,
            };
            Failure::of(kind, &error)
        })?;
        let pid = child.id() as i32;
        let stdio = match master {
            Some(master) => monitor::Stdio::Terminal(master),
            None => monitor::Stdio::Pipes {
                stdin: child.stdin.take().map(OwnedFd::from),
                stdout: child.stdout.take().map(OwnedFd::from),
                stderr: child.stderr.take().map(OwnedFd::from),
            },
        };
        Ok(Started { pid, process: sys::watched::open(pid).unwrap().into(), stdio })
    }
}

impl monitor::Run for PlainRun {
    fn start(&mut self) -> Result<Started, Failure> {
        if self.plan.stray {
            drop(self.spawn(&["true".to_owned()], false, false)?);
        }
        let started = self.spawn(&self.plan.args, self.plan.tty, self.plan.stdin)?;
        self.group = started.pid;
        Ok(started)
    }

    fn exec(&mut self, request: &ExecRequest) -> Result<Started, Failure> {
        let args: Vec<String> = serde_json::from_value(request.process["args"].clone()).unwrap();
        self.spawn(&args, request.tty, request.stdin)
    }

    fn freeze(&mut self, frozen: bool) -> io::Result<()> {
        signal_group(self.group, if frozen { "STOP" } else { "CONT" })
    }

    fn kill_rest(&mut self) -> io::Result<()> {
        signal_group(self.group, "KILL")
    }

    fn ran_out_of_memory(&mut self, _: i32) -> bool {
        false
    }

    fn told(&mut self, words: &Value) -> Result<Value, Failure> {
        Ok(json!({ "heard": words }))
    }

    fn extras(&mut self) -> Vec<Box<dyn monitor::Extra>> {
        match std::mem::replace(&mut self.beside, true) {
            true => Vec::new(),
            false => vec![Box::new(Beside::new(&self.plan))],
        }
    }
}

/// Answers questions beside the run, as names are answered on a container's network.
struct Beside {
    socket: UnixDatagram,
    plan: Plan,
    due: Option<Instant>,
}

impl Beside {
    fn new(plan: &Plan) -> Beside {
        let path = plan.folder.join("beside.sock");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Beside { socket, plan: plan.clone(), due: None }
    }
}

impl monitor::Extra for Beside {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.socket.as_fd()]
    }

    fn ready(&mut self, _: RawFd) {
        let mut bytes = [0; 100];
        while let Ok(count) = self.socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            Plain { plan: self.plan.clone() }.note(&format!("asked {text}"));
            self.due = Some(Instant::now() + Duration::from_millis(20));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn expired(&mut self) {
        self.due = None;
        Plain { plan: self.plan.clone() }.note("late");
    }
}

fn signal_group(group: i32, name: &str) -> io::Result<()> {
    let group = rustix::process::Pid::from_raw(group).unwrap();
    let signal = match name {
        "STOP" => rustix::process::Signal::STOP,
        "CONT" => rustix::process::Signal::CONT,
        _ => rustix::process::Signal::KILL,
    };
    match rustix::process::kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
