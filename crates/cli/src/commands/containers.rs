//! `mica ps`, `mica container ls`.

use std::borrow::Cow;

use engine::{ContainerFilter, ContainerRow, ListContainers, status_words};
use spec::{Timestamp, human_duration, human_size_3};

use super::ports;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, Words, rows};
use crate::template::{Value, quote};
use crate::ui::Ui;
use crate::ui::cut;

pub(crate) const COLUMNS: [Column; 7] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
];
pub(crate) const HEADERS: &[Column] = &[
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
/// What a row has in JSON.
pub(crate) const FIELDS: &[&str] = &[
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
/// How many letters of a command are shown, and of a mount.
pub(crate) const COMMAND_LETTERS: usize = 20;
pub(crate) const MOUNT_LETTERS: usize = 15;

pub(crate) const WORDS: Words = Words {
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
pub(crate) fn asked<'a>(ui: &Ui, format: Option<&'a str>, quiet: bool) -> Option<&'a str> {
    let format = format.filter(|text| !text.is_empty());
    if quiet && format.is_some() {
        ui.warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    format.filter(|text| !quiet || *text == "raw")
}

pub(crate) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let format = asked(&context.ui, matches.string("format"), matches.flag("quiet"));
    let texts = matches.list("filter").iter().filter(|text| !text.is_empty());
    let filters = texts.map(|text| ContainerFilter::parse(text)).collect::<Result<_, _>>()?;
    let last = match matches.flag("latest") {
        true => Some(1),
        false => matches.int("last").and_then(|last| usize::try_from(last).ok()).filter(|n| *n > 0),
    };
    let sizes = matches.flag("size") || format.is_some_and(|text| text.contains(".Size"));
    let quiet = matches.flag("quiet") && format.is_none();
    let request = ListContainers { all: matches.flag("all"), last, size: sizes && !quiet, filters };
    let found = context.engine()?.list_containers(&request)?;
    let (full, now) = (matches.flag("no-trunc"), Timestamp::now());
    let shown: Vec<_> = found.into_iter().map(|row| Shown { row, full, now }).collect();
    if quiet {
        let lines: String = shown.iter().map(|row| format!("{}\n", row.id())).collect();
        context.ui.print(&lines);
        return Ok(0);
    }
    let mut columns = COLUMNS.to_vec();
    if matches.flag("size") {
        columns.push(("Size", "SIZE"));
    }
    let words = if matches.flag("size") { WORDS_WITH_SIZE } else { WORDS };
    let format = words.meant(format, matches.flag("quiet"));
    rows(&context.ui, format.as_deref(), &columns, HEADERS, shown)?;
    Ok(0)
}

/// A container as it is shown.
pub(super) struct Shown {
    pub(super) row: ContainerRow,
    pub(super) full: bool,
    pub(super) now: Timestamp,
}

impl Shown {
    fn id(&self) -> String {
        match self.full {
            true => self.row.summary.id.to_string(),
            false => self.row.summary.id.short(),
        }
    }

    fn image(&self) -> Cow<'_, str> {
        match self.row.image.strip_prefix("sha256:").filter(|_| !self.full) {
            Some(hex) => hex[..hex.len().min(12)].into(),
            None => self.row.image.as_str().into(),
        }
    }

    fn command(&self) -> String {
        let command = self.row.command();
        quote::quote(&if self.full { command } else { cut(&command, COMMAND_LETTERS) })
    }

    fn mounts(&self) -> String {
        let shown = |mount: &spec::MountPoint| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            if self.full { name.clone() } else { cut(name, MOUNT_LETTERS) }
        };
        self.row.summary.mounts.iter().map(shown).collect::<Vec<_>>().join(",")
    }

    fn size(&self) -> String {
        let (own, all) = self.row.size.unwrap_or_default();
        let own = human_size_3(own as f64);
        match all {
            0 => own,
            all => format!("{own} (virtual {})", human_size_3(all as f64)),
        }
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let ContainerRow { summary, state, .. } = &self.row;
        Some(match name {
            "ID" => self.id().into(),
            "Names" => summary.name.as_str().into(),
            "Image" => self.image(),
            "Command" => self.command().into(),
            "CreatedAt" => summary.created.docker_local().into(),
            "RunningFor" => {
                format!("{} ago", human_duration(self.now.seconds_since(summary.created))).into()
            }
            "Ports" => {
                let (published, exposed) = self.row.ports();
                ports::column(&published, &exposed).into()
            }
            "State" => state.status.name().into(),
            "Status" => status_words(state, self.now).into(),
            "HealthStatus" => {
                state.health.as_ref().map_or("", |health| health.status.name()).into()
            }
            "Size" => self.size().into(),
            "Labels" => {
                let label = |(name, value): (&String, &String)| format!("{name}={value}");
                summary.config.labels.iter().map(label).collect::<Vec<_>>().join(",").into()
            }
            "Mounts" => self.mounts().into(),
            "LocalVolumes" => {
                let local = summary.mounts.iter().filter(|mount| mount.driver == "local");
                local.count().to_string().into()
            }
            "Networks" => self.row.networks().join(",").into(),
            "Platform" => summary.platform.as_str().into(),
            _ => return None,
        })
    }
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.ContainerContext";
    const FIELDS: &'static [&'static str] = FIELDS;

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::Str(text.into_owned()))
    }

    fn label(&self, key: &str) -> Option<String> {
        Some(self.row.summary.config.labels.get(key).cloned().unwrap_or_default())
    }

    fn write(&self, name: &str, out: &mut String) {
        out.push_str(&self.text(name).unwrap_or_default());
    }
}
