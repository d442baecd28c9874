//! Groups that systemd makes: a scope of its own for each container, which systemd then knows by name,
//! shows, limits and leaves alone.
//!
//! A scope cannot be made empty. A process of ours that does nothing stands in it until the
//! container's own is there ([`Held`]).

mod bus;
mod limits;
mod property;
mod slice;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use spec::bundle::DeviceRule;
use sys::clone::{Birth, Cloned};

use self::bus::{Bus, Method};
use self::wire::{Reader, Value, Writer};
use super::Setting;
use crate::error::{Result, RuntimeError};
use crate::launch;

/// Where systemd listens for root, and below a user's run folder for the user.
const SOCKET: &str = "systemd/private";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The limit of processes.
const TASKS: &str = "TasksMax";

/// A container's scope.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    socket: PathBuf,
    /// The slice that it is in.
    slice: String,
    unit: String,
    /// What its configuration asks systemd for.
    further: Vec<(String, Value)>,
    held: Option<Arc<Held>>,
}

/// The process that stands in a scope until the container's is there; it ends with this.
#[derive(Debug)]
struct Held(Mutex<Option<Standing>>);

#[derive(Debug)]
struct Standing {
    pidfd: OwnedFd,
    /// A limit that leaves room for no other process, and its file: written when this one has ended.
    late: Option<(PathBuf, String)>,
}

impl Scope {
    /// The scope that `SLICE:PREFIX:NAME` means, as other runtimes and engines write it: the unit
    /// `PREFIX-NAME.scope` in this slice, or in that for containers if none is named.
    pub(super) fn parse(text: &str) -> Result<Scope> {
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(RuntimeError::invalid(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead"
            )));
        };
        let run = Path::new("/run");
        // A namespace may have a systemd of its own, which then is its root's.
        let is_systems = sys::host::is_root() && may_write(&run.join(SOCKET));
        let is_of_user = !(is_systems || sys::host::is_host_root());
        let slice = match (slice, is_of_user) {
            ("", true) => "user.slice",
            ("", false) => "system.slice",
            (slice, _) => slice,
        };
        slice::path(slice)?;
        let unit = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        slice::check_unit(&unit)?;
        let run = match is_of_user {
            true => match std::env::var_os("XDG_RUNTIME_DIR") {
                Some(folder) => PathBuf::from(folder),
                None => PathBuf::from(format!("/run/user/{}", sys::host::outer_user_id())),
            },
            false => run.to_owned(),
        };
        let socket = run.join(SOCKET);
        Ok(Scope { socket, slice: slice.to_owned(), unit, further: Vec::new(), held: None })
    }

    /// Takes properties from a container's annotations.
    pub(super) fn take_properties(&mut self, annotations: &BTreeMap<String, String>) -> Result<()> {
        self.further = property::of(annotations)?;
        Ok(())
    }

    /// The form that [`Scope::parse`] reads again.
    pub(super) fn text(&self) -> String {
        let name = self.unit.strip_suffix(".scope").unwrap_or(&self.unit);
        format!("{}::{name}", self.slice)
    }

    /// Its path below the roots of the trees: below the group that systemd's own is.
    pub(super) fn path(&self) -> Result<String> {
        let mut bus = self.connect()?;
        let get = Method {
            path: OBJECT,
            interface: "org.freedesktop.DBus.Properties",
            name: "Get",
            types: "ss",
        };
        let answer = bus.call(get, |body| {
            body.text(MANAGER);
            body.text("ControlGroup");
        });
        let group = answer.and_then(|body| {
            let mut reader = Reader::new(&body);
            reader.signature()?;
            reader.text()
        });
        let group = group.map_err(self.failed("find"))?;
        Ok(format!("{group}/{}/{}", slice::path(&self.slice)?, self.unit))
    }

    /// Has systemd make it.
    pub(super) fn create(&mut self, is_unified: bool) -> Result<()> {
        let mut bus = self.connect()?;
        let (held, pid) = Held::stand().map_err(self.failed("hold"))?;
        let mut properties = self.properties(pid, is_unified);
        let further = self.further.iter().map(|(name, value)| (name.as_str(), value.clone()));
        // What is asked for wins.
        properties.retain(|(name, _)| self.further.iter().all(|(asked, _)| asked != name));
        properties.extend(further);
        let mut job = self.start(&mut bus, &properties);
        if matches!(&job, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            // What one that failed has left is no reason to refuse another.
            let reset = manager("ResetFailedUnit", "s");
            if bus.call(reset, |body| body.text(&self.unit)).is_ok() {
                job = self.start(&mut bus, &properties);
            }
        }
        let job = job.map_err(self.failed("make"))?;
        await_end(&mut bus, &job).map_err(self.failed("make"))?;
        self.held = Some(Arc::new(held));
        Ok(())
    }

    fn start(&self, bus: &mut Bus, properties: &[(&str, Value)]) -> io::Result<String> {
        let body = bus.call(manager("StartTransientUnit", "ssa(sv)a(sa(sv))"), |body| {
            body.text(&self.unit);
            body.text("fail");
            list(body, properties);
            // No units besides.
            body.list(8, |_| ());
        })?;
        Reader::new(&body).text()
    }

    fn properties(&self, pid: i32, is_unified: bool) -> Vec<(&str, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let yes = || Value::Flag(true);
        vec![
            ("Description", text(&format!("mica container {}", self.unit))),
            ("Slice", text(&self.slice)),
            // What is below is nobody's but the container's.
            ("Delegate", yes()),
            // It is not ended with everything else when the machine goes down: whoever watches it is.
            ("DefaultDependencies", Value::Flag(false)),
            ("MemoryAccounting", yes()),
            ("CPUAccounting", yes()),
            (if is_unified { "IOAccounting" } else { "BlockIOAccounting" }, yes()),
            ("TasksAccounting", yes()),
            ("PIDs", Value::Numbers(vec![u32::try_from(pid).unwrap_or_default()])),
        ]
    }

    /// Tells systemd the limits that are about to be written: it writes its own again whenever its
    /// units are read again.
    pub(super) fn limit(
        &self,
        settings: &[Setting],
        devices: &[DeviceRule],
        is_unified: bool,
    ) -> Result<()> {
        let mut properties = limits::properties(settings, is_unified);
        if self.held.as_ref().is_some_and(|held| held.lock().is_some()) {
            // There may be room for one process, and this one is not the container's.
            properties.retain(|(name, _)| *name != TASKS);
        }
        properties.extend(limits::devices(devices));
        if properties.is_empty() {
            return Ok(());
        }
        self.set(&properties).map_err(self.failed("limit"))
    }

    fn set(&self, properties: &[(&str, Value)]) -> io::Result<()> {
        let mut bus = Bus::connect(&self.socket)?;
        let set = bus.call(manager("SetUnitProperties", "sba(sv)"), |body| {
            body.text(&self.unit);
            body.flag(true);
            list(body, properties);
        });
        set.map(drop)
    }

    /// The container's own process is there.
    pub(super) fn settle(&self) -> Result<()> {
        let Some((file, value)) = self.held.as_ref().and_then(|held| held.end()) else {
            return Ok(());
        };
        let told = match limits::number(&value) {
            Some(most) => self.set(&[(TASKS, Value::Large(most))]),
            None => Ok(()),
        };
        match told.and_then(|()| fs::write(&file, value)) {
            // A short program has ended meanwhile, and nobody is left to be limited.
            Err(error) if is_gone(&error) => Ok(()),
            other => other.map_err(self.failed("limit")),
        }
    }

    /// Keeps a limit of processes until the container's own is there; says whether it does.
    pub(super) fn puts_off(&self, file: &Path, value: &str) -> bool {
        match self.held.as_ref().map(|held| held.lock()) {
            Some(mut held) => held.as_mut().is_some_and(|standing| {
                standing.late = Some((file.to_owned(), value.to_owned()));
                true
            }),
            None => false,
        }
    }

    /// Has systemd forget it, and end what is left in it.
    pub(super) fn remove(&self) -> Result<()> {
        // What it was not limited to yet ends with it.
        let _ = self.held.as_ref().map(|held| held.end());
        let mut bus = match Bus::connect(&self.socket) {
            Ok(bus) => bus,
            // Nobody is there to be told: the folders go as others do.
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(self.failed("reach")(error)),
        };
        let job = bus.call(manager("StopUnit", "ss"), |body| {
            body.text(&self.unit);
            body.text("replace");
        });
        let stopped = job.and_then(|body| await_end(&mut bus, &Reader::new(&body).text()?));
        // One that failed is kept, and its name taken.
        let _ = bus.call(manager("ResetFailedUnit", "s"), |body| body.text(&self.unit));
        match stopped {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(self.failed("stop")),
        }
    }

    fn connect(&self) -> Result<Bus> {
        Bus::connect(&self.socket).map_err(|source| match is_absent(&source) {
            true => RuntimeError::NoSystemd { socket: self.socket.clone(), source },
            false => self.failed("reach")(source),
        })
    }

    fn failed(&self, step: &str) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
        let step = format!("{step} systemd's {}", self.unit);
        move |source| RuntimeError::Cgroup { step, source }
    }
}

impl Held {
    /// A copy of this process that does nothing, with its number. It ends with this process too.
    fn stand() -> io::Result<(Held, i32)> {
        let birth = Birth { namespaces: UnshareFlags::empty(), sibling: false, cgroup: None };
        let parent = rustix::process::getpid();
        match sys::clone::clone(birth)? {
            Cloned::Child => {
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                // It may have ended before that was said.
                while rustix::process::getppid() == Some(parent) {
                    std::thread::sleep(Duration::from_secs(60));
                }
                sys::task::exit_now(0)
            }
            Cloned::Parent { pid, pidfd } => {
                Ok((Held(Mutex::new(Some(Standing { pidfd, late: None }))), pid))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, and gives the limit that was put off.
    fn end(&self) -> Option<(PathBuf, String)> {
        let standing = self.lock().take()?;
        launch::end(standing.pidfd.as_fd());
        standing.late
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn manager<'a>(name: &'a str, types: &'a str) -> Method<'a> {
    Method { path: OBJECT, interface: MANAGER, name, types }
}

fn list(body: &mut Writer, properties: &[(&str, Value)]) {
    body.list(8, |list| {
        for (name, value) in properties {
            list.align(8);
            list.text(name);
            list.value(value);
        }
    });
}

/// Waits until systemd has done a job.
fn await_end(bus: &mut Bus, job: &str) -> io::Result<()> {
    loop {
        let signal = bus.signal()?;
        if signal.name != "JobRemoved" {
            continue;
        }
        let mut reader = Reader::new(&signal.body);
        let (_, ended, _, result) =
            (reader.number()?, reader.text()?, reader.text()?, reader.text()?);
        match (ended == job, result.as_str()) {
            (false, _) => {}
            (true, "done" | "skipped") => return Ok(()),
            (true, result) => return Err(io::Error::other(format!("its job has {result}"))),
        }
    }
}

fn may_write(socket: &Path) -> bool {
    rustix::fs::access(socket, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The group went while it was written to.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
