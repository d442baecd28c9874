//! What the environment and docker's own file say of builds, where no flag says it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::context::Context;
use crate::far::contexts::Contexts;

/// The argument and the variable that say the latest time.
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The variable that says what images are for.
const PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";
/// Proxies by their names in docker's file, and the variables that commands know them by.
const PROXIES: &[(&str, &str)] = &[
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

/// `--platform`, or else what the environment says.
pub(crate) fn platforms(context: &Context) -> Vec<String> {
    let given = context.matches().list("platform");
    let usual = context.variable(PLATFORM).filter(|text| given.is_empty() && !text.is_empty());
    given.iter().cloned().chain(usual.map(str::to_owned)).collect()
}

/// Adds the arguments that nobody gave: the environment's time, and the proxies of docker's file for
/// builds here, or at an engine elsewhere.
pub(crate) fn add_arguments(
    context: &Context,
    engine: Option<&str>,
    arguments: &mut BTreeMap<String, String>,
) {
    if let Some(epoch) = context.variable(EPOCH).filter(|text| !text.is_empty()) {
        arguments.entry(EPOCH.to_owned()).or_insert_with(|| epoch.to_owned());
    }
    let file = Contexts::of(context.environment()).config().unwrap_or_default();
    for (name, value) in proxies(&file, engine) {
        arguments.entry(name).or_insert(value);
    }
}

/// The proxies for builds at an engine, or else those for all, each by both of its names.
fn proxies<'a>(
    file: &'a Value,
    engine: Option<&str>,
) -> impl Iterator<Item = (String, String)> + use<'a> {
    let all = &file["proxies"];
    let own = engine.and_then(|engine| all.get(engine)).unwrap_or(&all["default"]);
    PROXIES.iter().flat_map(move |(key, name)| {
        let value = own[*key].as_str().filter(|value| !value.is_empty());
        let pair = move |name: String| value.map(|value| (name, value.to_owned()));
        [(*name).to_owned(), name.to_lowercase()].into_iter().filter_map(pair)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn proxies_of_dockers_file() {
        let mut file =
            json!({ "proxies": { "default": { "httpProxy": "http://p:1", "noProxy": "" } } });
        let own = |name: &str| (name.to_owned(), "http://p:1".to_owned());
        let all = |file: &Value, engine| proxies(file, engine).collect::<Vec<_>>();
        assert_eq!(all(&file, None), [own("HTTP_PROXY"), own("http_proxy")]);
        assert_eq!(all(&file, Some("tcp://far:1")), all(&file, None));
        file["proxies"]["tcp://far:1"] = json!({ "allProxy": "http://p:1" });
        assert_eq!(all(&file, Some("tcp://far:1")), [own("ALL_PROXY"), own("all_proxy")]);
        assert_eq!(all(&json!({}), None), []);
    }
}
