//! Documents as Go reads them: a member that is `null` is one that is not there.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maps whose values are texts; one that is `null` is an empty text there.
const TEXTS: [&str; 3] = ["annotations", "sysctl", "unified"];

/// Reads a document of a bundle, or a part of one.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    read_value(serde_json::from_slice(text)?)
}

/// The same for one that was looked at before.
pub fn read_value<T: DeserializeOwned>(mut document: Value) -> serde_json::Result<T> {
    drop_nulls(&mut document);
    serde_json::from_value(document)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            for (name, value) in members {
                match value {
                    Value::Object(texts) if TEXTS.contains(&name.as_str()) => empty_nulls(texts),
                    value => drop_nulls(value),
                }
            }
        }
        _ => {}
    }
}

fn empty_nulls(texts: &mut serde_json::Map<String, Value>) {
    for value in texts.values_mut().filter(|value| value.is_null()) {
        *value = Value::String(String::new());
    }
}
