//! Texts that docker's types give methods to: how a container stands to the host's namespaces.

use crate::template::Value;

/// What a method says of the text in a field of this name; none if the type has no such method.
pub(super) fn method(field: &str, text: &str, name: &str) -> Option<Value> {
    let container = text.strip_prefix("container:");
    if let Some(truth) = truth(field, text, name, container.is_some()) {
        return Some(Value::Bool(truth));
    }
    let is_defined = || truth(field, text, "IsUserDefined", container.is_some()) == Some(true);
    let text = match (field, name) {
        ("IpcMode" | "PidMode" | "Cgroup", "Container") => container.unwrap_or_default(),
        ("NetworkMode", "ConnectedContainer") => container.unwrap_or_default(),
        ("NetworkMode", "UserDefined") => Some(text).filter(|_| is_defined()).unwrap_or_default(),
        ("NetworkMode", "NetworkName") if container.is_some() => "container",
        ("NetworkMode", "NetworkName") => text,
        _ => return None,
    };
    Some(Value::Str(text.to_owned()))
}

fn truth(field: &str, text: &str, name: &str, is_container: bool) -> Option<bool> {
    let is_host = text == "host";
    let is_own = |words: &[&str]| words.contains(&text);
    Some(match (field, name) {
        ("NetworkMode" | "IpcMode" | "PidMode" | "Cgroup", "IsContainer") => is_container,
        (
            "NetworkMode" | "IpcMode" | "PidMode" | "UTSMode" | "UsernsMode" | "CgroupnsMode",
            "IsHost",
        ) => is_host,
        ("NetworkMode" | "PidMode", "IsPrivate") => !is_host && !is_container,
        ("IpcMode" | "CgroupnsMode", "IsPrivate") => text == "private",
        ("UTSMode" | "UsernsMode", "IsPrivate") => !is_host,
        ("NetworkMode", "IsBridge") => text == "bridge",
        ("NetworkMode" | "Isolation", "IsDefault") => {
            text == "default" || (field == "Isolation" && text.is_empty())
        }
        ("NetworkMode", "IsUserDefined") => {
            !is_container && !is_own(&["default", "bridge", "host", "none"])
        }
        ("NetworkMode" | "IpcMode", "IsNone") => text == "none",
        ("IpcMode", "IsShareable") => text == "shareable",
        ("IpcMode" | "CgroupnsMode", "IsEmpty") => text.is_empty(),
        ("IpcMode", "Valid") => {
            is_container || is_own(&["", "none", "private", "host", "shareable"])
        }
        ("PidMode", "Valid") => is_container || is_own(&["", "host"]),
        ("UTSMode" | "UsernsMode", "Valid") => is_own(&["", "host"]),
        ("CgroupnsMode", "Valid") => is_own(&["", "private", "host"]),
        ("Cgroup", "Valid") => text.is_empty() || is_container,
        ("Isolation", "IsProcess") => text.eq_ignore_ascii_case("process"),
        ("Isolation", "IsHyperV") => text.eq_ignore_ascii_case("hyperv"),
        _ => return None,
    })
}

/// The fields whose texts have methods.
pub(super) const FIELDS: &[&str] = &[
    "Cgroup",
    "CgroupnsMode",
    "IpcMode",
    "Isolation",
    "NetworkMode",
    "PidMode",
    "UTSMode",
    "UsernsMode",
];
