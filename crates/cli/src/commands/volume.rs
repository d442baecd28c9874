//! `mica volume`.

use std::collections::BTreeMap;

use engine::{CreateVolume, Engine, Volume};
use spec::{human_size, matches_name};

use super::inspect::show as show_documents;
use super::prune::sure;
use super::{joined, label};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, Words, rows};
use crate::template::Value;

pub(crate) fn create(context: &Context) -> Outcome {
    let request = request(context)?;
    let volume = context.engine()?.create_volume(request)?;
    context.ui.line(&volume.name);
    Ok(0)
}

/// What `create` asks for.
pub(crate) fn request(context: &Context) -> Result<CreateVolume, Failure> {
    let matches = context.matches();
    let flag = matches.string("name").filter(|name| !name.is_empty());
    let name = match (context.names().first(), flag) {
        (Some(_), Some(_)) => {
            return Err(Failure::new(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        (name, flag) => name.cloned().or(flag.map(str::to_owned)),
    };
    Ok(CreateVolume {
        name,
        driver: matches.string("driver").unwrap_or_default().to_owned(),
        options: super::pairs(matches.list("opt")),
        labels: super::labels("--label", matches.list("label"))?,
    })
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let engine = context.engine()?;
    show_documents(context, "volume", &|name| {
        let volume = engine.volume(name)?;
        serde_json::to_value(&volume).map_err(|error| Failure::new(error.to_string()))
    })
}

const COLUMNS: &[Column] = &[("Driver", "DRIVER"), ("Name", "VOLUME NAME")];
const HEADERS: &[Column] = &[
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Group", "GROUP"),
    ("Availability", "AVAILABILITY"),
    ("Status", "STATUS"),
];

pub(crate) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let engine = context.engine()?;
    let filter = Filter::parse(matches.list("filter"))?;
    let used = if filter.dangling.is_some() { Some(engine.used_volumes()?) } else { None };
    let wanted = |volume: &Volume| {
        let dangling = used.as_ref().map(|used| !used.contains(&volume.name));
        filter.takes(volume) && (filter.dangling.is_none() || filter.dangling == dangling)
    };
    let volumes = engine.volumes()?.into_iter().filter(wanted).collect();
    show(context, volumes)
}

/// Shows volumes as the command line asks for it.
pub(crate) fn show(context: &Context, volumes: Vec<Volume>) -> Outcome {
    let matches = context.matches();
    if matches.flag("quiet") && matches.string("format").is_none_or(str::is_empty) {
        volumes.iter().for_each(|volume| context.ui.line(&volume.name));
        return Ok(0);
    }
    let shown = volumes.into_iter().map(|volume| Shown { volume, measured: None });
    let format = WORDS.meant(matches.string("format"), matches.flag("quiet"));
    rows(&context.ui, format.as_deref(), COLUMNS, HEADERS, shown)?;
    Ok(0)
}

pub(super) const WORDS: Words =
    Words { id: "Name", raw_id: "name", raw: "name: {{.Name}}\ndriver: {{.Driver}}\n" };

/// A volume as it is shown.
pub(crate) struct Shown {
    pub(crate) volume: Volume,
    /// Its bytes and how many containers have it, where that was counted.
    pub(crate) measured: Option<(u64, u64)>,
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.volumeContext";
    const FIELDS: &'static [&'static str] = &[
        "Availability",
        "Driver",
        "Group",
        "Labels",
        "Links",
        "Mountpoint",
        "Name",
        "Scope",
        "Size",
        "Status",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        let Shown { volume, measured } = self;
        Some(Value::Str(match (name, measured) {
            ("Name", _) => volume.name.clone(),
            ("Driver", _) => volume.driver.clone(),
            ("Scope", _) => volume.scope.clone(),
            ("Mountpoint", _) => volume.mountpoint.display().to_string(),
            ("Labels", _) => volume.labels.as_ref().map(joined).unwrap_or_default(),
            ("Links", Some((_, links))) => links.to_string(),
            ("Size", Some((bytes, _))) => human_size(*bytes as f64),
            ("Links" | "Size" | "Group" | "Availability" | "Status", _) => "N/A".to_owned(),
            _ => return None,
        }))
    }

    fn label(&self, key: &str) -> Option<String> {
        let value = self.volume.labels.as_ref().and_then(|labels| labels.get(key));
        Some(value.cloned().unwrap_or_default())
    }
}

pub(crate) fn remove(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let force = context.matches().flag("force");
    let mut code = 0;
    for name in context.names() {
        match engine.remove_volume(name, force) {
            Ok(()) => context.ui.line(name),
            Err(error) => code = Failure::from(error).tell(&context.ui),
        }
    }
    if code == 0 { Ok(0) } else { Err(Failure::silent(code)) }
}

const ANONYMOUS: &str =
    "WARNING! This will remove anonymous local volumes not used by at least one container.";
const ALL: &str = "WARNING! This will remove all local volumes not used by at least one container.";
const SURE: &str = "Are you sure you want to continue? [y/N] ";

pub(crate) fn prune(context: &Context) -> Outcome {
    let filter = Filter::parse(context.matches().list("filter"))?;
    let Some(all) = asked_to_prune(context)? else { return Ok(0) };
    let engine: Engine = context.engine()?;
    let wanted = |volume: &Volume| (all || volume.is_anonymous()) && filter.takes(volume);
    let (removed, bytes) = engine.prune_volumes(wanted)?;
    tell_pruned(context, &removed);
    context.ui.line(&format!("Total reclaimed space: {}", human_size(bytes as f64)));
    Ok(0)
}

/// Whether named volumes go too; none if nothing shall go at all.
pub(crate) fn asked_to_prune(context: &Context) -> Result<Option<bool>, Failure> {
    let matches = context.matches();
    let filter = Filter::parse(matches.list("filter"))?;
    if matches.flag("all") && filter.all.is_some() {
        return Err(Failure::new(
            "conflicting options: cannot specify both --all and --filter all=1",
        ));
    }
    let all = matches.flag("all") || filter.all == Some(true);
    let warning = if all { ALL } else { ANONYMOUS };
    Ok(sure(context, &format!("{warning}\n{SURE}")).then_some(all))
}

/// Says which volumes went.
pub(crate) fn tell_pruned(context: &Context, removed: &[String]) {
    if !removed.is_empty() {
        context.ui.line("Deleted Volumes:");
        removed.iter().for_each(|name| context.ui.line(name));
        context.ui.line("");
    }
}

/// Which volumes go when everything is pruned: those that nobody named and that the labels fit.
pub(super) fn prune_condition(texts: &[String]) -> Result<impl Fn(&Volume) -> bool, Failure> {
    let filter = Filter::parse(texts)?;
    Ok(move |volume: &Volume| volume.is_anonymous() && filter.takes(volume))
}

/// Which volumes are meant.
#[derive(Default)]
struct Filter {
    dangling: Option<bool>,
    all: Option<bool>,
    drivers: Vec<String>,
    names: Vec<String>,
    labels: Vec<(String, Option<String>)>,
    not_labels: Vec<(String, Option<String>)>,
}

impl Filter {
    fn parse(texts: &[String]) -> Result<Filter, Failure> {
        let mut filter = Filter::default();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            match key.trim().to_lowercase().as_str() {
                "dangling" => filter.dangling = Some(truth("dangling", value)?),
                "all" => filter.all = Some(truth("all", value)?),
                "driver" => filter.drivers.push(value.to_owned()),
                "name" => filter.names.push(value.to_owned()),
                "label" => filter.labels.push(label(value)),
                "label!" => filter.not_labels.push(label(value)),
                other => {
                    return Err(Failure::new(format!(
                        "Error response from daemon: invalid filter '{other}'"
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, volume: &Volume) -> bool {
        let empty = BTreeMap::new();
        let labels = volume.labels.as_ref().unwrap_or(&empty);
        let has = |(name, value): &(String, Option<String>)| {
            labels.get(name).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
        };
        (self.drivers.is_empty() || self.drivers.contains(&volume.driver))
            && (self.names.is_empty()
                || self.names.iter().any(|value| matches_name(value, &volume.name)))
            && self.labels.iter().all(has)
            && !self.not_labels.iter().any(has)
    }
}

fn truth(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "1" | "true" | "True" | "TRUE" | "t" | "T" => Ok(true),
        "0" | "false" | "False" | "FALSE" | "f" | "F" => Ok(false),
        _ => Err(Failure::new(format!(
            "Error response from daemon: invalid filter '{name}=[{value:?}]'"
        ))),
    }
}
