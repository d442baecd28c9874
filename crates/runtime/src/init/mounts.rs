//! Mounts, each made where nobody sees it and then put where the kernel finds its target.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sys::mount::Change;

use super::{Prepared, Result, copy};
use crate::cgroup::View;
use crate::error::{During, Explain, Failure};
use crate::path::{self, Missing};
use crate::plan::{MountPlan, Plan, What};

/// Makes all mounts in order.
pub(super) fn all(prepared: &mut Prepared, root: BorrowedFd<'_>) -> Result<()> {
    let mut binds = std::mem::take(&mut prepared.binds).into_iter();
    for mount in &prepared.plan.mounts {
        let ready = binds.next().flatten();
        one(mount, ready, prepared, root)
            .during(format_args!("mount {}", mount.target.display()))?;
    }
    Ok(())
}

fn one(
    mount: &MountPlan,
    ready: Option<OwnedFd>,
    prepared: &Prepared,
    root: BorrowedFd<'_>,
) -> Result<()> {
    let made = match (&mount.what, ready) {
        (_, Some(ready)) => ready,
        (What::Bind { source, recursive }, None) => bind(mount, source, *recursive)?,
        (What::New { kind, source, options }, None) => create(mount, kind, source, options, root)?,
        (What::Cgroups, None) => return groups(mount, prepared, root),
    };
    let stat = rustix::fs::fstat(&made).call("fstat", "the mount")?;
    let missing = match stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        true => Missing::Folder,
        false => Missing::File,
    };
    let target = path::ensure(root, &mount.target, missing);
    let target = target.call("openat2", mount.target.display())?;
    sys::mount::attach_at(&made, target).call("move_mount", mount.target.display())
}

/// A mount of something that the host has, with everything set that is asked for.
pub(crate) fn bind(mount: &MountPlan, source: &Path, recursive: bool) -> Result<OwnedFd> {
    let made = sys::mount::clone(source, recursive).call("open_tree", source.display())?;
    set(mount, &made)?;
    Ok(made)
}

/// Sets what is asked for, below first: what is said of the mount itself wins.
fn set(mount: &MountPlan, made: &OwnedFd) -> Result<()> {
    for (change, recursive) in [(mount.recursive, true), (mount.change, false)] {
        if change != Change::default() {
            let set = sys::mount::change(made, change, recursive, None);
            set.call("mount_setattr", format_args!("{change:x?}"))?;
        }
    }
    Ok(())
}

fn create(
    mount: &MountPlan,
    kind: &str,
    source: &str,
    options: &[(String, Option<String>)],
    root: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    let late = is_late(mount);
    // Writing into it comes first where what was there is copied.
    let later = if late || mount.copy_up { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let source = (!source.is_empty()).then_some(source);
    let options = options.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    let options: Vec<_> = options.collect();
    let attributes = mount.change.set & !later;
    let made = sys::mount::create(kind, source, &options, attributes);
    let made = made.call("fsmount", kind)?;
    if mount.copy_up {
        match sys::fs::path_in_root(root, &mount.target) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).call("openat2", mount.target.display()),
            Ok(old) => copy::tree(old.as_fd(), made.as_fd())?,
        }
    }
    let mut rest =
        MountPlan { change: Change { set: 0, clear: 0, ..mount.change }, ..mount.clone() };
    if mount.copy_up && !late {
        rest.change.set = mount.change.set & libc::MOUNT_ATTR_RDONLY;
    }
    set(&rest, &made)?;
    Ok(made)
}

/// Whether a mount gets files of ours before it is made read-only.
fn is_late(mount: &MountPlan) -> bool {
    mount.change.set & libc::MOUNT_ATTR_RDONLY != 0
        && matches!(mount.what, What::New { .. })
        && mount.target == Path::new("/dev")
}

/// Makes read-only what had to be written to.
pub(super) fn finish(plan: &Plan, root: BorrowedFd<'_>) -> Result<()> {
    for mount in plan.mounts.iter().filter(|mount| is_late(mount)) {
        let target = sys::fs::path_in_root(root, &mount.target);
        let target = target.call("openat2", mount.target.display())?;
        let change = Change { set: libc::MOUNT_ATTR_RDONLY, ..Change::default() };
        let set = sys::mount::change(target, change, false, None);
        set.call("mount_setattr", mount.target.display())?;
    }
    Ok(())
}

/// The control groups as the container sees them: one tree of version 2, or a folder with a tree
/// for each controller of version 1.
fn groups(mount: &MountPlan, prepared: &Prepared, root: BorrowedFd<'_>) -> Result<()> {
    let target = path::ensure(root, &mount.target, Missing::Folder);
    let target = target.call("openat2", mount.target.display())?;
    let views = &prepared.entry.views;
    if let [view] = views.as_slice()
        && view.name.is_empty()
    {
        return sys::mount::attach_at(group(mount, view, prepared)?, target)
            .call("move_mount", "cgroup2");
    }
    let options = [("mode", Some("755"))];
    let flags = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let base = sys::mount::create("tmpfs", Some("cgroup"), &options, flags);
    let base = base.call("fsmount", "tmpfs")?;
    sys::mount::attach_at(&base, &target).call("move_mount", mount.target.display())?;
    for view in views {
        let made = group(mount, view, prepared)?;
        rustix::fs::mkdirat(&base, &view.name, Mode::from_raw_mode(0o755))
            .call("mkdirat", &view.name)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = rustix::fs::openat(&base, &view.name, flags, Mode::empty());
        let place = place.call("openat", &view.name)?;
        sys::mount::attach_at(made, place).call("move_mount", &view.name)?;
        for link in &view.links {
            rustix::fs::symlinkat(&view.name, &base, link).call("symlinkat", link)?;
        }
    }
    let change = Change {
        set: mount.change.set & libc::MOUNT_ATTR_RDONLY,
        propagation: mount.change.propagation,
        ..Change::default()
    };
    sys::mount::change(&base, change, false, None).call("mount_setattr", "cgroups")
}

/// One tree: new within a namespace of groups, else the container's own group out of the host's.
fn group(mount: &MountPlan, view: &View, prepared: &Prepared) -> Result<OwnedFd> {
    let made = if prepared.plan.makes(spec::bundle::NamespaceKind::Cgroup) {
        let options: Vec<_> = view.options.iter().map(|option| option_of(option)).collect();
        let kind = if view.name.is_empty() { "cgroup2" } else { "cgroup" };
        sys::mount::create(kind, Some("cgroup"), &options, mount.change.set)
            .call("fsmount", format_args!("{kind} {:?}", view.options))
    } else {
        sys::mount::clone(&view.folder, false).call("open_tree", view.folder.display())
    };
    let made: OwnedFd = made?;
    set(mount, &made)?;
    Ok::<_, Failure>(made)
}

fn option_of(option: &str) -> (&str, Option<&str>) {
    match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    }
}
