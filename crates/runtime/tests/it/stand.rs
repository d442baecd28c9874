//! A real monitor over a plain starter: what is tested here needs no namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runtime::attach::{Answer, Connection, Request, StopRequest};
use runtime::logs::{LogConfig, LogReader, Selection};
use runtime::state::{self, State};
use serde_json::{Value, json};

pub(crate) use crate::plan::{Plan, terminal};

const PATIENCE: Duration = Duration::from_secs(20);

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
    pub(crate) fn make(plan: Plan) -> Stand {
        Stand::made_by(plan, Command::new)
    }

    /// One whose maker ignores the ends of children.
    pub(crate) fn make_ignoring(plan: Plan) -> Stand {
        Stand::made_by(plan, |program| {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]).arg(program);
            command
        })
    }

    fn made_by(mut plan: Plan, make: impl FnOnce(PathBuf) -> Command) -> Stand {
        let folder = tempfile::tempdir().unwrap();
        if plan.folder.as_os_str().is_empty() {
            plan.folder = folder.path().to_owned();
        }
        let (ours, theirs) = sys::socket::nonblocking_pair().unwrap();
        let mut command = make(monitor_program());
        command.arg(serde_json::to_string(&plan).unwrap());
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let monitor = command.spawn().unwrap();
        let config = plan.log_config();
        let connection = Connection::over(ours);
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
        // A monitor that lives ends everything that it has started.
        if let Ok(mut connection) = Connection::open(self.path()) {
            let _ = connection.call(&Request::Stop(StopRequest {
                signal: Some(9),
                timeout: None,
                for_good: false,
            }));
        }
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
        let _ = state::recover(self.path(), &mut |_| Ok(()));
    }
}

/// A process of a test.
pub(crate) fn process(args: &[&str]) -> Value {
    json!({ "args": args })
}

/// The program beside this one that is nothing but a monitor: a test's own process has two threads.
fn monitor_program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("examples/plain_monitor");
    assert!(program.exists(), "{} is not built", program.display());
    program
}
