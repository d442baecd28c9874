//! What can fail, and what comes back from inside a container.

use std::fmt;
use std::io;
use std::path::PathBuf;

use spec::bundle::Status;

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// Why a container could not be made, started or looked at.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The bundle asks for something that cannot be.
    #[error("invalid configuration: {what}")]
    InvalidSpec {
        /// What it is.
        what: String,
    },
    /// A document could not be read as what it should be.
    #[error("cannot read {path}")]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document could not be written.
    #[error("cannot write {path}")]
    Write {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A call of this process failed on the way.
    #[error("cannot {step}")]
    Step {
        /// What was to be done.
        step: String,
        /// Why.
        source: io::Error,
    },
    /// The container's first process could not become what it should.
    #[error("{0}")]
    Init(Failure),
    /// It ended without a word: somebody killed it.
    #[error("the container's first process ended while it was being made")]
    InitGone,
    /// The kernel ended the container's first process before it was ready.
    #[error("container init was OOM-killed (memory limit too low?)")]
    OutOfMemory,
    /// A hook failed.
    #[error("hook {path} failed: {why}")]
    Hook {
        /// Its program.
        path: String,
        /// Its status, or why it has none.
        why: String,
    },
    /// A cgroup could not be made or changed.
    #[error("cgroup: cannot {step}")]
    Cgroup {
        /// What was to be done.
        step: String,
        /// Why.
        source: io::Error,
    },
    /// The machine has no controller for a limit.
    #[error("cgroup: this machine has no {controller} controller, which {limit} needs")]
    NoController {
        /// The controller.
        controller: String,
        /// The limit.
        limit: String,
    },
    /// Systemd is to make a group, and nobody is there.
    #[error("systemd does not listen on {socket}")]
    NoSystemd {
        /// Where it would.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No container of this name. Callers match other runtimes' words here and below.
    #[error("container does not exist")]
    NotFound {
        /// The name.
        id: String,
    },
    /// The name is taken.
    #[error("container with given ID already exists")]
    Exists {
        /// The name.
        id: String,
    },
    /// The users of a mount's files could not be mapped.
    #[error("cannot map the users of the mount {mount}")]
    MapMount {
        /// Where it is.
        mount: String,
        /// Why.
        source: io::Error,
    },
    /// A user may have no namespace of users of his own.
    #[error("this machine lets an ordinary user have no namespace of users")]
    NoNamespace {
        /// Why.
        source: Box<RuntimeError>,
    },
    /// A program of the system's that maps users is missing.
    #[error("{program} is not installed")]
    NoHelper {
        /// The program.
        program: &'static str,
    },
    /// A program of the system's that maps users is there and fails.
    #[error("{program} cannot map users: {why}")]
    Helper {
        /// The program.
        program: &'static str,
        /// What it said.
        why: String,
    },
    /// Another runtime could not do what it was asked to.
    #[error("OCI runtime {verb} failed: {why}")]
    External {
        /// Its program.
        program: PathBuf,
        /// Its command.
        verb: &'static str,
        /// What it said.
        why: String,
    },
    /// The host's `ps` did not list processes.
    #[error("{why}")]
    ProcessList {
        /// Why.
        why: String,
    },
    /// The container's state does not allow it.
    #[error("{}", refusal(action, id, *status))]
    WrongState {
        /// What was to be done.
        action: &'static str,
        /// The name.
        id: String,
        /// How it is.
        status: Status,
    },
}

/// What sort of failure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The caller asked for something that cannot be.
    InvalidInput,
    /// There is no such thing.
    NotFound,
    /// The state does not allow it.
    Conflict,
    /// The program to run is not there.
    CommandNotFound,
    /// The program to run cannot be run.
    CommandNotRunnable,
    /// This machine or this user cannot.
    Unsupported,
    /// Anything else.
    Failed,
}

impl RuntimeError {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            RuntimeError::InvalidSpec { .. } => Kind::InvalidInput,
            RuntimeError::NotFound { .. } => Kind::NotFound,
            RuntimeError::Exists { .. } | RuntimeError::WrongState { .. } => Kind::Conflict,
            RuntimeError::NoController { .. }
            | RuntimeError::NoSystemd { .. }
            | RuntimeError::NoNamespace { .. }
            | RuntimeError::NoHelper { .. }
            | RuntimeError::Helper { .. } => Kind::Unsupported,
            RuntimeError::Init(failure) => failure.kind(),
            RuntimeError::External { verb: "create" | "start" | "exec", why, .. } => {
                kind_of_words(why)
            }
            _ => Kind::Failed,
        }
    }

    /// What the user can do, when it is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            RuntimeError::NoController { .. } => Some("leave the limit out, or enable it"),
            RuntimeError::NoSystemd { .. } => {
                Some("use the cgroupfs driver, which needs nobody's help")
            }
            RuntimeError::NoNamespace { .. } => Some(
                "user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns allow them",
            ),
            RuntimeError::MapMount { .. } => Some(
                "its file system must know mapped mounts, as ext4, xfs, btrfs and tmpfs of newer kernels do, and only the host's root may map them",
            ),
            RuntimeError::Helper { .. } => Some(
                "it must be owned by root with its set-user-id bit or capabilities, and what /etc/subuid and /etc/subgid lend must fit",
            ),
            RuntimeError::NoHelper { .. } => Some("it is in the package uidmap, or shadow-utils"),
            RuntimeError::Init(failure) if failure.call == "clone3" => {
                Some("namespaces may be forbidden to this user: see user.max_*_namespaces")
            }
            RuntimeError::WrongState { action: "delete", .. } => {
                Some("stop it first, or use --force")
            }
            _ => None,
        }
    }

    pub(crate) fn step(step: impl Into<String>) -> impl FnOnce(io::Error) -> RuntimeError {
        let step = step.into();
        move |source| RuntimeError::Step { step, source }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> RuntimeError {
        RuntimeError::InvalidSpec { what: what.into() }
    }
}

/// What sort of failure another runtime tells of. Its words are all there is, and docker's engine
/// looks for the same ones.
fn kind_of_words(why: &str) -> Kind {
    let why = why.to_lowercase();
    let program = why.contains("exec: ") || why.contains("executable file");
    match program {
        true if why.contains("not found") || why.contains("no such file") => Kind::CommandNotFound,
        true if why.contains("permission denied") => Kind::CommandNotRunnable,
        true if why.contains("is a directory") => Kind::CommandNotRunnable,
        _ => Kind::Failed,
    }
}

/// Why a container's state does not allow something, as other runtimes say it.
fn refusal(action: &str, id: &str, status: Status) -> String {
    match (action, status) {
        ("start", Status::Stopped) => "cannot start a container that has stopped".to_owned(),
        ("start", Status::Paused) => "cannot start a container in the paused state".to_owned(),
        ("start", _) => "cannot start an already running container".to_owned(),
        ("delete", _) => format!("cannot delete container {id} that is not stopped: {status}"),
        ("resume", Status::Stopped) | ("pause", _) => "container not running".to_owned(),
        ("resume", _) => "container not paused".to_owned(),
        ("exec", Status::Paused) => {
            "cannot exec in a paused container (use --ignore-paused to override)".to_owned()
        }
        ("exec", _) => "cannot exec in a stopped container".to_owned(),
        (_, Status::Stopped) => "container not running".to_owned(),
        (action, status) => format!("cannot {action} container {id}: it is {status}"),
    }
}

/// The step that looks for the program; its failures have exit codes of their own.
pub(crate) const FIND_PROGRAM: &str = "find the program";
/// The step that goes to the working folder.
pub(crate) const ENTER_FOLDER: &str = "enter the working folder";
/// The step that becomes the program.
pub(crate) const RUN_PROGRAM: &str = "run the program";

/// A failure inside `init`, as it travels back: which call, with what, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was to be done.
    pub step: String,
    /// The system call.
    pub call: String,
    /// What it was called with.
    pub argument: String,
    /// Its error number; 0 when a check of our own said no.
    pub errno: i32,
}

impl Failure {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match (self.step.as_str(), self.errno) {
            (FIND_PROGRAM, libc::ENOENT | libc::ENOTDIR) => Kind::CommandNotFound,
            (RUN_PROGRAM, libc::ENOENT) => Kind::CommandNotFound,
            (FIND_PROGRAM | RUN_PROGRAM, _) => Kind::CommandNotRunnable,
            (ENTER_FOLDER, libc::ENOENT) => Kind::NotFound,
            _ => Kind::Failed,
        }
    }

    /// What is wrong with the program, in the words that docker and other runtimes have for it.
    fn program(&self) -> Option<String> {
        if !matches!(self.kind(), Kind::CommandNotFound | Kind::CommandNotRunnable) {
            return None;
        }
        if let Some(program) = self.argument.strip_suffix(" in $PATH")
            && self.errno == libc::ENOENT
        {
            return Some(format!("exec: {program:?}: executable file not found in $PATH"));
        }
        let why = io::Error::from_raw_os_error(self.errno).to_string();
        let end = why.find(" (os error").unwrap_or(why.len());
        let program = self.argument.strip_suffix(" in $PATH").unwrap_or(&self.argument);
        Some(format!("exec: {program:?}: {}", why[..end].to_lowercase()))
    }

    /// The same as bytes; fields cannot hold NUL, which separates them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = [&self.step, &self.call, &self.argument].map(|field| field.replace('\0', "?"));
        let mut bytes = self.errno.to_ne_bytes().to_vec();
        bytes.extend(text.join("\0").into_bytes());
        // A datagram has a size limit; what a path loses at its end is not missed.
        bytes.truncate(4000);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Failure> {
        let (number, text) = bytes.split_first_chunk::<4>()?;
        let text = String::from_utf8_lossy(text).into_owned();
        let mut fields = text.splitn(3, '\0').map(str::to_owned);
        Some(Failure {
            step: fields.next()?,
            call: fields.next()?,
            argument: fields.next().unwrap_or_default(),
            errno: i32::from_ne_bytes(*number),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(words) = self.program() {
            return f.write_str(&words);
        }
        write!(f, "cannot {}: {}({})", self.step, self.call, self.argument)?;
        match self.errno {
            0 => Ok(()),
            errno => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Says of a failed call which one it was.
pub(crate) trait Explain<T> {
    /// The call and what it was called with.
    fn call(self, call: &str, argument: impl fmt::Display) -> std::result::Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Explain<T> for std::result::Result<T, E> {
    fn call(self, call: &str, argument: impl fmt::Display) -> std::result::Result<T, Failure> {
        self.map_err(|error| {
            let error = error.into();
            // Errors with a text of their own carry what the kernel explained.
            let (argument, errno) = match error.raw_os_error() {
                Some(errno) => (argument.to_string(), errno),
                None => (format!("{argument}: {error}"), 0),
            };
            Failure { step: String::new(), call: call.to_owned(), argument, errno }
        })
    }
}

/// Says of a failure during which step it came.
pub(crate) trait During<T> {
    /// The step.
    fn during(self, step: impl fmt::Display) -> std::result::Result<T, Failure>;
}

impl<T> During<T> for std::result::Result<T, Failure> {
    fn during(self, step: impl fmt::Display) -> std::result::Result<T, Failure> {
        self.map_err(|mut failure| {
            if failure.step.is_empty() {
                failure.step = step.to_string();
            }
            failure
        })
    }
}

/// A check of our own that said no.
pub(crate) fn refused(check: &str, argument: impl fmt::Display) -> Failure {
    let (call, argument) = (check.to_owned(), argument.to_string());
    Failure { step: String::new(), call, argument, errno: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_travels_as_bytes() {
        let failed: std::result::Result<(), _> = Err(io::Error::from_raw_os_error(libc::EPERM));
        let failure = failed.call("mount", "/x\0y").during("mount /x").unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot mount /x: mount(/x\0y): Operation not permitted (os error 1)"
        );
        let again = Failure::from_bytes(&failure.to_bytes()).unwrap();
        assert_eq!((again.argument.as_str(), again.errno), ("/x?y", libc::EPERM));
        assert_eq!(Failure::from_bytes(b"ab"), None);
    }
}
