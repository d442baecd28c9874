//! Containers run by another OCI runtime: a bundle given to a program that has the command line
//! which [`crate::oci`] has.
//!
//! The program makes the container and ends. Whoever called it has become the one to whom orphans
//! are given, so the first process is its child from then on and is waited for like one of our own.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio as Stream};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::bundle::{Process, Resources, Spec, State};

use crate::error::{Result, RuntimeError};
use crate::init::is_terminal;
use crate::stdio::Stdio;

/// Where programs look for others: a monitor has no environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A runtime's program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// Arguments before the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// A container that another runtime runs.
#[derive(Clone, Debug)]
pub struct External {
    program: Program,
    id: String,
    folder: PathBuf,
}

/// A process that it was asked to make, which is a child of this process.
#[derive(Debug)]
pub struct Begun {
    /// Its number.
    pub pid: i32,
    /// The same, safe from numbers that are given again.
    pub pidfd: OwnedFd,
    /// The outer end of its terminal.
    pub terminal: Option<OwnedFd>,
}

impl External {
    /// The container `id` whose bundle is this folder, which is also where the runtime keeps what
    /// it knows. Nobody else may write there.
    pub fn new(program: Program, id: &str, folder: &Path) -> External {
        External { program, id: id.to_owned(), folder: folder.to_owned() }
    }

    /// Writes the bundle's configuration.
    pub fn write(&self, spec: &Spec) -> Result<()> {
        let text = serde_json::to_vec_pretty(spec).expect("it has only string keys");
        write(&self.folder.join("config.json"), &text)
    }

    /// Makes the container, whose program waits for [`External::start`].
    pub fn create(&self, stdio: Stdio) -> Result<Begun> {
        let bundle = self.folder.display().to_string();
        let begun = self.begin("create", &["--bundle", &bundle], stdio);
        begun.inspect_err(|_| drop(self.delete()))
    }

    /// Starts its program.
    pub fn start(&self) -> Result<()> {
        self.call("start", &[])
    }

    /// Starts one more process in it.
    pub fn exec(&self, process: &Process, stdio: Stdio) -> Result<Begun> {
        let text = serde_json::to_vec(process).expect("it has only string keys");
        let file = self.folder.join("process.json");
        write(&file, &text)?;
        let file = file.display().to_string();
        self.begin("exec", &["--detach", "--process", &file], stdio)
    }

    /// How the runtime says that it is.
    pub fn state(&self) -> Result<State> {
        let mut command = self.command("state", &[]);
        command.stdout(Stream::piped()).stderr(Stream::piped());
        let output = command.output().map_err(|error| self.failed("state", error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(self.failed("state", self.why(output.status, &said)));
        }
        let wrong = |error: serde_json::Error| self.failed("state", error.to_string());
        serde_json::from_slice(&output.stdout).map_err(wrong)
    }

    /// Sends a signal to its first process.
    pub fn kill(&self, signal: i32) -> Result<()> {
        self.call("kill", &[&signal.to_string()])
    }

    /// Stops all its processes, or lets them go on.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.call(if frozen { "pause" } else { "resume" }, &[])
    }

    /// Changes its limits.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        let text = serde_json::to_vec(resources).expect("it has only string keys");
        let file = self.folder.join("resources.json");
        write(&file, &text)?;
        let mut command = self.bare("update");
        command.arg("--resources").arg(file).arg(&self.id);
        self.finish("update", command)
    }

    /// Ends it if it lives, and lets the runtime forget it. One that is not known is no error.
    pub fn delete(&self) -> Result<()> {
        let mut command = self.bare("delete");
        command.arg("--force").arg(&self.id);
        match self.finish("delete", command) {
            // Not all agree that there is nothing to do then; nor can one that was removed meanwhile
            // be asked.
            Err(_) if self.state().is_err() => Ok(()),
            other => other,
        }
    }

    /// Lets the runtime make a process with these streams.
    fn begin(&self, verb: &'static str, flags: &[&str], stdio: Stdio) -> Result<Begun> {
        let me = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(me))
            .map_err(|error| RuntimeError::step("take in orphans")(error.into()))?;
        let pid_file = self.folder.join("pid");
        let mut command = self.bare(verb);
        command.args(flags).arg("--pid-file").arg(&pid_file);
        let console = match &stdio {
            Stdio::Terminal(_) => Some(Console::listen(&self.folder)?),
            _ => None,
        };
        if let Some(console) = &console {
            command.arg("--console-socket").arg(console.path());
        }
        let size = if let Stdio::Terminal(size) = &stdio { *size } else { None };
        connect(&mut command, stdio);
        command.arg(&self.id);
        self.finish(verb, command)?;
        let read = |source: io::Error| RuntimeError::Read { path: pid_file.clone(), source };
        let text = fs::read_to_string(&pid_file).map_err(read)?;
        let pid =
            text.trim().parse().map_err(|_| self.failed(verb, format!("no pid: {text:?}")))?;
        let pidfd = sys::watched::open(pid).map_err(RuntimeError::step("open the process"))?;
        let terminal = match console {
            Some(console) => Some(console.terminal(size)?),
            None => None,
        };
        Ok(Begun { pid, pidfd, terminal })
    }

    /// A command that takes the container's name, then `rest`.
    fn command(&self, verb: &str, rest: &[&str]) -> Command {
        let mut command = self.bare(verb);
        command.arg(&self.id).args(rest);
        command
    }

    fn bare(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program.path);
        command.env_clear().env("PATH", PATH).current_dir(&self.folder);
        command.arg("--root").arg(self.folder.join("state"));
        command.arg("--log").arg(self.log()).args(["--log-format", "json"]);
        command.args(&self.program.args).arg(verb);
        for_nobody(&mut command);
        sys::process::with_default_signals(&mut command);
        sys::process::with_own_limits(&mut command);
        command
    }

    fn call(&self, verb: &'static str, rest: &[&str]) -> Result<()> {
        self.finish(verb, self.command(verb, rest))
    }

    fn finish(&self, verb: &'static str, mut command: Command) -> Result<()> {
        let _ = fs::remove_file(self.log());
        let status = command.status().map_err(|error| self.failed(verb, error.to_string()))?;
        match status.success() {
            true => Ok(()),
            false => Err(self.failed(verb, self.why(status, ""))),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log.json")
    }

    /// What the runtime has written last of what went wrong.
    fn why(&self, status: ExitStatus, said: &str) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        last_error(&text)
            .or_else(|| said.lines().next_back().map(str::to_owned))
            .unwrap_or_else(|| status.to_string())
    }

    fn failed(&self, verb: &'static str, why: String) -> RuntimeError {
        RuntimeError::External { program: self.program.path.clone(), verb, why }
    }
}

/// The last error in a log of lines of JSON.
fn last_error(text: &str) -> Option<String> {
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut errors = lines.filter(|line| matches!(line["level"].as_str(), Some("error" | "fatal")));
    errors.next()?["msg"].as_str().map(str::to_owned)
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).map_err(|source| RuntimeError::Write { path: path.to_owned(), source })
}

fn for_nobody(command: &mut Command) {
    command.stdin(Stream::null()).stdout(Stream::null()).stderr(Stream::null());
}

/// The streams of a process are those of the runtime that makes it.
fn connect(command: &mut Command, stdio: Stdio) {
    match stdio {
        Stdio::Null | Stdio::Terminal(_) => for_nobody(command),
        Stdio::Inherit => {
            command.stdin(Stream::inherit()).stdout(Stream::inherit()).stderr(Stream::inherit());
        }
        Stdio::Pipes { stdin, stdout, stderr } => {
            if let Some(stdin) = stdin {
                command.stdin(stdin);
            }
            command.stdout(stdout).stderr(stderr);
        }
    }
}

/// Where a runtime sends the outer end of a terminal to.
struct Console {
    folder: OwnedFd,
    path: PathBuf,
    listener: OwnedFd,
}

impl Console {
    const NAME: &str = "console";

    fn listen(folder: &Path) -> Result<Console> {
        let step = || RuntimeError::step("listen for the terminal");
        let path = folder.join(Console::NAME);
        let _ = fs::remove_file(&path);
        let open = sys::fs::open_folder(folder).map_err(step())?;
        let listener = sys::socket::listen(&open, Console::NAME.as_ref()).map_err(step())?;
        Ok(Console { folder: open, path, listener })
    }

    /// By way of our open folder: the address of a socket is short.
    fn path(&self) -> String {
        let (pid, number) = (std::process::id(), self.folder.as_raw_fd());
        format!("/proc/{pid}/fd/{number}/{}", Console::NAME)
    }

    /// The terminal, which was sent before the runtime ended.
    fn terminal(self, size: Option<crate::stdio::WindowSize>) -> Result<OwnedFd> {
        let step = || RuntimeError::step("take the terminal");
        let none = || io::Error::other("the runtime has sent none");
        let stream = sys::socket::accept(&self.listener).map_err(step())?;
        let stream = stream.ok_or_else(none).map_err(step())?;
        let (mut bytes, mut files) = ([0; 4096], Vec::new());
        sys::socket::receive(&stream, &mut bytes, &mut files).map_err(step())?;
        let terminal =
            files.pop().filter(|file| is_terminal(file)).ok_or_else(none).map_err(step())?;
        if let Some(size) = size {
            let size = sys::terminal::Size { rows: size.height, columns: size.width };
            sys::terminal::set_size(&terminal, size).map_err(step())?;
        }
        Ok(terminal)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A runtime that writes down what it is told, with this script after that.
    fn runtime(folder: &Path, script: &str) -> External {
        let path = folder.join("runtime");
        let text = format!("#!/bin/sh\necho \"$@\" >> {}/told\n{script}", folder.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        External::new(Program { path, args: vec!["--quick".into()] }, "one", folder)
    }

    #[test]
    fn a_runtime_is_told_what_to_do_and_its_words_come_back() {
        let place = tempfile::tempdir().unwrap();
        let outside = runtime(place.path(), "exit 0");
        outside.start().unwrap();
        outside.kill(9).unwrap();
        outside.freeze(true).unwrap();
        outside.delete().unwrap();
        let told = fs::read_to_string(place.path().join("told")).unwrap();
        let common = format!(
            "--root {0}/state --log {0}/log.json --log-format json --quick",
            place.path().display()
        );
        let lines = ["start one", "kill one 9", "pause one", "delete --force one"];
        let lines: Vec<_> = lines.iter().map(|line| format!("{common} {line}")).collect();
        assert_eq!(told.lines().collect::<Vec<_>>(), lines);
        let log = r#"echo '{"level":"error","msg":"no such thing"}' > "$4"; exit 1"#;
        let error = runtime(place.path(), log).start().unwrap_err();
        assert_eq!(error.to_string(), "OCI runtime start failed: no such thing");
        assert!(runtime(place.path(), "exit 1").delete().is_ok(), "it is not known");
        let knows = "case \"$*\" in *\" state one\") echo '{\"ociVersion\":\"1.0.2\",\"id\":\"one\",\"status\":\"running\",\"bundle\":\"/\"}' ;; *) exit 1 ;; esac";
        assert!(runtime(place.path(), knows).delete().is_err(), "it is known still");
        let error = runtime(place.path(), "exit 3").start().unwrap_err();
        assert_eq!(error.to_string(), "OCI runtime start failed: exit status: 3");
        let error = runtime(place.path(), "echo bad >&2; exit 3").state().unwrap_err();
        assert_eq!(error.to_string(), "OCI runtime state failed: bad");
    }

    #[test]
    fn the_last_error_counts() {
        let log = "{\"level\":\"error\",\"msg\":\"one\"}\nx\n{\"level\":\"error\",\"msg\":\"two\"}\n\
                   {\"level\":\"warning\",\"msg\":\"three\"}\n";
        assert_eq!(last_error(log).as_deref(), Some("two"));
        assert_eq!(last_error(""), None);
    }
}
