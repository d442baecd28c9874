//! `images`, `rmi` and `tag` elsewhere.

use client::Request;
use serde_json::Value;
use spec::{Reference, Timestamp, human_size, human_size_3};

use super::containers::filters;
use crate::commands::images::{COLUMNS, HEADERS, meant, since};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, rows};
use crate::template;

/// What stands where nothing is.
const NONE: &str = "<none>";

pub(super) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    if matches.flag("tree") {
        return Err(Failure::new("error: --tree is shown of this machine's own images alone"));
    }
    let mut conditions = matches.list("filter").to_vec();
    conditions.extend(context.names().first().map(|pattern| format!("reference={pattern}")));
    let request = Request::get("/images/json")
        .flag("all", matches.flag("all"))
        .given("filters", filters(&conditions)?.as_deref());
    let found: Vec<Value> = context.far()?.call(request)?;
    let digests = matches.flag("digests");
    let format = matches.string("format").filter(|text| !text.is_empty());
    let wants_digest = digests || format.is_some_and(|text| text.contains(".Digest"));
    let full = matches.flag("no-trunc");
    let shown: Vec<Shown> =
        found.iter().flat_map(|image| Shown::all(image, full, wants_digest)).collect();
    if matches.flag("quiet") && format.is_none() {
        let mut ids: Vec<String> = shown.iter().filter_map(|row| row.text("ID")).collect();
        ids.dedup();
        ids.iter().for_each(|id| context.ui.line(id));
        return Ok(0);
    }
    let mut columns: Vec<Column> = COLUMNS.to_vec();
    if digests {
        columns.insert(2, ("Digest", "DIGEST"));
    }
    let format = meant(format, matches.flag("quiet"), digests);
    rows(&context.ui, format.as_deref(), &columns, HEADERS, shown)?;
    Ok(0)
}

/// An image under one of its names.
struct Shown {
    image: Value,
    repository: String,
    tag: String,
    digest: String,
    full: bool,
    now: Timestamp,
}

impl Shown {
    /// A row for each name; where digests are shown, a tag has that of its repository.
    fn all(image: &Value, full: bool, digests: bool) -> Vec<Shown> {
        let names = |field: &str| {
            let all = image[field].as_array().into_iter().flatten().filter_map(Value::as_str);
            let real = all.filter(|name| !name.starts_with(NONE));
            real.map(str::to_owned).collect::<Vec<_>>()
        };
        let now = Timestamp::now();
        let row = |repository: &str, tag: &str, digest: &str| Shown {
            image: image.clone(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
            full,
            now,
        };
        let known = names("RepoDigests");
        let of = |repository: &str| {
            let mut all = known.iter().filter_map(|name| name.split_once('@'));
            all.find(|(own, _)| *own == repository).map_or(NONE, |(_, digest)| digest)
        };
        let tags = names("RepoTags");
        let tagged = tags.iter().filter_map(|name| name.rsplit_once(':'));
        let mut all: Vec<Shown> = tagged
            .map(|(repository, tag)| {
                row(repository, tag, if digests { of(repository) } else { NONE })
            })
            .collect();
        if all.is_empty() {
            let bare = known.iter().filter_map(|name| name.split_once('@'));
            all.extend(bare.map(|(repository, digest)| row(repository, NONE, digest)));
        }
        if all.is_empty() {
            all.push(row(NONE, NONE, NONE));
        }
        all
    }

    fn text(&self, name: &str) -> Option<String> {
        let created = Timestamp::from_unix(self.image["Created"].as_i64().unwrap_or_default(), 0);
        Some(match name {
            "ID" => {
                let id = self.image["Id"].as_str().unwrap_or_default();
                let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
                if self.full { id.to_owned() } else { hex[..hex.len().min(12)].to_owned() }
            }
            "Repository" => self.repository.clone(),
            "Tag" => self.tag.clone(),
            "Digest" => self.digest.clone(),
            "CreatedSince" => since(Some(created), self.now),
            "CreatedAt" => created.docker_local(),
            "Size" => human_size_3(self.image["Size"].as_f64().unwrap_or_default()),
            "VirtualSize" => human_size(self.image["Size"].as_f64().unwrap_or_default()),
            "Containers" | "SharedSize" | "UniqueSize" => "N/A".to_owned(),
            "Platform" => String::new(),
            _ => return None,
        })
    }
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.imageContext";
    const FIELDS: &'static [&'static str] = &[
        "Containers",
        "CreatedAt",
        "CreatedSince",
        "Digest",
        "ID",
        "Repository",
        "SharedSize",
        "Size",
        "Tag",
        "UniqueSize",
        "VirtualSize",
    ];

    fn field(&self, name: &str) -> Option<template::Value> {
        self.text(name).map(template::Value::Str)
    }
}

pub(super) fn remove(context: &Context) -> Outcome {
    let (matches, client) = (context.matches(), context.far()?);
    if !matches.list("platform").is_empty() {
        return Err(Failure::new("error: --platform is for this machine's own images alone"));
    }
    let (mut failed, mut fatal) = (false, false);
    for name in context.names() {
        let request = Request::delete(format!("/images/{name}"))
            .flag("force", matches.flag("force"))
            .flag("noprune", matches.flag("no-prune"));
        match client.call::<Vec<Value>>(request) {
            Ok(removed) => {
                for row in &removed {
                    let text =
                        |name: &str| row[name].as_str().map(|text| format!("{name}: {text}"));
                    text("Untagged")
                        .or(text("Deleted"))
                        .iter()
                        .for_each(|line| context.ui.line(line));
                }
            }
            Err(error) => {
                (failed, fatal) = (true, fatal || !error.is_missing());
                Failure::from(error).tell(&context.ui);
            }
        }
    }
    match failed && (fatal || !matches.flag("force")) {
        true => Err(Failure::silent(1)),
        false => Ok(0),
    }
}

pub(super) fn tag(context: &Context) -> Outcome {
    let [source, target] = context.names() else {
        return Err(Failure::new("two names are needed"));
    };
    let name = Reference::parse(target).map_err(|error| Failure::new(error.to_string()))?;
    let name = name.with_default_tag();
    let request = Request::post(format!("/images/{source}/tag"))
        .with("repo", name.familiar_name())
        .with("tag", name.tag().unwrap_or("latest"));
    context.far()?.tell(request)?;
    Ok(0)
}
