//! Measuring containers in namespaces of this program's own.
//!
//! Networks that tools make end with it, and so do mounts. crun refuses a machine whose cgroups are
//! of both versions at once, so in here there is the first alone: the same for all tools.

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

/// Starts this program again inside, and comes back with `true` when it has done all the work; with
/// `false` if this is it.
pub(super) fn enter(arguments: &[String]) -> Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(false);
    }
    if !process::is_root() || !Path::new("/proc/self/ns/net").exists() {
        return Err("containers are measured as root: leave their cases out".into());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private", "sh", "-euc", ENTER]);
    command.arg(std::env::current_exe()?).arg("bench").args(arguments).env(INSIDE, "1");
    process::run(&mut command)?;
    Ok(true)
}
