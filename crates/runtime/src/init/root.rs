//! The container's tree of files, put together and entered.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use spec::bundle::NamespaceKind;
use sys::mount::Change;

use super::fresh::Fresh;
use super::terminal::Terminal;
use super::{Prepared, Result, devices, hide, leave_open, mounts, process, terminal};
use crate::channel::Message;
use crate::error::{During, Explain, refused};
use crate::hooks;
use crate::path::{self, Missing};
use crate::plan::Plan;

/// What marks the file system of `/proc`.
const PROC_MAGIC: i64 = 0x9fa0;

/// Things of the host that are needed while the container's own are not trusted yet.
pub(crate) struct Host {
    /// The host's `/proc`, which nothing in the container can stand in for. What it shows of this
    /// process and its namespaces is right wherever it is looked from. Open where something is to be
    /// written there.
    processes: Option<OwnedFd>,
    /// The null device.
    pub(super) null: OwnedFd,
}

/// The host's null device, opened in this process's own namespace of mounts: what was open before
/// cannot be mounted in it.
pub(super) fn open_null() -> Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = null.call("open", "/dev/null")?;
    let stat = rustix::fs::fstat(&null).call("fstat", "/dev/null")?;
    let device = rustix::fs::makedev(1, 3);
    match stat.st_rdev == device && stat.st_mode & libc::S_IFMT == libc::S_IFCHR {
        true => Ok(null),
        false => Err(refused("check", "/dev/null is not the null device")),
    }
}

impl Host {
    pub(super) fn open(null: OwnedFd, is_written: bool) -> Result<Host> {
        if !is_written {
            return Ok(Host { processes: None, null });
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let processes = rustix::fs::open("/proc", flags, Mode::empty()).call("open", "/proc")?;
        #[allow(clippy::unnecessary_cast)] // The type differs between processors.
        let magic = rustix::fs::fstatfs(&processes).call("fstatfs", "/proc")?.f_type as i64;
        match magic == PROC_MAGIC {
            true => Ok(Host { processes: Some(processes), null }),
            false => Err(refused("check", "/proc is not the kernel's")),
        }
    }

    fn leave_open(self) {
        self.processes.into_iter().for_each(leave_open);
        leave_open(self.null);
    }

    /// The null device.
    pub(crate) fn null(&self) -> &OwnedFd {
        &self.null
    }

    /// This process's number as the host sees it, for hooks and listeners. To be asked before anything
    /// is mounted; 0 if what is at `/proc` does not show this process.
    fn own_number() -> i32 {
        let link = rustix::fs::readlinkat(CWD, "/proc/self", Vec::new());
        link.ok().and_then(|link| link.to_str().ok()?.parse().ok()).unwrap_or(0)
    }

    /// Writes a file in the host's `/proc`; no link is followed, no mount entered, but for `self`.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        use rustix::fs::ResolveFlags;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let Some(processes) = &self.processes else {
            return Err(refused(
                "openat2",
                format_args!("/proc/{path}: the host's was not opened"),
            ));
        };
        let opened = rustix::fs::openat2(processes, path, flags, Mode::empty(), resolve);
        let file = opened.call("openat2", format_args!("/proc/{path}"))?;
        let written = rustix::io::write(file, text.as_bytes());
        written.call("write", format_args!("/proc/{path}, {text}"))?;
        Ok(())
    }
}

/// Builds the tree, enters it, and gives what the process must know of its terminal.
pub(super) fn build(prepared: &mut Prepared, null: OwnedFd) -> Result<Terminal> {
    let plan = &prepared.plan;
    let is_written = !plan.parameters.is_empty() || process::is_set_on_host(&plan.process);
    let host = Host::open(null, is_written).during("look at the host")?;
    prepared.state.pid = Host::own_number();
    if prepared.plan.join.iter().any(|join| join.kind == NamespaceKind::Mount) {
        return join_root(prepared, &host);
    }
    let root = place(prepared).during("mount the root")?;
    // It shows us, so it shows our descriptors.
    let fresh = Fresh::new(prepared.state.pid != 0);
    let fresh = mounts::all(prepared, root.as_fd(), fresh)?;
    devices::make(&prepared.plan, root.as_fd(), &host, &fresh)?;
    run_create_hooks(prepared, Some(root.as_fd()))?;
    let folder = Path::new(&prepared.plan.process.folder);
    if folder != Path::new("/") {
        path::ensure(root.as_fd(), folder, Missing::Folder)
            .call("mkdir", folder.display())
            .during("make the working folder")?;
    }
    let terminal = terminal::open(prepared, root.as_fd()).during("open a terminal")?;
    set_parameters(&prepared.plan, &host)?;
    let known = hide::Known::of(&fresh);
    hide::mask(&prepared.plan, root.as_fd(), &host, &fresh, &known).during("mask paths")?;
    hide::protect(&prepared.plan, root.as_fd(), &fresh, &known).during("make paths read-only")?;
    mounts::finish(&prepared.plan, root.as_fd()).during("make mounts read-only")?;
    match prepared.manner.without_pivot {
        true => stack(root.as_fd()),
        false => enter(root.as_fd()),
    }
    .during("enter the root")?;
    settle(&prepared.plan, root.as_fd()).during("settle the root")?;
    process::set_on_host(&prepared.plan.process, &host)?;
    leave_open(root);
    host.leave_open();
    fresh.leave_open();
    Ok(terminal)
}

/// Uses the tree of a mount namespace that is there already.
fn join_root(prepared: &Prepared, host: &Host) -> Result<Terminal> {
    run_create_hooks(prepared, None)?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let root = root.call("open", "/").during("enter the root")?;
    set_parameters(&prepared.plan, host)?;
    let terminal = terminal::open(prepared, root.as_fd()).during("open a terminal")?;
    process::set_on_host(&prepared.plan.process, host)?;
    Ok(terminal)
}

/// Puts the root on top of the host's, in this namespace alone, where it can have mounts.
fn place(prepared: &mut Prepared) -> Result<OwnedFd> {
    // What happens in the container must not reach the host; what happens on the host may come
    // in where the configuration wants that.
    let way = match prepared.plan.is_private() {
        true => MountPropagationFlags::PRIVATE,
        false => MountPropagationFlags::DOWNSTREAM,
    };
    rustix::mount::mount_change("/", way | MountPropagationFlags::REC)
        .call("mount", "/, rslave")?;
    let root = match prepared.root.take() {
        Some(root) => root,
        None => detached(&prepared.plan.root)?,
    };
    sys::mount::attach(&root, Path::new("/")).call("move_mount", "the root")?;
    Ok(root)
}

/// A mount of its own of the folder that becomes the root.
pub(crate) fn detached(folder: &Path) -> Result<OwnedFd> {
    let root = sys::mount::clone(folder, true).call("open_tree", folder.display())?;
    // Otherwise what is mounted inside would appear on the host.
    let private = Change { propagation: libc::MS_PRIVATE, ..Change::default() };
    sys::mount::change(&root, private, true, None).call("mount_setattr", "private")?;
    Ok(root)
}

fn run_create_hooks(prepared: &Prepared, root: Option<BorrowedFd<'_>>) -> Result<()> {
    if prepared.outer_hooks {
        let said = prepared.channel.send(&Message::Hooks).call("sendmsg", "hooks");
        said.during("ask for hooks")?;
        match prepared.channel.receive().call("recvmsg", "").during("wait for hooks")? {
            Message::Go => {}
            _ => return Err(refused("await", "hooks").with_step("wait for hooks")),
        }
    }
    if let (Some(root), false) = (root, prepared.create_hooks.is_empty()) {
        // What they mean by a relative path is the container's, as it is mounted by now.
        rustix::process::fchdir(root).call("fchdir", "the root").during("run hooks")?;
    }
    hooks::run_inside(&prepared.create_hooks, &prepared.state)
        .map_err(|error| refused("hook", error))
        .during("run the hooks of the container")
}

fn set_parameters(plan: &Plan, host: &Host) -> Result<()> {
    for (path, value) in &plan.parameters {
        let set = host.write(&format!("sys/{path}"), value);
        set.during(format_args!("set sysctl {path}"))?;
    }
    Ok(())
}

/// Makes the new root the only one there is.
fn enter(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).call("fchdir", "the root")?;
    // The old root comes to lie on the new one, at the very place where we stand; taking away
    // what lies there leaves the new one.
    rustix::process::pivot_root(".", ".").call("pivot_root", "., .")?;
    // Where we stand is the root of the new one from the first of these calls on.
    let flags = UnmountFlags::DETACH;
    rustix::mount::unmount(".", flags).call("umount2", "the old root")
}

/// Makes the new root the one that is seen; the old one stays below it.
fn stack(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).call("fchdir", "the root")?;
    rustix::process::chroot(".").call("chroot", ".")?;
    rustix::process::chdir("/").call("chdir", "/")?;
    // Looked at once more by name: what is at / now is what was mounted.
    let (above, here) =
        (rustix::fs::statat(CWD, "/", rustix::fs::AtFlags::empty()), rustix::fs::fstat(root));
    let (above, here) = (above.call("stat", "/")?, here.call("fstat", "the root")?);
    match (above.st_dev, above.st_ino) == (here.st_dev, here.st_ino) {
        true => Ok(()),
        false => Err(refused("check", "/ is not the container's root")),
    }
}

/// What may only be set of the root when everything else is done in it.
fn settle(plan: &Plan, root: BorrowedFd<'_>) -> Result<()> {
    let (way, recursive) = plan.propagation;
    if way != libc::MS_PRIVATE {
        let change = Change { propagation: way, ..Change::default() };
        sys::mount::change(root, change, recursive, None).call("mount_setattr", "propagation")?;
    }
    if plan.read_only {
        let change = Change { set: libc::MOUNT_ATTR_RDONLY, ..Change::default() };
        sys::mount::change(root, change, false, None).call("mount_setattr", "read-only")?;
    }
    Ok(())
}
