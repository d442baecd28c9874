//! Rules of devices that many containers have, in one group of version 1 for all of them.
//!
//! What a container may do with devices is written once and never changed, and nearly all containers
//! have the same rules. There each rule takes a call; so whoever comes later enters the group that
//! the first one has made. It is never removed: somebody may be about to enter it.

use std::fs;
use std::path::{Path, PathBuf};

use spec::Digest;
use spec::bundle::{DeviceRule, Resources};

use super::{Cgroup, Setting, version1, write};

/// Where groups of ours lie. Those of others may have rules of their own, which hold below them.
const OURS: &str = "mica";
/// How many digits of their digest name rules.
const DIGITS: usize = 32;

impl Cgroup {
    /// Enters the group of all that have these rules, instead of one that gets them. Not for
    /// containers that may change groups: they would change them for all. Where there is no such
    /// group and none can be made, the rules go where they always go.
    pub fn share_devices(&mut self, rules: &[DeviceRule]) {
        let Some(root) = self.layout.version1("devices").map(|tree| tree.root.clone()) else {
            return;
        };
        let is_ours = self.path.rsplit_once('/').is_some_and(|(above, _)| above == OURS);
        let resources = Resources { devices: rules.to_vec(), ..Resources::default() };
        let Some(settings) = version1(&resources).ok().filter(|all| is_ours && !all.is_empty())
        else {
            return;
        };
        let path = format!("{OURS}/{}", name(&settings));
        let folder = root.join(&path);
        if folder.exists() || make(&folder, &settings).is_ok() {
            self.apart.insert(root, path);
        }
    }

    /// Whether a tree has another group than ours for us.
    pub(super) fn is_apart(&self, root: &Path) -> bool {
        self.apart.contains_key(root)
    }

    /// The group's folders in all trees in which it is ours.
    pub(super) fn own_folders(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.layout.roots().filter(|root| !self.is_apart(root));
        own.map(|root| root.join(&self.path))
    }

    /// Whether what is set by a controller is set for all that share its group.
    pub(super) fn is_set(&self, controller: &str) -> bool {
        self.layout.version1(controller).is_some_and(|tree| self.is_apart(&tree.root))
    }
}

fn name(settings: &[Setting]) -> String {
    let lines = settings.iter().map(|one| format!("{} {}\n", one.file, one.value));
    let digest = Digest::of(lines.collect::<String>().as_bytes());
    format!("devices-{}", &digest.hex()[..DIGITS])
}

/// Makes a group that has its rules from the first moment on.
fn make(folder: &Path, settings: &[Setting]) -> std::io::Result<()> {
    let aside = folder.with_extension(sys::host::random_id()?);
    fs::create_dir_all(&aside)?;
    let written = settings.iter().try_for_each(|one| write(&aside, &one.file, &one.value));
    match written.and_then(|()| fs::rename(&aside, folder)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_dir(&aside);
            // Somebody else was quicker.
            if folder.exists() { Ok(()) } else { Err(error) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Layout;

    fn rule(allow: bool, minor: Option<i64>) -> DeviceRule {
        let (kind, major, access) = ("c".to_owned(), Some(1), "rwm".to_owned());
        DeviceRule { allow, kind, major, minor, access }
    }

    fn group(path: &str, root: &Path) -> Cgroup {
        let controllers = vec!["devices".to_owned()];
        let tree = crate::cgroup::Hierarchy {
            name: "devices".to_owned(),
            controllers,
            root: root.to_owned(),
        };
        let layout = Layout::Version1 { hierarchies: vec![tree], unified: None };
        Cgroup::at(layout, path).unwrap()
    }

    #[test]
    fn the_same_rules_have_one_group_and_others_another() {
        let place = tempfile::tempdir().unwrap();
        let rules = [rule(false, None), rule(true, Some(3))];
        let made = place.path().join("mica");
        fs::create_dir(&made).unwrap();
        let shared = |rules: &[DeviceRule], path: &str| {
            let mut group = group(path, place.path());
            // Files of groups are the kernel's; without them no rule can be written.
            group.share_devices(rules);
            group.apart.get(place.path()).cloned()
        };
        assert_eq!(shared(&rules, "mica/x"), None);
        assert_eq!(fs::read_dir(&made).unwrap().count(), 0, "nothing is left of the attempt");
        let settings = |rules: &[DeviceRule]| {
            let devices = rules.to_vec();
            version1(&Resources { devices, ..Resources::default() }).unwrap()
        };
        for rules in [&rules[..], &rules[..1]] {
            fs::create_dir(made.join(name(&settings(rules)))).unwrap();
        }
        let (one, other) = (shared(&rules, "mica/x"), shared(&rules[..1], "mica/x"));
        assert!(one.is_some() && one == shared(&rules, "mica/y"));
        assert!(other.is_some() && one != other);
        assert_eq!(shared(&rules, "theirs/x"), None);
        assert_eq!(shared(&[], "mica/x"), None);
    }
}
