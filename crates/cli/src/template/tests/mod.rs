//! Templates and what they print, against what Go prints for them.

mod access;
mod control;
mod docker;
mod functions;
mod limits;
mod mistakes;
mod objects;
mod printf;
mod text;

use super::{Functions, MissingKey, Template, Value};

/// The document that the templates of these tests look at.
const DOCUMENT: &str = r#"{
    "Name": "web", "Names": ["web", "db/web"], "ID": "4f0a", "Size": 1536, "Ratio": 0.25, "Zero": 0,
    "Huge": 1e21, "Empty": "", "Up": true, "Down": false, "Nothing": null, "Minus": -7,
    "Text": "a<b> & \"c\" 'd' \\ é\n",
    "State": {"Status": "running", "Pid": 41, "Health": null, "Log": [{"Code": 0}, {"Code": 1}]},
    "Labels": {"b": "two", "a": "one"}, "NoLabels": {}, "NoList": [],
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
    "Mixed": [1, "x", null, true, 2.5, ["y"]]
}"#;

fn document() -> Value {
    serde_json::from_str::<serde_json::Value>(DOCUMENT).unwrap().into()
}

/// What the template prints over `data`, or its error.
fn outcome(template: &str, data: &Value, missing_key: MissingKey) -> Result<String, String> {
    Template::parse(template, &Functions::docker())
        .and_then(|template| template.render(data, missing_key))
        .map_err(|error| error.to_string())
}

#[track_caller]
fn check(template: &str, printed: &str) {
    let got = outcome(template, &document(), MissingKey::NoValue);
    assert_eq!(got.as_deref(), Ok(printed), "{template}");
}

#[track_caller]
fn check_error(template: &str, message: &str) {
    let got = outcome(template, &document(), MissingKey::NoValue);
    assert_eq!(got, Err(message.to_owned()), "{template}");
}
