//! Conditions on networks, as docker's `network ls` and `network prune` word them.

use network::NetworkFilter;
use spec::Timestamp;

use crate::error::{EngineError, Result};

/// Reads conditions of a list, each `name=value`.
pub fn network_list_filter(texts: &[String]) -> Result<NetworkFilter> {
    filter(texts, LIST_FILTERS)
}

/// Reads conditions of pruning.
pub fn network_prune_filter(texts: &[String]) -> Result<NetworkFilter> {
    filter(texts, PRUNE_FILTERS)
}

const LIST_FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

fn filter(texts: &[String], known: &[&str]) -> Result<NetworkFilter> {
    let mut filter = NetworkFilter::default();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let name = name.trim().to_lowercase();
        let value = value.trim().to_owned();
        if !known.contains(&name.as_str()) {
            return Err(EngineError::Filter(name));
        }
        let wrong = || EngineError::Filter(format!("{name}={value}"));
        match name.as_str() {
            "dangling" => filter.dangling = Some(value.parse().map_err(|_| wrong())?),
            "driver" => filter.drivers.push(value),
            "id" => filter.ids.push(value),
            "label" => filter.labels.push(value),
            "label!" => filter.not_labels.push(value),
            "name" => filter.names.push(value),
            "scope" => filter.scopes.push(value),
            "type" => match value.as_str() {
                "builtin" => filter.builtin = Some(true),
                "custom" => filter.builtin = Some(false),
                _ => return Err(wrong()),
            },
            _ => {
                let time = Timestamp::parse_docker(&value, Timestamp::now());
                let wrong = |error: spec::TimeError| EngineError::Refused(error.to_string());
                filter.until = Some(time.map_err(wrong)?);
            }
        }
    }
    Ok(filter)
}
