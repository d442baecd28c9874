//! A build step's command: it runs once in a writable tree, as a container does, without a monitor
//! and without a record that outlives it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ::build::change::Circumstances;
use network::Networks;
use runtime::cgroup::Layout;
use runtime::once::{self, Ended, Opened, Order};
use spec::bundle::{Mount, Spec};
use spec::{ContainerConfig, ContainerId, Digest, HostConfig, ImageId, NetworkMode, Timestamp};
use sys::event::{Interest, poll};
use sys::fs::{FileType, Stat};
use sys::lock::Mode;

use super::ContainerRecord;
use super::bundle::{self, Facts};
use super::host;
use super::network::Places;
use super::watch::files;
use crate::error::{EngineError, Result};
use crate::{CgroupDriver, Engine};

/// The command that runs one container once; nobody types it.
pub const ONCE_COMMAND: &str = "__once";

/// What the host is called in a build, everywhere, unless the build is told otherwise.
const HOSTNAME: &str = "buildkitsandbox";

/// A network that the steps of one build share.
pub(crate) struct StepNetwork {
    record: ContainerRecord,
    places: Places,
    networks: Option<Networks>,
    /// Where the way out has its files.
    _folder: Option<Folder>,
}

/// A command to be run.
pub(crate) struct StepCommand<'a> {
    /// Its container's id.
    pub(crate) id: ContainerId,
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// How the image configures it.
    pub(crate) config: &'a ContainerConfig,
    /// Variables besides those of the image.
    pub(crate) env: Vec<String>,
    /// What is mounted besides what every container has.
    pub(crate) mounts: Vec<StepMount>,
    /// Whether it may do all that the machine's root may.
    pub(crate) insecure: bool,
    /// Devices by the names that vendors give them.
    pub(crate) devices: Vec<String>,
    /// What the host is called for all commands of its build.
    pub(crate) hostname: Option<&'a str>,
    /// What it finds otherwise than other commands of its build.
    pub(crate) circumstances: Option<&'a Circumstances>,
}

/// One mount of a command.
pub(crate) struct StepMount {
    /// Where, what sort, with what options; the source is filled in for what is opened.
    pub(crate) mount: Mount,
    /// The detached mount that the source is in, and the path in it, without a link.
    pub(crate) opened: Option<(OwnedFd, PathBuf)>,
}

impl StepNetwork {
    /// Joins the network that steps of a build run in.
    pub(crate) fn join(engine: &Engine, host: &HostConfig) -> Result<StepNetwork> {
        let mut host_config = host.clone();
        host::complete(&mut host_config)?;
        let random = sys::host::random_bytes();
        let id = ContainerId::of(random.map_err(EngineError::io("read", "/dev/urandom"))?);
        let config = ContainerConfig { hostname: HOSTNAME.to_owned(), ..Default::default() };
        let record = ContainerRecord {
            id,
            name: format!("build-{}", id.short()),
            created: Timestamp::now(),
            image: ImageId(Digest::of(b"")),
            platform: "linux".to_owned(),
            driver: engine.store().driver().kind().to_string(),
            config,
            host_config,
            networks: BTreeMap::new(),
            mounts: Vec::new(),
            runtime: None,
            by_systemd: engine.settings().cgroup_driver == CgroupDriver::Systemd,
            users: None,
        };
        let is_of_user = engine.settings().standing.is_of_user();
        let networks = match NetworkMode::parse(&record.host_config.network_mode) {
            NetworkMode::Named(_) if is_of_user => None,
            NetworkMode::Named(_) => Some(engine.networks()?),
            NetworkMode::Container(name) => {
                let words = format!("network mode \"container:{name}\" not supported by buildkit");
                return Err(EngineError::Refused(words));
            }
            _ => None,
        };
        if is_of_user && super::watch::has_network(&record) {
            super::way_out::check(&record)?;
            let folder = Folder::make(engine.container_run_folder(&id))?;
            let places = Places::of_user(engine, &record, &folder.0)?;
            return Ok(StepNetwork { record, places, networks, _folder: Some(folder) });
        }
        let folder = || Folder::make(engine.container_run_folder(&id));
        let folder = networks.is_some().then(folder).transpose()?;
        let places = Places::take(networks.as_ref(), &record, None, |name| {
            Err(EngineError::NotRunning(name.to_owned()))
        })?;
        Ok(StepNetwork { record, places, networks, _folder: folder })
    }

    /// Whether names of containers are answered here, which takes somebody who watches.
    fn files(&self, folder: &std::path::Path, record: &ContainerRecord) -> Result<()> {
        let internal = match &self.networks {
            Some(networks) => self.places.are_internal(networks)?,
            None => false,
        };
        files::write(folder, record, &self.places, internal, &[]).map(drop)
    }
}

impl Drop for StepNetwork {
    fn drop(&mut self) {
        if let Some(networks) = &self.networks {
            // What is left goes with the next clean-up.
            let _ = self.places.leave(networks);
        }
    }
}

impl Engine {
    /// Runs a command in a writable tree and waits for its end. What it prints goes to `output`.
    pub(crate) fn run_step(
        &self,
        root: &OwnedFd,
        network: &StepNetwork,
        command: StepCommand<'_>,
        output: &mut dyn FnMut(&[u8]),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Ended> {
        let id = command.id;
        let folder = Folder::make(self.container_run_folder(&id))?;
        let mut record = network.record.clone();
        record.id = id;
        let own = command.circumstances.cloned().unwrap_or_default();
        let usual = command.hostname.filter(|name| !name.is_empty()).unwrap_or(HOSTNAME);
        let hostname = own.hostname.unwrap_or_else(|| usual.to_owned());
        hostname.clone_into(&mut record.config.hostname);
        network.files(&folder.0, &record)?;
        let host = &mut record.host_config;
        if let Some(parent) = own.cgroup_parent {
            host.resources.cgroup_parent = parent;
        }
        if !own.limits.is_empty() {
            let limits = host.resources.ulimits.get_or_insert_default();
            limits.retain(|known| !own.limits.iter().any(|limit| limit.name == known.name));
            limits.extend(own.limits);
        }
        record.config = ContainerConfig {
            user: command.config.user.clone(),
            env: command.config.env.clone(),
            working_dir: command.config.working_dir.clone(),
            cmd: Some(command.words),
            ..ContainerConfig::default()
        };
        record.config.env.extend(command.env);
        if command.insecure {
            record.host_config.privileged = true;
            record.host_config.masked_paths = Some(Vec::new());
            record.host_config.readonly_paths = Some(Vec::new());
        }
        let namespace = network.places.namespace.as_ref();
        let facts = Facts {
            accounts: files::accounts(root)?,
            unified_cgroups: matches!(Layout::of_host()?, Layout::Version2 { .. }),
            // Of this process, which waits until all is over.
            network: namespace.map(|namespace| {
                let number = namespace.as_fd().as_raw_fd();
                PathBuf::from(format!("/proc/{}/fd/{number}", std::process::id()))
            }),
            others: BTreeMap::new(),
            folder: folder.0.clone(),
            devices: bundle::Registered::given(&command.devices)?,
            guards: bundle::Guards::of_host(&record.host_config),
            memory: None,
            opened: BTreeMap::new(),
            users: None,
            plain: Default::default(),
            linked: Vec::new(),
            standing: self.settings().standing,
        };
        let mut spec = bundle::plan(&record, &facts)?;
        spec.hostname = hostname;
        let mut opened: Vec<BorrowedFd<'_>> = vec![root.as_fd()];
        let mut places = BTreeMap::new();
        for StepMount { mount, opened: source } in &command.mounts {
            if let Some((source, path)) = source {
                let place = Opened { number: opened.len(), path: path.clone() };
                places.insert(mount.destination.clone(), place);
                opened.push(source.as_fd());
            }
            spec.mounts.push(mount.clone());
        }
        let stubs = Stubs::before(root, &spec)?;
        let cgroup = bundle::cgroup_path(&record);
        let order = Order {
            id: id.to_string(),
            spec,
            bundle: folder.0.clone(),
            cgroup,
            without_cgroup: self.settings().standing.is_of_user(),
            opened: places,
        };
        let ended = self.have_run(&order, &opened, output, is_stopped)?;
        stubs.remove(root)?;
        Ok(ended)
    }

    fn have_run(
        &self,
        order: &Order,
        opened: &[BorrowedFd<'_>],
        output: &mut dyn FnMut(&[u8]),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Ended> {
        let io = |doing| EngineError::io(doing, "the step's process");
        let (ours, theirs) = sys::socket::pair().map_err(io("make a socket for"))?;
        let (reader, writer) = std::io::pipe().map_err(io("make a pipe for"))?;
        let program = runtime::shelter::file()?;
        let path = format!("/proc/self/fd/{}", program.as_fd().as_raw_fd());
        let both = writer.try_clone().map_err(io("make a pipe for"))?;
        let mut command = Command::new(path);
        command.arg0("mica").arg(ONCE_COMMAND).env_clear().current_dir("/");
        command.stdin(Stdio::from(theirs)).stdout(writer).stderr(both);
        let mut child = command.spawn().map_err(io("start"))?;
        // Our own copies of what it writes to would keep its end from being seen.
        drop(command);
        let asked = once::ask(&ours, order, opened);
        if copy(reader, output, is_stopped).map_err(io("read from"))? == Copied::Stopped {
            // Without whoever asked for it the container is killed.
            drop(ours);
            child.wait().map_err(io("wait for"))?;
            return Err(EngineError::Stopped);
        }
        let ended = asked.and_then(|()| once::answer(ours));
        child.wait().map_err(io("wait for"))?;
        ended.map_err(io("speak to"))
    }
}

/// How often it is asked whether somebody still wants a command's outcome.
const ASKING: Duration = Duration::from_millis(200);

/// Why no more is copied.
#[derive(PartialEq)]
enum Copied {
    All,
    Stopped,
}

fn copy(
    mut reader: std::io::PipeReader,
    output: &mut dyn FnMut(&[u8]),
    is_stopped: &dyn Fn() -> bool,
) -> std::io::Result<Copied> {
    let mut bytes = [0; 16 << 10];
    loop {
        let [ready] = poll([(Some(reader.as_fd()), Interest::READ)], Some(ASKING))?;
        if is_stopped() {
            return Ok(Copied::Stopped);
        }
        if !ready.read {
            continue;
        }
        match reader.read(&mut bytes) {
            Ok(0) => return Ok(Copied::All),
            Ok(count) => output(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A folder that goes when it is dropped. A lock on it says until then that somebody is at work in
/// it, though no container is called like it: a clean-up leaves it, and what has its id, alone.
struct Folder(PathBuf, #[allow(dead_code)] File);

impl Folder {
    fn make(path: PathBuf) -> Result<Folder> {
        let failed = |doing| EngineError::io(doing, path.clone());
        loop {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(failed("create"))?;
            let lock = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed("open"))?,
            };
            sys::lock::lock(&lock, Mode::Exclusive).map_err(failed("lock"))?;
            // A clean-up may have been quicker.
            let is_it =
                |there: fs::Metadata| lock.metadata().is_ok_and(|own| own.ino() == there.ino());
            if fs::metadata(&path).is_ok_and(is_it) {
                return Ok(Folder(path, lock));
            }
        }
    }
}

/// Whether a build's command, or its network, has this folder.
pub(super) fn is_at_work(folder: &Path) -> bool {
    let open = File::open(folder);
    open.is_ok_and(|folder| !sys::lock::try_lock(&folder, Mode::Exclusive).unwrap_or(true))
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files and folders that are made only so that something can be mounted on them. They are no part
/// of what the command did.
struct Stubs {
    /// Places that were not there, those above others first.
    missing: Vec<Vec<u8>>,
    /// Folders that were there and will get such a name, as they were.
    parents: Vec<(Vec<u8>, Stat)>,
}

/// What is below these is not in the tree.
const ELSEWHERE: [&str; 3] = ["/proc/", "/dev/", "/sys/"];

impl Stubs {
    fn before(root: &OwnedFd, spec: &Spec) -> Result<Stubs> {
        let mut stubs = Stubs { missing: Vec::new(), parents: Vec::new() };
        for path in spec.mounts.iter().map(|mount| mount.destination.as_str()) {
            if ELSEWHERE.iter().any(|place| path.starts_with(place)) {
                continue;
            }
            let mut parent: Vec<u8> = Vec::new();
            for part in path.split('/').filter(|part| !part.is_empty()) {
                let mut whole = parent.clone();
                if !whole.is_empty() {
                    whole.push(b'/');
                }
                whole.extend(part.as_bytes());
                if stubs.missing.contains(&whole) {
                    parent = whole;
                    continue;
                }
                let is_there = sys::fs::path_in_root(root, whole.as_slice()).is_ok()
                    || sys::fs::stat(root, whole.as_slice()).is_ok();
                if !is_there {
                    if !stubs.missing.contains(&parent) {
                        stubs.note_parent(root, &parent)?;
                    }
                    stubs.missing.push(whole.clone());
                }
                parent = whole;
            }
        }
        Ok(stubs)
    }

    fn note_parent(&mut self, root: &OwnedFd, parent: &[u8]) -> Result<()> {
        if self.parents.iter().any(|(known, _)| known == parent) {
            return Ok(());
        }
        let name = if parent.is_empty() { &b"."[..] } else { parent };
        let read = || -> std::io::Result<Stat> {
            sys::fs::stat(sys::fs::folder_in_root(root, name)?, ".")
        };
        let stat = read().map_err(failed(parent))?;
        self.parents.push((parent.to_owned(), stat));
        Ok(())
    }

    /// Removes what is still as it was made: empty.
    fn remove(&self, root: &OwnedFd) -> Result<()> {
        for path in self.missing.iter().rev() {
            let (above, name) = split(path);
            let Ok(folder) = sys::fs::folder_in_root(root, above) else { continue };
            let Ok(stat) = sys::fs::stat(&folder, name) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            // A folder in which something is now stays: removing it fails.
            let _ = match is_folder {
                true => sys::fs::remove_folder(&folder, name),
                false if stat.st_size == 0 => sys::fs::remove_file(&folder, name),
                false => Ok(()),
            };
        }
        for (path, stat) in &self.parents {
            let (above, name) = split(path);
            let name = if name.is_empty() { &b"."[..] } else { name };
            let Ok(folder) = sys::fs::folder_in_root(root, above) else { continue };
            let time = (stat.st_mtime, stat.st_mtime_nsec as u32);
            // What the command itself removed meanwhile has no time.
            let _ = sys::fs::set_mtime(&folder, name, time.0, time.1);
        }
        Ok(())
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b".", path),
    }
}

fn failed(path: &[u8]) -> impl FnOnce(std::io::Error) -> EngineError {
    EngineError::io("look at", format!("/{}", String::from_utf8_lossy(path)))
}

/// Runs the container that the socket in the place of standard input asks for.
pub fn run_once() -> Result<()> {
    let io = || EngineError::io("serve", "a step");
    let given = std::io::stdin().as_fd().try_clone_to_owned().map_err(io())?;
    let nothing = File::open("/dev/null").map_err(io())?;
    // The socket is one of two copies; the other must not be the container's.
    rustix::stdio::dup2_stdin(nothing).map_err(std::io::Error::from).map_err(io())?;
    sys::process::new_session().map_err(io())?;
    once::serve(given).map_err(io())
}
