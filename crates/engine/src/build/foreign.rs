//! Programs for other processors: whether this machine can run them.
//!
//! The kernel hands them to an emulator that is registered with binfmt_misc. Only one that the
//! kernel keeps open (flag `F`) is found from within a container's root.

use std::fs;

use spec::Platform;

use crate::error::{EngineError, Result};

/// Where the kernel says who runs what.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";
/// Where an ELF file says what processor it is for: two bytes, and the place of the byte that says
/// which of them is first.
const MACHINE_AT: usize = 18;
const ORDER_AT: usize = 5;
const BIG_FIRST: u8 = 2;

/// Refuses to run what nobody here can run.
pub(super) fn check(platform: &Platform) -> Result<()> {
    let host = Platform::host();
    if runs_itself(&host.architecture, &platform.architecture) {
        return Ok(());
    }
    let entries = fs::read_dir(REGISTERED).into_iter().flatten().flatten();
    let mut texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    match texts.any(|text| runs(&text, &platform.architecture)) {
        true => Ok(()),
        false => {
            Err(EngineError::Foreign { platform: platform.to_string(), host: host.to_string() })
        }
    }
}

/// Whether a processor runs programs of another one by itself.
fn runs_itself(host: &str, other: &str) -> bool {
    host == other || (host, other) == ("amd64", "386")
}

/// The number that ELF files have for a processor.
fn machine(architecture: &str) -> Option<u16> {
    Some(match architecture {
        "386" => 3,
        "mips64" | "mips64le" | "mips" | "mipsle" => 8,
        "ppc64" | "ppc64le" => 21,
        "s390x" => 22,
        "arm" => 40,
        "amd64" => 62,
        "arm64" => 183,
        "riscv64" => 243,
        "loong64" => 258,
        _ => return None,
    })
}

/// Whether an emulator that is registered so runs programs of a processor in a container.
fn runs(entry: &str, architecture: &str) -> bool {
    let line = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
    let flags = line("flags:").unwrap_or_default();
    let is_on = entry.lines().next() == Some("enabled") && flags.contains('F');
    let starts_file = line("offset ").unwrap_or("0").trim() == "0";
    let magic = line("magic ").and_then(bytes).unwrap_or_default();
    let Some(&[first, second]) = magic.get(MACHINE_AT..MACHINE_AT + 2) else { return false };
    let number = match magic[ORDER_AT] == BIG_FIRST {
        true => u16::from_be_bytes([first, second]),
        false => u16::from_le_bytes([first, second]),
    };
    is_on && starts_file && machine(architecture) == Some(number)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let hex = hex.trim();
    let pairs =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
                         magic 7f454c460201010000000000000000000200b700\nmask ffffff\n";

    #[test]
    fn who_runs_what() {
        assert!(runs(ARM64, "arm64"));
        assert!(!runs(ARM64, "arm") && !runs(ARM64, "unheard-of"));
        assert!(!runs(&ARM64.replace("enabled", "disabled"), "arm64"));
        // Its emulator would have to be in every image.
        assert!(!runs(&ARM64.replace("OCF", "OC"), "arm64"));
        let s390x = "enabled\ninterpreter /x\nflags: F\noffset 0\nmagic 7f454c4602020100000000000000000000020016\n";
        assert!(runs(s390x, "s390x") && !runs(s390x, "ppc64"));
        for text in [
            "",
            "enabled\n",
            "enabled\nflags: F\nmagic 7f4\n",
            "enabled\nflags: F\nextension .jar\n",
        ] {
            assert!(!runs(text, "arm64"), "{text}");
        }
        assert!(check(&Platform::host()).is_ok());
    }
}
