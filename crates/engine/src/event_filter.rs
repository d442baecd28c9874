//! Conditions on events, as docker's `events --filter` words them.

use store::Event;

use crate::error::{EngineError, Result};

/// Conditions on events. One value of each key has to hold, and every label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventConditions(Vec<Condition>);

impl EventConditions {
    /// Reads conditions, each `key=value`.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<EventConditions> {
        let all = texts.into_iter().map(Condition::parse).collect::<Result<_>>()?;
        Ok(EventConditions(all))
    }

    /// Whether an event fits.
    pub fn hold(&self, event: &Event) -> bool {
        self.0.iter().all(|condition| {
            condition.holds(event)
                || (condition.key != "label"
                    && self.0.iter().any(|other| other.key == condition.key && other.holds(event)))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    key: String,
    value: String,
}

impl Condition {
    fn parse(text: &str) -> Result<Condition> {
        // Of those that are never here there are no events.
        const KEYS: [&str; 14] = [
            "config",
            "container",
            "daemon",
            "event",
            "image",
            "label",
            "network",
            "node",
            "plugin",
            "scope",
            "secret",
            "service",
            "type",
            "volume",
        ];
        match text.split_once('=') {
            Some((key, value)) if KEYS.contains(&key) => {
                Ok(Condition { key: key.to_owned(), value: value.to_owned() })
            }
            known => {
                let key = known.map_or(text, |(key, _)| key);
                Err(EngineError::Filter(key.to_owned()))
            }
        }
    }

    fn holds(&self, event: &Event) -> bool {
        let attributes = &event.actor.attributes;
        let named = |name: &str| attributes.get(name).map(String::as_str);
        let called = |text: Option<&str>| {
            text == Some(self.value.as_str()) || text == Some(&format!("{}:latest", self.value))
        };
        let is_it = || is_id(&event.actor.id, &self.value) || named("name") == Some(&self.value);
        match self.key.as_str() {
            "type" => event.kind == self.value,
            // Some say more than their name: `exec_create: sh`.
            "event" => {
                event.action == self.value
                    || event.action.split_once(':').is_some_and(|(name, _)| name == self.value)
            }
            "scope" => event.scope == self.value,
            "label" => match self.value.split_once('=') {
                Some((key, value)) => named(key) == Some(value),
                None => attributes.contains_key(&self.value),
            },
            "image" => match event.kind.as_str() {
                "image" => is_id(&event.actor.id, &self.value) || called(named("name")),
                "container" => called(named("image")),
                _ => false,
            },
            "container" => match event.kind.as_str() {
                "container" => is_it(),
                _ => named("container").is_some_and(|id| is_id(id, &self.value)),
            },
            kind => event.kind == kind && is_it(),
        }
    }
}

/// Whether an id is meant by this, in full, by its beginning, with or without its algorithm.
fn is_id(id: &str, meant: &str) -> bool {
    let bare = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_owned();
    !bare(meant).is_empty() && bare(id).starts_with(&bare(meant))
}
