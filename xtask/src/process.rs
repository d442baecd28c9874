//! Running other programs: shown before they start, and an error when they fail.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Runs a command with this program's own terminal, after printing it.
pub(crate) fn run(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    finish(command)
}

/// Runs a command whose output matters only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result {
    capture(command).map(drop)
}

/// Runs a command and returns what it wrote to its standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{}`: {}\n{}", shown(command), output.status, words.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name can be started.
pub(crate) fn exists(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program of this name lies in the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Root's tools are found even when the search path is an ordinary user's.
    let always = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path)
        .chain(always)
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A command line as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

fn finish(command: &mut Command) -> Result {
    let status =
        command.status().map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}`: {status}", shown(command)).into())
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| {
        found.is_file()
            && std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111 != 0
    })
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_can_be_pasted() {
        let mut command = Command::new("tar");
        command.args(["-C", "a b", "it's", ""]);
        assert_eq!(shown(&command), r"tar -C 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_failure_carries_the_words_of_the_program() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .expect_err("it exits with 3");
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
