//! Mounts out of their options.

use std::path::PathBuf;

use spec::IdMaps;
use spec::bundle::{IdMapping, Mount};
use sys::mount::Change;

use crate::error::{Result, RuntimeError};

/// One mount as it will be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MountPlan {
    /// Where, inside.
    pub(crate) target: PathBuf,
    /// What.
    pub(crate) what: What,
    /// What is set of the mount itself.
    pub(crate) change: Change,
    /// What is set of it and all mounts below it.
    pub(crate) recursive: Change,
    /// Whether what the root has there is copied into it.
    pub(crate) copy_up: bool,
    /// How users are mapped through it.
    pub(crate) id_map: Option<IdMap>,
}

/// What is mounted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Something that the host has.
    Bind {
        /// Its path on the host.
        source: PathBuf,
        /// Whether mounts below it come too.
        recursive: bool,
    },
    /// A new file system.
    New {
        /// Its type.
        kind: String,
        /// What it names as its source.
        source: String,
        /// Its own options.
        options: Vec<(String, Option<String>)>,
    },
    /// The container's control groups, of either version.
    Cgroups,
}

/// How users are mapped through a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdMap {
    /// Users; the container's own where there are none.
    pub(crate) uids: Vec<IdMapping>,
    /// Groups.
    pub(crate) gids: Vec<IdMapping>,
    /// Whether through mounts below too.
    pub(crate) recursive: bool,
}

/// What one word among the options does.
#[derive(Clone, Copy)]
enum Word {
    /// Puts bits on the mount.
    Set(u64),
    /// Takes them off.
    Clear(u64),
    /// Says how access times are kept: one of several values.
    Atime(u64),
    /// Says how events are passed on.
    Propagate(u64),
    /// The same, through all mounts below.
    PropagateAll(u64),
    /// Binds; with mounts below.
    Bind(bool),
    /// Copies what was there.
    CopyUp,
    /// Maps users; through mounts below.
    IdMap(bool),
    /// Goes to the file system as it is.
    Flag,
    /// Does nothing.
    Nothing,
}

const WORDS: &[(&str, Word)] = {
    use Word::{Atime, Bind, Clear, CopyUp, Flag, IdMap, Nothing, Propagate, PropagateAll, Set};
    &[
        ("ro", Set(libc::MOUNT_ATTR_RDONLY)),
        ("rw", Clear(libc::MOUNT_ATTR_RDONLY)),
        ("nosuid", Set(libc::MOUNT_ATTR_NOSUID)),
        ("suid", Clear(libc::MOUNT_ATTR_NOSUID)),
        ("nodev", Set(libc::MOUNT_ATTR_NODEV)),
        ("dev", Clear(libc::MOUNT_ATTR_NODEV)),
        ("noexec", Set(libc::MOUNT_ATTR_NOEXEC)),
        ("exec", Clear(libc::MOUNT_ATTR_NOEXEC)),
        ("nodiratime", Set(libc::MOUNT_ATTR_NODIRATIME)),
        ("diratime", Clear(libc::MOUNT_ATTR_NODIRATIME)),
        ("nosymfollow", Set(libc::MOUNT_ATTR_NOSYMFOLLOW)),
        ("symfollow", Clear(libc::MOUNT_ATTR_NOSYMFOLLOW)),
        ("noatime", Atime(libc::MOUNT_ATTR_NOATIME)),
        ("strictatime", Atime(libc::MOUNT_ATTR_STRICTATIME)),
        ("relatime", Atime(libc::MOUNT_ATTR_RELATIME)),
        ("atime", Atime(libc::MOUNT_ATTR_RELATIME)),
        ("norelatime", Atime(libc::MOUNT_ATTR_RELATIME)),
        ("nostrictatime", Atime(libc::MOUNT_ATTR_RELATIME)),
        ("private", Propagate(libc::MS_PRIVATE)),
        ("slave", Propagate(libc::MS_SLAVE)),
        ("shared", Propagate(libc::MS_SHARED)),
        ("unbindable", Propagate(libc::MS_UNBINDABLE)),
        ("rprivate", PropagateAll(libc::MS_PRIVATE)),
        ("rslave", PropagateAll(libc::MS_SLAVE)),
        ("rshared", PropagateAll(libc::MS_SHARED)),
        ("runbindable", PropagateAll(libc::MS_UNBINDABLE)),
        ("bind", Bind(false)),
        ("rbind", Bind(true)),
        ("tmpcopyup", CopyUp),
        ("idmap", IdMap(false)),
        ("ridmap", IdMap(true)),
        ("sync", Flag),
        ("dirsync", Flag),
        ("lazytime", Flag),
        ("mand", Flag),
        ("async", Nothing),
        ("nolazytime", Nothing),
        ("nomand", Nothing),
        ("defaults", Nothing),
        ("loud", Nothing),
        ("silent", Nothing),
        ("acl", Nothing),
        ("noacl", Nothing),
        ("iversion", Nothing),
        ("noiversion", Nothing),
        ("remount", Nothing),
        ("", Nothing),
    ]
};

fn word(name: &str) -> Option<Word> {
    WORDS.iter().find(|(known, _)| *known == name).map(|(_, word)| *word)
}

/// Whether a word with `r` before it means the mounts below too.
fn goes_below(word: Word) -> bool {
    matches!(word, Word::Set(_) | Word::Clear(_) | Word::Atime(_))
}

/// All words that are known, in order.
pub(crate) fn words() -> Vec<String> {
    let mut list = Vec::new();
    for (name, word) in WORDS.iter().filter(|(name, _)| !name.is_empty()) {
        list.push((*name).to_owned());
        list.extend(goes_below(*word).then(|| format!("r{name}")));
    }
    list.sort_unstable();
    list
}

/// The plan of one mount, and the options that mean nothing for it.
pub(crate) fn plan(mount: &Mount) -> Result<(MountPlan, Vec<String>)> {
    if mount.destination.is_empty() || mount.destination.contains('\0') {
        return Err(RuntimeError::invalid("a mount has no destination"));
    }
    let mut planned = MountPlan {
        target: PathBuf::from("/").join(&mount.destination),
        what: What::Cgroups,
        change: Change::default(),
        recursive: Change::default(),
        copy_up: false,
        id_map: None,
    };
    let (mut bind, mut options) = (None, Vec::new());
    for option in &mount.options {
        apply(option, &mut planned, &mut bind, &mut options)?;
    }
    // What stands in an option is said of this mount, and wins.
    let maps_itself = planned.id_map.as_ref().is_some_and(|map| !map.uids.is_empty());
    if !maps_itself && (!mount.uid_mappings.is_empty() || planned.id_map.is_some()) {
        planned.id_map = Some(IdMap {
            uids: mount.uid_mappings.clone(),
            gids: mount.gid_mappings.clone(),
            recursive: planned.id_map.is_some_and(|map| map.recursive),
        });
    }
    let unused = |options: Vec<(String, Option<String>)>| -> Vec<String> {
        let word = |(key, value): (String, Option<String>)| match value {
            Some(value) => format!("{key}={value}"),
            None => key,
        };
        options.into_iter().map(word).collect()
    };
    let what = match (mount.kind.as_str(), bind) {
        ("bind" | "none" | "", None) | (_, Some(_)) => {
            let source = PathBuf::from(&mount.source);
            if mount.source.is_empty() {
                let what = format!("the bind mount on {} has no source", mount.destination);
                return Err(RuntimeError::invalid(what));
            }
            (What::Bind { source, recursive: bind.unwrap_or(false) }, unused(options))
        }
        ("cgroup" | "cgroup2", None) => (What::Cgroups, unused(options)),
        (kind, None) => {
            let (kind, source) = (kind.to_owned(), mount.source.clone());
            (What::New { kind, source, options }, Vec::new())
        }
    };
    planned.what = what.0;
    if maps_itself && !matches!(planned.what, What::Bind { .. }) {
        let what = format!("the mount {} is no bind and cannot map users", mount.destination);
        return Err(RuntimeError::invalid(what));
    }
    Ok((planned, what.1))
}

/// Gives what is in a new file system a SELinux label, where there can be one.
pub(crate) fn label(mount: &mut MountPlan, label: &str) {
    let What::New { kind, options, .. } = &mut mount.what else { return };
    let has_own = matches!(kind.as_str(), "proc" | "sysfs" | "mqueue");
    if !label.is_empty() && !has_own {
        options.push(("context".to_owned(), Some(label.to_owned())));
    }
}

fn apply(
    option: &str,
    mount: &mut MountPlan,
    bind: &mut Option<bool>,
    options: &mut Vec<(String, Option<String>)>,
) -> Result<()> {
    if let Some((name @ ("idmap" | "ridmap"), _)) = option.split_once('=') {
        mount.id_map = Some(own_map(option.trim_start_matches('r'), name == "ridmap")?);
        return Ok(());
    }
    match word(option) {
        Some(Word::Bind(recursive)) => *bind = Some(bind.unwrap_or(false) || recursive),
        Some(Word::CopyUp) => mount.copy_up = true,
        Some(Word::IdMap(recursive)) => {
            mount.id_map = Some(IdMap { uids: Vec::new(), gids: Vec::new(), recursive });
        }
        Some(Word::Propagate(how)) => mount.change.propagation = how,
        Some(Word::PropagateAll(how)) => mount.recursive.propagation = how,
        Some(Word::Flag) => options.push((option.to_owned(), None)),
        Some(Word::Nothing) => {}
        Some(bits) => change(&mut mount.change, &bits),
        // A word with `r` before it means the mounts below too.
        None => match option.strip_prefix('r').and_then(word) {
            Some(bits) if goes_below(bits) => change(&mut mount.recursive, &bits),
            _ => options.push(match option.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            }),
        },
    }
    Ok(())
}

/// The map in `idmap=uids=FILES-HOST-COUNT#…;gids=…`, as crun has it.
fn own_map(option: &str, recursive: bool) -> Result<IdMap> {
    if option.contains('@') {
        let what = format!("{option}: maps relative to the container's users are not supported");
        return Err(RuntimeError::invalid(what));
    }
    let maps = IdMaps::of_mode(option).map_err(|error| RuntimeError::invalid(error.to_string()))?;
    let (uids, gids) = maps.map(IdMaps::into_lists).unwrap_or_default();
    Ok(IdMap { uids, gids, recursive })
}

fn change(change: &mut Change, word: &Word) {
    match *word {
        Word::Set(bits) => {
            change.set |= bits;
            change.clear &= !bits;
        }
        Word::Clear(bits) => {
            change.clear |= bits;
            change.set &= !bits;
        }
        Word::Atime(value) => {
            change.set = change.set & !libc::MOUNT_ATTR__ATIME | value;
            change.clear |= libc::MOUNT_ATTR__ATIME;
        }
        _ => {}
    }
}

/// What `rootfsPropagation` means, with nothing said: private, so that nothing passes either way.
pub(crate) fn propagation(name: &str) -> Result<(u64, bool)> {
    match word(name) {
        Some(Word::Propagate(how)) => Ok((how, false)),
        Some(Word::PropagateAll(how)) => Ok((how, true)),
        _ if name.is_empty() => Ok((libc::MS_PRIVATE, true)),
        _ => Err(RuntimeError::invalid(format!("unknown root propagation {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn planned(kind: &str, options: &[&str]) -> MountPlan {
        plan(&Mount {
            destination: "/x".into(),
            kind: kind.into(),
            source: "src".into(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            ..Mount::default()
        })
        .unwrap()
        .0
    }

    #[test]
    fn options_become_bits() {
        let mount = planned("tmpfs", &["nosuid", "ro", "rw", "size=64k", "noatime", "sync"]);
        assert_eq!(mount.change.set, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOATIME);
        assert_eq!(mount.change.clear, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR__ATIME);
        let What::New { options, .. } = mount.what else { panic!("a new file system") };
        assert_eq!(options, [("size".into(), Some("64k".into())), ("sync".into(), None)]);
    }

    #[test]
    fn binds_are_seen_by_type_or_option() {
        let bound = |mount: MountPlan| match mount.what {
            What::Bind { recursive, .. } => Some(recursive),
            _ => None,
        };
        assert_eq!(bound(planned("bind", &[])), Some(false));
        assert_eq!(bound(planned("none", &["rbind"])), Some(true));
        assert_eq!(bound(planned("ext4", &["bind"])), Some(false));
        assert_eq!(bound(planned("tmpfs", &[])), None);
    }

    #[test]
    fn what_is_recursive_goes_below() {
        let mount = planned("bind", &["rbind", "rro", "rslave", "ridmap"]);
        assert_eq!(mount.change, Change::default());
        assert_eq!(mount.recursive.set, libc::MOUNT_ATTR_RDONLY);
        assert_eq!(mount.recursive.propagation, libc::MS_SLAVE);
        assert!(mount.id_map.unwrap().recursive);
    }

    #[test]
    fn a_mount_has_a_map_of_its_own() {
        let mapped = |kind: &str, option: &str| {
            let options = vec!["rbind".to_owned(), option.to_owned()];
            let (destination, source) = ("/x".to_owned(), "/y".to_owned());
            let outer = IdMapping { container_id: 0, host_id: 9, size: 9 };
            let options = if kind == "tmpfs" { options[1..].to_vec() } else { options };
            let kind = kind.to_owned();
            let uid_mappings = vec![outer];
            plan(&Mount { destination, kind, source, options, uid_mappings, ..Mount::default() })
        };
        let map = |option: &str| mapped("", option).unwrap().0.id_map.unwrap();
        let numbers = |map: &IdMapping| (map.container_id, map.host_id, map.size);
        let own = map("idmap=uids=0-1-10#10-11-10;gids=0-100-10");
        assert_eq!(own.uids.iter().map(numbers).collect::<Vec<_>>(), [(0, 1, 10), (10, 11, 10)]);
        assert_eq!((numbers(&own.gids[0]), own.recursive), ((0, 100, 10), false));
        assert!(map("ridmap=uids=0-1-10").recursive);
        assert_eq!(numbers(&map("idmap").uids[0]), (0, 9, 9), "that of the configuration");
        for wrong in ["idmap=uids=0-1", "idmap=", "idmap=uids=@1-3-10"] {
            assert!(mapped("", wrong).is_err(), "{wrong}");
        }
        assert!(mapped("tmpfs", "idmap=uids=0-1-10").is_err());
    }

    #[test]
    fn all_words_that_are_told_are_taken() {
        let words = words();
        assert!(words.is_sorted() && words.len() > 60, "{words:?}");
        for name in ["acl", "atime", "loud", "rnosymfollow", "rstrictatime", "rro", "ridmap"] {
            assert!(words.iter().any(|word| word == name), "{name}");
        }
        for word in words {
            let mount = Mount {
                destination: "/x".into(),
                source: "/y".into(),
                options: ["bind".to_owned(), word.clone()].to_vec(),
                ..Mount::default()
            };
            let unused = plan(&mount).unwrap().1;
            let is_flag = ["sync", "dirsync", "lazytime", "mand"].contains(&word.as_str());
            assert_eq!(!unused.is_empty(), is_flag, "{word}");
        }
    }

    #[test]
    fn labels_are_for_new_file_systems_that_can_have_one() {
        let labelled = |kind: &str| {
            let mut mount = planned(kind, &[]);
            label(&mut mount, "a:b:c");
            matches!(mount.what, What::New { options, .. } if !options.is_empty())
        };
        assert!(labelled("tmpfs") && !labelled("proc") && !labelled("bind"));
    }

    #[test]
    fn what_means_nothing_for_a_bind_is_told() {
        let mount = Mount {
            destination: "/x".into(),
            source: "/y".into(),
            options: ["rbind", "ro", "size=5", "colour"].map(str::to_owned).to_vec(),
            ..Mount::default()
        };
        assert_eq!(plan(&mount).unwrap().1, ["size=5", "colour"]);
    }

    #[test]
    fn a_bind_needs_a_source() {
        let mount = Mount { destination: "/x".into(), kind: "bind".into(), ..Mount::default() };
        assert!(plan(&mount).is_err());
    }
}
