//! `mica images`, `mica image ls`.

use engine::{ImageRow, ListImages};
use spec::{Timestamp, human_duration, human_size_3};

use super::filters;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, rows};
use crate::template::Value;

const HEADERS: &[Column] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Platform", "PLATFORM"),
];

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    if matches.flag("tree") {
        return super::look::image_tree(context);
    }
    let list = ListImages {
        all: matches.flag("all"),
        pattern: context.names().first().cloned(),
        filters: filters(context)?,
    };
    let images = context.engine()?.list(&list)?;
    let (full, now) = (matches.flag("no-trunc"), Timestamp::now());
    let shown: Vec<ShownImage> =
        images.into_iter().map(|image| ShownImage { image, full, now }).collect();
    if matches.flag("quiet") && !matches.given("format") {
        shown.iter().for_each(|row| context.ui.line(&row.id()));
        return Ok(0);
    }
    let mut columns: Vec<Column> = vec![
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
    ];
    if matches.flag("digests") {
        columns.insert(2, ("Digest", "DIGEST"));
    }
    rows(&context.ui, matches.string("format"), &columns, HEADERS, shown)?;
    Ok(0)
}

/// An image as it is shown.
pub(super) struct ShownImage {
    pub(super) image: ImageRow,
    pub(super) full: bool,
    pub(super) now: Timestamp,
}

impl ShownImage {
    fn id(&self) -> String {
        match self.full {
            true => self.image.id.to_string(),
            false => self.image.id.0.short(),
        }
    }
}

impl Row for ShownImage {
    const KIND: &'static str = "*formatter.imageContext";
    const FIELDS: &'static [&'static str] = &[
        "Containers",
        "CreatedAt",
        "CreatedSince",
        "Digest",
        "ID",
        "Platform",
        "Repository",
        "SharedSize",
        "Size",
        "Tag",
        "UniqueSize",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        let none = || "<none>".to_owned();
        let image = &self.image;
        Some(Value::Str(match name {
            "ID" => self.id(),
            "Repository" => image.name.as_ref().map_or_else(none, |name| name.familiar_name()),
            "Tag" => {
                let tag = image.name.as_ref().and_then(|name| name.tag());
                tag.map_or_else(none, str::to_owned)
            }
            "Digest" => image.digest.clone().unwrap_or_else(none),
            "CreatedSince" => since(image.created, self.now),
            "CreatedAt" => image.created.map_or_else(|| "N/A".to_owned(), |t| t.docker_local()),
            "Size" => human_size_3(image.size as f64),
            "Platform" => image.platform.short(),
            "Containers" | "SharedSize" | "UniqueSize" => "N/A".to_owned(),
            _ => return None,
        }))
    }
}

/// `3 weeks ago`.
pub(super) fn since(time: Option<Timestamp>, now: Timestamp) -> String {
    match time.filter(|time| time.unix_seconds() > 0) {
        Some(time) => format!("{} ago", human_duration(now.seconds_since(time))),
        None => "N/A".to_owned(),
    }
}
