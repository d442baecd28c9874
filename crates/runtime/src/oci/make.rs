//! A container made out of its bundle.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use spec::bundle::{DeviceRule, Resources, Spec};

use super::notify::{self, Listener};
use super::record::Record;
use super::{Containers, console, foreground, gate, read_spec, write_failed};
use crate::cgroup::{Cgroup, Layout, Missing};
use crate::error::{Result, RuntimeError};
use crate::launch::{self, Begin, Created, Exit, Manner, Request};
use crate::plan::Warning;
use crate::stdio::Stdio;

/// What `create` and `run` are given.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The socket that the terminal's outer end is sent to.
    pub console_socket: Option<PathBuf>,
    /// The socket that a descriptor of the first process is sent to.
    pub pidfd_socket: Option<PathBuf>,
    /// The file that the first process's number is written to.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors after the third the program inherits.
    pub preserve: u32,
    /// Variables that it has besides, which processes that come later do not have.
    pub variables: Vec<String>,
    /// The socket that is told when the program says that it is ready.
    pub notify: Option<PathBuf>,
    /// Whether its end is not waited for.
    pub detach: bool,
    /// Whether the container stays when its program has ended.
    pub keep: bool,
    /// What is done otherwise than usual.
    pub manner: Manner,
    /// Whether it goes without a cgroup of its own where this user may make none.
    pub without_cgroup: bool,
    /// Whether systemd makes its cgroup, which its configuration then names in systemd's words.
    pub systemd: bool,
}

/// A container that was made, and what is kept of it.
struct Made {
    created: Created,
    record: Record,
}

impl Containers {
    /// Makes a container whose program waits for [`Containers::start`].
    pub fn create(&self, id: &str, options: &CreateOptions) -> Result<Vec<Warning>> {
        let made = self.make(id, options, true)?;
        Ok(made.created.warnings)
    }

    /// Makes a container and starts its program; unless detached, waits for its end and deletes it.
    pub fn run(&self, id: &str, options: &CreateOptions) -> Result<(Exit, Vec<Warning>)> {
        let mut made = self.make(id, options, false)?;
        let mut warnings = std::mem::take(&mut made.created.warnings);
        let ready = match self.start_made(id, options, &made) {
            Ok(ready) => ready,
            Err(error) => {
                launch::end(made.created.pidfd.as_fd());
                self.discard(&made.record)?;
                return Err(error);
            }
        };
        if options.detach {
            if let Some(ready) = ready {
                let told = ready.pass_on(made.created.pidfd.as_fd(), Some(made.created.pid));
                warnings.extend(untold(told));
            }
            return Ok((Exit::Code(0), warnings));
        }
        let telling = ready.map(|ready| pass_on_meanwhile(ready, &made)).transpose()?;
        let terminal = made.created.terminal.take();
        let exit = foreground::watch(made.created.pidfd.as_fd(), terminal)?;
        // One that has ended right after its word is heard all the same.
        let _ = telling.map(JoinHandle::join);
        if !options.keep {
            warnings.extend(self.discard(&made.record)?);
        }
        Ok((exit, warnings))
    }

    /// Starts the program, and gives who hears when it is ready.
    fn start_made(
        &self,
        id: &str,
        options: &CreateOptions,
        made: &Made,
    ) -> Result<Option<Listener>> {
        let listen = |told: &PathBuf| notify::listen(&self.folder(id)?, told);
        let ready = options.notify.as_ref().map_or(Ok(None), listen)?;
        made.created.start()?;
        Ok(ready)
    }

    fn make(&self, id: &str, options: &CreateOptions, gated: bool) -> Result<Made> {
        let folder = self.folder(id)?;
        let bundle = fs::canonicalize(&options.bundle);
        let bundle =
            bundle.map_err(|source| RuntimeError::Read { path: options.bundle.clone(), source })?;
        let spec = read_spec(&bundle)?;
        fs::create_dir_all(&self.root).map_err(write_failed(&self.root))?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Exists { id: id.to_owned() });
            }
            other => other.map_err(write_failed(&folder))?,
        }
        let making = Making { id, folder: &folder, bundle: &bundle, spec: &spec, options };
        let made = making.make(gated);
        if made.is_err() {
            // What is left of a container that never was tells nobody anything.
            let _ = fs::remove_dir_all(&folder);
            // What hooks have made before is theirs to take away; the first error is the one to
            // tell.
            let _ = launch::run_last_hooks(&spec, id, &bundle);
        }
        made
    }
}

/// What is to be said where a program's word could not be passed on: the program runs all the same.
pub(super) fn untold(told: Result<()>) -> Option<Warning> {
    told.err().map(|error| Warning::Untold { why: error.to_string() })
}

/// Passes a program's word on while its end is awaited.
fn pass_on_meanwhile(ready: Listener, made: &Made) -> Result<JoinHandle<Result<()>>> {
    let step = || RuntimeError::step("wait for a program");
    // All signals are for the one who awaits the end.
    sys::task::block_signals().map_err(step())?;
    let process = made.created.pidfd.try_clone().map_err(step())?;
    let wait = move || ready.pass_on(process.as_fd(), None);
    std::thread::Builder::new().spawn(wait).map_err(step())
}

/// A container on its way.
struct Making<'a> {
    id: &'a str,
    folder: &'a Path,
    bundle: &'a Path,
    spec: &'a Spec,
    options: &'a CreateOptions,
}

impl Making<'_> {
    fn make(&self, gated: bool) -> Result<Made> {
        let cgroup = self.cgroup()?;
        let made = self.make_in(cgroup.as_ref(), gated);
        made.map_err(|error| {
            let kills = cgroup.as_ref().and_then(Cgroup::out_of_memory_kills);
            drop(cgroup.map(|cgroup| cgroup.remove()));
            match error {
                RuntimeError::InitGone if kills.is_some_and(|kills| kills > 0) => {
                    RuntimeError::OutOfMemory
                }
                error => error,
            }
        })
    }

    /// Its group, made; nothing where there may be none.
    fn cgroup(&self) -> Result<Option<Cgroup>> {
        let configured = self.spec.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
        let path = Cgroup::path_for(self.id, configured, self.options.systemd)?;
        let mut cgroup = Cgroup::at(Layout::of_host()?, &path)?;
        cgroup.take_properties(&self.spec.annotations)?;
        if !self.options.without_cgroup {
            return cgroup.create().map(|_| Some(cgroup));
        }
        cgroup.create_where_allowed()?;
        Ok(Some(cgroup).filter(|cgroup| *cgroup.layout() != Layout::None))
    }

    fn make_in(&self, cgroup: Option<&Cgroup>, gated: bool) -> Result<Made> {
        let mut warnings = self.limit(cgroup)?;
        let spec = self.completed()?;
        let request = Request {
            id: self.id,
            spec: &spec,
            bundle: self.bundle,
            root: None,
            stdio: stdio(self.spec, self.takes_terminal(gated))?,
            cgroup,
            places: None,
            begin: if gated { Begin::Gate(gate::listen(self.folder)?) } else { Begin::Told },
            preserve: self.options.preserve,
            reaper: false,
            manner: self.options.manner,
        };
        let mut created = launch::create(request)?;
        warnings.append(&mut created.warnings);
        created.warnings = warnings;
        match self.settle(&mut created, cgroup) {
            Ok(record) => Ok(Made { created, record }),
            Err(error) => {
                launch::end(created.pidfd.as_fd());
                Err(error)
            }
        }
    }

    /// Whether somebody has the terminal's outer end when this process has ended, or as long as it
    /// is there.
    fn takes_terminal(&self, gated: bool) -> bool {
        self.options.console_socket.is_some() || !(gated || self.options.detach)
    }

    /// Its configuration with what the caller's surroundings add to it.
    fn completed(&self) -> Result<Spec> {
        let mut spec = self.spec.clone();
        if let Some(process) = &mut spec.process {
            process.env.extend(self.options.variables.iter().cloned());
        }
        if self.options.notify.is_some() {
            notify::prepare(&mut spec, self.folder)?;
        }
        Ok(spec)
    }

    fn limit(&self, cgroup: Option<&Cgroup>) -> Result<Vec<Warning>> {
        let resources = self.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        match (cgroup, resources) {
            (Some(cgroup), Some(resources)) => {
                cgroup.apply(&with_usual_devices(resources), Missing::Fail)
            }
            (None, Some(resources)) if *resources != Resources::default() => {
                Ok(vec![Warning::Controller { limit: "any limit of the container".to_owned() }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Tells those who asked, and writes down what was made.
    fn settle(&self, created: &mut Created, cgroup: Option<&Cgroup>) -> Result<Record> {
        if let Some(socket) = &self.options.console_socket {
            console::send(socket, created.terminal.take())?;
        }
        if let Some(socket) = &self.options.pidfd_socket {
            console::send_process(socket, created.pidfd.as_fd())?;
        }
        let record = Record::new(self.id, self.bundle, created.pid, cgroup, self.spec)?;
        record.write(self.folder)?;
        write_pid(self.options.pid_file.as_deref(), created.pid)?;
        Ok(record)
    }
}

/// What every container may use whatever its rules say: the devices that are made for it, its
/// terminals, and making files of devices that it then may not open.
fn with_usual_devices(resources: &Resources) -> Resources {
    const USUAL: &[(&str, i64, i64, &str)] = &[
        ("c", -1, -1, "m"),
        ("b", -1, -1, "m"),
        ("c", 1, 3, "rwm"),
        ("c", 1, 5, "rwm"),
        ("c", 1, 7, "rwm"),
        ("c", 1, 8, "rwm"),
        ("c", 1, 9, "rwm"),
        ("c", 5, 0, "rwm"),
        ("c", 5, 2, "rwm"),
        ("c", 136, -1, "rwm"),
    ];
    let mut resources = resources.clone();
    if !resources.devices.is_empty() {
        resources.devices.extend(USUAL.iter().map(|(kind, major, minor, access)| DeviceRule {
            allow: true,
            kind: (*kind).to_owned(),
            major: Some(*major),
            minor: Some(*minor),
            access: (*access).to_owned(),
        }));
    }
    resources
}

/// Other runtimes' words.
pub(super) const NOBODY_TAKES_TERMINAL: &str =
    "cannot allocate tty if runc will detach without setting console socket";

fn stdio(spec: &Spec, someone: bool) -> Result<Stdio> {
    let process = spec.process.as_ref();
    match (process.is_some_and(|process| process.terminal), someone) {
        (false, _) => Ok(Stdio::Inherit),
        (true, true) => Ok(Stdio::Terminal(foreground::size())),
        (true, false) => Err(RuntimeError::invalid(NOBODY_TAKES_TERMINAL)),
    }
}

pub(super) fn write_pid(file: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = file else { return Ok(()) };
    // Callers watch for the file and read it at once: it appears whole.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}"));
    let written = fs::write(&aside, pid.to_string()).and_then(|()| fs::rename(&aside, path));
    written.map_err(write_failed(path))
}
