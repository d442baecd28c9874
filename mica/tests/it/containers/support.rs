//! Containers of a test's own: a root with a tiny image, and nothing left when the test is over.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Layer, Mounted};

use crate::support::{Image, Mica};

/// Where the groups of containers are kept.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A mica of the test's own with the image `bb`; its containers end with it, however it ends.
pub(crate) struct Root {
    mica: Mica,
}

impl Deref for Root {
    type Target = Mica;

    fn deref(&self) -> &Mica {
        &self.mica
    }
}

impl Root {
    /// One in memory, or none with the reason counted where containers cannot run.
    pub(crate) fn new() -> Option<Root> {
        Root::with(Mica::new)
    }

    /// One at this place, with a storage driver of the test's choice.
    pub(crate) fn on_driver(place: Mounted, driver: &str) -> Option<Root> {
        Root::with(|| Mica::at(place).with_driver(driver))
    }

    fn with(make: impl FnOnce() -> Mica) -> Option<Root> {
        let Some(base) = base() else {
            testkit::skip("busybox is not installed");
            return None;
        };
        if !testkit::is_root() {
            testkit::skip("containers of every user need root");
            return None;
        }
        let root = Root { mica: make() };
        let image = Image::new(&["bb:latest"]).layer(base, "base");
        root.file("bb.tar", image.archive());
        let loaded = root.run("load -q -i bb.tar");
        if loaded.err.contains("driver does not work here") {
            testkit::skip(&loaded.err);
            return None;
        }
        assert_eq!(loaded.code, 0, "{loaded}");
        Some(root)
    }

    /// A line that runs a container with no network, which goes when it ends.
    pub(crate) fn sh(&self, options: &str, script: &str) -> crate::support::Run {
        self.run(&format!("run --rm --network none {options} bb sh -c '{script}'"))
    }

    /// What such a script prints, which must end well and without a complaint.
    #[track_caller]
    pub(crate) fn prints(&self, options: &str, script: &str) -> String {
        let run = self.sh(options, script);
        assert!(run.code == 0 && run.err.is_empty(), "{run}");
        run.out.trim_end().to_owned()
    }

    /// A container with this name that runs until it is stopped, and its id.
    #[track_caller]
    pub(crate) fn sleeper(&self, name: &str, options: &str) -> String {
        self.ok(&format!("run -d --name {name} --network none {options} bb sleep 600"))
    }

    /// The containers there are, by id.
    pub(crate) fn containers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join("containers")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.len() == 64).collect()
    }

    /// What is kept about how a container is.
    #[track_caller]
    pub(crate) fn state(&self, id: &str) -> serde_json::Value {
        let path = self.root().join("containers").join(id).join("state.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// The processes of this root's monitors: each carries the data root on its command line.
    pub(crate) fn monitors(&self) -> Vec<u32> {
        let root = self.root().into_os_string().into_encoded_bytes();
        let carries = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == root)
        };
        processes().filter(carries).collect()
    }

    /// Fails if anything is left of containers: the last of them must have been run with `--rm`.
    #[track_caller]
    pub(crate) fn must_be_clean(&self, ids: &[String]) {
        eventually("the monitors end", || self.monitors().is_empty());
        assert_eq!(self.containers(), Vec::<String>::new());
        let snapshots = entries(&self.root().join("snapshots"));
        assert!(snapshots.is_empty(), "snapshots are left: {snapshots:?}");
        assert_eq!(self.links_and_rules(), [""; 0]);
        for id in ids {
            let left = groups(id);
            assert!(left.is_empty(), "groups are left: {left:?}");
            let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!table.contains(id.as_str()), "a mount is left of {id}");
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let ids = self.containers();
        for id in &ids {
            // One that is paused does not die before it goes on.
            self.mica.run(&format!("unpause {id}"));
            self.mica.run(&format!("stop -t 0 {id}"));
        }
        let end = Instant::now() + Duration::from_secs(30);
        while !self.monitors().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in self.monitors() {
            kill(pid, "KILL");
        }
        for group in ids.iter().flat_map(|id| groups(id)) {
            for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
                pid.parse().into_iter().for_each(|pid| kill(pid, "KILL"));
            }
            let _ = fs::remove_dir(&group);
        }
        self.remove_bridges();
    }
}

impl Root {
    /// The names that the tables of this root may have, and the bridge of its default network.
    pub(super) fn tables(&self) -> Vec<String> {
        let folders = entries(&self.root().with_file_name("run"));
        let names = folders.iter().filter_map(|folder| folder.file_name()?.to_str()?.get(..6));
        names.map(|name| format!("mica-{name}")).collect()
    }

    /// The bridges of this root's own networks.
    fn bridges(&self) -> Vec<String> {
        let networks = entries(&self.root().join("networks"));
        let names = networks.iter().filter_map(|path| path.file_stem()?.to_str()?.get(..12));
        names.map(|name| format!("br-{name}")).chain(self.tables()).collect()
    }

    /// What there is of this root's networks on the host.
    pub(super) fn links_and_rules(&self) -> Vec<String> {
        let is_link = |name: &String| Path::new("/sys/class/net").join(name).exists();
        let said = Command::new("nft").args(["list", "tables"]).output();
        let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let said = said.unwrap_or_default();
        let tables = self.tables().into_iter().filter(|table| said.contains(table));
        self.bridges().into_iter().filter(is_link).chain(tables).collect()
    }

    /// Removes the bridges and the table of this root.
    fn remove_bridges(&self) {
        for name in self.links_and_rules() {
            let _ = Command::new("ip").args(["link", "del", &name]).output();
            let _ = Command::new("nft").args(["delete", "table", "inet", &name]).output();
        }
    }
}

/// A root file system of busybox and two users.
pub(crate) fn base() -> Option<Layer> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path);
    let program = folders.map(|folder| folder.join("busybox")).find(|path| path.is_file())?;
    let names = Command::new(&program).arg("--list").output().ok()?;
    let mut layer = Layer::new()
        .folder("bin")
        .file("bin/busybox", fs::read(&program).ok()?)
        .mode(0o755)
        .folder("etc")
        .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n")
        .file("etc/group", "root:x:0:\nbob:x:1001:\nstaff:x:50:bob\n")
        .folder("filled")
        .file("filled/from-image", "filled\n")
        .folder("tmp")
        .mode(0o1777);
    for name in String::from_utf8(names.stdout).ok()?.lines().filter(|name| *name != "busybox") {
        layer = layer.link(format!("bin/{name}"), "busybox");
    }
    Some(layer)
}

/// The groups of a container that are there.
pub(crate) fn groups(id: &str) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(CGROUPS)];
    places.extend(entries(Path::new(CGROUPS)));
    let ours = places.into_iter().map(|place| place.join("mica"));
    // One may be in a group that has its rules of devices.
    let above = ours.flat_map(|ours| {
        let with_rules = entries(&ours).into_iter();
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"devices="))
        };
        with_rules.filter(named).chain([ours]).collect::<Vec<_>>()
    });
    above.map(|above| above.join(id)).filter(|group| group.is_dir()).collect()
}

/// What is in a folder; nothing if there is no folder.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sends a signal to one process.
pub(crate) fn kill(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
}

/// Waits until something is so, at most half a minute.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
