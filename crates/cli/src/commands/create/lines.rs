//! Files of variables and labels, a line each.

use std::collections::BTreeMap;

use super::super::wrong_flag;
use crate::failure::Failure;

/// The variables of files, then those of flags. A name alone has the value of this environment; one
/// that is not set here takes the image's away.
pub(crate) fn variables(
    files: &[String],
    flags: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, Failure> {
    let mut list = Vec::new();
    for file in files {
        for line in read(file)? {
            match line.split_once('=') {
                Some(_) => list.push(line),
                // In a file, a name that is not set here is left out.
                None => list.extend(environment.get(&line).map(|value| format!("{line}={value}"))),
            }
        }
    }
    for flag in flags {
        if flag.is_empty() || flag.starts_with('=') {
            let why = format!("invalid environment variable: {flag}");
            return Err(wrong_flag("-e, --env", flag, why));
        }
        match (flag.contains('='), environment.get(flag)) {
            (false, Some(value)) => list.push(format!("{flag}={value}")),
            _ => list.push(flag.clone()),
        }
    }
    Ok(list)
}

/// The labels of files, then those of flags.
pub(super) fn labels(
    files: &[String],
    flags: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut list = Vec::new();
    for file in files {
        list.extend(read(file)?);
    }
    let mut labels = super::pairs(&list);
    labels.extend(super::super::labels("-l, --label", flags)?);
    Ok(labels)
}

/// The lines of a file that say something.
fn read(file: &str) -> Result<Vec<String>, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(format!("open {file}: {}", super::reason(&error))))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let wrong = |why: String| Failure::new(format!("invalid env file ({file}): {why}"));
    let mut lines = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(wrong(format!("invalid utf8 bytes at line {}: {line:?}", number + 1)));
        };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.contains(char::is_whitespace) {
            return Err(wrong(format!("variable '{name}' contains whitespaces")));
        }
        if name.is_empty() {
            return Err(wrong(format!("no variable name on line '{line}'")));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}
