//! Who is called what, out of the documents of endpoints. They are read again when a folder has
//! changed, so that a server needs to be told nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::wire::{A, AAAA, PTR, Record, reverse};
use crate::definition::is_predefined;
use crate::documents::Documents;
use crate::endpoint::Endpoint;
use crate::error::Result;

/// Two changes within this time may leave a folder with one and the same date.
const TICK: Duration = Duration::from_millis(50);

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is ours, with records of the kind asked for or without.
    Here(Vec<Record>),
    /// It is not ours.
    Elsewhere,
}

/// Further names of one container, each with the one that it stands for. They may change while a
/// server answers for them, and all copies with them.
#[derive(Clone, Debug, Default)]
pub struct Links(Arc<Mutex<BTreeMap<String, String>>>);

impl Links {
    /// These are the names from now on.
    pub fn replace(&self, names: BTreeMap<String, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// What a name stands for, if it is one of these.
    fn target(&self, name: &str) -> Option<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = names.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        found.map(|(_, target)| target.clone())
    }
}

impl From<BTreeMap<String, String>> for Links {
    fn from(names: BTreeMap<String, String>) -> Links {
        Links(Arc::new(Mutex::new(names)))
    }
}

/// The names that one container may ask for.
pub(super) struct Names {
    documents: Documents,
    container: String,
    links: Links,
    seen: BTreeMap<String, (SystemTime, Vec<Endpoint>)>,
    turn: usize,
}

impl Names {
    pub(super) fn new(documents: Documents, container: &str, links: Links) -> Names {
        let container = container.to_owned();
        Names { documents, container, links, seen: BTreeMap::new(), turn: 0 }
    }

    /// What is known of a name, in the networks that the container is in.
    pub(super) fn look_up(&mut self, name: &str, kind: u16) -> Result<Known> {
        self.refresh()?;
        self.turn = self.turn.wrapping_add(1);
        let neighbours = self.neighbours();
        if kind == PTR {
            return Ok(
                reverse(name).map_or(Known::Elsewhere, |address| backwards(&neighbours, address))
            );
        }
        let linked = self.links.target(name);
        let name = linked.as_deref().unwrap_or(name);
        let named: Vec<&Endpoint> =
            neighbours.into_iter().filter(|endpoint| is_called(endpoint, name)).collect();
        if named.is_empty() {
            return Ok(Known::Elsewhere);
        }
        let fits = |address: &IpAddr| match kind {
            A => address.is_ipv4(),
            AAAA => address.is_ipv6(),
            _ => false,
        };
        let mut records: Vec<Record> = named
            .iter()
            .flat_map(|endpoint| endpoint.addresses())
            .filter(fits)
            .map(Record::Address)
            .collect();
        // Each asker sees another one first, so that all have their share of the work.
        let turn = self.turn % records.len().max(1);
        records.rotate_left(turn);
        Ok(Known::Here(records))
    }

    /// Everybody in the container's networks; in those that are there by nature nobody has a name.
    fn neighbours(&self) -> Vec<&Endpoint> {
        let joined = |list: &&Vec<Endpoint>| {
            list.iter().any(|it| it.container == self.container && !is_predefined(&it.network_name))
        };
        self.seen.values().map(|(_, list)| list).filter(joined).flatten().collect()
    }

    fn refresh(&mut self) -> Result<()> {
        let folders = self.documents.endpoint_folders()?;
        self.seen.retain(|network, _| folders.iter().any(|(other, _)| other == network));
        for (network, changed) in folders {
            if self.seen.get(&network).is_some_and(|(before, _)| *before == changed) {
                continue;
            }
            let list = self.documents.endpoints(&network)?;
            let settled = changed.elapsed().is_ok_and(|age| age > TICK);
            let date = if settled { changed } else { SystemTime::UNIX_EPOCH };
            self.seen.insert(network, (date, list));
        }
        Ok(())
    }
}

/// Whether an endpoint answers to `name` or `name.network`.
fn is_called(endpoint: &Endpoint, name: &str) -> bool {
    let short = match name.strip_suffix(&endpoint.network_name.to_ascii_lowercase()) {
        Some(front) => front.strip_suffix('.'),
        None => None,
    };
    let same = |own: &str| {
        own.eq_ignore_ascii_case(name) || short.is_some_and(|it| own.eq_ignore_ascii_case(it))
    };
    endpoint.names().any(same)
}

fn backwards(neighbours: &[&Endpoint], address: IpAddr) -> Known {
    let found = neighbours.iter().find(|it| it.addresses().any(|own| own == address));
    found.map_or(Known::Elsewhere, |endpoint| {
        let name = format!("{}.{}", endpoint.container_name, endpoint.network_name);
        Known::Here(vec![Record::Name(name)])
    })
}
