//! `mica context`: names for engines elsewhere, in the files that docker's client has too.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};

use serde_json::{Value, json};

use super::inspect::show_named;
use super::reason;
use crate::args::split_values;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::far::contexts::{Contexts, DEFAULT, Meta, PEMS, Place, check_name};
use crate::far::place::current;
use crate::show::{Column, Row, rows};
use crate::template;

/// Where docker's engine is if nobody says.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// What is said of the default context.
const DESCRIPTION: &str = "Current DOCKER_HOST based configuration";

const COLUMNS: &[Column] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
];

fn contexts(context: &Context) -> Contexts {
    Contexts::of(context.environment())
}

fn current_name(context: &Context) -> Result<String, Failure> {
    let name = current(context.globals(), context.environment(), &contexts(context))?;
    Ok(name.unwrap_or_else(|| DEFAULT.to_owned()))
}

/// The default context, which nobody has written down.
fn of_environment(context: &Context) -> Meta {
    let host = context.globals().list("host").last().map(String::as_str);
    let host = host.or(context.variable("DOCKER_HOST")).filter(|host| !host.is_empty());
    let place = Place { host: host.unwrap_or(SOCKET).to_owned(), ..Place::default() };
    Meta {
        name: DEFAULT.to_owned(),
        endpoints: [("docker".to_owned(), place)].into(),
        ..Meta::default()
    }
}

pub(crate) fn create(context: &Context) -> Outcome {
    let name = &context.names()[0];
    check_name(name)?;
    let contexts = contexts(context);
    if contexts.has(name) {
        return Err(Failure::new(format!("context {name:?} already exists")));
    }
    let fresh = Meta { name: name.clone(), ..Meta::default() };
    let from = context.matches().string("from").filter(|name| !name.is_empty());
    let (mut meta, mut pems) = match from {
        Some(DEFAULT) => (of_environment(context), Vec::new()),
        Some(other) => (contexts.find(other)?, contexts.pems(other)),
        None if context.matches().given("docker") => (fresh, Vec::new()),
        // Docker's own default: a copy of the one that is in use.
        None => match current_name(context)?.as_str() {
            DEFAULT => (of_environment(context), Vec::new()),
            other => (contexts.find(other)?, contexts.pems(other)),
        },
    };
    meta.name.clone_from(name);
    describe(context, &mut meta, &mut pems)?;
    contexts.keep(&meta, &pems)?;
    context.ui.line(name);
    context.ui.warn(&format!("Successfully created context {name:?}"));
    Ok(0)
}

pub(crate) fn update(context: &Context) -> Outcome {
    let name = &context.names()[0];
    check_name(name)?;
    let contexts = contexts(context);
    let mut meta = contexts.find(name)?;
    let mut pems = Vec::new();
    describe(context, &mut meta, &mut pems)?;
    contexts.keep(&meta, &pems)?;
    context.ui.line(name);
    context.ui.warn(&format!("Successfully updated context {name:?}"));
    Ok(0)
}

/// Writes into a context what the flags say.
fn describe(
    context: &Context,
    meta: &mut Meta,
    pems: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    let matches = context.matches();
    if matches.given("description") {
        let text = matches.string("description").unwrap_or_default();
        text.clone_into(&mut meta.metadata.description);
    }
    let Some(text) = matches.string("docker").filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let wrong = |why: &str| Failure::new(format!("unable to create docker endpoint config: {why}"));
    let fields = split_values(text).map_err(|why| wrong(&why.to_string()))?;
    let mut place = Place::default();
    for field in fields {
        let (key, value) =
            field.split_once('=').ok_or_else(|| wrong(&format!("{field}: expected key=value")))?;
        match key {
            "host" => value.clone_into(&mut place.host),
            "skip-tls-verify" => {
                place.skip_tls_verify =
                    value.parse().map_err(|_| wrong(&format!("skip-tls-verify: {value}")))?;
            }
            "from" => {
                let contexts = contexts(context);
                let other = match value {
                    DEFAULT => of_environment(context),
                    name => contexts.find(name)?,
                };
                place = other.endpoints.get("docker").cloned().unwrap_or_default();
                *pems = contexts.pems(value);
            }
            key => {
                let Some((_, file)) = PEMS.iter().find(|(name, _)| *name == key) else {
                    return Err(wrong(&format!("unrecognized config key: {key}")));
                };
                let bytes = std::fs::read(value)
                    .map_err(|error| wrong(&format!("open {value}: {}", reason(&error))))?;
                pems.push(((*file).to_owned(), bytes));
            }
        }
    }
    // What is no address is told now, and not when it is first used.
    if !place.host.is_empty() {
        client::Endpoint::parse(&place.host, None)?;
    }
    meta.endpoints.insert("docker".to_owned(), place);
    Ok(())
}

pub(crate) fn list(context: &Context) -> Outcome {
    let chosen = current_name(context)?;
    let mut all = vec![of_environment(context)];
    DESCRIPTION.clone_into(&mut all[0].metadata.description);
    all.extend(contexts(context).all()?);
    all[1..].sort_by(|one, two| one.name.cmp(&two.name));
    let shown: Vec<Shown> =
        all.into_iter().map(|meta| Shown { current: meta.name == chosen, meta }).collect();
    let quiet = context.matches().flag("quiet");
    if quiet {
        shown.iter().for_each(|row| context.ui.line(&row.meta.name));
        return Ok(0);
    }
    let format = context.matches().string("format").filter(|text| !text.is_empty());
    rows(&context.ui, format, COLUMNS, COLUMNS, shown)?;
    if context.variable("DOCKER_HOST").is_some_and(|host| !host.is_empty()) && chosen == DEFAULT {
        context.ui.warn("Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.");
    }
    Ok(0)
}

/// A context as it is shown.
struct Shown {
    meta: Meta,
    current: bool,
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.clientContextContext";
    const FIELDS: &'static [&'static str] =
        &["Current", "Description", "DockerEndpoint", "Error", "Name"];

    fn field(&self, name: &str) -> Option<template::Value> {
        let text = |text: &str| Some(template::Value::Str(text.to_owned()));
        match name {
            "Current" => Some(template::Value::Bool(self.current)),
            "Name" => text(&self.meta.name),
            "Description" => text(&self.meta.metadata.description),
            "DockerEndpoint" => {
                text(self.meta.endpoints.get("docker").map_or("", |place| &place.host))
            }
            "Error" => text(""),
            _ => None,
        }
    }

    fn write(&self, name: &str, out: &mut String) {
        if let Some(template::Value::Str(text)) = self.field(name) {
            out.push_str(&text);
        }
        if name == "Name" && self.current {
            out.push_str(" *");
        }
    }
}

pub(crate) fn choose(context: &Context) -> Outcome {
    let name = &context.names()[0];
    let contexts = contexts(context);
    if name != DEFAULT {
        contexts.find(name)?;
    }
    contexts.choose(name)?;
    context.ui.line(name);
    context.ui.warn(&format!("Current context is now {name:?}"));
    if name != DEFAULT && context.variable("DOCKER_HOST").is_some_and(|host| !host.is_empty()) {
        context.ui.warn(&format!("Warning: DOCKER_HOST environment variable overrides the active context. To use {name:?}, either set the global --context flag, or unset DOCKER_HOST environment variable."));
    }
    Ok(0)
}

pub(crate) fn show(context: &Context) -> Outcome {
    context.ui.line(&current_name(context)?);
    Ok(0)
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let contexts = contexts(context);
    let document = |name: &str| -> Result<Value, Failure> {
        let (meta, storage) = match name {
            DEFAULT => {
                (of_environment(context), ["<IN MEMORY>".to_owned(), "<IN MEMORY>".to_owned()])
            }
            name => {
                let folders = [contexts.meta_folder(name), contexts.tls_folder(name)];
                (contexts.find(name)?, folders.map(|folder| folder.display().to_string()))
            }
        };
        let pems: Vec<String> = contexts.pems(name).into_iter().map(|(name, _)| name).collect();
        let material = if pems.is_empty() { json!({}) } else { json!({ "docker": pems }) };
        let [meta_path, tls_path] = storage;
        let mut document = serde_json::to_value(&meta).map_err(|e| Failure::new(e.to_string()))?;
        document["TLSMaterial"] = material;
        document["Storage"] = json!({ "MetadataPath": meta_path, "TLSPath": tls_path });
        Ok(document)
    };
    match context.names() {
        [] => {
            let name = current_name(context)?;
            show_named(context, &[name], &document)
        }
        names => show_named(context, names, &document),
    }
}

pub(crate) fn remove(context: &Context) -> Outcome {
    let (contexts, chosen) = (contexts(context), current_name(context)?);
    let mut failed = false;
    for name in context.names() {
        let removed = match name.as_str() {
            DEFAULT => Err(Failure::new("context \"default\" cannot be removed")),
            name if name == chosen && !context.matches().flag("force") => Err(Failure::new(
                format!("context {name:?} is in use, set -f flag to force remove"),
            )),
            name => contexts.forget(name),
        };
        match removed {
            Ok(()) => {
                if contexts.chosen().as_deref() == Some(name) {
                    contexts.choose(DEFAULT)?;
                }
                context.ui.line(name);
            }
            Err(failure) => {
                failure.tell(&context.ui);
                failed = true;
            }
        }
    }
    if failed { Err(Failure::silent(1)) } else { Ok(0) }
}

pub(crate) fn export(context: &Context) -> Outcome {
    let name = &context.names()[0];
    let contexts = contexts(context);
    let meta = contexts.find(name)?;
    let text = serde_json::to_vec(&meta).map_err(|error| Failure::new(error.to_string()))?;
    let mut files = vec![("meta.json".to_owned(), text)];
    let pems = contexts.pems(name).into_iter();
    files.extend(pems.map(|(name, bytes)| (format!("tls/docker/{name}"), bytes)));
    let failed =
        |error: io::Error| Failure::new(format!("cannot export context {name:?}: {error}"));
    let usual = format!("{name}.dockercontext");
    match context.names().get(1).map_or(usual.as_str(), String::as_str) {
        "-" if io::stdout().is_terminal() => {
            Err(Failure::new("cowardly refusing to export to a terminal, specify a file path"))
        }
        "-" => {
            engine::write_files(&mut io::stdout().lock(), &files).map_err(failed)?;
            Ok(0)
        }
        path => {
            let file = File::options().write(true).create_new(true).open(path);
            let mut file = file.map_err(failed)?;
            engine::write_files(&mut file, &files).map_err(failed)?;
            file.flush().map_err(failed)?;
            context.ui.warn(&format!("Written file {path:?}"));
            Ok(0)
        }
    }
}

pub(crate) fn import(context: &Context) -> Outcome {
    let (name, path) = (&context.names()[0], &context.names()[1]);
    check_name(name)?;
    let contexts = contexts(context);
    if contexts.has(name) {
        return Err(Failure::new(format!("context {name:?} already exists")));
    }
    let failed = |why: String| Failure::new(format!("cannot import {path}: {why}"));
    let mut from: Box<dyn Read> = match path.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(|error| failed(reason(&error)))?),
    };
    let files = engine::read_files(&mut *from).map_err(|error| {
        failed(error.to_string()).hint("it is to be a tar, as export writes it")
    })?;
    let mut meta = None;
    let mut pems = Vec::new();
    for (inner, bytes) in files {
        match inner.trim_start_matches("./") {
            "meta.json" => meta = Some(bytes),
            inner => match inner.strip_prefix("tls/docker/") {
                Some(pem) if PEMS.iter().any(|(_, known)| *known == pem) => {
                    pems.push((pem.to_owned(), bytes));
                }
                _ => return Err(failed(format!("unexpected context file {inner:?}"))),
            },
        }
    }
    let meta = meta.ok_or_else(|| failed("invalid context: no metadata found".to_owned()))?;
    let mut meta: Meta =
        serde_json::from_slice(&meta).map_err(|error| failed(error.to_string()))?;
    meta.name.clone_from(name);
    contexts.keep(&meta, &pems)?;
    context.ui.line(name);
    context.ui.warn(&format!("Successfully imported context {name:?}"));
    Ok(0)
}
