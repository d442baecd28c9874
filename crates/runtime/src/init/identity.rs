//! Users, groups and capabilities of a process.

use rustix::fs::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::Result;
use crate::error::Explain;
use crate::plan::{CapabilityPlan, ProcessPlan, capability};

/// Becomes root of a user namespace whose users have just been mapped.
pub(crate) fn become_root() -> Result<()> {
    // Where groups must not be dropped (a mapping without help), they stay as they are.
    let _ = rustix::thread::set_thread_groups(&[]);
    set_ids(0, 0)
}

fn set_ids(user: u32, group: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::thread::set_thread_res_gid(gid, gid, gid).call("setresgid", group)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).call("setresuid", user)
}

/// Becomes the program's user with its capabilities, and one besides, which putting a filter in
/// place needs: it stays until [`finish`].
pub(crate) fn assume(process: &ProcessPlan) -> Result<()> {
    let wanted = process.capabilities.unwrap_or_default();
    for (number, name) in capability::NAMES.iter().enumerate() {
        let bit = CapabilitySet::from_bits_retain(1 << number);
        if wanted.bounding & 1 << number != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(bit) {
            // The kernel is older than the name, or the host has dropped it already.
            Err(rustix::io::Errno::INVAL) => {}
            Err(rustix::io::Errno::PERM) if !in_bounding_set(bit) => {}
            other => other.call("prctl", format_args!("PR_CAPBSET_DROP, {name}"))?,
        }
    }
    // Root does not lose them by becoming root.
    let keeps = process.user != 0;
    if keeps {
        rustix::thread::set_keep_capabilities(true).call("prctl", "PR_SET_KEEPCAPS, 1")?;
    }
    let groups: Vec<_> = process.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // In a namespace whose users an ordinary user has mapped there is nothing to drop.
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        other => other.call("setgroups", format_args!("{:?}", process.groups))?,
    }
    if !process.is_user {
        set_ids(process.user, process.group)?;
    }
    if keeps {
        rustix::thread::set_keep_capabilities(false).call("prctl", "PR_SET_KEEPCAPS, 0")?;
    }
    // Without new privileges a filter needs no power.
    let reserve = match process.no_new_privileges {
        true => 0,
        false => capability::bit("SYS_ADMIN").unwrap_or(0),
    };
    let with =
        |more: u64| set(wanted.effective | more, wanted.permitted | more, wanted.inheritable);
    match with(reserve) {
        // This process does not have it either.
        Err(failure) if failure.errno == libc::EPERM => with(0),
        other => other,
    }
}

fn in_bounding_set(bit: CapabilitySet) -> bool {
    rustix::thread::capability_is_in_bounding_set(bit).unwrap_or(false)
}

/// Leaves the program's capabilities and nothing else.
pub(crate) fn finish(process: &ProcessPlan) -> Result<()> {
    let CapabilityPlan { effective, permitted, inheritable, ambient, .. } =
        process.capabilities.unwrap_or_default();
    set(effective, permitted, inheritable)?;
    for number in (0..capability::NAMES.len()).filter(|number| ambient & 1 << number != 0) {
        let bit = CapabilitySet::from_bits_retain(1 << number);
        rustix::thread::configure_capability_in_ambient_set(bit, true)
            .call("prctl", format_args!("PR_CAP_AMBIENT, {}", capability::NAMES[number]))?;
    }
    Ok(())
}

fn set(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(effective),
        permitted: CapabilitySet::from_bits_retain(permitted),
        inheritable: CapabilitySet::from_bits_retain(inheritable),
    };
    rustix::thread::set_capabilities(None, sets)
        .call("capset", format_args!("{effective:x}, {permitted:x}, {inheritable:x}"))
}
