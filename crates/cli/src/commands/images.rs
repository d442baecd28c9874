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

const COLUMNS: [Column; 5] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];
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

const WORDS: Words = Words {
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
        digests: matches.flag("digests"),
        pattern: context.names().first().cloned(),
        filters: filters(context)?,
    };
    if matches.flag("tree") {
        return super::families::tree(context, &list);
    }
    let images = Nearby::all(context.engine()?.list(&list)?);
    if let Some(image) = images.clone().next() {
        // To give back what many images take, piece by piece, would take longer than to show them:
        // it goes with the process.
        std::mem::forget(Rc::clone(&image.list));
    }
    show(context, images)
}

/// Shows images as the command line asks for it.
pub(crate) fn show<I: Listed + 'static>(
    context: &Context,
    images: impl Iterator<Item = I>,
) -> Outcome {
    let matches = context.matches();
    let (quiet, digests, full) =
        (matches.flag("quiet"), matches.flag("digests"), matches.flag("no-trunc"));
    let now = Timestamp::now();
    let shown = images.map(|image| Shown { image, measured: None, full, now });
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
fn meant(format: Option<&str>, quiet: bool, digests: bool) -> Option<Cow<'_, str>> {
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

/// An image as lists know it: one of this machine's, or one that an engine elsewhere tells of.
pub(crate) trait Listed {
    /// Its id, whole or as people read it.
    fn id(&self, full: bool) -> String;
    /// The name without its tag, if it has one.
    fn repository(&self) -> Option<&str>;
    /// The tag, if it has one.
    fn tag(&self) -> Option<&str>;
    /// The digest that a registry knows it by under this name.
    fn digest(&self) -> Option<&str>;
    /// When it was made.
    fn created(&self) -> Option<Timestamp>;
    /// The bytes of its files.
    fn size(&self) -> u64;
    /// What it runs on.
    fn platform(&self) -> String;
}

/// An image of this machine: a row of a list.
#[derive(Clone)]
pub(super) struct Nearby {
    list: Rc<ImageList>,
    at: usize,
}

impl Nearby {
    /// All rows of a list.
    pub(super) fn all(list: ImageList) -> impl Iterator<Item = Nearby> + Clone {
        let list = Rc::new(list);
        (0..list.len()).map(move |at| Nearby { list: Rc::clone(&list), at })
    }

    /// The image that is shown.
    pub(super) fn row(&self) -> ImageRow<'_> {
        self.list.row(self.at)
    }
}

impl Listed for Nearby {
    fn id(&self, full: bool) -> String {
        let id = self.row().id;
        if full { id.to_string() } else { id.0.short() }
    }

    fn repository(&self) -> Option<&str> {
        self.row().repository()
    }

    fn tag(&self) -> Option<&str> {
        self.row().name.and_then(|name| name.tag())
    }

    fn digest(&self) -> Option<&str> {
        self.row().digest()
    }

    fn created(&self) -> Option<Timestamp> {
        self.row().created()
    }

    fn size(&self) -> u64 {
        self.row().size()
    }

    fn platform(&self) -> String {
        self.row().platform().short()
    }
}

/// What an image was found to take.
pub(crate) struct Measured {
    /// Bytes that others have too, and those that are its alone.
    pub(crate) shared: u64,
    pub(crate) unique: u64,
    /// Containers that stand on it.
    pub(crate) containers: u64,
}

/// An image as it is shown.
pub(crate) struct Shown<I> {
    pub(crate) image: I,
    /// What it takes, where that was found out.
    pub(crate) measured: Option<Measured>,
    /// Whether ids are whole.
    pub(crate) full: bool,
    pub(crate) now: Timestamp,
}

impl<I: Listed> Shown<I> {
    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        const NONE: &str = "<none>";
        let image = &self.image;
        let bytes = |bytes: u64| human_size(bytes as f64).into();
        Some(match (name, &self.measured) {
            ("ID", _) => image.id(self.full).into(),
            ("Repository", _) => image.repository().unwrap_or(NONE).into(),
            ("Tag", _) => image.tag().unwrap_or(NONE).into(),
            // In a document of all that takes space, what is not known is left empty.
            ("Digest", Some(_)) if self.full => image.digest().unwrap_or_default().into(),
            ("Digest", _) => image.digest().unwrap_or(NONE).into(),
            ("CreatedSince", _) => since(image.created(), self.now).into(),
            ("CreatedAt", _) => {
                image.created().map_or_else(|| "N/A".into(), |time| time.docker_local().into())
            }
            ("Size", _) => human_size_3(image.size() as f64).into(),
            ("VirtualSize", _) => bytes(image.size()),
            ("Platform", _) => image.platform().into(),
            ("SharedSize", Some(measured)) => bytes(measured.shared),
            ("UniqueSize", Some(measured)) => bytes(measured.unique),
            ("Containers", Some(measured)) => measured.containers.to_string().into(),
            ("Containers" | "SharedSize" | "UniqueSize", None) => "N/A".into(),
            _ => return None,
        })
    }
}

impl<I: Listed> Row for Shown<I> {
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
