//! `build`: the release binary, one static file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, elf, process};

/// Builds the binary, checks that it stands alone, and says where it lies.
pub(crate) fn run() -> Result {
    release().map(drop)
}

/// Builds the release binary and returns its path.
pub(crate) fn release() -> Result<PathBuf> {
    let target = host_target()?;
    // With `--target`, the flags reach the binary but not the procedural macros, which
    // cannot be static. Fixed addresses save the start-up its relocations.
    let flags = "-C target-feature=+crt-static -C relocation-model=static";
    process::run(
        Command::new(crate::cargo())
            .current_dir(crate::workspace())
            .env("RUSTFLAGS", flags)
            .args(["build", "--release", "--package", "mica", "--bin", "mica"])
            .args(["--target", &target]),
    )?;
    let binary = target_folder()?.join(&target).join("release/mica");
    check(&binary)?;
    Ok(binary)
}

/// Where cargo puts what it builds, as cargo itself says.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata =
        process::capture(Command::new(crate::cargo()).current_dir(crate::workspace()).args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--quiet",
        ]))?;
    let marker = "\"target_directory\":\"";
    let start = metadata.find(marker).ok_or("cargo metadata names no target folder")?;
    let rest = &metadata[start + marker.len()..];
    let end = rest.find('"').ok_or("cargo metadata ends early")?;
    Ok(PathBuf::from(&rest[..end]))
}

fn host_target() -> Result<String> {
    let version = process::capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not say what it builds for")?;
    if !host.contains("-linux-") {
        return Err(format!("mica runs on Linux alone; this is {host}").into());
    }
    Ok(host.to_string())
}

fn check(binary: &Path) -> Result {
    let bytes = std::fs::read(binary)?;
    let linking = elf::linking(&bytes)?;
    if linking.needs_interpreter {
        return Err(format!("{} is not static: it names an interpreter", binary.display()).into());
    }
    if linking.relocates_itself {
        return Err(
            format!("{} is position-independent: it starts slower", binary.display()).into()
        );
    }
    let mib = bytes.len() as f64 / f64::from(1 << 20);
    println!("{}: {} bytes ({mib:.1} MiB), static", binary.display(), bytes.len());
    Ok(())
}
