//! Mounts, each put where the kernel finds its target with the container's root as its top.
//!
//! What needs more than one word said of it is made where nobody sees it and then put in place; the
//! rest takes the classic call, which does it all at once.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::mount::Change;

use super::fresh::Fresh;
use super::{Prepared, Result, copy, leave_open};
use crate::cgroup::View;
use crate::error::{During, Explain, Failure};
use crate::path::{self, Missing};
use crate::plan::{MountPlan, Plan, What};

/// Makes all mounts in order, and gives those that others are looked for in.
pub(super) fn all(
    prepared: &mut Prepared,
    root: BorrowedFd<'_>,
    mut fresh: Fresh,
) -> Result<Fresh> {
    let mut binds = std::mem::take(&mut prepared.binds).into_iter();
    for mount in &prepared.plan.mounts {
        let ready = binds.next().flatten();
        one(mount, ready, prepared, root, &mut fresh)
            .during(format_args!("mount {}", mount.target.display()))?;
    }
    Ok(fresh)
}

fn one(
    mount: &MountPlan,
    ready: Option<OwnedFd>,
    prepared: &Prepared,
    root: BorrowedFd<'_>,
    fresh: &mut Fresh,
) -> Result<()> {
    fresh.cover(&mount.target);
    if fresh.has_paths && ready.is_none() && at_once(mount, &prepared.plan, root, fresh)? {
        return Ok(());
    }
    let made = match (&mount.what, ready) {
        (_, Some(ready)) => ready,
        (What::Bind { source, recursive }, None) => bind(mount, source, *recursive)?,
        (What::New { kind, source, options }, None) => match staged(mount, kind, fresh)? {
            Some(made) => made,
            None => create(mount, kind, source, options, Some(root))?,
        },
        (What::Cgroups, None) => return groups(mount, prepared, root, fresh),
    };
    put(&made, matches!(mount.what, What::New { .. }), &mount.target, root)?;
    match &mount.what {
        What::New { kind, .. } if Fresh::wants(kind, &mount.target) => {
            fresh.add(&mount.target, made);
        }
        _ => leave_open(made),
    }
    Ok(())
}

/// Where a mount is made that is then put in its place: a folder of the host that is there, and that
/// nobody sees covered in this namespace.
const STAGE: &str = "/proc";

/// Makes one of those that others are looked for in. The classic call takes all that is to be said of
/// it at once, and it is not asked to find a place in a tree of an image's. Where it refuses, the
/// longer way makes it or finds better words for what is wrong.
fn staged(mount: &MountPlan, kind: &str, fresh: &Fresh) -> Result<Option<OwnedFd>> {
    let What::New { source, options, .. } = &mount.what else { return Ok(None) };
    if !is_plain(mount) || is_late(mount) || !Fresh::wants(kind, &mount.target) {
        return Ok(None);
    }
    if !fresh.has_paths {
        return Ok(None);
    }
    let options: Vec<_> =
        options.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let stage = Path::new(STAGE);
    if sys::classic::create(kind, source, &options, mount.change.set, stage).is_err() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(stage, flags, Mode::empty()).call("open", STAGE).map(Some)
}

/// Whether a classic call says all that is said of a new file system. What is taken off a mount that
/// is new was never on it.
fn is_plain(mount: &MountPlan) -> bool {
    let changed = mount.change.propagation != 0 || mount.recursive != Change::default();
    !changed && !mount.copy_up && mount.id_map.is_none()
}

/// Puts a mount in its place, which is made if it is missing.
fn put(made: &OwnedFd, is_folder: bool, target: &Path, root: BorrowedFd<'_>) -> Result<()> {
    // There is no way to look for to a folder directly in the root. On a link no folder is put, and
    // where nothing is none either: those come below.
    if let (true, Some(name)) = (is_folder, only_name(target))
        && sys::mount::attach_in(made, root, name).is_ok()
    {
        return Ok(());
    }
    let missing = || Ok(kind_of(&rustix::fs::fstat(made)?));
    let place = path::ensure_as(root, target, missing).call("openat2", target.display())?;
    sys::mount::attach_at(made, &place).call("move_mount", target.display())?;
    leave_open(place);
    Ok(())
}

/// The one name of a path with no more.
fn only_name(path: &Path) -> Option<&str> {
    let name = path.to_str()?.strip_prefix('/')?;
    (!matches!(name, "" | "." | "..") && !name.contains('/')).then_some(name)
}

fn kind_of(stat: &rustix::fs::Stat) -> Missing {
    match stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        true => Missing::Folder,
        false => Missing::File,
    }
}

/// Makes a mount of which nothing is said that one classic call could not say. Where that call is
/// refused, the longer way does it or finds better words for what is wrong.
fn at_once(mount: &MountPlan, plan: &Plan, root: BorrowedFd<'_>, fresh: &Fresh) -> Result<bool> {
    match &mount.what {
        What::New { kind, source, options } => {
            if !is_plain(mount) || Fresh::wants(kind, &mount.target) {
                return Ok(false);
            }
            let target = target(mount, root, fresh, || Ok(Missing::Folder))?;
            let options: Vec<_> =
                options.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            let made = sys::classic::create(kind, source, &options, mount.change.set, &target);
            Ok(made.is_ok())
        }
        What::Bind { source, recursive } => {
            // All that the host has is private in this namespace, or is told otherwise.
            let private = Change { propagation: libc::MS_PRIVATE, ..Change::default() };
            let usual = |change| change == private || change == Change::default();
            let all = plan.is_private() && usual(mount.change) && usual(mount.recursive);
            if !all || mount.copy_up || mount.id_map.is_some() {
                return Ok(false);
            }
            let missing = || Ok(kind_of(&rustix::fs::stat(source)?));
            let target = target(mount, root, fresh, missing)?;
            Ok(sys::classic::bind(source, &target, *recursive).is_ok())
        }
        What::Cgroups => Ok(false),
    }
}

/// The path of a mount's target for a classic call; what is missing is made.
fn target(
    mount: &MountPlan,
    root: BorrowedFd<'_>,
    fresh: &Fresh,
    missing: impl FnOnce() -> std::io::Result<Missing>,
) -> Result<PathBuf> {
    let shown = mount.target.display();
    if let Some((folder, name)) = fresh.find(&mount.target)
        && Some(folder.as_raw_fd()) == fresh.at(Path::new("/dev")).map(|dev| dev.as_raw_fd())
    {
        let missing = missing().call("stat", "the source")?;
        match path::make(folder, name.as_ref(), true, missing) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).call("mkdirat", &shown),
        }
        return Ok(sys::classic::path(folder).join(name));
    }
    let target = path::ensure_as(root, &mount.target, missing).call("openat2", shown)?;
    let path = sys::classic::path(&target);
    leave_open(target);
    Ok(path)
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

/// A new file system; with a root, what that has in its place may be copied into it.
pub(crate) fn create(
    mount: &MountPlan,
    kind: &str,
    source: &str,
    options: &[(String, Option<String>)],
    root: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let late = is_late(mount);
    // Writing into it comes first where what was there is copied.
    let later = if late || mount.copy_up { libc::MOUNT_ATTR_RDONLY } else { 0 };
    let source = (!source.is_empty()).then_some(source);
    let options = options.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    let options: Vec<_> = options.collect();
    let attributes = mount.change.set & !later;
    let made = sys::mount::create_in_context(kind, source, &options, attributes);
    let (made, context) = made.call("fsmount", kind)?;
    // The one who builds a root closes everything at once.
    match root {
        Some(_) => leave_open(context),
        None => drop(context),
    }
    if let (true, Some(root)) = (mount.copy_up, root) {
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
fn groups(
    mount: &MountPlan,
    prepared: &Prepared,
    root: BorrowedFd<'_>,
    fresh: &Fresh,
) -> Result<()> {
    let views = &prepared.entry.views;
    if let [view] = views.as_slice()
        && view.name.is_empty()
    {
        return put(&group(mount, view, prepared)?, true, &mount.target, root);
    }
    let mut base = Base::make(mount, prepared, root, fresh)?;
    let filled = fill(&base, mount, prepared, fresh);
    if base.is_complete() && filled.is_err() {
        // Somebody has taken a place away: this container has a folder of its own.
        base = base.own()?;
        fill(&base, mount, prepared, fresh)?;
    } else {
        filled?;
    }
    // Once, for the folder and for all that is mounted in it.
    let change = Change { set: mount.change.set | sys::mount::INERT, ..mount.change };
    sys::mount::change_at(base.folder(), &base.place("."), change, true)
        .call("mount_setattr", "cgroups")?;
    base.leave_open();
    Ok(())
}

/// Mounts all trees in their folder.
fn fill(base: &Base<'_>, mount: &MountPlan, prepared: &Prepared, fresh: &Fresh) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    for view in &prepared.entry.views {
        let place = base.place(&view.name);
        if !base.is_complete() {
            rustix::fs::mkdirat(base.folder(), &place, mode).call("mkdirat", &view.name)?;
        }
        match fresh.has_paths && !prepared.plan.makes(spec::bundle::NamespaceKind::Cgroup) {
            true => {
                let target = sys::classic::path(base.folder()).join(&place);
                sys::classic::bind(&view.folder, &target, false).call("mount", &view.name)?;
            }
            false => {
                let made = group(mount, view, prepared)?;
                sys::mount::attach_in(made, base.folder(), &place)
                    .call("move_mount", &view.name)?;
            }
        }
        for link in view.links.iter().filter(|_| !base.is_complete()) {
            rustix::fs::symlinkat(&view.name, base.folder(), base.place(link))
                .call("symlinkat", link)?;
        }
    }
    for name in others(mount, &prepared.plan).filter(|_| !base.is_complete()) {
        match rustix::fs::mkdirat(base.folder(), base.place(name), mode) {
            Err(rustix::io::Errno::EXIST) => {}
            other => other.call("mkdirat", name)?,
        }
    }
    Ok(())
}

/// The names of folders that are mounted in this one later, when no place can be made for them.
fn others<'a>(mount: &'a MountPlan, plan: &'a Plan) -> impl Iterator<Item = &'a str> {
    let is_folder = |one: &MountPlan| match &one.what {
        What::Bind { source, .. } => source.is_dir(),
        What::New { .. } => true,
        What::Cgroups => false,
    };
    plan.mounts.iter().filter_map(move |one| {
        let name = one.target.strip_prefix(&mount.target).ok()?.to_str()?;
        let is_one = !name.is_empty() && !name.contains('/');
        (is_one && is_folder(one)).then_some(name)
    })
}

/// The folder in memory in which the trees of version 1 are mounted.
enum Base<'a> {
    /// In the `sysfs` made a moment ago, where every name on the way is the kernel's own.
    Below(BorrowedFd<'a>),
    /// In the same place, with a place for each tree.
    Complete(BorrowedFd<'a>),
    /// Wherever the image has it.
    Own(OwnedFd),
}

impl Base<'_> {
    /// Where `sysfs` has a folder for it.
    const IN_SYSFS: &'static str = "fs/cgroup";
    const OPTIONS: [(&'static str, Option<&'static str>); 1] = [("mode", Some("755"))];

    fn make<'a>(
        mount: &MountPlan,
        prepared: &Prepared,
        root: BorrowedFd<'_>,
        fresh: &'a Fresh,
    ) -> Result<Base<'a>> {
        if let (Some(sysfs), true) = (fresh.at(Path::new("/sys")), fresh.has_paths)
            && mount.target == Path::new("/sys").join(Base::IN_SYSFS)
        {
            let target = sys::classic::path(sysfs).join(Base::IN_SYSFS);
            if let Some(places) = &prepared.places
                && sys::classic::bind(places, &target, false).is_ok()
            {
                return Ok(Base::Complete(sysfs));
            }
            return Base::below(sysfs, &target);
        }
        let made = sys::mount::create("tmpfs", Some("cgroup"), &Base::OPTIONS, 0);
        let made = made.call("fsmount", "tmpfs")?;
        put(&made, true, &mount.target, root)?;
        Ok(Base::Own(made))
    }

    /// A new one in the place of the one that others have too.
    fn own(self) -> Result<Self> {
        let Base::Complete(sysfs) = self else { return Ok(self) };
        let target = sys::classic::path(sysfs).join(Base::IN_SYSFS);
        sys::mount::detach(&target).call("umount2", "the folder of control groups")?;
        Base::below(sysfs, &target)
    }

    fn below<'a>(sysfs: BorrowedFd<'a>, target: &Path) -> Result<Base<'a>> {
        sys::classic::create("tmpfs", "cgroup", &Base::OPTIONS, 0, target)
            .call("mount", "tmpfs")?;
        Ok(Base::Below(sysfs))
    }

    fn folder(&self) -> BorrowedFd<'_> {
        match self {
            Base::Below(sysfs) | Base::Complete(sysfs) => *sysfs,
            Base::Own(made) => made.as_fd(),
        }
    }

    /// The way from there to a name in it.
    fn place(&self, name: &str) -> String {
        match self {
            Base::Below(_) | Base::Complete(_) => format!("{}/{name}", Base::IN_SYSFS),
            Base::Own(_) => name.to_owned(),
        }
    }

    /// Whether it has a place for each tree.
    fn is_complete(&self) -> bool {
        matches!(self, Base::Complete(_))
    }

    fn leave_open(self) {
        if let Base::Own(made) = self {
            leave_open(made);
        }
    }
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
