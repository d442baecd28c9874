//! What the host says of itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Changes with every boot of the kernel.
pub fn boot_id() -> io::Result<String> {
    // No process lives through a boot.
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let text = crate::read::text(Path::new("/proc/sys/kernel/random/boot_id"))?;
    Ok(KNOWN.get_or_init(|| text.trim().to_owned()).clone())
}

/// The file in which this system keeps the certificates of those whom it believes, looked for where
/// Go looks; `None` if it has none.
pub fn authorities() -> Option<PathBuf> {
    const PLACES: [&str; 6] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    // One that cannot be looked at is there: who reads it says why that fails.
    let is_missing = |place: &Path| {
        let looked = std::fs::metadata(place);
        matches!(looked, Err(error) if error.kind() == io::ErrorKind::NotFound)
    };
    PLACES.iter().map(PathBuf::from).find(|place| !is_missing(place))
}

/// A name that nobody has had before: 128 random bits in hexadecimal.
pub fn random_id() -> io::Result<String> {
    let bytes = random_bytes::<16>()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Bytes that nobody can guess.
pub fn random_bytes<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    let mut at = 0;
    while at < COUNT {
        at += rustix::rand::getrandom(&mut bytes[at..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// The kernel's release, as `uname -r` prints it.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The machine's name for its processor, as `uname -m` prints it.
pub fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

/// The host's name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Total memory in bytes.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

/// Whether this process acts as root.
pub fn is_root() -> bool {
    user_id() == 0
}

/// Whether this process acts as root over all users of the host, not over those of a namespace.
pub fn is_host_root() -> bool {
    let map = crate::read::text(Path::new("/proc/self/uid_map")).unwrap_or_default();
    is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// How many users and groups there are in this process's namespace of users, if that is not the
/// host's: those that follow each other from root on.
pub fn ids_of_namespace() -> Option<(u32, u32)> {
    let read = |file: &str| crate::read::text(&Path::new("/proc/self").join(file)).ok();
    let users = ids_in_map(&read("uid_map")?)?;
    let groups = ids_in_map(&read("gid_map")?)?;
    (users < u32::MAX).then_some((users, groups))
}

/// The user that this process acts as, outside of its namespace of users.
pub fn outer_user_id() -> u32 {
    let map = crate::read::text(Path::new("/proc/self/uid_map")).unwrap_or_default();
    let user = user_id();
    outer_id(&map, user).unwrap_or(user)
}

fn outer_id(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Option<Vec<u32>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
        let [first, outside, count] = numbers?[..] else { return None };
        let place = id.checked_sub(first).filter(|place| *place < count)?;
        outside.checked_add(place)
    })
}

fn ids_in_map(map: &str) -> Option<u32> {
    let mut next = 0_u32;
    for line in map.lines() {
        let numbers: Option<Vec<u32>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
        let [first, _, count] = *numbers? else { return None };
        if first != next {
            break;
        }
        next = next.checked_add(count)?;
    }
    Some(next)
}

/// The user that this process has acted as since it was started.
pub fn user_id() -> u32 {
    // SAFETY: the call takes a number and reads what the kernel has put beside the arguments.
    let known = unsafe { libc::getauxval(libc::AT_EUID) };
    u32::try_from(known).unwrap_or_else(|_| rustix::process::geteuid().as_raw())
}

/// The user and group that this process was started as, if each is one alone: no set-user-id program
/// in which they may still change.
pub fn only_user() -> Option<(u32, u32)> {
    let known = |kind| {
        // SAFETY: the call takes a number and reads what the kernel has put beside the arguments.
        u32::try_from(unsafe { libc::getauxval(kind) }).ok()
    };
    let one = |real, effective| known(real).filter(|user| known(effective) == Some(*user));
    Some((one(libc::AT_UID, libc::AT_EUID)?, one(libc::AT_GID, libc::AT_EGID)?))
}

/// The group that this process acts as.
pub fn group_id() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Major and minor version out of a kernel release.
pub fn kernel_version() -> (u32, u32) {
    let release = kernel_release();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_map_are_counted_from_root_on() {
        assert_eq!(ids_in_map("         0          0 4294967295\n"), Some(u32::MAX));
        assert_eq!(ids_in_map("0 1000 1\n1 100000 65536\n"), Some(65537));
        let map = "0 1000 1\n1 100000 65536\n";
        assert_eq!((outer_id(map, 0), outer_id(map, 3)), (Some(1000), Some(100_002)));
        assert_eq!(outer_id(map, 65537), None);
        assert_eq!(ids_in_map("0 1000 1\n5 100000 65536\n"), Some(1));
        assert_eq!(ids_in_map("x\n"), None);
    }
}
