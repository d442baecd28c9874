//! Capabilities by name and number.

/// A set of capabilities: bit n is number n.
pub type CapabilitySet = u64;

/// All capabilities in the order of their numbers, without `CAP_`.
pub const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The bit of `CAP_CHOWN`, `chown` or `CHOWN`.
pub fn bit(name: &str) -> Option<CapabilitySet> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

/// The names in a set, with `CAP_`.
pub fn names(set: CapabilitySet) -> Vec<String> {
    let known = NAMES.iter().enumerate().filter(|(number, _)| set & 1 << number != 0);
    known.map(|(_, name)| format!("CAP_{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_agree() {
        assert_eq!(bit("CAP_CHECKPOINT_RESTORE"), Some(1 << 40));
        assert_eq!(bit("net_raw"), Some(1 << 13));
        assert_eq!(bit("CAP_MOON"), None);
        assert_eq!(names(0b101), ["CAP_CHOWN", "CAP_DAC_READ_SEARCH"]);
    }
}
