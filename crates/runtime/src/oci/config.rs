//! `config.json`, read and checked.
//!
//! Members that nobody knows are passed over, as the specification asks. Members that it has and
//! that this runtime does not do are refused by name: a container that lacks what was asked for is
//! not the container that was asked for.

use std::fs;
use std::path::Path;

use serde_json::Value;
use spec::bundle::{Hook, Hooks, Spec};

use crate::error::{Result, RuntimeError};

/// What the specification has and this runtime does not do.
const REFUSED: &[(&str, &str)] = &[
    ("/solaris", "this is Linux"),
    ("/windows", "this is Linux"),
    ("/zos", "this is Linux"),
    ("/vm", "containers here are no virtual machines"),
    ("/process/commandLine", "it is for Windows"),
    ("/process/user/username", "it is for Windows; uid and gid say who it is"),
    ("/linux/intelRdt", "Intel's resource director is not supported"),
    ("/linux/memoryPolicy", "policies of memory nodes are not supported"),
    ("/linux/netDevices", "moving network devices is not supported"),
];

/// The configuration of a bundle.
pub fn read_spec(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text =
        fs::read(&path).map_err(|source| RuntimeError::Read { path: path.clone(), source })?;
    let wrong = |error: serde_json::Error| RuntimeError::Read { path, source: error.into() };
    let document: Value = match serde_json::from_slice(&text) {
        Ok(document) => document,
        Err(error) => return Err(wrong(error)),
    };
    check_document(&document)?;
    let spec: Spec = spec::bundle::read_value(document).map_err(wrong)?;
    check_hooks(&spec.hooks)?;
    spec.process.as_ref().map_or(Ok(()), |process| check_environment(&process.env))?;
    Ok(spec)
}

fn check_document(document: &Value) -> Result<()> {
    let version = document.get("ociVersion").and_then(Value::as_str).unwrap_or_default();
    if version.split('.').next() != Some("1") || !is_semantic(version) {
        let what = format!("ociVersion {version:?} is not a version 1 of the specification");
        return Err(RuntimeError::invalid(what));
    }
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    match REFUSED.iter().find(|(pointer, _)| document.pointer(pointer).is_some_and(says)) {
        Some((pointer, why)) => {
            let name = pointer[1..].replace('/', ".");
            Err(RuntimeError::invalid(format!("{name}: {why}")))
        }
        None => Ok(()),
    }
}

/// Whether a text is a version as SemVer 2.0.0 writes them: three numbers, and perhaps more words
/// behind `-` and `+`.
fn is_semantic(version: &str) -> bool {
    let (version, build) = version.split_once('+').unwrap_or((version, "none"));
    let (core, early) = version.split_once('-').unwrap_or((version, "none"));
    let is_number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
    };
    let is_word = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !text.is_empty() && text.bytes().all(fits)
    };
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|text| is_word(text) && is_number(text))
        && early.split('.').all(is_word)
        && build.split('.').all(is_word)
}

fn check_hooks(hooks: &Hooks) -> Result<()> {
    let lists = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    lists.into_iter().flatten().try_for_each(check_hook)
}

/// What is no variable is refused as other runtimes refuse it.
pub(super) fn check_environment(list: &[String]) -> Result<()> {
    for entry in list {
        let what = match entry.find('=') {
            None => format!("invalid environment variable: {entry:?}"),
            Some(0) => format!("environment variable name can't be empty: {entry:?}"),
            Some(_) => continue,
        };
        return Err(RuntimeError::invalid(what));
    }
    Ok(())
}

fn check_hook(hook: &Hook) -> Result<()> {
    if !hook.path.starts_with('/') {
        return Err(RuntimeError::invalid(format!("the hook {:?} is no absolute path", hook.path)));
    }
    if hook.timeout.is_some_and(|seconds| seconds <= 0) {
        let what = format!("the timeout of hook {} is not above zero", hook.path);
        return Err(RuntimeError::invalid(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, error: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), text).unwrap();
        let said = read_spec(folder.path()).map_err(|error| error.to_string());
        match error {
            "" => drop(said.unwrap()),
            error => assert_eq!(said.unwrap_err(), format!("invalid configuration: {error}")),
        }
    }

    #[test]
    fn versions_of_another_kind_are_refused() {
        check(r#"{"ociVersion": "1.3.0"}"#, "");
        check(r#"{"ociVersion": "1.0.2-dev"}"#, "");
        check(r#"{"ociVersion": "1.0.0-rc.5+build.7"}"#, "");
        for odd in ["1.x", "1", "1.0", "1.0.0.0", "1.01.0", "1.0.0-", "1.0.0-a..b", "1.0.0+"] {
            let words = format!("ociVersion {odd:?} is not a version 1 of the specification");
            check(&format!(r#"{{"ociVersion": {odd:?}}}"#), &words);
        }
        let none = "ociVersion \"\" is not a version 1 of the specification";
        check("{}", none);
        check(r#"{"ociVersion": "2.0.0"}"#, &none.replace("\"\"", "\"2.0.0\""));
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let with = |member: &str| format!(r#"{{"ociVersion": "1.2.0", {member}}}"#);
        check(&with(r#""linux": {"intelRdt": {}}, "vm": null, "new": {"x": 1}"#), "");
        check(&with(r#""windows": {"layerFolders": ["x"]}"#), "windows: this is Linux");
        let rdt = r#""linux": {"intelRdt": {"closID": "x"}}"#;
        check(&with(rdt), "linux.intelRdt: Intel's resource director is not supported");
        let user = r#""process": {"user": {"uid": 0, "gid": 0, "username": "me"}}"#;
        check(&with(user), "process.user.username: it is for Windows; uid and gid say who it is");
    }

    #[test]
    fn variables_have_names_and_values() {
        let with = |list: &str| {
            format!(r#"{{"ociVersion": "1.2.0", "process": {{"env": {list}, "args": []}}}}"#)
        };
        check(&with(r#"["A=1", "B=", "C=="]"#), "");
        check(&with("null"), "");
        check(&with(r#"["A=1", "B"]"#), "invalid environment variable: \"B\"");
        check(&with(r#"["=1"]"#), "environment variable name can't be empty: \"=1\"");
    }

    #[test]
    fn hooks_have_paths_and_time() {
        let with =
            |hook: &str| format!(r#"{{"ociVersion": "1.2.0", "hooks": {{"poststop": [{hook}]}}}}"#);
        check(&with(r#"{"path": "/bin/true", "timeout": 1}"#), "");
        check(&with(r#"{"path": "true"}"#), "the hook \"true\" is no absolute path");
        let late = "the timeout of hook /bin/true is not above zero";
        check(&with(r#"{"path": "/bin/true", "timeout": 0}"#), late);
    }
}
