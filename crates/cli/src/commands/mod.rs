//! The commands: arguments, one call, what is shown.

pub(crate) mod bake;
pub(crate) mod boot;
pub(crate) mod build;
pub(crate) mod build_call;
pub(crate) mod build_history;
pub(crate) mod builder;
pub(crate) mod builder_du;
pub(crate) mod buildkitd;
pub(crate) mod buildx;
pub(crate) mod cache_mounts;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod completion;
pub(crate) mod container;
pub(crate) mod containers;
pub(crate) mod context;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod df;
pub(crate) mod dial;
pub(crate) mod dockerd;
pub(crate) mod events;
pub(crate) mod exec;
mod families;
pub(crate) mod foreground;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod imagetools;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod layout;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod look;
pub(crate) mod manifest;
pub(crate) mod migrate;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod ports;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod runtime;
pub(crate) mod save;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod sync;
pub(crate) mod tag;
pub(crate) mod tar_out;
pub(crate) mod top;
mod transfer;
pub(crate) mod update;
pub(crate) mod version;
pub(crate) mod volume;
pub(crate) mod volume_files;

use std::collections::BTreeMap;
use std::io;

use engine::ImageFilter;
use serde_json::Value;
use spec::{Platform, Reference};

use crate::context::Context;
use crate::failure::Failure;
use crate::show;

/// The platform that `--platform` names.
fn platform(context: &Context) -> Result<Option<Platform>, Failure> {
    let text = context.matches().string("platform").filter(|text| !text.is_empty());
    text.map(parse_platform).transpose()
}

fn parse_platform(text: &str) -> Result<Platform, Failure> {
    Platform::parse(text).map_err(|error| Failure::new(format!("invalid platform: {error}")))
}

/// The same where docker's client does not say what it is about.
fn bare_platform(text: &str) -> Result<Platform, Failure> {
    Platform::parse(text).map_err(|error| Failure::new(error.to_string()))
}

/// The conditions that `--filter` gives.
fn filters(context: &Context) -> Result<Vec<ImageFilter>, Failure> {
    let list = context.matches().list("filter").iter().filter(|text| !text.is_empty());
    Ok(list.map(|text| ImageFilter::parse(text)).collect::<Result<_, _>>()?)
}

/// Prints each document as `--format` says; without it, prints nothing and says so.
fn formatted(
    context: &Context,
    documents: impl IntoIterator<Item = Value>,
) -> Result<bool, Failure> {
    let Some(format) = context.matches().string("format").filter(|text| !text.is_empty()) else {
        return Ok(false);
    };
    for document in documents {
        show::document(&context.ui, Some(format), &document)?;
    }
    Ok(true)
}

/// `name=value` pairs; a name alone has an empty value.
pub(crate) fn pairs(values: &[String]) -> BTreeMap<String, String> {
    let split = |text: &String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    values.iter().map(split).collect()
}

/// The labels that a flag of these names gives.
fn labels(names: &str, values: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    for text in values {
        // What docker's client looks at has lost the blanks before it; what it sends has not.
        let name = text.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
        if name.trim().is_empty() {
            return Err(wrong_flag(names, text, format!("invalid label '{text}': empty name")));
        }
        if name.contains([' ', '\t']) {
            return Err(wrong_flag(names, text, format!("label '{name}' contains whitespaces")));
        }
    }
    Ok(pairs(values))
}

/// A flag of these names was given a value that it cannot have: the usage is wrong.
fn wrong_flag(names: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    Failure::of_flags(format!("invalid argument {value:?} for \"{names}\" flag: {why}"))
}

/// `name` or `name=value`, as filters word labels.
fn label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// Labels as lists show them.
pub(crate) fn joined(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Names as people write them.
fn familiar(names: &[Reference]) -> Vec<String> {
    names.iter().map(Reference::familiar).collect()
}

/// `PATH[:NAME]`, as skopeo divides it: at the first colon.
fn place(text: &str) -> (&str, Option<String>) {
    match text.split_once(':') {
        Some((path, name)) if !name.is_empty() => (path, Some(name.to_owned())),
        Some((path, _)) => (path, None),
        None => (text, None),
    }
}

/// Why a file cannot be opened, in the words of Go's library.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}
