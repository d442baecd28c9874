//! `mica ps`, `mica container ls`.

use std::borrow::Cow;

use engine::{ContainerFilter, ContainerRow, ListContainers, PublishedPort, status_words};
use spec::{ContainerPort, Timestamp, human_duration, human_size_3};

use super::ports;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, Words, rows};
use crate::template::{Value, quote};
use crate::ui::Ui;
use crate::ui::cut;

const COLUMNS: [Column; 7] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
];
const HEADERS: &[Column] = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("HealthStatus", "HEALTH STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];
/// How many letters of a command are shown, and of a mount.
const COMMAND_LETTERS: usize = 20;
const MOUNT_LETTERS: usize = 15;

const WORDS: Words = Words {
    id: "ID",
    raw_id: "container_id",
    raw: "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n\
          created_at: {{.CreatedAt}}\nstate: {{.State}}\nstatus: {{.Status}}\n\
          names: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n",
};
/// The same with `--size`.
pub(crate) const WORDS_WITH_SIZE: Words = Words {
    raw: "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n\
          created_at: {{.CreatedAt}}\nstate: {{.State}}\nstatus: {{.Status}}\n\
          names: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n\
          size: {{.Size}}\n",
    ..WORDS
};

/// What `--format` asks for beside `--quiet`. Docker's client leaves all of it out but `raw`, and
/// says so.
fn asked<'a>(ui: &Ui, format: Option<&'a str>, quiet: bool) -> Option<&'a str> {
    let format = format.filter(|text| !text.is_empty());
    if quiet && format.is_some() {
        ui.warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    format.filter(|text| !quiet || *text == "raw")
}

pub(crate) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let view = View::of(context);
    let texts = matches.list("filter").iter().filter(|text| !text.is_empty());
    let filters = texts.map(|text| ContainerFilter::parse(text)).collect::<Result<_, _>>()?;
    let last = view.last.and_then(|last| usize::try_from(last).ok());
    let request =
        ListContainers { all: matches.flag("all"), last, size: view.wants_sizes(), filters };
    view.show(context, context.engine()?.list_containers(&request)?)
}

/// How containers are listed.
pub(crate) struct View<'a> {
    format: Option<&'a str>,
    quiet: bool,
    size: bool,
    full: bool,
    /// How many there are at most, the newest first.
    pub(crate) last: Option<i64>,
}

impl<'a> View<'a> {
    /// As the command line says it.
    pub(crate) fn of(context: &'a Context) -> View<'a> {
        let matches = context.matches();
        let (quiet, size) = (matches.flag("quiet"), matches.flag("size"));
        let format = asked(&context.ui, matches.string("format"), quiet);
        let last = match matches.flag("latest") {
            true => Some(1),
            false => matches.int("last").filter(|last| *last > 0),
        };
        View { format, quiet, size, full: matches.flag("no-trunc"), last }
    }

    /// Whether sizes are shown, which are dear to know.
    pub(crate) fn wants_sizes(&self) -> bool {
        match self.format {
            None => self.size && !self.quiet,
            Some(format) => self.size || format.contains(".Size"),
        }
    }

    /// Shows what was found.
    pub(crate) fn show<C: Listed + 'static>(&self, context: &Context, found: Vec<C>) -> Outcome {
        let (full, now) = (self.full, Timestamp::now());
        let shown: Vec<_> = found.into_iter().map(|row| Shown { row, full, now }).collect();
        if self.quiet && self.format.is_none() {
            let lines: String = shown.iter().map(|row| format!("{}\n", row.id())).collect();
            context.ui.print(&lines);
            return Ok(0);
        }
        let mut columns = COLUMNS.to_vec();
        if self.size {
            columns.push(("Size", "SIZE"));
        }
        let words = if self.size { WORDS_WITH_SIZE } else { WORDS };
        let format = words.meant(self.format, self.quiet);
        rows(&context.ui, format.as_deref(), &columns, HEADERS, shown)?;
        Ok(0)
    }
}

/// A container as lists know it: a record of this machine's, or what an engine elsewhere tells.
pub(crate) trait Listed {
    /// Its whole id.
    fn id(&self) -> Cow<'_, str>;
    /// Its own name, and with `all` those that others know it by.
    fn names(&self, all: bool) -> Cow<'_, str>;
    /// Its image, as people call it, or by its id.
    fn image(&self) -> &str;
    /// What is run.
    fn command(&self) -> Cow<'_, str>;
    /// When it was made.
    fn created(&self) -> Timestamp;
    /// Its ports that are published, and the others.
    fn ports(&self) -> (Vec<PublishedPort>, Vec<ContainerPort>);
    /// In which state it is; the same in a sentence; and how healthy it is.
    fn state(&self, now: Timestamp) -> [Cow<'_, str>; 3];
    /// Bytes written to it, and bytes of all that it shows.
    fn size(&self) -> (u64, u64);
    /// Its labels.
    fn labels(&self) -> Vec<(&str, &str)>;
    /// The names of its mounts, and whether each is a volume of the machine's own.
    fn mounts(&self) -> Vec<(&str, bool)>;
    /// The names of its networks.
    fn networks(&self) -> Vec<String>;
    /// What it runs on.
    fn platform(&self) -> Cow<'_, str>;
}

impl Listed for ContainerRow {
    fn id(&self) -> Cow<'_, str> {
        self.summary.id.to_string().into()
    }

    fn names(&self, _all: bool) -> Cow<'_, str> {
        self.summary.name.as_str().into()
    }

    fn image(&self) -> &str {
        &self.image
    }

    fn command(&self) -> Cow<'_, str> {
        ContainerRow::command(self).into()
    }

    fn created(&self) -> Timestamp {
        self.summary.created
    }

    fn ports(&self) -> (Vec<PublishedPort>, Vec<ContainerPort>) {
        ContainerRow::ports(self)
    }

    fn state(&self, now: Timestamp) -> [Cow<'_, str>; 3] {
        let health = self.state.health.as_ref().map_or("", |health| health.status.name());
        [self.state.status.name().into(), status_words(&self.state, now).into(), health.into()]
    }

    fn size(&self) -> (u64, u64) {
        self.size.unwrap_or_default()
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.summary.config.labels.iter();
        labels.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn mounts(&self) -> Vec<(&str, bool)> {
        let mounts = self.summary.mounts.iter().map(|mount| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            (name.as_str(), mount.driver == "local")
        });
        mounts.collect()
    }

    fn networks(&self) -> Vec<String> {
        ContainerRow::networks(self)
    }

    fn platform(&self) -> Cow<'_, str> {
        self.summary.platform.as_str().into()
    }
}

/// A container as it is shown.
pub(crate) struct Shown<C> {
    pub(crate) row: C,
    pub(crate) full: bool,
    pub(crate) now: Timestamp,
}

impl<C: Listed> Shown<C> {
    fn id(&self) -> String {
        let id = self.row.id();
        if self.full { &id[..] } else { &id[..id.len().min(12)] }.to_owned()
    }

    fn image(&self) -> &str {
        let image = self.row.image();
        match image.strip_prefix("sha256:").filter(|_| !self.full) {
            Some(hex) => &hex[..hex.len().min(12)],
            None if image.is_empty() => "<no image>",
            None => image,
        }
    }

    fn command(&self) -> String {
        let command = self.row.command();
        match self.full {
            true => quote::quote(&command),
            false => quote::quote(&cut(&command, COMMAND_LETTERS)),
        }
    }

    fn mounts(&self) -> String {
        let shown = |(name, _): (&str, bool)| match self.full {
            true => name.to_owned(),
            false => cut(name, MOUNT_LETTERS),
        };
        self.row.mounts().into_iter().map(shown).collect::<Vec<_>>().join(",")
    }

    fn size(&self) -> String {
        let (own, all) = self.row.size();
        let own = human_size_3(own as f64);
        match all {
            0 => own,
            all => format!("{own} (virtual {})", human_size_3(all as f64)),
        }
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let row = &self.row;
        let state = |at: usize| row.state(self.now)[at].clone();
        Some(match name {
            "ID" => self.id().into(),
            "Names" => row.names(self.full),
            "Image" => self.image().into(),
            "Command" => self.command().into(),
            "CreatedAt" => row.created().docker_local().into(),
            "RunningFor" => {
                format!("{} ago", human_duration(self.now.seconds_since(row.created()))).into()
            }
            "Ports" => {
                let (published, exposed) = row.ports();
                ports::column(&published, &exposed).into()
            }
            "State" => state(0),
            "Status" => state(1),
            "HealthStatus" => state(2),
            "Size" => self.size().into(),
            "Labels" => {
                let label = |(name, value)| format!("{name}={value}");
                row.labels().into_iter().map(label).collect::<Vec<_>>().join(",").into()
            }
            "Mounts" => self.mounts().into(),
            "LocalVolumes" => {
                row.mounts().iter().filter(|(_, local)| *local).count().to_string().into()
            }
            "Networks" => row.networks().join(",").into(),
            "Platform" => row.platform(),
            _ => return None,
        })
    }
}

impl<C: Listed> Row for Shown<C> {
    const KIND: &'static str = "*formatter.ContainerContext";
    const FIELDS: &'static [&'static str] = &[
        "Command",
        "CreatedAt",
        "ID",
        "Image",
        "Labels",
        "LocalVolumes",
        "Mounts",
        "Names",
        "Networks",
        "Ports",
        "RunningFor",
        "Size",
        "State",
        "Status",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::Str(text.into_owned()))
    }

    fn label(&self, key: &str) -> Option<String> {
        let labels = self.row.labels();
        let value = labels.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value);
        Some(value.unwrap_or_default().to_owned())
    }

    fn write(&self, name: &str, out: &mut String) {
        out.push_str(&self.text(name).unwrap_or_default());
    }
}
