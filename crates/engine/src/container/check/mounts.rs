//! What is mounted into the container.

use std::path::{Component, Path};

use spec::{HostConfig, Mount, MountError, MountKind, PROPAGATIONS, mount_target};

use super::refuse;
use crate::error::Result;

pub(super) fn check(host: &HostConfig) -> Result<()> {
    for target in host.tmpfs.keys() {
        mount_target(target).or_else(|error| refuse(error.to_string()))?;
    }
    host.tmpfs.values().try_for_each(|options| tmpfs(options))?;
    host.mounts.iter().try_for_each(mount)
}

fn mount(mount: &Mount) -> Result<()> {
    let Mount { kind, source, target, .. } = mount;
    let wrong = |words: String| {
        refuse(format!("invalid mount config for type \"{}\": {words}", kind.as_str()))
    };
    if target.is_empty() {
        return wrong("field Target must not be empty".to_owned());
    }
    if let Err(error) = mount_target(target) {
        return wrong(error.to_string());
    }
    if let Some(field) = foreign_options(mount) {
        return wrong(format!("field {field} must not be specified"));
    }
    let words = match kind {
        MountKind::Bind => bind(mount),
        MountKind::Tmpfs if !source.is_empty() => {
            Some("field Source must not be specified".to_owned())
        }
        MountKind::Volume if source.is_empty() && mount.read_only => {
            Some("must not set ReadOnly mode when using anonymous volumes".to_owned())
        }
        MountKind::Volume if source.is_empty() && !part(mount).is_empty() => {
            Some("must not set Subpath when using anonymous volumes".to_owned())
        }
        MountKind::Volume | MountKind::Image if leads_out(part(mount)) => {
            Some("subpath must be a relative path within the volume".to_owned())
        }
        _ => None,
    };
    words.map_or(Ok(()), wrong)
}

/// Options of another kind of mount.
fn foreign_options(mount: &Mount) -> Option<&'static str> {
    let all = [
        (mount.bind_options.is_some(), MountKind::Bind, "BindOptions"),
        (mount.volume_options.is_some(), MountKind::Volume, "VolumeOptions"),
        (mount.image_options.is_some(), MountKind::Image, "ImageOptions"),
        (mount.tmpfs_options.is_some(), MountKind::Tmpfs, "TmpfsOptions"),
    ];
    let foreign = all.iter().find(|(given, kind, _)| *given && *kind != mount.kind);
    foreign.map(|(_, _, field)| *field)
}

/// What is wrong with a folder or file of the host.
fn bind(mount: &Mount) -> Option<String> {
    let source = &mount.source;
    let propagation = mount.bind_options.as_ref().map_or("", |options| &options.propagation);
    if source.is_empty() {
        Some("field Source must not be empty".to_owned())
    } else if !propagation.is_empty() && !PROPAGATIONS.contains(&propagation) {
        Some(format!("invalid propagation mode: {propagation}"))
    } else if !source.starts_with('/') {
        Some(MountError::Relative(source.clone()).to_string())
    } else if !mount.is_made() && !Path::new(source).exists() {
        Some(format!("bind source path does not exist: {source}"))
    } else {
        None
    }
}

/// The place in a volume or an image that is mounted in the place of the whole.
fn part(mount: &Mount) -> &str {
    match mount.kind {
        MountKind::Volume => mount.volume_options.as_ref().map_or("", |it| it.subpath.as_str()),
        MountKind::Image => mount.image_options.as_ref().map_or("", |it| it.subpath.as_str()),
        MountKind::Bind | MountKind::Tmpfs => "",
    }
}

/// Whether a path leads out of the folder that it begins in, by its words alone.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_i64;
    Path::new(path).components().any(|step| {
        match step {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return true,
        }
        depth < 0
    })
}

/// Options of a folder in memory: those of any mount, and those that have a value.
fn tmpfs(options: &str) -> Result<()> {
    const FLAGS: &str = "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount \
        mand nomand atime noatime diratime nodiratime bind rbind private rprivate shared rshared \
        slave rslave unbindable runbindable relatime norelatime strictatime nostrictatime";
    const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
    let known = |option: &&str| match option.split_once('=') {
        Some((key, _)) => VALUES.contains(&key),
        None => FLAGS.split(' ').any(|flag| flag == *option),
    };
    match options.split(',').find(|option| !option.is_empty() && !known(option)) {
        Some(option) => {
            let parts: Vec<_> = option.splitn(2, '=').map(|part| format!("{part:?}")).collect();
            refuse(format!("invalid tmpfs option [{}]", parts.join(" ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use spec::{BindOptions, VolumeOptions};

    use super::super::tests::refused;
    use super::*;

    #[test]
    fn a_mount_has_a_source_and_a_target_that_there_can_be() {
        let mounted = |kind, source: &str, target: &str, words| {
            let (source, target) = (source.to_owned(), target.to_owned());
            let mount = Mount { kind, source, target, ..Mount::default() };
            refused(|_, host| host.mounts = vec![mount], words);
        };
        mounted(MountKind::Tmpfs, "", "/t", "");
        mounted(MountKind::Tmpfs, "", "", "type \"tmpfs\": field Target must not be empty");
        mounted(MountKind::Volume, "v", "t", "type \"volume\": invalid mount path: 't'");
        mounted(MountKind::Bind, "", "/t", "type \"bind\": field Source must not be empty");
        mounted(MountKind::Bind, "rel", "/t", "invalid mount path: 'rel' mount path must be abso");
        mounted(
            MountKind::Bind,
            "/",
            "/",
            "type \"bind\": invalid specification: destination can't",
        );
        mounted(MountKind::Tmpfs, "x", "/t", "type \"tmpfs\": field Source must not be specified");
        mounted(MountKind::Bind, "/", "/t", "");
        mounted(MountKind::Bind, "/no/such", "/t", "source path does not exist: /no/such");
        let inside = |path: &str, source: &str, words| {
            let options = VolumeOptions { subpath: path.to_owned(), ..VolumeOptions::default() };
            let (source, target) = (source.to_owned(), "/t".to_owned());
            let volume_options = Some(options);
            let mount = Mount { source, target, volume_options, ..Mount::default() };
            refused(|_, host| host.mounts = vec![mount], words);
        };
        inside("a/../b", "v", "");
        let outside = "type \"volume\": subpath must be a relative path within the volume";
        ["../a", "a/../../b", "/a"].into_iter().for_each(|path| inside(path, "v", outside));
        inside("a", "", "must not set Subpath when using anonymous volumes");
        let bind_options = Some(BindOptions { create_mountpoint: true, ..BindOptions::default() });
        let (source, target) = ("/no/such".to_owned(), "/t".to_owned());
        let made =
            Mount { kind: MountKind::Bind, source, target, bind_options, ..Mount::default() };
        refused(|_, host| host.mounts = vec![made], "");
    }

    #[test]
    fn options_are_those_of_the_kind_of_mount() {
        let asked = |mount: Mount, words| refused(|_, host| host.mounts = vec![mount], words);
        let target = || "/t".to_owned();
        let volume = || Mount { source: "v".to_owned(), target: target(), ..Mount::default() };
        let bind = || Mount { kind: MountKind::Bind, source: "/".to_owned(), ..volume() };
        let spread = |propagation: &str| {
            let propagation = propagation.to_owned();
            Some(BindOptions { propagation, ..BindOptions::default() })
        };
        let options = Some(VolumeOptions::default());
        asked(Mount { volume_options: options.clone(), ..volume() }, "");
        asked(
            Mount { volume_options: options, ..bind() },
            "type \"bind\": field VolumeOptions must not be specified",
        );
        asked(
            Mount { bind_options: spread(""), ..volume() },
            "type \"volume\": field BindOptions must not be specified",
        );
        asked(Mount { bind_options: spread("rslave"), ..bind() }, "");
        asked(Mount { bind_options: spread("foo"), ..bind() }, "invalid propagation mode: foo");
        asked(Mount { read_only: true, ..volume() }, "");
        asked(
            Mount { read_only: true, source: String::new(), ..volume() },
            "must not set ReadOnly mode when using anonymous volumes",
        );
    }

    #[test]
    fn a_folder_in_memory_has_options_that_there_are() {
        let memory = |options: &str, words| {
            let tmpfs = [("/t".to_owned(), options.to_owned())].into();
            refused(|_, host| host.tmpfs = tmpfs, words);
        };
        memory("", "");
        memory("size=5m,exec,mode=1777,noatime", "");
        memory("ro,what", "invalid tmpfs option [\"what\"]");
        memory("sise=5m", "invalid tmpfs option [\"sise\" \"5m\"]");
        let relative = [("x".to_owned(), String::new())].into();
        refused(|_, host| host.tmpfs = relative, "must be absolute");
        let root = [("/".to_owned(), String::new())].into();
        refused(|_, host| host.tmpfs = root, "invalid specification: destination can't be '/'");
    }
}
