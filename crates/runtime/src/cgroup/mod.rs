//! Control groups: of version 1, of version 2, and of both side by side.
//!
//! A container's group lies below one of ours (`/mica/ID`), where its configuration says, or where systemd
//! makes a scope of its own for it (`SLICE:PREFIX:NAME`). What a
//! limit means in files is a pure function (`settings`); writing them is [`Cgroup::apply`].

mod devices;
mod layout;
mod limit;
mod make;
mod places;
mod processes;
mod settings;
mod shared;
mod stats;
mod systemd;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

pub use layout::{Hierarchy, Layout};
pub use places::SharedPlaces;
pub(crate) use places::places;
pub use settings::{Setting, version1, version2};
pub use stats::Stats;
pub use values::{quota, shares_of_weight, weight_of_block_io, weight_of_shares};

use crate::error::{Result, RuntimeError};
use shared::PREFIX;
use systemd::Scope;

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
    /// Trees, by their roots, in which another group is meant, which is not ours to make or remove.
    apart: BTreeMap<PathBuf, String>,
    /// Where it has its rules of devices from, if it has none of its own.
    shared: Option<shared::Shared>,
    /// What systemd makes and removes it as, if systemd does.
    scope: Option<Scope>,
    /// Folders besides that may be left of it.
    further: Vec<PathBuf>,
    /// Nobody has looked yet whether the trees are there.
    is_presumed: bool,
}

impl Cgroup {
    /// The group at a path below the trees' roots, or the scope of a container in systemd's words
    /// (see [`Cgroup::path_for`]); nothing is made yet.
    pub fn at(layout: Layout, path: &str) -> Result<Cgroup> {
        if is_scope(path) {
            let scope = Scope::parse(path)?;
            let group = Cgroup::at(layout, &scope.path()?)?;
            return Ok(Cgroup { scope: Some(scope), ..group });
        }
        let parts = path.split('/').filter(|part| !part.is_empty());
        let parts: Vec<_> = parts.collect();
        // What is called as one with rules for others must be one.
        let is_wrong = |part: &&str| matches!(*part, "." | "..") || part.starts_with(PREFIX);
        if parts.is_empty() || parts.iter().any(is_wrong) {
            return Err(RuntimeError::invalid(format!("{path} is no path of a cgroup")));
        }
        Ok(Cgroup {
            layout,
            path: parts.join("/"),
            apart: BTreeMap::new(),
            shared: None,
            scope: None,
            further: Vec::new(),
            is_presumed: false,
        })
    }

    /// Takes from a container's annotations what systemd is to be told when it makes the group.
    pub fn take_properties(&mut self, annotations: &BTreeMap<String, String>) -> Result<()> {
        match &mut self.scope {
            Some(scope) => scope.take_properties(annotations),
            None => Ok(()),
        }
    }

    /// What is left of such a group, for those who clean up: nothing is of a scope when there is no systemd.
    pub fn left_at(layout: Layout, path: &str) -> Result<Option<Cgroup>> {
        match Cgroup::at(layout, path) {
            Err(RuntimeError::NoSystemd { .. }) => Ok(None),
            other => other.map(|group| Some(group.with_shared()).filter(Cgroup::exists)),
        }
    }

    /// The group at a path below the roots of the trees that this host is likely to have: whether it
    /// has them shows when the group is made.
    pub fn presumed(path: &str) -> Result<Cgroup> {
        if is_scope(path) {
            return Cgroup::at(Layout::of_host()?, path);
        }
        let group = Cgroup::at(Layout::presumed()?, path)?;
        Ok(Cgroup { is_presumed: true, ..group })
    }

    /// The path that a configuration means: its own, or one of ours; where `systemd` makes groups,
    /// `SLICE:PREFIX:NAME`.
    pub fn path_for(id: &str, configured: &str, systemd: bool) -> Result<String> {
        Ok(match (configured, systemd) {
            ("", true) => format!(":mica:{id}"),
            (scope, true) => Scope::parse(scope).map(|_| scope.to_owned())?,
            ("", false) => format!("/mica/{id}"),
            (path, false) if path.starts_with('/') => path.to_owned(),
            (path, false) => format!("/mica/{path}"),
        })
    }

    /// What [`Cgroup::at`] finds it by again.
    pub fn name(&self) -> String {
        match &self.scope {
            Some(scope) => scope.text(),
            None => format!("/{}", self.path),
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

    /// What a new process needs to get in that may not open the files itself.
    pub fn entry(&self) -> Result<Entry> {
        let mut entry = self.entry_by_path()?;
        for path in std::mem::take(&mut entry.paths) {
            give_processors(&path).map_err(failed("give processors to", &path))?;
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
                let folder = self.folder_in(&hierarchy.root);
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
            let folder = self.folder_in(root);
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

    /// The group's folder in the tree that has a controller.
    fn folder_of(&self, controller: &str) -> Option<PathBuf> {
        if let Some(hierarchy) = self.layout.version1(controller) {
            return Some(self.folder_in(&hierarchy.root));
        }
        let folder = self.layout.unified()?.join(&self.path);
        let has = controller == "cgroup"
            || read(&folder, "cgroup.controllers")
                .is_ok_and(|list| list.split_whitespace().any(|name| name == controller));
        has.then_some(folder)
    }

    /// The group's folders in all trees.
    fn folders(&self) -> Vec<PathBuf> {
        self.layout.roots().map(|root| self.folder_in(root)).collect()
    }

    /// The group's folders in all trees in which it is ours.
    fn own_folders(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.layout.roots().filter(|root| !self.apart.contains_key(*root));
        own.map(|root| self.folder_in(root)).chain(self.further.iter().cloned())
    }

    /// The group's folder in one tree.
    fn folder_in(&self, root: &Path) -> PathBuf {
        let path = self.apart.get(root).map(String::as_str).or_else(|| self.shared_in(root));
        root.join(path.unwrap_or(&self.path))
    }

    /// Groups below this one, which must be there: one in all trees, or `CONTROLLER[,…]:PATH` in the
    /// trees of these controllers. No part of a path leads up.
    pub fn existing_below(&self, asked: &[String]) -> Result<Cgroup> {
        let below = |path: &str| {
            let group = Cgroup::at(self.layout.clone(), &format!("{}/{path}", self.path));
            group.map(|group| group.path)
        };
        let wrong = |text: &str, why: &str| {
            RuntimeError::invalid(format!("invalid --cgroup argument: {text} ({why})"))
        };
        let mut group = self.clone();
        for text in asked {
            let Some((controllers, path)) = text.split_once(':') else {
                if asked.len() > 1 {
                    return Err(wrong(text, "missing <controller>: prefix"));
                }
                group.path = below(text)?;
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(wrong(text, "empty <controller> prefix"));
                }
                let tree = self.layout.version1(controller);
                let tree = tree.ok_or_else(|| wrong(text, "no such controller of version 1"))?;
                let path = below(path)?;
                let before = group.apart.insert(tree.root.clone(), path.clone());
                if before.is_some_and(|before| before != path) {
                    return Err(wrong(text, "a controller is specified multiple times"));
                }
            }
        }
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
        self.own_folders().any(|folder| folder.exists())
    }

    /// The container's first process is in it: what kept its place goes.
    pub(crate) fn settle(&self) -> Result<()> {
        match &self.scope {
            Some(scope) => scope.settle(),
            None => Ok(()),
        }
    }

    /// Removes it with all groups below. Processes that are just ending are waited for a little.
    pub fn remove(&self) -> Result<()> {
        // What systemd did not make goes whatever it says.
        let told = self.scope.as_ref().map_or(Ok(()), Scope::remove);
        self.remove_folders().and(told)
    }

    fn remove_folders(&self) -> Result<()> {
        for folder in self.own_folders() {
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

/// Whether this is no path but a scope in systemd's words.
fn is_scope(path: &str) -> bool {
    !path.contains('/') && path.matches(':').count() == 2
}

fn failed(step: &str, path: &Path) -> impl FnOnce(io::Error) -> RuntimeError + use<> {
    let step = format!("{step} {}", path.display());
    move |source| RuntimeError::Cgroup { step, source }
}

fn read(folder: &Path, file: &str) -> io::Result<String> {
    sys::read::text(&folder.join(file))
}

/// Opens a file for a process to write itself into.
fn open_tasks(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives the group whose `tasks` this is its processors, if it is one of that kind and has none.
fn give_processors(tasks: &Path) -> io::Result<()> {
    match tasks.parent().filter(|folder| folder.join("cpuset.cpus").exists()) {
        Some(folder) => make::inherit_processors(folder),
        None => Ok(()),
    }
}

/// Writes this process into a group by its own hand, and gives the open file, which is to be closed
/// with others. The kernel says so if the group has no processors yet.
pub(crate) fn enter(tasks: &Path) -> io::Result<OwnedFd> {
    let opened = open_tasks(tasks)?;
    match rustix::io::write(&opened, b"0") {
        Err(rustix::io::Errno::NOSPC) => {
            give_processors(tasks)?;
            rustix::io::write(&opened, b"0")?;
        }
        other => drop(other?),
    }
    Ok(opened)
}

fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(folder.join(file))?.write_all(value.as_bytes())
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
