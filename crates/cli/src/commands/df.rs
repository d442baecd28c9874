//! `mica system df`.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::{CacheRow, ContainerRow, DiskUsage, ImageUsage, Usage, VolumeUsage};
use serde_json::json;
use spec::{Timestamp, human_duration, human_size, human_size_3};

use super::containers::Shown as ShownContainer;
use super::images::ShownImage;
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
    let format = WORDS.meant(matches.string("format"), false);
    rows(&context.ui, format.as_deref(), COLUMNS, COLUMNS, lines(&usage))?;
    Ok(0)
}

/// A line for each kind of thing.
fn lines(usage: &DiskUsage) -> Vec<Line> {
    let DiskUsage { usage: all, active, containers, volumes, build_cache, .. } = usage;
    let written = |row: &ContainerRow| row.size.map_or(0, |(own, _)| own);
    let (runs, rests): (Vec<_>, Vec<_>) =
        containers.iter().partition(|row| row.state.status.is_alive());
    let bytes = |rows: &[&ContainerRow]| rows.iter().map(|row| written(row)).sum::<u64>();
    let (used, idle): (Vec<_>, Vec<_>) = volumes.iter().partition(|volume| volume.links > 0);
    let volume_bytes =
        |volumes: &[&VolumeUsage]| volumes.iter().map(|volume| volume.bytes).sum::<u64>();
    vec![
        Line {
            kind: "Images",
            total: all.images.len(),
            active: active.len(),
            size: all.layers,
            reclaimable: all.reclaimable,
        },
        Line {
            kind: "Containers",
            total: containers.len(),
            active: runs.len(),
            size: bytes(&runs) + bytes(&rests),
            reclaimable: bytes(&rests),
        },
        Line {
            kind: "Local Volumes",
            total: volumes.len(),
            active: used.len(),
            size: volume_bytes(&used) + volume_bytes(&idle),
            reclaimable: volume_bytes(&idle),
        },
        Line {
            kind: "Build Cache",
            total: build_cache.rows.len(),
            active: 0,
            size: build_cache.bytes,
            reclaimable: build_cache.reclaimable,
        },
    ]
}

struct Line {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
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
    let format = context.matches().string("format").filter(|text| !matches!(*text, "" | "table"));
    // In a document ids are whole, in a table short.
    let parts = Parts::of(usage, format.is_some());
    match format {
        Some(format) => show::document(&context.ui, Some(format), &parts.document())?,
        None => parts.show(context)?,
    }
    Ok(0)
}

/// All that takes space, as rows.
struct Parts {
    images: Vec<Shown>,
    containers: Vec<ShownContainer>,
    volumes: Vec<ShownVolume>,
    steps: Vec<ShownStep>,
    cache_bytes: u64,
    on_disk: Usage,
}

impl Parts {
    fn of(usage: DiskUsage, full: bool) -> Parts {
        let DiskUsage { usage: on_disk, images, users, containers, volumes, build_cache, .. } =
            usage;
        let now = Timestamp::now();
        let image = |image: ShownImage| {
            let usage = on_disk.images.get(&image.image().id).copied().unwrap_or_default();
            let containers = users.get(&image.image().id).copied().unwrap_or_default();
            Shown { image, usage, containers, full }
        };
        let images = ShownImage::all(images, full).map(image).collect();
        let container = |row| ShownContainer { row, full, now };
        let step = |row| ShownStep { row, full, now };
        Parts {
            images,
            containers: containers.into_iter().map(container).collect(),
            volumes: volumes.into_iter().map(ShownVolume).collect(),
            steps: build_cache.rows.into_iter().map(step).collect(),
            cache_bytes: build_cache.bytes,
            on_disk,
        }
    }

    fn document(&self) -> serde_json::Value {
        json!({
            "Images": self.images.iter().map(document).collect::<Vec<_>>(),
            "Containers": self.containers.iter().map(document).collect::<Vec<_>>(),
            "Volumes": self.volumes.iter().map(document).collect::<Vec<_>>(),
            "BuildCache": self.steps.iter().map(document).collect::<Vec<_>>(),
        })
    }

    fn show(self, context: &Context) -> Result<(), Failure> {
        let size = |bytes: u64| human_size(bytes as f64);
        context.ui.print("Images space usage:\n\n");
        rows(&context.ui, None, IMAGES, IMAGES, self.images)?;
        context.ui.print("\nContainers space usage:\n\n");
        rows(&context.ui, None, CONTAINERS, CONTAINERS, self.containers)?;
        context.ui.print("\nLocal Volumes space usage:\n\n");
        rows(&context.ui, None, VOLUMES, VOLUMES, self.volumes)?;
        context.ui.print(&format!("\nBuild cache usage: {}\n\n", size(self.cache_bytes)));
        rows(&context.ui, None, STEPS, STEPS, self.steps)?;
        context.ui.print(&format!(
            "\nOn disk:\n\nBlobs: {}\nIndexes: {}\nUnpacked layers: {}\nCompressed layers kept beside their plain form: {}\n",
            size(self.on_disk.blobs),
            size(self.on_disk.indexes),
            size(self.on_disk.folders),
            size(self.on_disk.evictable),
        ));
        Ok(())
    }
}

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
struct ShownStep {
    row: CacheRow,
    full: bool,
    now: Timestamp,
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

struct Shown {
    image: ShownImage,
    usage: ImageUsage,
    containers: usize,
    /// Whether it is part of a document, where what is not known is left empty.
    full: bool,
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

struct ShownVolume(VolumeUsage);

impl Row for ShownVolume {
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
        let VolumeUsage { volume, bytes, links } = &self.0;
        Some(Value::Str(match name {
            "Name" => volume.name.clone(),
            "Links" => links.to_string(),
            "Size" => human_size(*bytes as f64),
            "Driver" => volume.driver.clone(),
            "Scope" => volume.scope.clone(),
            "Mountpoint" => volume.mountpoint.display().to_string(),
            "Labels" => {
                let label = |(name, value): (&String, &String)| format!("{name}={value}");
                volume.labels.iter().flatten().map(label).collect::<Vec<_>>().join(",")
            }
            "Availability" | "Group" | "Status" => "N/A".to_owned(),
            _ => return None,
        }))
    }
}

impl Row for Shown {
    const FIELDS: &'static [&'static str] = ShownImage::FIELDS;

    fn field(&self, name: &str) -> Option<Value> {
        let size = |bytes: u64| Some(Value::Str(human_size(bytes as f64)));
        match name {
            "SharedSize" => size(self.usage.shared),
            "UniqueSize" => size(self.usage.unique),
            "Containers" => Some(Value::Str(self.containers.to_string())),
            "Digest" if self.full && self.image.image().digest().is_none() => {
                Some(Value::Str(String::new()))
            }
            name => self.image.field(name),
        }
    }
}
