//! `mica images`, `mica image ls`.

use std::borrow::Cow;
use std::rc::Rc;

use engine::{ImageList, ImageRow, ListImages};
use spec::{Timestamp, human_duration, human_size, human_size_3};

use super::filters;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, Words, rows};
use crate::template::Value;

pub(crate) const COLUMNS: [Column; 5] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];
pub(crate) const HEADERS: &[Column] = &[
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

pub(crate) const WORDS: Words = Words {
    id: "ID",
    raw_id: "image_id",
    raw: "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\n\
          created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
};
/// The same with `--digests`.
pub(crate) const WORDS_WITH_DIGEST: Words = Words {
    raw: "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\n\
          created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
    ..WORDS
};

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let list = ListImages {
        all: matches.flag("all"),
        pattern: context.names().first().cloned(),
        filters: filters(context)?,
    };
    if matches.flag("tree") {
        return super::families::tree(context, &list);
    }
    let images = context.engine()?.list(&list)?;
    let mut shown = ShownImage::all(images, matches.flag("no-trunc")).peekable();
    if let Some(row) = shown.peek() {
        // To give back what many images take, piece by piece, would take longer than to show them:
        // it goes with the process.
        std::mem::forget(Rc::clone(&row.list));
    }
    let (quiet, digests) = (matches.flag("quiet"), matches.flag("digests"));
    if quiet && matches.string("format").is_none_or(str::is_empty) {
        let mut ids = String::new();
        shown.for_each(|row| {
            row.write("ID", &mut ids);
            ids.push('\n');
        });
        context.ui.print(&ids);
        return Ok(0);
    }
    let mut columns: Vec<Column> = COLUMNS.to_vec();
    if digests {
        columns.insert(2, ("Digest", "DIGEST"));
    }
    let format = meant(matches.string("format"), quiet, digests);
    rows(&context.ui, format.as_deref(), &columns, HEADERS, shown)?;
    Ok(0)
}

/// The format that is meant with `--quiet` and `--digests`.
pub(crate) fn meant(format: Option<&str>, quiet: bool, digests: bool) -> Option<Cow<'_, str>> {
    let words = if digests { WORDS_WITH_DIGEST } else { WORDS };
    let format = words.meant(format, quiet)?;
    Some(with_digest(&format, digests).into_owned().into())
}

/// With `--digests`, docker adds the column to a table of the user's own too.
fn with_digest(format: &str, digests: bool) -> Cow<'_, str> {
    let own = format.strip_prefix("table").is_some_and(|template| !template.trim().is_empty());
    match digests && own && !format.contains("{{.Digest}}") {
        true => format!("{format}\t{{{{.Digest}}}}").into(),
        false => format.into(),
    }
}

/// An image as it is shown: a row of a list.
pub(super) struct ShownImage {
    list: Rc<ImageList>,
    at: usize,
    full: bool,
    now: Timestamp,
}

impl ShownImage {
    /// All rows of a list; `full` shows whole ids.
    pub(super) fn all(list: ImageList, full: bool) -> impl Iterator<Item = ShownImage> {
        let (list, now) = (Rc::new(list), Timestamp::now());
        (0..list.len()).map(move |at| ShownImage { list: Rc::clone(&list), at, full, now })
    }

    /// The image that is shown.
    pub(super) fn image(&self) -> ImageRow<'_> {
        self.list.row(self.at)
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        const NONE: &str = "<none>";
        let image = self.image();
        Some(match name {
            "ID" if self.full => image.id.to_string().into(),
            "ID" => image.id.0.short().into(),
            "Repository" => image.name.map_or(NONE, |name| name.familiar_name()).into(),
            "Tag" => image.name.and_then(|name| name.tag()).unwrap_or(NONE).into(),
            "Digest" => image.digest().unwrap_or(NONE).into(),
            "CreatedSince" => since(image.created(), self.now).into(),
            "CreatedAt" => {
                image.created().map_or_else(|| "N/A".into(), |time| time.docker_local().into())
            }
            "Size" => human_size_3(image.size() as f64).into(),
            "VirtualSize" => human_size(image.size() as f64).into(),
            "Platform" => image.platform().short().into(),
            "Containers" | "SharedSize" | "UniqueSize" => "N/A".into(),
            _ => return None,
        })
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
        "VirtualSize",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::Str(text.into_owned()))
    }

    fn write(&self, name: &str, out: &mut String) {
        out.push_str(&self.text(name).unwrap_or_default());
    }
}

/// `3 weeks ago`.
pub(crate) fn since(time: Option<Timestamp>, now: Timestamp) -> String {
    match time.filter(|time| time.unix_seconds() > 0) {
        Some(time) => human_duration(now.seconds_since(time)) + " ago",
        None => "N/A".to_owned(),
    }
}
