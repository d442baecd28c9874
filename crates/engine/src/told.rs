//! What is written down of what happens to images, in docker's words, and events as they are read.

use spec::{ImageId, Timestamp};
use store::{Event, EventFilter, OWN_ATTRIBUTES};

use crate::Engine;
use crate::error::Result;

/// Labels of an image, and what else is told of it.
pub(crate) type Attributes = Vec<(String, String)>;

/// Labels that are longer than this together are not told: each event would have them all.
const LABEL_BYTES: usize = 64 << 10;

impl Engine {
    /// An image's labels, as its events have them; of one that cannot be read there are none, nor of
    /// one that has too many.
    pub(crate) fn labels_told(&self, id: ImageId) -> Attributes {
        let config = self.config(id).ok().and_then(|config| config.config);
        tellable(config.map(|config| config.labels).unwrap_or_default())
    }

    /// Writes down what happened to an image that is there.
    pub(crate) fn image_event(&self, action: &str, id: ImageId, more: &[(&str, &str)]) {
        self.image_event_of(action, &id.to_string(), id, more);
    }

    /// The same where not the image's id is told, but its name in a registry.
    pub(crate) fn image_event_of(
        &self,
        action: &str,
        actor: &str,
        id: ImageId,
        more: &[(&str, &str)],
    ) {
        let labels = self.labels_told(id);
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let attributes: Vec<_> = labels.chain(more.iter().copied()).collect();
        self.store.record_event("image", action, actor, &attributes);
    }

    /// Events, from the oldest that is kept.
    pub fn events(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Result<Events> {
        Ok(Events(self.store.events(EventFilter { since, until })?))
    }
}

fn tellable(labels: impl IntoIterator<Item = (String, String)>) -> Attributes {
    // What we say ourselves nobody else says.
    let labels = labels.into_iter().filter(|(key, _)| !OWN_ATTRIBUTES.contains(&key.as_str()));
    let labels: Attributes = labels.collect();
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > LABEL_BYTES { Attributes::new() } else { labels }
}

/// Events, in the order in which they were written.
pub struct Events(store::Events);

impl Events {
    /// The next event that is there already; `None` when there is no more for now. What stands in the
    /// journal for the store alone is not told.
    pub fn next_ready(&mut self) -> Result<Option<Event>> {
        let mut event = self.0.next_ready()?;
        if let Some(event) = &mut event {
            event.actor.attributes.retain(|key, _| !OWN_ATTRIBUTES.contains(&key.as_str()));
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_too_long_are_not_told() {
        let labels = |bytes: usize| {
            let label = |key: &str, value| (key.to_owned(), value);
            tellable([label("a", "x".repeat(bytes)), label(OWN_ATTRIBUTES[0], String::new())])
        };
        assert_eq!(labels(LABEL_BYTES - 1).len(), 1);
        assert!(labels(LABEL_BYTES).is_empty());
    }
}
