//! Which of root's powers a container has: docker's default, with what was added and dropped.

use spec::HostConfig;
use spec::bundle::Capabilities;

use crate::error::{EngineError, Result};

/// What docker leaves a container.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// All that the kernel knows, in its order.
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The sets of a container's first process. An ordinary user has none in force, but may gain them
/// through programs of root's.
pub(super) fn plan(host: &HostConfig, is_root: bool) -> Result<Capabilities> {
    let names = names(host)?;
    let force = if is_root { names.clone() } else { Vec::new() };
    Ok(Capabilities {
        bounding: names,
        effective: force.clone(),
        permitted: force,
        ..Capabilities::default()
    })
}

/// The capabilities that a container may have at most, in the kernel's order.
pub(super) fn names(host: &HostConfig) -> Result<Vec<String>> {
    let (add, drop) =
        (normal(host.cap_add.as_deref(), "CapAdd")?, normal(host.cap_drop.as_deref(), "CapDrop")?);
    if host.privileged {
        return Ok(ALL.map(str::to_owned).to_vec());
    }
    let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
    let wanted = |name: &&str| match (has(&add, "ALL"), has(&drop, "ALL")) {
        (true, _) => !has(&drop, name),
        (false, true) => has(&add, name),
        (false, false) => {
            (DEFAULT.contains(name) || has(&add, name)) && !has(&drop, name)
                || (has(&add, name) && !DEFAULT.contains(name))
        }
    };
    Ok(ALL.iter().filter(|name| wanted(name)).map(ToString::to_string).collect())
}

/// Names as the kernel has them: `net_admin` is `CAP_NET_ADMIN`.
fn normal(list: Option<&[String]>, field: &str) -> Result<Vec<String>> {
    let one = |text: &String| {
        let upper = text.to_uppercase();
        let name = match upper.as_str() {
            "ALL" => return Ok(upper),
            name if name.starts_with("CAP_") => upper.clone(),
            name => format!("CAP_{name}"),
        };
        match ALL.contains(&name.as_str()) {
            true => Ok(name),
            false => {
                Err(EngineError::Refused(format!("invalid {field}: unknown capability: {name:?}")))
            }
        }
    };
    list.unwrap_or_default().iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(add: &[&str], drop: &[&str]) -> HostConfig {
        let list = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        HostConfig { cap_add: list(add), cap_drop: list(drop), ..HostConfig::default() }
    }

    #[test]
    fn added_and_dropped_as_docker_does() {
        let count = |add: &[&str], drop: &[&str]| names(&host(add, drop)).unwrap().len();
        assert_eq!(count(&[], &[]), 14);
        assert_eq!(count(&["net_admin"], &[]), 15);
        assert_eq!(count(&["CAP_NET_ADMIN"], &["chown"]), 14);
        assert_eq!(count(&["ALL"], &["SYS_ADMIN"]), 40);
        assert_eq!(names(&host(&["KILL"], &["ALL"])).unwrap(), ["CAP_KILL"]);
        assert_eq!(count(&[], &["ALL"]), 0);
        let error = names(&host(&["what"], &[])).unwrap_err().to_string();
        assert!(error.contains("invalid CapAdd: unknown capability: \"CAP_WHAT\""), "{error}");
    }

    #[test]
    fn only_root_has_them_in_force() {
        let sets = plan(&HostConfig::default(), false).unwrap();
        assert_eq!((sets.bounding.len(), sets.effective.len()), (14, 0));
        assert_eq!(plan(&HostConfig::default(), true).unwrap().permitted.len(), 14);
    }
}
