//! A real monitor over a plain starter: what is tested here needs no namespaces.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runtime::attach::{Answer, Connection, ExecRequest, Exit, Request};
use runtime::failure::{Failure, FailureKind};
use runtime::health::HealthRules;
use runtime::logs::{LogConfig, LogFacts, LogReader, Selection};
use runtime::monitor::{self, Event, HealthSetup, Setup, Started, Surroundings};
use runtime::state::{self, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PLAN: &str = "MICA_RUNTIME_TEST_PLAN";
const PATIENCE: Duration = Duration::from_secs(20);

/// What the monitor of a test does.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) restart: String,
    pub(crate) stop_timeout: u64,
    pub(crate) log_options: Vec<(String, String)>,
    pub(crate) log: String,
    pub(crate) check: Option<Vec<String>>,
    pub(crate) auto_remove: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            folder: PathBuf::new(),
            args: Vec::new(),
            tty: false,
            stdin: false,
            stdin_once: false,
            restart: "no".into(),
            stop_timeout: 10,
            log_options: Vec::new(),
            log: "json-file".into(),
            check: None,
            auto_remove: false,
        }
    }
}

/// A plan that runs a line of shell.
pub(crate) fn shell(line: &str) -> Plan {
    Plan { args: ["sh", "-c", line].map(str::to_owned).into(), ..Plan::default() }
}

/// A monitor that was made, and the connection that its maker has kept.
pub(crate) struct Stand {
    _folder: tempfile::TempDir,
    path: PathBuf,
    pub(crate) monitor: Child,
    pub(crate) connection: Connection,
    config: LogConfig,
}

impl Stand {
    pub(crate) fn make(mut plan: Plan) -> Stand {
        let folder = tempfile::tempdir().unwrap();
        if plan.folder.as_os_str().is_empty() {
            plan.folder = folder.path().to_owned();
        }
        let (ours, theirs) = sys::socket::pair().unwrap();
        let mut command = testkit::child("stand::monitor_process", "monitor");
        command.env(PLAN, serde_json::to_string(&plan).unwrap());
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let monitor = command.spawn().unwrap();
        let config = log_config(&plan);
        let connection = Connection::over(ours).unwrap();
        Stand { _folder: folder, path: plan.folder, monitor, connection, config }
    }

    /// Makes it and starts the container.
    pub(crate) fn start(plan: Plan) -> Stand {
        let mut stand = Stand::make(plan);
        let started = stand.connection.call(&Request::Start);
        assert!(matches!(started, Ok(Answer::Started { .. })), "{started:?}");
        stand
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A further connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    #[track_caller]
    pub(crate) fn call(&self, request: &Request) -> Answer {
        self.connect().call(request).unwrap()
    }

    pub(crate) fn state(&self) -> State {
        state::read(self.path()).unwrap()
    }

    /// Waits until the state is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&State) -> bool) -> State {
        let begin = Instant::now();
        loop {
            let state = self.state();
            if is(&state) {
                return state;
            }
            assert!(begin.elapsed() < PATIENCE, "never {what}: {state:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the monitor's own end.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        let begin = Instant::now();
        while self.monitor.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "the monitor does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path().join("log")
    }

    pub(crate) fn reader(&self, selection: Selection) -> LogReader {
        LogReader::open(&self.log_path(), self.config.readable().unwrap(), selection).unwrap()
    }

    /// All that was logged.
    pub(crate) fn logged(&self) -> String {
        let mut reader = self.reader(Selection::default());
        let mut all = Vec::new();
        while let Some(entry) = reader.next_ready().unwrap() {
            all.extend(entry.line);
        }
        String::from_utf8(all).unwrap()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("events")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
        let _ = state::recover(self.path(), &mut |_| Ok(()));
    }
}

/// A process of a test.
pub(crate) fn process(args: &[&str]) -> Value {
    json!({ "args": args })
}

fn log_config(plan: &Plan) -> LogConfig {
    LogConfig::parse(&plan.log, &plan.log_options.iter().cloned().collect()).unwrap()
}

#[test]
fn monitor_process() {
    let testkit::Child::Role(_) = testkit::Child::this() else { return };
    let plan: Plan = serde_json::from_str(&std::env::var(PLAN).unwrap()).unwrap();
    let setup = Setup {
        folder: plan.folder.clone(),
        run_folder: plan.folder.clone(),
        client: Some(io::stdin().as_fd().try_clone_to_owned().unwrap()),
        log: log_config(&plan),
        log_facts: LogFacts { path: plan.folder.join("log"), ..LogFacts::default() },
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
        Ok(Box::new(PlainRun { plan: self.plan.clone(), group: 0 }))
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
            Event::Die(exit) => self.note(&format!("die {}", exit.code)),
            other => self.note(&format!("{other:?}").to_lowercase()),
        }
    }

    fn told(&mut self, words: &Value) -> Result<Value, Failure> {
        Ok(json!({ "heard": words }))
    }
}

struct PlainRun {
    plan: Plan,
    group: i32,
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
        let mut child = command.spawn().map_err(|error| {
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
        Ok(Started { pid, process: sys::watched::open(pid).unwrap(), stdio })
    }
}

impl monitor::Run for PlainRun {
    fn start(&mut self) -> Result<Started, Failure> {
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

    fn ran_out_of_memory(&mut self) -> bool {
        false
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

/// The two sides of a new terminal.
pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (master, slave)
}
