//! Control groups: of version 1, of version 2, and of both side by side.
//!
//! A container's group lies below one of ours (`/mica/ID`) or where its configuration says. What a
//! limit means in files is a pure function (`settings`); writing them is [`Cgroup::apply`].

mod devices;
mod layout;
mod settings;
mod stats;
#[cfg(test)]
mod tests;
mod values;

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use spec::bundle::{DeviceRule, Resources};

pub use layout::{Hierarchy, Layout};
pub use settings::{Setting, version1, version2};
pub use stats::Stats;
pub use values::{quota, shares_of_weight, weight_of_block_io, weight_of_shares};

use crate::error::{Result, RuntimeError};
use crate::plan::Warning;

/// How a new process gets into a group.
#[derive(Default)]
pub struct Entry {
    /// Version 1: files that the process writes itself into.
    pub(crate) tasks: Vec<OwnedFd>,
    /// Such files that it opens itself.
    pub(crate) paths: Vec<PathBuf>,
    /// Version 2: the folder that it is born into.
    pub(crate) unified: Option<OwnedFd>,
    /// What a mount of the groups shows.
    pub(crate) views: Vec<View>,
}

/// One tree of groups as a container sees it.
pub(crate) struct View {
    /// Its folder; nothing for the one tree of version 2.
    pub(crate) name: String,
    /// What it is mounted with.
    pub(crate) options: Vec<String>,
    /// The container's group in the host's tree.
    pub(crate) folder: PathBuf,
    /// Further names of its folder.
    pub(crate) links: Vec<String>,
}

/// What happens when a limit has no controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It is an error.
    Fail,
    /// It is left out and said.
    Warn,
}

/// A container's group in all trees.
#[derive(Clone, Debug)]
pub struct Cgroup {
    layout: Layout,
    path: String,
    /// Nobody has looked yet whether the trees are there.
    is_presumed: bool,
}

impl Cgroup {
    /// The group at a path below the trees' roots; nothing is made yet.
    pub fn at(layout: Layout, path: &str) -> Result<Cgroup> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(RuntimeError::invalid(format!("{path} is no path of a cgroup")));
        }
        Ok(Cgroup { layout, path: parts.join("/"), is_presumed: false })
    }

    /// The group at a path below the roots of the trees that this host is likely to have: whether it
    /// has them shows when the group is made.
    pub fn presumed(path: &str) -> Result<Cgroup> {
        let group = Cgroup::at(Layout::presumed()?, path)?;
        Ok(Cgroup { is_presumed: true, ..group })
    }

    /// The path that a configuration means: its own, or one of ours.
    pub fn path_for(id: &str, configured: &str) -> String {
        match configured {
            "" => format!("/mica/{id}"),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/mica/{path}"),
        }
    }

    /// Its path below the trees' roots, without a slash in front.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The trees.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes the group, with those above it, in all trees; says whether it is new in all of them.
    pub fn create(&mut self) -> Result<bool> {
        let made = if self.is_presumed { self.create_below()? } else { None };
        let is_new = match made {
            Some(is_new) => is_new,
            None => {
                if self.is_presumed {
                    self.layout = Layout::of_host()?;
                }
                self.create_all()?
            }
        };
        self.is_presumed = false;
        if let Some(cpuset) = self.layout.version1("cpuset") {
            let own = read(&cpuset.root.join(&self.path), "cpuset.cpus").unwrap_or_default();
            if own.trim().is_empty() {
                self.inherit_processors(&cpuset.root)?;
            }
        }
        Ok(is_new)
    }

    /// The same below groups that are there. If one is not, it is the first one below its parent, or
    /// there is no such tree: then nothing was made.
    fn create_below(&self) -> Result<Option<bool>> {
        let (mut is_new, mut made) = (true, Vec::new());
        for root in self.layout.roots() {
            let folder = root.join(&self.path);
            match fs::create_dir(&folder) {
                Ok(()) => made.push(folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => is_new = false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
                    return Ok(None);
                }
                Err(error) => return Err(failed("make", &folder)(error)),
            }
        }
        Ok(Some(is_new))
    }

    /// The same in trees that are known to be there, with those above it.
    fn create_all(&self) -> Result<bool> {
        let mut is_new = true;
        for root in self.layout.roots() {
            let folder = root.join(&self.path);
            let made = match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    is_new = false;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_with_parents(&folder).map(|()| self.delegate(root))
                }
                other => other,
            };
            made.map_err(failed("make", &folder))?;
        }
        Ok(is_new)
    }

    /// A group of version 1 has no processors until somebody gives it some. Those below ours get
    /// theirs from then on.
    fn inherit_processors(&self, root: &Path) -> Result<()> {
        let mut folder = root.to_owned();
        for part in self.path.split('/') {
            let above = folder.clone();
            folder.push(part);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let old = read(&folder, file).unwrap_or_default();
                if old.trim().is_empty() {
                    let value = read(&above, file).map_err(failed("read", &above))?;
                    write(&folder, file, value.trim()).map_err(failed("write", &folder))?;
                }
            }
            // Without it, this is done again for each.
            let _ = write(&folder, "cgroup.clone_children", "1");
        }
        Ok(())
    }

    /// Version 2: hands controllers down to the group's parent. Those that cannot be had are missed
    /// when a limit needs them.
    fn delegate(&self, root: &Path) {
        if self.layout.unified() != Some(root) {
            return;
        }
        let available = read(root, "cgroup.controllers").unwrap_or_default();
        let mut folder = root.to_owned();
        for part in self.path.split('/') {
            let handed = read(&folder, "cgroup.subtree_control").unwrap_or_default();
            let handed: Vec<_> = handed.split_whitespace().collect();
            for controller in available.split_whitespace().filter(|name| !handed.contains(name)) {
                let _ = write(&folder, "cgroup.subtree_control", &format!("+{controller}"));
            }
            folder.push(part);
        }
    }

    /// What a new process needs to get in that may not open the files itself.
    pub fn entry(&self) -> Result<Entry> {
        let mut entry = self.entry_by_path()?;
        for path in std::mem::take(&mut entry.paths) {
            let opened = open_tasks(&path).map_err(failed("open", &path))?;
            entry.tasks.push(opened);
        }
        Ok(entry)
    }

    /// What a new process needs to get in that may.
    pub(crate) fn entry_by_path(&self) -> Result<Entry> {
        let mut entry = Entry::default();
        if let Layout::Version1 { hierarchies, .. } = &self.layout {
            for hierarchy in hierarchies {
                let folder = hierarchy.root.join(&self.path);
                entry.paths.push(folder.join("tasks"));
                entry.views.push(View {
                    name: hierarchy.name.clone(),
                    options: hierarchy.options(),
                    folder,
                    links: hierarchy.links(),
                });
            }
        }
        if let Some(root) = self.layout.unified() {
            let folder = root.join(&self.path);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(&folder, flags, Mode::empty());
            let opened = opened.map_err(io::Error::from).map_err(failed("open", &folder))?;
            entry.unified = Some(opened);
            if entry.views.is_empty() {
                let (name, options, links) = Default::default();
                entry.views.push(View { name, options, folder, links });
            }
        }
        Ok(entry)
    }

    /// Sets limits, at the start or later.
    pub fn apply(&self, resources: &Resources, missing: Missing) -> Result<Vec<Warning>> {
        let mut warnings = Vec::new();
        let memory = &resources.memory;
        if memory.kernel.is_some_and(|limit| limit > 0) {
            let limit = "the limit of kernel memory".to_owned();
            warnings.push(Warning::Controller { limit });
        }
        if let (Some(true), Some(limit)) = (memory.check_before_update, memory.limit)
            && u64::try_from(limit).is_ok_and(|limit| limit < self.stats().memory_bytes)
        {
            return Err(RuntimeError::invalid("more memory is in use than the new limit allows"));
        }
        let mut last = None;
        if self.layout.version1("devices").is_none() {
            warnings.extend(self.limit_devices(&resources.devices)?);
        }
        for setting in self.settings(resources)? {
            let Some(folder) = self.folder_with(&setting.controller) else {
                match missing {
                    Missing::Warn => {
                        warnings.push(Warning::Controller { limit: setting.limit.to_owned() });
                    }
                    Missing::Fail => {
                        return Err(RuntimeError::NoController {
                            controller: setting.controller,
                            limit: setting.limit.to_owned(),
                        });
                    }
                }
                continue;
            };
            self.set(&folder, &setting, &mut last)?;
        }
        Ok(warnings)
    }

    /// Version 2: rules of devices are a program. It takes the place of the one before.
    fn limit_devices(&self, rules: &[DeviceRule]) -> Result<Option<Warning>> {
        let Some(program) = devices::program(rules)? else { return Ok(None) };
        let limit = || "the rules of devices".to_owned();
        let Some(root) = self.layout.unified() else {
            // Nothing decides on devices here but who may make them.
            return Ok(Some(Warning::Controller { limit: limit() }));
        };
        let folder = root.join(&self.path);
        let replace = || -> io::Result<()> {
            let group = sys::fs::open_folder(&folder)?;
            let before = sys::bpf::attached(&group)?;
            sys::bpf::attach(&group, sys::bpf::load(&program)?)?;
            before.iter().try_for_each(|program| sys::bpf::detach(&group, program))
        };
        match replace() {
            // Users of a namespace of their own make no devices, and open none but those that the
            // host lets them.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM) && !sys::host::is_host_root() =>
            {
                Ok(Some(Warning::Controller { limit: limit() }))
            }
            other => other.map(|()| None).map_err(failed("limit devices of", &folder)),
        }
    }

    /// The folder of a controller, which is handed down now if it was not before.
    fn folder_with(&self, controller: &str) -> Option<PathBuf> {
        self.folder_of(controller).or_else(|| {
            self.delegate(self.layout.unified()?);
            self.folder_of(controller)
        })
    }

    fn settings(&self, resources: &Resources) -> Result<Vec<Setting>> {
        match &self.layout {
            Layout::Version2 { .. } | Layout::None => version2(resources),
            Layout::Version1 { unified, .. } => {
                let mut settings = version1(resources)?;
                if self.layout.version1("devices").is_none() {
                    settings.retain(|setting| setting.controller != "devices");
                }
                let mut other =
                    Resources { unified: resources.unified.clone(), ..Resources::default() };
                // Huge pages may be in the other tree.
                if unified.is_some() && self.layout.version1("hugetlb").is_none() {
                    settings.retain(|setting| setting.controller != "hugetlb");
                    other.hugepage_limits.clone_from(&resources.hugepage_limits);
                }
                settings.extend(version2(&other)?);
                Ok(settings)
            }
        }
    }

    /// Writes one setting. Several that go to one file after another (the rules of devices) find it
    /// open.
    fn set(
        &self,
        folder: &Path,
        setting: &Setting,
        last: &mut Option<(PathBuf, fs::File)>,
    ) -> Result<()> {
        let path = folder.join(&setting.file);
        if last.as_ref().is_none_or(|(open, _)| *open != path) {
            *last = fs::OpenOptions::new().write(true).open(&path).ok().map(|file| (path, file));
        }
        let result = match last {
            Some((_, file)) => file.write_all(setting.value.as_bytes()),
            // Its error is the one to tell.
            None => write(folder, &setting.file, &setting.value),
        };
        let result = match (result, setting.file.as_str()) {
            // Memory alone may never be more than memory and swap: when both grow, the sum goes
            // first.
            (Err(error), "memory.limit_in_bytes") if error.raw_os_error() == Some(libc::EINVAL) => {
                write(folder, "memory.memsw.limit_in_bytes", &setting.value)
                    .and_then(|()| write(folder, &setting.file, &setting.value))
            }
            (other, _) => other,
        };
        match result {
            Err(error) if setting.optional && is_absent(&error) => Ok(()),
            other => {
                let step = format!("set {} ({} to {})", setting.limit, setting.file, setting.value);
                other.map_err(|source| RuntimeError::Cgroup { step, source })
            }
        }
    }

    /// The group's folder in the tree that has a controller.
    fn folder_of(&self, controller: &str) -> Option<PathBuf> {
        if let Some(hierarchy) = self.layout.version1(controller) {
            return Some(hierarchy.root.join(&self.path));
        }
        let folder = self.layout.unified()?.join(&self.path);
        let has = controller == "cgroup"
            || read(&folder, "cgroup.controllers")
                .is_ok_and(|list| list.split_whitespace().any(|name| name == controller));
        has.then_some(folder)
    }

    /// The group's folders in all trees.
    fn folders(&self) -> Vec<PathBuf> {
        self.layout.roots().map(|root| root.join(&self.path)).collect()
    }

    /// A group below this one, which must be there in all trees. No part of its path leads up.
    pub fn existing_below(&self, path: &str) -> Result<Cgroup> {
        if path.contains(':') {
            let what = format!("--cgroup {path}: one path counts for all controllers here");
            return Err(RuntimeError::invalid(what));
        }
        let group = Cgroup::at(self.layout.clone(), &format!("{}/{path}", self.path))?;
        match group.folders().iter().find(|folder| !folder.is_dir()) {
            Some(missing) => {
                let source = io::ErrorKind::NotFound.into();
                Err(failed("find", missing)(source))
            }
            None => Ok(group),
        }
    }

    /// Whether the group is there, perhaps in some trees alone: then its removal was cut short.
    pub fn exists(&self) -> bool {
        self.folders().iter().any(|folder| folder.exists())
    }

    /// The numbers of all processes in it and in groups below.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut list = Vec::new();
        let folder = match self.folder_of("pids").or_else(|| self.folder_of("freezer")) {
            Some(folder) => folder,
            None => match self.folders().into_iter().next() {
                Some(folder) => folder,
                None => return Ok(list),
            },
        };
        match collect(&folder, &mut list) {
            // Only an empty one can be removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed("list processes of", &folder))?,
        }
        list.sort_unstable();
        list.dedup();
        Ok(list)
    }

    /// Stops all processes in it, or lets them go on, and waits until it is so.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let (folder, file, value, state) = self.freezer()?;
        let (value, wanted) = if frozen { (value.0, state.1) } else { (value.1, state.2) };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            // The old freezer needs to be told again when a process was just being born.
            write(&folder, file, value).map_err(failed("freeze", &folder))?;
            let now = read(&folder, state.0).map_err(failed("read", &folder))?;
            if now.lines().any(|line| line == wanted) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let _ = write(&folder, file, if frozen { "THAWED" } else { value });
                let source = io::ErrorKind::TimedOut.into();
                return Err(RuntimeError::Cgroup { step: "freeze all processes".into(), source });
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Whether all processes in it stand still.
    pub fn is_frozen(&self) -> bool {
        let Ok((folder, _, _, state)) = self.freezer() else { return false };
        read(&folder, state.0).is_ok_and(|text| text.lines().any(|line| line == state.1))
    }

    /// The freezer's folder, its file with the words for stop and go, and the file that says how
    /// it is with its two words.
    #[allow(clippy::type_complexity)]
    fn freezer(
        &self,
    ) -> Result<(
        PathBuf,
        &'static str,
        (&'static str, &'static str),
        (&'static str, &'static str, &'static str),
    )> {
        if let Some(hierarchy) = self.layout.version1("freezer") {
            let words = ("FROZEN", "THAWED");
            let state = ("freezer.state", "FROZEN", "THAWED");
            return Ok((hierarchy.root.join(&self.path), "freezer.state", words, state));
        }
        let Some(root) = self.layout.unified() else {
            let (controller, limit) = ("freezer".to_owned(), "pausing".to_owned());
            return Err(RuntimeError::NoController { controller, limit });
        };
        let state = ("cgroup.events", "frozen 1", "frozen 0");
        Ok((root.join(&self.path), "cgroup.freeze", ("1", "0"), state))
    }

    /// Kills everything in it, frozen or not.
    pub fn kill_all(&self) -> Result<()> {
        if let (Layout::Version2 { .. }, Some(root)) = (&self.layout, self.layout.unified())
            && write(&root.join(&self.path), "cgroup.kill", "1").is_ok()
        {
            return Ok(());
        }
        self.signal_all(libc::SIGKILL)?;
        // What is frozen dies when it thaws.
        if self.is_frozen() { self.freeze(false) } else { Ok(()) }
    }

    /// Sends a signal to everything in it. What is born meanwhile is caught in another round.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        let mut told = Vec::new();
        loop {
            let fresh: Vec<_> =
                self.processes()?.into_iter().filter(|pid| !told.contains(pid)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for pid in fresh {
                // One that has ended meanwhile needs no signal.
                let _ = sys::task::kill(pid, signal);
                told.push(pid);
            }
        }
    }

    /// Removes it with all groups below. Processes that are just ending are waited for a little.
    pub fn remove(&self) -> Result<()> {
        for folder in self.folders() {
            let mut pause = Duration::from_micros(100);
            loop {
                match remove_tree(&folder) {
                    Ok(()) => break,
                    Err(error)
                        if error.raw_os_error() == Some(libc::EBUSY)
                            && pause < Duration::from_millis(500) =>
                    {
                        sleep(pause);
                        pause *= 2;
                    }
                    Err(error) => return Err(failed("remove", &folder)(error)),
                }
            }
        }
        Ok(())
    }

    /// How often the kernel has killed something in it for want of memory.
    pub fn out_of_memory_kills(&self) -> Option<u64> {
        let folder = self.folder_of("memory")?;
        let file = match self.layout.version1("memory") {
            Some(_) => "memory.oom_control",
            None => "memory.events",
        };
        values::keyed(&read(&folder, file).ok()?, "oom_kill")
    }

    /// What it has used.
    pub fn stats(&self) -> Stats {
        stats::read(self)
    }

    pub(crate) fn read_file(&self, controller: &str, file: &str) -> Option<String> {
        read(&self.folder_of(controller)?, file).ok()
    }
}

impl Entry {
    /// The folder of version 2, for the call that makes the process.
    pub(crate) fn birthplace(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.unified.as_ref().map(|folder| folder.as_fd())
    }
}

/// Makes a folder and those above it, one of which may just have been removed since it was empty.
fn create_with_parents(folder: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 10;
    for _ in 1..ATTEMPTS {
        match fs::create_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    fs::create_dir_all(folder)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

fn failed(step: &str, path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let step = format!("{step} {}", path.display());
    move |source| RuntimeError::Cgroup { step, source }
}

fn read(folder: &Path, file: &str) -> io::Result<String> {
    sys::read::text(&folder.join(file))
}

/// Opens a file for a process to write itself into.
pub(crate) fn open_tasks(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(folder.join(file))?.write_all(value.as_bytes())
}

fn collect(folder: &Path, list: &mut Vec<i32>) -> io::Result<()> {
    let text = read(folder, "cgroup.procs")?;
    list.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match collect(&entry.path(), list) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match fs::remove_dir(folder) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
        other => return gone(other),
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    gone(fs::remove_dir(folder))
}
