//! Where the trees of groups are.

use std::io;
use std::path::{Path, PathBuf};

use super::shared;
use crate::error::{Result, RuntimeError};

/// Where trees of groups are mounted.
const BASE: &str = "/sys/fs/cgroup";
/// What marks a tree of version 2.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// The tree in which systemd keeps what it has started.
const SYSTEMD: &str = "name=systemd";

/// The controllers that limits, figures, pauses and rules of devices need. Where version 1 has all of
/// them, one of version 2 beside it has nothing to give a container.
const ALL: [&str; 7] = ["blkio", "cpu", "cpuset", "devices", "freezer", "memory", "pids"];

/// Where the trees of groups are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One tree for everything.
    Version2 {
        /// Its root.
        root: PathBuf,
    },
    /// A tree for each controller, perhaps with one of version 2 beside them.
    Version1 {
        /// The trees.
        hierarchies: Vec<Hierarchy>,
        /// The one of version 2.
        unified: Option<PathBuf>,
    },
    /// None that this process may write to.
    None,
}

/// A tree of version 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hierarchy {
    /// Its folder in `/sys/fs/cgroup`.
    pub name: String,
    /// Its controllers; `name=…` where it has none.
    pub controllers: Vec<String>,
    /// Its root.
    pub root: PathBuf,
}

impl Hierarchy {
    /// What it is mounted with.
    pub(crate) fn options(&self) -> Vec<String> {
        let named = self.controllers.iter().any(|name| name.starts_with("name="));
        let none = named.then(|| "none".to_owned());
        none.into_iter().chain(self.controllers.iter().cloned()).collect()
    }

    /// Names of single controllers for a tree of several.
    pub(crate) fn links(&self) -> Vec<String> {
        match self.controllers.len() {
            1 => Vec::new(),
            _ => self.controllers.clone(),
        }
    }
}

impl Layout {
    /// The layout of this host.
    pub fn of_host() -> Result<Layout> {
        Layout::below(Path::new(BASE), Path::new("/proc/self/cgroup"), is_idle)
    }

    /// The same with all trees that are mounted, also those into which nothing is put here: who clears
    /// up finds in them what was put there when it was otherwise.
    pub fn whole() -> Result<Layout> {
        Layout::below(Path::new(BASE), Path::new("/proc/self/cgroup"), || false)
    }

    /// The layout that the kernel's list of groups makes likely; nothing was looked at. Making a
    /// group in it ([`super::Cgroup::create`]) shows whether it is so.
    pub(super) fn presumed() -> Result<Layout> {
        let list = Path::new("/proc/self/cgroup");
        let read = |source| RuntimeError::Read { path: list.into(), source };
        match sys::read::text(list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Layout::None),
            text => Ok(Layout::likely(Path::new(BASE), &text.map_err(read)?).needed(is_idle)),
        }
    }

    /// The same without systemd's own tree where systemd does not run: it has no controller to give
    /// a container. And without a tree of version 2 that nobody needs, or that nobody mounted: its folder may
    /// be there, and a folder can be made in it that is no group, into which no process can be born.
    fn needed(self, is_idle: impl FnOnce() -> bool) -> Layout {
        let has_all = ALL.iter().all(|controller| self.version1(controller).is_some());
        match self {
            Layout::Version1 { mut hierarchies, unified } => {
                let is_systemds =
                    |tree: &Hierarchy| tree.controllers.iter().any(|name| name == SYSTEMD);
                let is_idle = (has_all || hierarchies.iter().any(is_systemds)) && is_idle();
                hierarchies.retain(|tree| !(is_idle && is_systemds(tree)));
                let unified = unified.filter(|path| !(has_all && is_idle) && is_version2(path));
                Layout::Version1 { hierarchies, unified }
            }
            other => other,
        }
    }

    fn likely(base: &Path, list: &str) -> Layout {
        let hierarchies: Vec<_> = parse(list)
            .map(|controllers| {
                let name = name_of(&controllers);
                Hierarchy { root: base.join(&name), name, controllers }
            })
            .collect();
        let unified = list.lines().any(|line| line.starts_with("0::"));
        match (hierarchies.is_empty(), unified) {
            (true, true) => Layout::Version2 { root: base.to_owned() },
            (true, false) => Layout::None,
            (false, unified) => {
                let unified = unified.then(|| base.join("unified"));
                Layout::Version1 { hierarchies, unified }
            }
        }
    }

    fn below(base: &Path, list: &Path, is_idle: impl FnOnce() -> bool) -> Result<Layout> {
        if is_version2(base) {
            return Ok(Layout::Version2 { root: base.to_owned() });
        }
        let text = match sys::read::text(list) {
            // A kernel without groups.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Layout::None),
            other => other.map_err(|source| RuntimeError::Read { path: list.into(), source })?,
        };
        let hierarchies: Vec<_> =
            parse(&text).filter_map(|controllers| find(base, controllers)).collect();
        let unified = Some(base.join("unified"));
        match (Layout::Version1 { hierarchies, unified }).needed(is_idle) {
            Layout::Version1 { hierarchies, unified: None } if hierarchies.is_empty() => {
                Ok(Layout::None)
            }
            layout => Ok(layout),
        }
    }

    /// The tree of version 1 that has a controller.
    pub fn version1(&self, controller: &str) -> Option<&Hierarchy> {
        match self {
            Layout::Version1 { hierarchies, .. } => {
                hierarchies.iter().find(|tree| tree.controllers.iter().any(|c| c == controller))
            }
            _ => None,
        }
    }

    /// The tree of version 2.
    pub fn unified(&self) -> Option<&Path> {
        match self {
            Layout::Version2 { root } => Some(root),
            Layout::Version1 { unified, .. } => unified.as_deref(),
            Layout::None => None,
        }
    }

    /// Removes the group of ours that has all containers' in it, where it has none. Who is just making
    /// one makes that of ours again.
    pub fn remove_if_empty(&self) {
        let remove = |root: &Path| {
            let ours = root.join("mica");
            shared::remove_empty(self, root, &ours);
            std::fs::remove_dir(ours)
        };
        // A container has a group in all trees: who finds one need not look further.
        let is_busy = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
        let _ = self.roots().find(|root| remove(root).is_err_and(|error| is_busy(&error)));
    }

    /// All roots.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        let old = match self {
            Layout::Version1 { hierarchies, .. } => hierarchies.as_slice(),
            _ => &[],
        };
        old.iter().map(|tree| tree.root.as_path()).chain(self.unified())
    }
}

/// Whether nobody looks after what is in a tree beside those with controllers. Where systemd runs,
/// it ends all that is in a unit's group with the unit: a container must not stay in such a one.
fn is_idle() -> bool {
    // Asked of the kernel once: the standard library asks twice where nothing is.
    rustix::fs::stat("/run/systemd/system").is_err()
}

fn is_version2(path: &Path) -> bool {
    sys::fs::file_system_magic(path).is_ok_and(|magic| magic == CGROUP2_MAGIC)
}

/// The controllers of each tree of version 1 out of `/proc/self/cgroup`.
fn parse(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().filter_map(|line| {
        let controllers = line.split(':').nth(1).filter(|list| !list.is_empty())?;
        Some(controllers.split(',').map(str::to_owned).collect())
    })
}

/// The folder's name that a tree usually has.
fn name_of(controllers: &[String]) -> String {
    let joined = controllers.join(",");
    joined.strip_prefix("name=").map(str::to_owned).unwrap_or(joined)
}

/// Where a tree is mounted: under its controllers' names, or its own.
fn find(base: &Path, controllers: Vec<String>) -> Option<Hierarchy> {
    let names = [Some(name_of(&controllers)), controllers.first().cloned()].into_iter().flatten();
    let found = names
        .map(|name| (base.join(&name), name))
        .find(|(root, _)| root.join("tasks").exists() || root.join("cgroup.procs").exists());
    found.map(|(root, name)| Hierarchy { name, controllers, root })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_kernels_list_is_read() {
        let text = "9:name=systemd:/\n3:cpu,cpuacct:/a\n0::/\n";
        let lists: Vec<_> = parse(text).collect();
        assert_eq!(lists, [vec!["name=systemd"], vec!["cpu", "cpuacct"]]);
    }

    #[test]
    fn what_is_likely_is_where_trees_usually_are() {
        let base = Path::new("/base");
        let layout = Layout::likely(base, "9:name=systemd:/\n3:cpu,cpuacct:/a\n0::/\n");
        assert_eq!(layout.unified(), Some(Path::new("/base/unified")));
        let roots: Vec<_> = layout.roots().collect();
        let expected = ["/base/systemd", "/base/cpu,cpuacct", "/base/unified"];
        assert_eq!(roots, expected.map(Path::new));
        assert_eq!(Layout::likely(base, "0::/x\n"), Layout::Version2 { root: base.into() });
        assert_eq!(Layout::likely(base, ""), Layout::None);
        let needed = layout.clone().needed(|| false);
        assert_eq!(needed.unified(), None, "nothing is mounted there");
        let roots: Vec<_> = needed.roots().collect();
        assert_eq!(roots, expected[..2].iter().map(Path::new).collect::<Vec<_>>());
        let layout = layout.needed(|| true);
        let roots: Vec<_> = layout.roots().collect();
        assert_eq!(roots, [Path::new("/base/cpu,cpuacct")], "nobody looks after systemd's");
        let root = Path::new("/sys/fs/cgroup");
        let all: String = ALL.iter().map(|name| format!("1:{name}:/\n")).collect();
        let layout = Layout::likely(root, &format!("{all}0::/\n")).needed(|| true);
        assert_eq!((layout.roots().count(), layout.unified()), (ALL.len(), None));
    }

    #[test]
    fn groups_of_ours_go_with_the_last_container() {
        let place = tempfile::tempdir().unwrap();
        let root = |name: &str| place.path().join(name);
        let tree = |name: &str| Hierarchy {
            name: name.to_owned(),
            controllers: vec![name.to_owned()],
            root: root(name),
        };
        let hierarchies = vec![tree("a"), tree("b"), tree("c")];
        let layout = Layout::Version1 { hierarchies, unified: None };
        for folder in ["a/mica", "b", "c/mica/container"] {
            fs::create_dir_all(root(folder)).unwrap();
        }
        layout.remove_if_empty();
        assert!(!root("a/mica").exists() && root("c/mica/container").exists());
        fs::remove_dir(root("c/mica/container")).unwrap();
        layout.remove_if_empty();
        assert!(!root("c/mica").exists() && root("c").exists());
        let layout = Layout::Version1 { hierarchies: vec![tree("devices")], unified: None };
        for folder in ["empty", "half.1", "used/container"] {
            fs::create_dir_all(root(&format!("devices/mica/devices={folder}"))).unwrap();
        }
        layout.remove_if_empty();
        let left = fs::read_dir(root("devices/mica")).unwrap().map(|one| one.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["devices=used"]);
    }

    #[test]
    fn trees_are_found_by_their_folders() {
        let place = tempfile::tempdir().unwrap();
        for name in ["systemd", "cpu,cpuacct"] {
            fs::create_dir(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("tasks"), "").unwrap();
        }
        let list = place.path().join("list");
        fs::write(&list, "9:name=systemd:/\n3:cpu,cpuacct:/a\n2:memory:/\n0::/\n").unwrap();
        let layout = Layout::below(place.path(), &list, || false).unwrap();
        let tree = layout.version1("cpuacct").unwrap();
        assert_eq!(tree.links(), ["cpu", "cpuacct"]);
        assert_eq!(layout.version1("name=systemd").unwrap().options(), ["none", "name=systemd"]);
        assert_eq!(layout.version1("memory"), None, "it is not mounted");
        fs::write(&list, "").unwrap();
        assert_eq!(Layout::below(place.path(), &list, || false).unwrap(), Layout::None);
    }
}
