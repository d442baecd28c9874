//! Documents as docker's client knows them: with the fields that its own types have, under the names
//! that Go gives to them.
//!
//! Docker carries a template out over its types first, where `{{.HostConfig.CPUShares}}` is a field,
//! and over the plain document, where it is called `CpuShares`, only if that fails.

mod modes;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::failure::Failure;
use crate::show::{NO_TEMPLATE, templated};
use crate::template::{self, Functions, MissingKey, Object, Template, Unset, Word};
use crate::ui::Ui;

/// Prints a document as the command line asks for it: by a template, or as JSON on one line.
pub(crate) fn print(ui: &Ui, format: &str, document: &Value) -> Result<(), Failure> {
    match format {
        "json" => ui.line(&document.to_string()),
        format => ui.line(&rendered(format, document)?),
    }
    Ok(())
}

/// A document through a template: with the fields that docker's own types have first, and if that
/// fails as the plain document, whose complaint is then the one that is shown.
pub(crate) fn rendered(format: &str, document: &Value) -> Result<String, Failure> {
    let template = Template::parse(format, &Functions::docker())
        .map_err(|error| Failure::from(error).code(NO_TEMPLATE))?;
    let has = |field: &str| document.get(field).is_some();
    let kind = match () {
        () if has("HostConfig") => CONTAINER,
        () if has("RootFS") => IMAGE,
        () => "",
    };
    match template.render(&typed(kind, document), MissingKey::NoValue) {
        Ok(text) => Ok(text),
        Err(_) => templated(format, document),
    }
}

/// Go's names of fields that are called otherwise in JSON.
const GO_NAMES: &[(&str, &str)] = &[
    ("APIVersion", "ApiVersion"),
    ("CPUCfsPeriod", "CpuCfsPeriod"),
    ("CPUCfsQuota", "CpuCfsQuota"),
    ("CPUCount", "CpuCount"),
    ("CPUPercent", "CpuPercent"),
    ("CPUPeriod", "CpuPeriod"),
    ("CPUQuota", "CpuQuota"),
    ("CPURealtimePeriod", "CpuRealtimePeriod"),
    ("CPURealtimeRuntime", "CpuRealtimeRuntime"),
    ("CPUShares", "CpuShares"),
    ("DNS", "Dns"),
    ("DNSOptions", "DnsOptions"),
    ("DNSSearch", "DnsSearch"),
    ("HTTPProxy", "HttpProxy"),
    ("HTTPSProxy", "HttpsProxy"),
    ("HostIP", "HostIp"),
    ("ID", "Id"),
    ("NanoCPUs", "NanoCpus"),
];

/// Fields whose own fields are keys that users choose.
const KEYED: &[&str] = &[
    "Annotations",
    "Containers",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "IndexConfigs",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Fields that are sets: maps to nothing.
const SETS: [&str; 2] = ["ExposedPorts", "Volumes"];

/// What a document of a container is called here, and one of an image, which no field is.
const CONTAINER: &str = "a container";
const IMAGE: &str = "an image";

/// Fields that docker's type of a part has whether or not the document shows them.
#[derive(Default)]
struct Shape {
    lists: &'static [&'static str],
    maps: &'static [&'static str],
    texts: &'static [&'static str],
    flags: &'static [&'static str],
    /// Those that are nothing where they are left out.
    optional: &'static [&'static str],
    /// The order of the fields where it is not that of the alphabet.
    order: &'static [&'static str],
}

const HOST: Shape = Shape {
    lists: &[
        "Binds",
        "BlkioDeviceReadBps",
        "BlkioDeviceReadIOps",
        "BlkioDeviceWriteBps",
        "BlkioDeviceWriteIOps",
        "BlkioWeightDevice",
        "CapAdd",
        "CapDrop",
        "DeviceCgroupRules",
        "DeviceRequests",
        "Devices",
        "Dns",
        "DnsOptions",
        "DnsSearch",
        "ExtraHosts",
        "GroupAdd",
        "Links",
        "MaskedPaths",
        "Mounts",
        "ReadonlyPaths",
        "SecurityOpt",
        "Ulimits",
        "VolumesFrom",
    ],
    maps: &["Annotations", "PortBindings", "StorageOpt", "Sysctls", "Tmpfs"],
    texts: &["Cgroup", "ContainerIDFile", "Isolation", "Runtime", "VolumeDriver"],
    flags: &[],
    optional: &["Init", "MemorySwappiness", "OomKillDisable", "PidsLimit"],
    order: &[],
};

const CONFIG: Shape = Shape {
    lists: &["Cmd", "Entrypoint", "Env", "OnBuild", "Shell"],
    maps: &["ExposedPorts", "Labels", "Volumes"],
    texts: &["StopSignal"],
    flags: &["ArgsEscaped"],
    optional: &["Healthcheck", "StopTimeout"],
    order: &[],
};

const NONE: Shape =
    Shape { lists: &[], maps: &[], texts: &[], flags: &[], optional: &[], order: &[] };

/// The shape of a part by the field that holds it.
fn shape(kind: &str) -> Shape {
    match kind {
        "Config" => CONFIG,
        "RootFS" => Shape { lists: &["Layers"], ..NONE },
        "Healthcheck" => Shape { lists: &["Test"], ..NONE },
        "Networks" => {
            Shape { lists: &["Aliases", "DNSNames", "Links"], maps: &["DriverOpts"], ..NONE }
        }
        "HostConfig" => HOST,
        "State" => Shape { optional: &["Health"], ..NONE },
        "RestartPolicy" => Shape { order: &["Name", "MaximumRetryCount"], ..NONE },
        "LogConfig" => Shape { order: &["Type", "Config"], ..NONE },
        "Client" | "Server" | "ClientInfo" => {
            Shape { texts: &["BuildTime", "GitCommit", "GoVersion"], ..NONE }
        }
        CONTAINER => Shape {
            lists: &["ExecIDs", "Mounts"],
            optional: &["ImageManifestDescriptor", "SizeRootFs", "SizeRw"],
            ..NONE
        },
        IMAGE => Shape {
            lists: &["Manifests", "RepoDigests", "RepoTags"],
            texts: &["Container", "OsVersion", "Variant"],
            optional: &["ContainerConfig", "Descriptor"],
            ..NONE
        },
        _ => NONE,
    }
}

/// A value of a document, found in a field of this name.
fn typed(kind: &str, value: &Value) -> template::Value {
    use template::Value as V;
    match value {
        Value::Object(fields) => {
            V::Object(Rc::new(Typed { kind: kind.to_owned(), fields: fields.clone() }))
        }
        Value::Array(items) => V::List(items.iter().map(|item| typed(kind, item)).collect()),
        other => V::from(other.clone()),
    }
}

/// A text of a type that has methods, found in a field of this name.
fn mode(field: &str, text: &str) -> template::Value {
    let field = field.to_owned();
    let methods = move |text: &str, name: &str| modes::method(&field, text, name);
    template::Value::Word(Rc::new(Word::new(text, methods)))
}

/// A part of a document, and which one it is.
struct Typed {
    kind: String,
    fields: serde_json::Map<String, Value>,
}

impl Typed {
    /// The answer of a method that docker's type has.
    fn method(&self, name: &str) -> Option<template::Value> {
        let policy = self.fields.get("Name").filter(|_| self.kind == "RestartPolicy")?.as_str()?;
        Some(template::Value::Bool(match name {
            "IsAlways" => policy == "always",
            "IsNone" => matches!(policy, "no" | ""),
            "IsOnFailure" => policy == "on-failure",
            "IsUnlessStopped" => policy == "unless-stopped",
            _ => return None,
        }))
    }

    /// Whether the text of a field is of a type that has methods.
    fn has_methods(&self, name: &str) -> bool {
        self.kind == "HostConfig" && modes::FIELDS.contains(&name)
    }

    /// Whether users choose the keys of a field, which is then no type of docker's.
    fn is_keyed(&self, name: &str) -> bool {
        // A driver of networks or logs has options, an image and a container a type of that name.
        KEYED.contains(&name) || (self.kind == "LogConfig" && name == "Config")
    }
}

impl Object for Typed {
    fn field(&self, name: &str) -> Option<template::Value> {
        use template::Value as V;
        let in_json = |go: &&(&str, &str)| go.0 == name && !self.fields.contains_key(name);
        let name = GO_NAMES.iter().find(in_json).map_or(name, |(_, json)| *json);
        let shape = shape(&self.kind);
        let has = |names: &[&str]| names.contains(&name);
        match self.fields.get(name) {
            Some(Value::Object(entries)) if SETS.contains(&name) => {
                let nothing = |key: &String| (key.clone(), V::Struct(Vec::new()));
                Some(V::Map(entries.keys().map(nothing).collect()))
            }
            Some(Value::Object(entries)) if self.is_keyed(name) => {
                let entry = |(key, value): (&String, &Value)| (key.clone(), typed(name, value));
                Some(V::Map(entries.iter().map(entry).collect::<BTreeMap<_, _>>()))
            }
            None | Some(Value::Null) if has(shape.lists) => Some(V::Unset(Unset::List)),
            None | Some(Value::Null) if has(shape.maps) => Some(V::Unset(Unset::Map)),
            Some(Value::String(text)) if self.has_methods(name) => Some(mode(name, text)),
            Some(value) => Some(typed(name, value)),
            None if has(shape.texts) && self.has_methods(name) => Some(mode(name, "")),
            None if has(shape.texts) => Some(V::Str(String::new())),
            None if has(shape.flags) => Some(V::Bool(false)),
            None if has(shape.optional) => Some(V::Nil),
            None => self.method(name),
        }
    }

    fn names(&self) -> Vec<String> {
        let place = |name: &String| shape(&self.kind).order.iter().position(|it| it == name);
        let mut names: Vec<String> = self.fields.keys().cloned().collect();
        names.sort_by_key(place);
        names
    }

    fn is_document(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container() -> Value {
        json!({
            "Id": "40c1", "State": { "Status": "created" },
            "HostConfig": {
                "NetworkMode": "container:77", "IpcMode": "private", "UsernsMode": "",
                "CpuShares": 7, "NanoCpus": 0, "Dns": ["1.1.1.1"],
                "RestartPolicy": { "MaximumRetryCount": 0, "Name": "always" },
                "LogConfig": { "Config": { "max-size": "1m" }, "Type": "local" },
                "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] },
            },
            "Config": { "Labels": { "a": "b" } },
            "NetworkSettings": { "Networks": { "n1": { "NetworkID": "77", "Aliases": null } } },
        })
    }

    #[track_caller]
    fn check(template: &str, wanted: &str) {
        assert_eq!(rendered(template, &container()).as_deref().ok(), Some(wanted), "{template}");
    }

    #[test]
    fn fields_have_their_names_of_go_and_of_json() {
        check("{{.ID}} {{.HostConfig.CPUShares}} {{.HostConfig.NanoCPUs}}", "40c1 7 0");
        check("{{.Id}} {{.HostConfig.CpuShares}}", "40c1 7");
        check("{{.HostConfig.DNS}}{{.HostConfig.DNSSearch}}", "[1.1.1.1][]");
        check("{{(index (index .HostConfig.PortBindings \"80/tcp\") 0).HostPort}}", "8080");
        check(
            "{{range .HostConfig.PortBindings}}{{range .}}{{.HostIP}}:{{.HostPort}}{{end}}{{end}}",
            ":8080",
        );
    }

    #[test]
    fn what_docker_leaves_out_is_there() {
        check("{{len .ExecIDs}} {{len .NetworkSettings.Networks.n1.Aliases}}", "0 0");
        check("{{.SizeRw}} {{.State.Health}} {{.HostConfig.Init}}", "<nil> <nil> <nil>");
        check("{{if .State.Health}}yes{{else}}no{{end}}", "no");
        check("{{.HostConfig.Binds}}{{.HostConfig.Sysctls}}", "[]map[]");
    }

    #[test]
    fn types_have_their_methods_and_order() {
        check("{{.HostConfig.RestartPolicy.IsAlways}}", "true");
        check("{{.HostConfig.RestartPolicy.IsNone}}", "false");
        check("{{.HostConfig.RestartPolicy}}", "{always 0}");
        check("{{.HostConfig.LogConfig}}", "{local map[max-size:1m]}");
        check("{{.HostConfig.NetworkMode}} {{len .HostConfig.NetworkMode}}", "container:77 12");
        check("{{.HostConfig.NetworkMode.IsHost}}{{.HostConfig.UsernsMode.IsHost}}", "falsefalse");
        check("{{with .HostConfig.NetworkMode}}{{.ConnectedContainer}}{{end}}", "77");
        check("{{.HostConfig.IpcMode.IsPrivate}} {{json .HostConfig.IpcMode}}", "true \"private\"");
        check("{{if eq .HostConfig.IpcMode \"private\"}}own{{end}}", "own");
    }

    #[test]
    fn keys_are_free_where_users_choose_them() {
        check("{{.NetworkSettings.Networks.n1.NetworkID}}", "77");
        check("{{.NetworkSettings.Networks.other}} {{.Config.Labels.a}}", "<no value> b");
    }

    #[test]
    fn what_neither_has_is_a_mistake() {
        for template in [
            "{{.Nope}}",
            "{{.HostConfig.Nope}}",
            "{{.HostConfig.RestartPolicy.IsNever}}",
            "{{.NetworkSettings.Networks.n1.Nope}}",
            "{{.State.Health.Status}}",
            "{{.State.Cmd}}",
        ] {
            let failure = rendered(template, &container()).err();
            let line = failure.map(|failure| failure.first_line().to_owned()).unwrap_or_default();
            assert!(line.contains("map has no entry for key"), "{template}: {line}");
        }
        assert!(rendered("{{.HostConfig.NetworkMode.Nope}}", &container()).is_err());
    }
}
