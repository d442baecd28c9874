//! What is written down of what happens to containers, in docker's words.

use network::Endpoint;
use spec::{MountKind, MountPoint};
use store::Event;

use super::record::ContainerRecord;
use crate::Engine;

impl Engine {
    /// Writes down what happened to a container, with what docker tells of it: its image, its name
    /// and its labels.
    pub(crate) fn container_event(
        &self,
        action: &str,
        record: &ContainerRecord,
        more: &[(&str, &str)],
    ) {
        self.store.record_events(&[event(action, record, more)]);
    }

    /// A container has its places in networks and its volumes.
    pub(super) fn tell_joined(&self, record: &ContainerRecord, places: &[Endpoint]) {
        self.tell_places("connect", record, places);
        for point in volumes(record) {
            let access = if point.writable { "true" } else { "false" };
            let more = [
                ("destination", point.destination.as_str()),
                ("propagation", point.propagation.as_str()),
                ("read/write", access),
            ];
            self.tell_volume("mount", record, point, &more);
        }
    }

    /// It has let go of them.
    pub(super) fn tell_left(&self, record: &ContainerRecord, places: &[Endpoint]) {
        self.tell_places("disconnect", record, places);
        volumes(record).for_each(|point| self.tell_volume("unmount", record, point, &[]));
    }

    fn tell_places(&self, action: &str, record: &ContainerRecord, places: &[Endpoint]) {
        let Some(networks) = (!places.is_empty()).then(|| self.networks().ok()).flatten() else {
            return;
        };
        let container = record.id.to_string();
        for place in places {
            // One that was removed by force meanwhile has no driver to tell of.
            let Ok(network) = networks.find(&place.network) else { continue };
            let attributes = [
                ("container", container.as_str()),
                ("name", &network.name),
                ("type", network.driver.as_str()),
            ];
            self.store.record_event("network", action, &network.id, &attributes);
        }
    }

    fn tell_volume(
        &self,
        action: &str,
        record: &ContainerRecord,
        point: &MountPoint,
        more: &[(&str, &str)],
    ) {
        let container = record.id.to_string();
        let own = [("container", container.as_str()), ("driver", point.driver.as_str())];
        let attributes = [own.as_slice(), more].concat();
        self.store.record_event("volume", action, &point.name, &attributes);
    }
}

/// What happened to a container just now, with what docker tells of it.
pub(super) fn event(action: &str, record: &ContainerRecord, more: &[(&str, &str)]) -> Event {
    let labels = record.config.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let own = [("image", record.config.image.as_str()), ("name", record.name.as_str())];
    let attributes: Vec<_> = labels.chain(own).chain(more.iter().copied()).collect();
    Event::now("container", action, &record.id.to_string(), &attributes)
}

fn volumes(record: &ContainerRecord) -> impl Iterator<Item = &MountPoint> {
    record.mounts.iter().filter(|point| point.kind == MountKind::Volume)
}
