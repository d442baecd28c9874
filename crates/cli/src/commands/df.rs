//! `mica system df`.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::{CacheRow, ContainerRow, DiskUsage, Usage, VolumeUsage};
use serde_json::json;
use spec::{Timestamp, human_duration, human_size, human_size_3};

use super::containers::{self, Shown as ShownContainer};
use super::images::{self, Measured, Nearby, Shown as ShownImage};
use super::volume::{self, Shown as ShownVolume};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{self, Column, Row, Words, rows};
use crate::template::Value;

const COLUMNS: &[Column] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const WORDS: Words = Words {
    id: "Type",
    raw_id: "type",
    raw: "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n\
          reclaimable: {{.Reclaimable}}\n",
};
const IMAGES: &[Column] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let usage = context.engine()?.disk_usage()?;
    if matches.flag("verbose") {
        return verbose(context, usage);
    }
    show_lines(context, lines(&usage))
}

/// A line for each kind of thing.
fn lines(usage: &DiskUsage) -> Vec<Line> {
    let DiskUsage { usage: all, active, containers, volumes, build_cache, .. } = usage;
    vec![
        Line {
            kind: "Images",
            total: all.images.len(),
            active: active.len(),
            size: all.layers,
            reclaimable: all.reclaimable,
        },
        Line::of("Containers", containers, |row| {
            (row.size.map_or(0, |(own, _)| own), row.state.status.is_alive())
        }),
        Line::of("Local Volumes", volumes, |volume| (volume.bytes, volume.links > 0)),
        Line {
            kind: "Build Cache",
            total: build_cache.rows.len(),
            active: 0,
            size: build_cache.bytes,
            reclaimable: build_cache.reclaimable,
        },
    ]
}

/// What all things of a kind take.
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    pub(crate) total: usize,
    pub(crate) active: usize,
    pub(crate) size: u64,
    pub(crate) reclaimable: u64,
}

impl Line {
    /// The sum over things, each of which takes so much and is in use or not.
    pub(crate) fn of<T>(kind: &'static str, things: &[T], of: impl Fn(&T) -> (u64, bool)) -> Line {
        let mut line = Line { kind, total: things.len(), active: 0, size: 0, reclaimable: 0 };
        for (bytes, active) in things.iter().map(of) {
            line.active += usize::from(active);
            line.size += bytes;
            line.reclaimable += if active { 0 } else { bytes };
        }
        line
    }
}

/// Shows a line for each kind of thing.
pub(crate) fn show_lines(context: &Context, lines: Vec<Line>) -> Outcome {
    let format = WORDS.meant(context.matches().string("format"), false);
    rows(&context.ui, format.as_deref(), COLUMNS, COLUMNS, lines)?;
    Ok(0)
}

impl Row for Line {
    const KIND: &'static str = "*formatter.diskUsageImagesContext";
    const FIELDS: &'static [&'static str] =
        &["Active", "Reclaimable", "Size", "TotalCount", "Type"];

    fn field(&self, name: &str) -> Option<Value> {
        Some(Value::Str(match name {
            "Type" => self.kind.to_owned(),
            "TotalCount" => self.total.to_string(),
            "Active" => self.active.to_string(),
            "Size" => human_size(self.size as f64),
            "Reclaimable" if self.size > 0 => {
                let share = self.reclaimable * 100 / self.size;
                format!("{} ({share}%)", human_size(self.reclaimable as f64))
            }
            "Reclaimable" => human_size(self.reclaimable as f64),
            _ => return None,
        }))
    }
}

fn verbose(context: &Context, usage: DiskUsage) -> Outcome {
    let DiskUsage { usage: on_disk, images, users, containers, volumes, build_cache, .. } = usage;
    let (full, now) = (in_document(context), Timestamp::now());
    let image = |image: Nearby| {
        let id = image.row().id;
        let usage = on_disk.images.get(&id).copied().unwrap_or_default();
        let containers = users.get(&id).copied().unwrap_or_default() as u64;
        let measured = Some(Measured { shared: usage.shared, unique: usage.unique, containers });
        ShownImage { image, measured, full, now }
    };
    // What it has of its image is counted with the images.
    let container = |row: ContainerRow| {
        let size = row.size.map(|(own, _)| (own, 0));
        ShownContainer { row: ContainerRow { size, ..row }, full, now }
    };
    let volume = |VolumeUsage { volume, bytes, links }| ShownVolume {
        volume,
        measured: Some((bytes, links as u64)),
    };
    let parts = Parts {
        images: Nearby::all(images).map(image).collect(),
        containers: containers.into_iter().map(container).collect(),
        volumes: volumes.into_iter().map(volume).collect(),
        steps: build_cache.rows.into_iter().map(|row| ShownStep { row, full, now }).collect(),
        cache_bytes: build_cache.bytes,
        on_disk: Some(on_disk),
    };
    parts.show(context)
}

/// Whether all that takes space is shown in the user's own form: there ids are whole.
pub(crate) fn in_document(context: &Context) -> bool {
    let format = context.matches().string("format").unwrap_or_default();
    !matches!(format, "" | "table")
}

/// All that takes space, as rows.
pub(crate) struct Parts<I, C> {
    pub(crate) images: Vec<ShownImage<I>>,
    pub(crate) containers: Vec<ShownContainer<C>>,
    pub(crate) volumes: Vec<ShownVolume>,
    pub(crate) steps: Vec<ShownStep>,
    pub(crate) cache_bytes: u64,
    /// What lies on the disk, where that is known.
    pub(crate) on_disk: Option<Usage>,
}

impl<I: images::Listed + 'static, C: containers::Listed + 'static> Parts<I, C> {
    /// Shows them as the command line asks for it.
    pub(crate) fn show(self, context: &Context) -> Outcome {
        match context.matches().string("format").unwrap_or_default() {
            "" | "table" => self.tables(context)?,
            "raw" => context.ui.print(&self.raw()?),
            format => show::document(&context.ui, Some(format), &self.document())?,
        }
        Ok(0)
    }

    fn document(&self) -> serde_json::Value {
        json!({
            "Images": self.images.iter().map(document).collect::<Vec<_>>(),
            "Containers": self.containers.iter().map(document).collect::<Vec<_>>(),
            "Volumes": self.volumes.iter().map(document).collect::<Vec<_>>(),
            "BuildCache": self.steps.iter().map(document).collect::<Vec<_>>(),
        })
    }

    fn raw(self) -> Result<String, Failure> {
        Ok([
            raw("Image", images::WORDS_WITH_DIGEST.raw, self.images)?,
            raw("Container", containers::WORDS_WITH_SIZE.raw, self.containers)?,
            raw("Volume", volume::WORDS.raw, self.volumes)?,
            raw("Build Cache", STEP_WORDS, self.steps)?,
        ]
        .concat())
    }

    fn tables(self, context: &Context) -> Result<(), Failure> {
        let size = |bytes: u64| human_size(bytes as f64);
        context.ui.print("Images space usage:\n\n");
        rows(&context.ui, None, IMAGES, IMAGES, self.images)?;
        context.ui.print("\nContainers space usage:\n\n");
        rows(&context.ui, None, CONTAINERS, CONTAINERS, self.containers)?;
        context.ui.print("\nLocal Volumes space usage:\n\n");
        rows(&context.ui, None, VOLUMES, VOLUMES, self.volumes)?;
        context.ui.print(&format!("\nBuild cache usage: {}\n\n", size(self.cache_bytes)));
        rows(&context.ui, None, STEPS, STEPS, self.steps)?;
        let Some(on_disk) = self.on_disk else { return Ok(()) };
        context.ui.print(&format!(
            "\nOn disk:\n\nBlobs: {}\nIndexes: {}\nUnpacked layers: {}\nCompressed layers kept beside their plain form: {}\n",
            size(on_disk.blobs),
            size(on_disk.indexes),
            size(on_disk.folders),
            size(on_disk.evictable),
        ));
        Ok(())
    }
}

/// The lines of all things of a kind that `--format raw` shows.
fn raw<R: Row + 'static>(kind: &str, lines: &str, things: Vec<R>) -> Result<String, Failure> {
    show::rendered(Some(&format!("type: {kind}\n{lines}")), &[], &[], things)
}

const STEP_WORDS: &str = "build_cache_id: {{.ID}}\nparent_id: {{.Parent}}\n\
     build_cache_type: {{.CacheType}}\ndescription: {{.Description}}\n\
     created_at: {{.CreatedAt}}\ncreated_since: {{.CreatedSince}}\n\
     last_used_at: {{.LastUsedAt}}\nlast_used_since: {{.LastUsedSince}}\n\
     usage_count: {{.UsageCount}}\nin_use: {{.InUse}}\nshared: {{.Shared}}\n";

const STEPS: &[Column] = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];

/// A remembered step of a build.
pub(crate) struct ShownStep {
    pub(crate) row: CacheRow,
    pub(crate) full: bool,
    pub(crate) now: Timestamp,
}

impl Row for ShownStep {
    const KIND: &'static str = "*formatter.buildCacheContext";
    const FIELDS: &'static [&'static str] = &[
        "CacheType",
        "CreatedAt",
        "CreatedSince",
        "Description",
        "ID",
        "InUse",
        "LastUsedAt",
        "LastUsedSince",
        "Parent",
        "Shared",
        "Size",
        "UsageCount",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        let row = &self.row;
        let made = Timestamp::from_unix(row.made, 0);
        let ago = |time: Timestamp| human_duration(self.now.seconds_since(time)) + " ago";
        Some(Value::Str(match name {
            "ID" if self.full => row.id.clone(),
            "ID" => row.id.chars().take(12).collect(),
            "CacheType" => "regular".to_owned(),
            "Description" => row.text.clone(),
            "Parent" => String::new(),
            "InUse" => "false".to_owned(),
            "Shared" => row.shared.to_string(),
            "Size" => human_size_3(row.bytes as f64),
            "UsageCount" => "1".to_owned(),
            "CreatedAt" => made.docker_local(),
            "CreatedSince" => ago(made),
            "LastUsedAt" => moment(row.used).docker_local(),
            "LastUsedSince" => ago(moment(row.used)),
            _ => return None,
        }))
    }
}

fn moment(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos())
}

/// A row as an element of docker's document over everything.
fn document<R: Row>(row: &R) -> serde_json::Value {
    let text = |name: &&str| match row.field(name) {
        Some(Value::Str(text)) => ((*name).to_owned(), json!(text)),
        _ => ((*name).to_owned(), json!(null)),
    };
    R::FIELDS.iter().map(text).collect::<serde_json::Map<_, _>>().into()
}

const CONTAINERS: &[Column] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Size", "SIZE"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Names", "NAMES"),
];
const VOLUMES: &[Column] = &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")];
