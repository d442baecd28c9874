//! Rules of devices that most containers have, written once for all of them.
//!
//! Version 1 gives a new group the rules of the one that it is made in. It may take from them and
//! never add to them. So a group with just these rules is made once, and groups of containers in it
//! need no writes. It is put together under another name and then renamed: that it is there says
//! that all of its rules are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spec::Digest;
use spec::bundle::{DeviceRule, Resources};

use super::make::create_with_parents;
use super::{Cgroup, Layout, Setting, settings, write};
use crate::error::Result;

/// What names of such groups begin with; no other group of ours can.
pub(super) const PREFIX: &str = "devices=";
/// The tree that has them, if it has nothing else.
const TREE: &str = "devices";
/// How often a group is made again that somebody has removed since it had none in it.
const ATTEMPTS: usize = 5;

/// A group that has some rules, and the containers' groups below it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// Its path below the tree's root.
    above: String,
    /// That of the container's group in it.
    pub(super) path: String,
    rules: Vec<Setting>,
}

impl Cgroup {
    /// Lets the group have these rules of devices from one that all with the same rules are in, where
    /// that is possible: then [`Cgroup::apply`] need not write them. To be said before it is made.
    /// Nobody can allow it more later.
    pub fn share_devices(&mut self, rules: &[DeviceRule]) -> Result<()> {
        let Some((above, name)) = self.path.rsplit_once('/') else { return Ok(()) };
        if tree(&self.layout).is_none() || self.scope.is_some() {
            return Ok(());
        }
        let resources = Resources { devices: rules.to_vec(), ..Resources::default() };
        let rules = settings::version1(&resources)?;
        let text: String =
            rules.iter().map(|rule| format!("{} {}\n", rule.file, rule.value)).collect();
        let above = format!("{above}/{PREFIX}{}", Digest::of(text.as_bytes()).short());
        let path = format!("{above}/{name}");
        self.shared = Some(Shared { above, path, rules });
        Ok(())
    }

    /// The same group with what it may have in others, whoever made it: for those who clean up.
    pub fn with_shared(mut self) -> Cgroup {
        if let (Some(root), Some((above, name))) = (tree(&self.layout), self.path.rsplit_once('/'))
        {
            let places = groups(&root.join(above)).map(|group| group.join(name));
            self.further = places.filter(|place| place.exists()).collect();
        }
        self
    }

    /// Whether it has its rules of devices from the group that it is in.
    pub(super) fn has_shared_rules(&self) -> bool {
        tree(&self.layout).is_some_and(|root| self.shared_in(root).is_some())
    }

    /// The group's path in one tree, if it is in another group there.
    pub(super) fn shared_in(&self, root: &Path) -> Option<&str> {
        let shared = self.shared.as_ref()?;
        (tree(&self.layout) == Some(root)).then_some(&shared.path)
    }

    /// Makes the container's group in that with its rules, which is made if it is missing. Says
    /// whether it is new; nothing if that cannot be done: then the container's has rules of its own.
    pub(super) fn create_shared(&mut self) -> Option<bool> {
        let root = tree(&self.layout).map(Path::to_owned);
        let made = match (&root, &self.shared) {
            (Some(root), Some(shared)) => shared.create(root),
            _ => None,
        };
        if made.is_none() {
            self.shared = None;
        }
        made
    }
}

impl Shared {
    fn create(&self, root: &Path) -> Option<bool> {
        for _ in 0..ATTEMPTS {
            self.put_together(root).ok()?;
            match fs::create_dir(root.join(&self.path)) {
                Ok(()) => return Some(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Some(false),
                // It was empty, and removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Makes the group with the rules, unless it is there.
    fn put_together(&self, root: &Path) -> io::Result<()> {
        let place = root.join(&self.above);
        if place.exists() {
            return Ok(());
        }
        let bytes: [u8; 8] = sys::host::random_bytes()?;
        let aside = root.join(format!("{}.{:x}", self.above, u64::from_ne_bytes(bytes)));
        if let Some(above) = aside.parent() {
            create_with_parents(above)?;
        }
        fs::create_dir(&aside)?;
        let done = self.write_rules(&aside).and_then(|()| fs::rename(&aside, &place));
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = fs::remove_dir(&aside);
                // Somebody else was faster.
                if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
            }
        }
    }

    fn write_rules(&self, folder: &Path) -> io::Result<()> {
        self.rules.iter().try_for_each(|rule| write(folder, &rule.file, &rule.value))
    }
}

/// Removes groups with rules in a group of ours that have no container's, whole or half made.
pub(super) fn remove_empty(layout: &Layout, root: &Path, above: &Path) {
    if tree(layout) == Some(root) {
        groups(above).for_each(|group| drop(fs::remove_dir(group)));
    }
}

/// The tree that has rules of devices and nothing else: what else it had, others would look for where
/// the container's group is in the other trees.
fn tree(layout: &Layout) -> Option<&Path> {
    let tree = layout.version1(TREE)?;
    matches!(tree.controllers.as_slice(), [_]).then_some(&tree.root)
}

/// Groups that have rules for others, below one of ours.
fn groups(above: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(above).into_iter().flatten().flatten();
    let is_one = |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.starts_with(PREFIX));
    entries.filter(move |entry| is_one(&entry.file_name())).map(|entry| entry.path())
}
