//! What a held system call is about to do: whether it changes or reads anything of the store, and
//! how to say so.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sys::trace::{Call, READING};

/// Flags of `open`: writing, reading and writing, making, emptying.
const OPENS_TO_CHANGE: u64 = 0o1 | 0o2 | 0o100 | 0o1000;
/// `ioctl` requests that make one file share another's bytes.
const CLONES: [u64; 2] = [0x4004_9409, 0x4020_940d];

/// Whether a call may change files, mounts or locks. Standard error is not the store's business.
pub(crate) fn changes(call: &Call) -> bool {
    let flags = match call.name {
        "openat" => call.arguments[2],
        "open" => call.arguments[1],
        "openat2" => return memory(call, call.arguments[2], 8).is_none_or(|how| opens(&how)),
        "ioctl" => return CLONES.contains(&call.arguments[1]),
        "write" | "writev" => return call.arguments[0] != 2,
        name => return READING.iter().all(|(known, _)| *known != name),
    };
    flags & OPENS_TO_CHANGE != 0
}

fn opens(how: &[u8]) -> bool {
    how.try_into().is_ok_and(|flags| u64::from_ne_bytes(flags) & OPENS_TO_CHANGE != 0)
}

/// Whether a call opens something below a folder for reading, or reads from it.
pub(super) fn reads(call: &Call, below: &Path) -> bool {
    let about = match call.name {
        "openat" | "openat2" => at(call, call.arguments[0], call.arguments[1]),
        "open" => path(call, call.arguments[0]),
        name if READING.iter().any(|(known, _)| *known == name) => {
            descriptor(call, call.arguments[0])
        }
        _ => return false,
    };
    Path::new(&about).starts_with(below)
}

/// Whether a call is one that a full disk can refuse.
pub(super) fn takes_space(call: &Call) -> bool {
    #[rustfmt::skip]
    const GIVING: [&str; 13] = [
        "unlink", "unlinkat", "rmdir", "flock", "umount2", "open_tree", "fsconfig", "fsmount",
        "move_mount", "mount_setattr", "utimensat", "fchmodat", "fchownat",
    ];
    !GIVING.contains(&call.name)
}

/// The call in words, for the report: its name and the file it is about.
pub(super) fn describe(call: &Call, below: &Path) -> String {
    let [first, second, third, fourth, ..] = call.arguments;
    let about = match call.name {
        "openat" | "openat2" | "unlinkat" | "mkdirat" | "mknodat" | "fchmodat" | "fchownat"
        | "fchmodat2" | "utimensat" | "open_tree" => at(call, first, second),
        "renameat" | "renameat2" | "linkat" => {
            format!("{} -> {}", at(call, first, second), at(call, third, fourth))
        }
        "rename" | "link" => format!("{} -> {}", path(call, first), path(call, second)),
        "symlinkat" => at(call, second, third),
        "move_mount" => at(call, third, fourth),
        "open" | "unlink" | "rmdir" | "mkdir" | "mknod" | "creat" | "chmod" | "chown"
        | "lchown" | "truncate" | "setxattr" | "lsetxattr" | "umount2" => path(call, first),
        "copy_file_range" => descriptor(call, third),
        _ => descriptor(call, first),
    };
    format!("{} {}", call.name, about.replace(&format!("{}/", below.display()), ""))
}

/// A path that is relative to an open folder.
fn at(call: &Call, folder: u64, pointer: u64) -> String {
    let path = path(call, pointer);
    let here = folder as i32 == -100;
    match path.starts_with('/') || here {
        true => path,
        false => format!("{}/{path}", descriptor(call, folder)),
    }
}

/// What a descriptor of the program is open on.
fn descriptor(call: &Call, number: u64) -> String {
    let link = PathBuf::from(format!("/proc/{}/fd/{}", call.thread, number as i32));
    fs::read_link(link).map_or_else(|_| number.to_string(), |path| path.display().to_string())
}

fn path(call: &Call, pointer: u64) -> String {
    // Text may end just before a page that is not there.
    let bytes = [4096, 256, 64, 16].iter().find_map(|room| memory(call, pointer, *room));
    let bytes = bytes.unwrap_or_default();
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Bytes out of the program's memory.
fn memory(call: &Call, pointer: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    let file = File::open(format!("/proc/{}/mem", call.thread)).ok()?;
    file.read_exact_at(&mut bytes, pointer).ok()?;
    Some(bytes)
}
