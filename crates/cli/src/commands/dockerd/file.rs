//! Flags and file become one document, as docker's engine reads both: what stands in both is a
//! mistake, and so is what it does not know.

use std::path::Path;

use serde_json::{Map, Value, json};
use spec::Ulimit;

use super::directives::Directives;
use crate::args::{Flag, Kind, Matches};
use crate::commands::reason;
use crate::failure::Failure;

/// Flags that are no directives of the file.
const OWN: [&str; 4] = ["config-file", "validate", "version", "help"];

/// The file's words for flags that are called otherwise there.
const KEYS: [(&str, &str); 20] = [
    ("add-runtime", "runtimes"),
    ("authorization-plugin", "authorization-plugins"),
    ("cdi-spec-dir", "cdi-spec-dirs"),
    ("default-address-pool", "default-address-pools"),
    ("default-network-opt", "default-network-opts"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("feature", "features"),
    ("host", "hosts"),
    ("host-gateway-ip", "host-gateway-ips"),
    ("http-proxy", "proxies"),
    ("https-proxy", "proxies"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("no-proxy", "proxies"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
    ("storage-opt", "storage-opts"),
];

/// What flags and file say together.
pub(super) fn read(matches: &Matches, flags: &[Flag]) -> Result<Directives, Failure> {
    let said = of_flags(matches, flags)?;
    let path = matches.string("config-file").unwrap_or_default();
    let written = of_file(path, matches.given("config-file"))?;
    let wrong = |why: String| {
        let words = "unable to configure the Docker daemon with file";
        Failure::new(format!("{words} {path}: {why}"))
    };
    let both: Vec<String> = said
        .iter()
        .filter_map(|(key, flag)| {
            let file = written.get(key)?;
            Some(format!("{key}: (from flag: {}, from file: {})", shown(flag), shown(file)))
        })
        .collect();
    if !both.is_empty() {
        return Err(wrong(format!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            both.join(", ")
        )));
    }
    let mut all = written;
    all.extend(said);
    serde_json::from_value(Value::Object(all)).map_err(|error| wrong(in_dockers_words(&error)))
}

fn in_dockers_words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let unknown = words.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match unknown {
        Some(key) => {
            format!("the following directives don't match any configuration option: {key}")
        }
        None => words,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The file that was named must be there; the usual one may be.
fn of_file(path: &str, named: bool) -> Result<Map<String, Value>, Failure> {
    let wrong = |why: &str| {
        let words = "unable to configure the Docker daemon with file";
        Failure::new(format!("{words} {path}: {why}"))
    };
    let text = match std::fs::read_to_string(Path::new(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            return Ok(Map::new());
        }
        other => other.map_err(|error| wrong(&format!("open {path}: {}", reason(&error))))?,
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))
}

fn of_flags(matches: &Matches, flags: &[Flag]) -> Result<Map<String, Value>, Failure> {
    let mut all = Map::new();
    let own = |flag: &&Flag| flag.same_as.is_none() && !OWN.contains(&flag.name);
    for flag in flags.iter().filter(own).filter(|flag| matches.given(flag.name)) {
        let value = match flag.kind {
            Kind::Bool => json!(matches.flag(flag.name)),
            Kind::Int => json!(matches.int(flag.name)),
            Kind::List => {
                let values = matches.list(flag.name);
                list(flag.name, values).map_err(|why| {
                    Failure::new(format!("invalid argument for --{} flag: {why}", flag.name))
                })?
            }
            _ => json!(matches.string(flag.name)),
        };
        match key(flag.name) {
            key @ "proxies" => all.entry(key).or_insert_with(|| json!({}))[flag.name] = value,
            key => drop(all.insert(key.to_owned(), value)),
        }
    }
    Ok(all)
}

/// What the file calls a flag.
fn key(flag: &'static str) -> &'static str {
    KEYS.iter().find(|(name, _)| *name == flag).map_or(flag, |(_, key)| key)
}

/// The values of a flag that may be given many times, as the file has them.
fn list(name: &str, values: &[String]) -> Result<Value, String> {
    let pair = |text: &String| {
        let (key, value) =
            text.split_once('=').ok_or_else(|| format!("{text}: expected key=value"))?;
        Ok::<_, String>((key.to_owned(), value.to_owned()))
    };
    let pairs = || values.iter().map(pair);
    match name {
        "log-opt" => pairs().map(|it| it.map(|(key, value)| (key, json!(value)))).collect(),
        "feature" => {
            let switch = |(key, value): (String, String)| match value.parse::<bool>() {
                Ok(value) => Ok((key, json!(value))),
                Err(_) => Err(format!("{value}: expected true or false")),
            };
            pairs().map(|it| it.and_then(switch)).collect()
        }
        "add-runtime" => {
            pairs().map(|it| it.map(|(name, path)| (name, json!({ "path": path })))).collect()
        }
        "default-ulimit" => values
            .iter()
            .map(|text| {
                let Ulimit { name, hard, soft } = text.parse()?;
                Ok((name.clone(), json!({ "Name": name, "Hard": hard, "Soft": soft })))
            })
            .collect(),
        "default-address-pool" => values.iter().map(|text| pool(text)).collect(),
        "default-network-opt" => {
            let mut drivers = json!({});
            for option in pairs() {
                let (driver, rest) = option?;
                let (key, value) = pair(&rest)?;
                drivers[driver][key] = json!(value);
            }
            Ok(drivers)
        }
        _ => Ok(json!(values)),
    }
}

/// `base=10.0.0.0/8,size=24`.
fn pool(text: &str) -> Result<Value, String> {
    let mut pool = json!({});
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("base", base)) => pool["base"] = json!(base),
            Some(("size", size)) => {
                let size: u8 = size.parse().map_err(|_| format!("invalid size value: {size}"))?;
                pool["size"] = json!(size);
            }
            _ => return Err(format!("{field}: expected base=CIDR,size=BITS")),
        }
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_a_directive() {
        for flag in crate::tree::dockerd_flags().iter().filter(|flag| !OWN.contains(&flag.name)) {
            if flag.same_as.is_some() {
                continue;
            }
            let document = json!({ key(flag.name): null });
            let read = serde_json::from_value::<Directives>(document);
            let words = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!words.starts_with("unknown field"), "{}: {words}", flag.name);
        }
    }

    #[test]
    fn lists_are_what_the_file_has() {
        let read = |name, values: &[&str]| {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            list(name, &values).map(|value| value.to_string()).unwrap_or_else(|why| why)
        };
        assert_eq!(read("label", &["a=b"]), r#"["a=b"]"#);
        assert_eq!(read("log-opt", &["a=b", "c=d=e"]), r#"{"a":"b","c":"d=e"}"#);
        assert_eq!(read("add-runtime", &["x=/y"]), r#"{"x":{"path":"/y"}}"#);
        assert_eq!(
            read("default-address-pool", &["base=10.0.0.0/8,size=24"]),
            r#"[{"base":"10.0.0.0/8","size":24}]"#
        );
        assert_eq!(read("default-network-opt", &["bridge=mtu=9"]), r#"{"bridge":{"mtu":"9"}}"#);
        assert_eq!(read("feature", &["buildkit=maybe"]), "maybe: expected true or false");
        assert_eq!(read("log-opt", &["a"]), "a: expected key=value");
    }
}
