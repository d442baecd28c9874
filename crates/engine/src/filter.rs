//! Conditions on images, as docker's `--filter` words them.

use spec::{FullName, ImageId, Reference, Timestamp};
use store::{ImageRecord, Images};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::find;

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

impl Engine {
    /// Filters with the images that they name looked up.
    pub(crate) fn conditions(
        &self,
        images: &Images,
        filters: &[ImageFilter],
    ) -> Result<Vec<Condition>> {
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

    /// Whether an image is as all of them say.
    pub(crate) fn passes(
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
}

/// A filter with the image that it names looked up.
pub(crate) enum Condition {
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

/// Names that were asked for, each a pattern.
pub(crate) struct Patterns<'a> {
    /// Each with the reference that it is, if it is one.
    patterns: Vec<(&'a str, Option<Reference>)>,
}

impl<'a> Patterns<'a> {
    /// Those of the filters, and the one after the command, which is one more of them.
    pub(crate) fn of(filters: &'a [ImageFilter], pattern: Option<&'a str>) -> Result<Patterns<'a>> {
        let named = filters.iter().filter_map(|filter| match filter {
            ImageFilter::Reference(pattern) => Some(pattern.as_str()),
            _ => None,
        });
        let mut patterns = Vec::new();
        for text in named.chain(pattern) {
            let wrong = |_| EngineError::Refused("syntax error in pattern".to_owned());
            spec::path_match(text, "").map_err(wrong)?;
            patterns.push((text, Reference::parse(text).ok()));
        }
        Ok(Patterns { patterns })
    }

    /// Whether there are none, so that every image is meant, one without a name too.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a name is asked for: all are if no pattern is there.
    pub(crate) fn allow(&self, name: FullName<'_>) -> bool {
        self.is_empty()
            || self.patterns.iter().any(|(text, full)| matches(text, full.as_ref(), name))
    }
}

/// Whether a name matches a pattern, as docker's `FamiliarMatch`: the whole familiar name or the
/// name without its tag, with `*`, `?` and `[…]` that do not reach over a slash.
fn matches(pattern: &str, full: Option<&Reference>, name: FullName<'_>) -> bool {
    let glob = |text: &str| spec::path_match(pattern, text).unwrap_or(false);
    if glob(name.familiar()) || glob(name.familiar_name()) {
        return true;
    }
    // `docker.io/library/busybox` asks for what is shown as `busybox`.
    full.is_some_and(|full| {
        full.name() == name.name() && full.tag().is_none_or(|tag| Some(tag) == name.tag())
    })
}
