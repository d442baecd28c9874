//! The images there are, filtered as docker filters them.

use std::collections::BTreeSet;

use spec::{ImageConfig, ImageId, Platform, Reference, Timestamp};
use store::{ImageRecord, Images};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::find;

/// A request for a list.
#[derive(Clone, Debug, Default)]
pub struct ListImages {
    /// Intermediate images too.
    pub all: bool,
    /// Only images that match this name.
    pub pattern: Option<String>,
    /// Only images that match all of these.
    pub filters: Vec<ImageFilter>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageFilter {
    /// Made before this image.
    Before(String),
    /// Made after this image.
    Since(String),
    /// With names, or without.
    Dangling(bool),
    /// With this label, or with this label and value.
    Label(String, Option<String>),
    /// Without it; only pruning knows this one.
    NotLabel(String, Option<String>),
    /// With a name that matches.
    Reference(String),
    /// Made before this time.
    Until(Timestamp),
}

impl ImageFilter {
    /// Parses `key=value` as `--filter` takes it.
    pub fn parse(text: &str) -> Result<ImageFilter> {
        let missing = || EngineError::Filter(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(missing)?;
        let value = value.trim().to_owned();
        Ok(match key.trim().to_lowercase().as_str() {
            "before" => ImageFilter::Before(value),
            "since" => ImageFilter::Since(value),
            "reference" => ImageFilter::Reference(value),
            "dangling" => match value.as_str() {
                "true" | "1" | "t" | "T" | "TRUE" | "True" => ImageFilter::Dangling(true),
                "false" | "0" | "f" | "F" | "FALSE" | "False" => ImageFilter::Dangling(false),
                _ => return Err(EngineError::Filter(format!("dangling=[{value}]"))),
            },
            "label" => {
                let (label, value) = split_label(&value);
                ImageFilter::Label(label, value)
            }
            "label!" => {
                let (label, value) = split_label(&value);
                ImageFilter::NotLabel(label, value)
            }
            "until" => {
                let time = Timestamp::parse_docker(&value, Timestamp::now());
                ImageFilter::Until(time.map_err(|error| EngineError::Refused(error.to_string()))?)
            }
            key => return Err(EngineError::Filter(key.to_owned())),
        })
    }
}

/// One image under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// Its id.
    pub id: ImageId,
    /// The name; none for an image without.
    pub name: Option<Reference>,
    /// The digest that a registry knows it by.
    pub digest: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its size.
    pub size: u64,
    /// What it runs on.
    pub platform: Platform,
}

impl Engine {
    /// Lists images, the newest first, one row for each name.
    pub fn list(&self, list: &ListImages) -> Result<Vec<ImageRow>> {
        match list.filters.iter().any(|filter| matches!(filter, ImageFilter::NotLabel(..))) {
            true => Err(EngineError::Filter("label!".to_owned())),
            false => self.rows(list),
        }
    }

    /// The same, with the filters that only pruning knows.
    pub(crate) fn rows(&self, list: &ListImages) -> Result<Vec<ImageRow>> {
        let images = self.store.images()?;
        // Names come in order, so their places can stand for them when rows are sorted.
        let names: Vec<Option<Reference>> =
            images.names.keys().map(|name| Reference::parse(name).ok()).collect();
        let mut named: Vec<(ImageId, usize)> = Vec::with_capacity(names.len());
        for (place, record) in images.names.values().enumerate() {
            let of_name = record.images().filter(|_| names[place].is_some());
            named.extend(of_name.map(|id| (id, place)));
        }
        named.sort_unstable();
        let all_names = names;
        let parents: BTreeSet<ImageId> =
            images.images.values().filter_map(|record| record.parent).collect();
        let conditions = self.conditions(&images, &list.filters)?;
        let patterns = list.filters.iter().filter_map(|filter| match filter {
            ImageFilter::Reference(pattern) => Some(pattern.as_str()),
            _ => None,
        });
        // The name after the command is one more of them.
        let patterns: Vec<&str> = patterns.chain(list.pattern.as_deref()).collect();
        let mut rows = Vec::new();
        for (id, record) in &images.images {
            let first = named.partition_point(|(other, _)| other < id);
            let own = named[first..].iter().take_while(|(other, _)| other == id);
            let (places, names): (Vec<usize>, Vec<&Reference>) =
                own.filter_map(|(_, place)| Some((*place, all_names[*place].as_ref()?))).unzip();
            let intermediate = names.is_empty() && parents.contains(id);
            if intermediate && !list.all {
                continue;
            }
            if !self.passes(id, record, !names.is_empty(), &conditions)? {
                continue;
            }
            let key = std::cmp::Reverse(record.created);
            for (at, row) in rows_of(*id, record, &names, &patterns) {
                rows.push((key, at.map(|at| places[at]), row));
            }
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|at| (rows[*at].0, rows[*at].1));
        let mut rows: Vec<Option<ImageRow>> = rows.into_iter().map(|row| Some(row.2)).collect();
        Ok(order.into_iter().filter_map(|at| rows[at].take()).collect())
    }

    /// Filters with the images that they name looked up.
    fn conditions(&self, images: &Images, filters: &[ImageFilter]) -> Result<Vec<Condition>> {
        let created = |name: &str| -> Result<Option<Timestamp>> {
            Ok(images.images[&find(images, name)?.id].created)
        };
        let mut conditions = Vec::new();
        for filter in filters {
            conditions.push(match filter {
                ImageFilter::Before(name) => Condition::Before(created(name)?),
                ImageFilter::Since(name) => Condition::Since(created(name)?),
                ImageFilter::Until(time) => Condition::Before(Some(*time)),
                ImageFilter::Dangling(wanted) => Condition::Dangling(*wanted),
                ImageFilter::Label(key, value) => Condition::Label(key.clone(), value.clone()),
                ImageFilter::NotLabel(key, value) => {
                    Condition::NotLabel(key.clone(), value.clone())
                }
                // Several patterns are alternatives; everything else must hold at once.
                ImageFilter::Reference(_) => continue,
            });
        }
        Ok(conditions)
    }

    fn passes(
        &self,
        id: &ImageId,
        record: &ImageRecord,
        named: bool,
        conditions: &[Condition],
    ) -> Result<bool> {
        for condition in conditions {
            let holds = match condition {
                Condition::Before(time) => record.created < *time,
                Condition::Since(time) => record.created > *time,
                Condition::Dangling(wanted) => named != *wanted,
                Condition::Label(key, value) => self.has_label(id, key, value.as_deref())?,
                Condition::NotLabel(key, value) => !self.has_label(id, key, value.as_deref())?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_label(&self, id: &ImageId, key: &str, value: Option<&str>) -> Result<bool> {
        let config = self.config(*id)?;
        let labels = config.config.map(|config| config.labels).unwrap_or_default();
        Ok(labels.get(key).is_some_and(|found| value.is_none_or(|wanted| wanted == found)))
    }

    /// An image's configuration.
    pub(crate) fn config(&self, id: ImageId) -> Result<ImageConfig> {
        let bytes = self.store.read_document(&id.0)?;
        ImageConfig::parse(&bytes).map_err(EngineError::Config)
    }
}

enum Condition {
    Before(Option<Timestamp>),
    Since(Option<Timestamp>),
    Dangling(bool),
    Label(String, Option<String>),
    NotLabel(String, Option<String>),
}

fn split_label(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// An image's rows: one for each name that was asked for, with its place among them, or one
/// without a name.
fn rows_of(
    id: ImageId,
    record: &ImageRecord,
    names: &[&Reference],
    patterns: &[&str],
) -> Vec<(Option<usize>, ImageRow)> {
    let row = |name: Option<&Reference>| {
        let digest = name.filter(|_| !record.repo_digests.is_empty()).and_then(|name| {
            let prefix = format!("{}@", name.name());
            record
                .repo_digests
                .iter()
                .find_map(|full| full.strip_prefix(&prefix))
                .map(str::to_owned)
        });
        ImageRow {
            id,
            name: name.cloned(),
            digest,
            created: record.created,
            size: record.size(),
            platform: record.platform.clone(),
        }
    };
    let wanted = |name: &Reference| {
        patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
    };
    match names.is_empty() {
        true if patterns.is_empty() => vec![(None, row(None))],
        true => Vec::new(),
        false => {
            let names = names.iter().enumerate().filter(|(_, name)| wanted(name));
            names.map(|(at, name)| (Some(at), row(Some(name)))).collect()
        }
    }
}

/// Whether a name matches a pattern, as docker's `FamiliarMatch`: the whole familiar name or the
/// name without its tag, with `*`, `?` and `[…]` that do not reach over a slash.
fn matches(pattern: &str, name: &Reference) -> bool {
    let familiar = name.familiar();
    let glob = |text: &str| spec::path_match(pattern, text).unwrap_or(false);
    if glob(&familiar) || glob(&name.familiar_name()) {
        return true;
    }
    // `docker.io/library/busybox` asks for what is shown as `busybox`.
    match Reference::parse(pattern) {
        Ok(full) => {
            full.name() == name.name() && full.tag().is_none_or(|tag| Some(tag) == name.tag())
        }
        Err(_) => false,
    }
}
