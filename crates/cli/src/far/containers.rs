//! `ps` elsewhere: the engine's rows in docker's columns.

use client::Request;
use engine::PublishedPort;
use serde_json::{Value, json};
use spec::{ContainerPort, Timestamp, human_duration, human_size_3};

use crate::commands::containers::{
    COLUMNS, COMMAND_LETTERS, FIELDS, HEADERS, MOUNT_LETTERS, WORDS, WORDS_WITH_SIZE, asked,
};
use crate::commands::ports;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Row, rows};
use crate::template::{self, quote};
use crate::ui::cut;

pub(super) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let format = asked(&context.ui, matches.string("format"), matches.flag("quiet"));
    let quiet = matches.flag("quiet") && format.is_none();
    let sizes = matches.flag("size") || format.is_some_and(|text| text.contains(".Size"));
    let last = match matches.flag("latest") {
        true => Some(1),
        false => matches.int("last").filter(|last| *last > 0),
    };
    let request = Request::get("/containers/json")
        .flag("all", matches.flag("all") || last.is_some())
        .given("limit", last.map(|last| last.to_string()).as_deref())
        .flag("size", sizes && !quiet)
        .given("filters", filters(matches.list("filter"))?.as_deref());
    let found: Vec<Value> = context.far()?.call(request)?;
    let (full, now) = (matches.flag("no-trunc"), Timestamp::now());
    let shown: Vec<Shown> = found.into_iter().map(|row| Shown { row, full, now }).collect();
    if quiet {
        shown.iter().for_each(|row| context.ui.line(&row.id()));
        return Ok(0);
    }
    let mut columns = COLUMNS.to_vec();
    if matches.flag("size") {
        columns.push(("Size", "SIZE"));
    }
    let words = if matches.flag("size") { WORDS_WITH_SIZE } else { WORDS };
    let format = words.meant(format, matches.flag("quiet"));
    rows(&context.ui, format.as_deref(), &columns, HEADERS, shown)?;
    Ok(0)
}

/// `--filter`s in the form in which they are sent; none if there are none.
pub(super) fn filters(list: &[String]) -> Result<Option<String>, Failure> {
    let mut all = json!({});
    for text in list.iter().filter(|text| !text.is_empty()) {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("bad format of filter (expected name=value)"))?;
        all[name.trim().to_lowercase()][value.trim()] = json!(true);
    }
    Ok(all.as_object().is_some_and(|all| !all.is_empty()).then(|| all.to_string()))
}

/// A container as it is shown.
struct Shown {
    row: Value,
    full: bool,
    now: Timestamp,
}

impl Shown {
    fn id(&self) -> String {
        let id = self.row["Id"].as_str().unwrap_or_default();
        if self.full { id } else { &id[..id.len().min(12)] }.to_owned()
    }

    fn string(&self, name: &str) -> String {
        self.row[name].as_str().unwrap_or_default().to_owned()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.row[name].as_array().map_or(&[], Vec::as_slice)
    }

    fn created(&self) -> Timestamp {
        Timestamp::from_unix(self.row["Created"].as_i64().unwrap_or_default(), 0)
    }

    fn image(&self) -> String {
        let image = self.string("Image");
        match image.strip_prefix("sha256:").filter(|_| !self.full) {
            Some(hex) => hex[..hex.len().min(12)].to_owned(),
            None if image.is_empty() => "<no image>".to_owned(),
            None => image,
        }
    }

    /// Its own name; names by which others know it have more than one slash.
    fn names(&self) -> String {
        let names = self.list("Names").iter().filter_map(Value::as_str);
        let own = names.map(|name| name.trim_start_matches('/'));
        own.filter(|name| self.full || !name.contains('/')).collect::<Vec<_>>().join(",")
    }

    fn ports(&self) -> String {
        let (mut published, mut exposed) = (Vec::new(), Vec::new());
        for port in self.list("Ports") {
            let kind = port["Type"].as_str().unwrap_or("tcp");
            let Ok(container) = format!("{}/{kind}", port["PrivatePort"]).parse::<ContainerPort>()
            else {
                continue;
            };
            let host = port["PublicPort"].as_u64().and_then(|number| u16::try_from(number).ok());
            let address = port["IP"].as_str().unwrap_or("0.0.0.0").parse();
            match (host, address) {
                (Some(host_port), Ok(host_address)) => {
                    published.push(PublishedPort { container, host_address, host_port });
                }
                _ => exposed.push(container),
            }
        }
        ports::column(&published, &exposed)
    }

    fn mounts(&self) -> String {
        let shown = |mount: &Value| {
            let named = |name: &str| mount[name].as_str().filter(|text| !text.is_empty());
            let name = named("Name").or(named("Source")).unwrap_or_default();
            if self.full { name.to_owned() } else { cut(name, MOUNT_LETTERS) }
        };
        self.list("Mounts").iter().map(shown).collect::<Vec<_>>().join(",")
    }

    fn size(&self) -> String {
        let bytes = |name: &str| self.row[name].as_f64().unwrap_or_default();
        let own = human_size_3(bytes("SizeRw"));
        match bytes("SizeRootFs") {
            0.0 => own,
            all => format!("{own} (virtual {})", human_size_3(all)),
        }
    }

    fn labels(&self) -> impl Iterator<Item = (&String, &str)> {
        let all = self.row["Labels"].as_object().into_iter().flatten();
        all.map(|(name, value)| (name, value.as_str().unwrap_or_default()))
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(match name {
            "ID" => self.id(),
            "Names" => self.names(),
            "Image" => self.image(),
            "Command" => {
                let command = self.string("Command");
                quote::quote(&if self.full { command } else { cut(&command, COMMAND_LETTERS) })
            }
            "CreatedAt" => self.created().docker_local(),
            "RunningFor" => {
                format!("{} ago", human_duration(self.now.seconds_since(self.created())))
            }
            "Ports" => self.ports(),
            "State" | "Status" => self.string(name),
            "HealthStatus" => self.row["Health"]["Status"].as_str().unwrap_or_default().to_owned(),
            "Size" => self.size(),
            "Labels" => {
                let label = |(name, value): (&String, &str)| format!("{name}={value}");
                self.labels().map(label).collect::<Vec<_>>().join(",")
            }
            "Mounts" => self.mounts(),
            "LocalVolumes" => {
                let local = |mount: &&Value| mount["Driver"] == "local";
                self.list("Mounts").iter().filter(local).count().to_string()
            }
            "Networks" => {
                let all = self.row["NetworkSettings"]["Networks"].as_object();
                let names = all.into_iter().flat_map(|networks| networks.keys().cloned());
                names.collect::<Vec<_>>().join(",")
            }
            "Platform" => {
                let platform = &self.row["ImageManifestDescriptor"]["platform"];
                let part = |name: &str| platform[name].as_str().unwrap_or_default();
                match part("os") {
                    "" => String::new(),
                    os => format!("{os}/{}", part("architecture")),
                }
            }
            _ => return None,
        })
    }
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.ContainerContext";
    const FIELDS: &'static [&'static str] = FIELDS;

    fn field(&self, name: &str) -> Option<template::Value> {
        self.text(name).map(template::Value::Str)
    }

    fn label(&self, key: &str) -> Option<String> {
        let value = self.labels().find(|(name, _)| *name == key).map(|(_, value)| value);
        Some(value.unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::filters;

    #[test]
    fn filters_are_sent_as_sets() {
        let list = ["label=a=b", "label=c", " Name = x "].map(str::to_owned);
        assert_eq!(
            filters(&list).unwrap().unwrap(),
            r#"{"label":{"a=b":true,"c":true},"name":{"x":true}}"#
        );
        assert_eq!(filters(&[]).unwrap(), None);
        assert!(filters(&["x".to_owned()]).is_err());
    }
}
