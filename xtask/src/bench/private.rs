//! Measuring in namespaces of this program's own, on a disk of its own.
//!
//! Networks that tools make end with it, and so do mounts. crun refuses a machine whose cgroups are
//! of both versions at once, so in here there is the first alone: the same for all tools.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::{Result, process};

/// Says to the program that it is inside already.
const INSIDE: &str = "XTASK_BENCH_INSIDE";
const ENTER: &str = r#"
ip link set lo up
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
exec "$0" "$@"
"#;

/// Whether this is the program that was started inside.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again inside, and comes back when it has done all the work.
pub(super) fn enter(arguments: &[String]) -> Result {
    if !process::is_root() || !Path::new("/proc/self/ns/net").exists() {
        return Err(
            "the bench mounts a disk of its own and starts containers: run it as root".into()
        );
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private", "sh", "-euc", ENTER]);
    command.arg(std::env::current_exe()?).arg("bench").args(arguments).env(INSIDE, "1");
    process::run(&mut command)
}

/// More than all stores together ever hold; what is not written takes no place.
const DISK_BYTES: u64 = 20 << 30;

/// Mounts an empty ext4 at `folder`, which lies in a file beside it: what stores lie on decides how
/// a layer can be kept (files of a tmpfs, say, cannot be mounted), so it is the same everywhere.
pub(super) fn mount_disk(folder: &Path) -> Result {
    fs::create_dir_all(folder)?;
    let image = folder.with_extension("ext4");
    // The last run's; its mount and its loop device went with its namespaces.
    let _ = fs::remove_file(&image);
    File::create(&image)?.set_len(DISK_BYTES)?;
    process::run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
    // What a tool removes is given back: the file may lie in memory.
    process::run(Command::new("mount").args(["-o", "loop,discard"]).args([&*image, folder]))?;
    // Mounted, it needs no name; unmounted, nobody needs it.
    Ok(fs::remove_file(&image)?)
}
