//! `mica system df`.

use engine::{CacheRow, ContainerRow, DiskUsage, ImageUsage, VolumeUsage};
use serde_json::json;
use spec::{Timestamp, human_size, human_size_3};

use super::containers::Shown as ShownContainer;
use super::images::ShownImage;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{self, Column, Row, rows};
use crate::template::Value;

const COLUMNS: &[Column] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
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
    rows(&context.ui, matches.string("format"), COLUMNS, COLUMNS, lines(&usage))?;
    Ok(0)
}

/// A line for each kind of thing.
fn lines(usage: &DiskUsage) -> Vec<Line> {
    let DiskUsage { usage: all, users, containers, volumes, build_cache, .. } = usage;
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
            active: users.len(),
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
    let DiskUsage { usage: all, images, users, containers, volumes, build_cache } = usage;
    let shown: Vec<Shown> = ShownImage::all(images, false)
        .map(|image| {
            let usage = all.images.get(&image.image().id).copied().unwrap_or_default();
            let containers = users.get(&image.image().id).copied().unwrap_or_default();
            Shown { image, usage, containers }
        })
        .collect();
    let now = Timestamp::now();
    let containers: Vec<_> =
        containers.into_iter().map(|row| ShownContainer { row, full: false, now }).collect();
    let volumes: Vec<_> = volumes.into_iter().map(ShownVolume).collect();
    let format = context.matches().string("format").filter(|text| !matches!(*text, "" | "table"));
    if let Some(format) = format {
        let whole = json!({
            "Images": shown.iter().map(document).collect::<Vec<_>>(),
            "Containers": containers.iter().map(document).collect::<Vec<_>>(),
            "Volumes": volumes.iter().map(document).collect::<Vec<_>>(),
            "BuildCache": build_cache.rows.iter().map(cached).collect::<Vec<_>>(),
        });
        show::document(&context.ui, Some(format), &whole)?;
        return Ok(0);
    }
    context.ui.print("Images space usage:\n\n");
    rows(&context.ui, None, IMAGES, IMAGES, shown)?;
    context.ui.print("\nContainers space usage:\n\n");
    rows(&context.ui, None, CONTAINERS, CONTAINERS, containers)?;
    context.ui.print("\nLocal Volumes space usage:\n\n");
    rows(&context.ui, None, VOLUMES, VOLUMES, volumes)?;
    let size = |bytes: u64| human_size(bytes as f64);
    context.ui.print(&format!("\nBuild cache usage: {}\n", size(build_cache.bytes)));
    context.ui.print(&format!(
        "\nOn disk:\n\nBlobs: {}\nIndexes: {}\nUnpacked layers: {}\nCompressed layers kept beside their plain form: {}\n",
        size(all.blobs),
        size(all.indexes),
        size(all.folders),
        size(all.evictable),
    ));
    Ok(0)
}

/// A remembered step of a build, as docker's document has it.
fn cached(row: &CacheRow) -> serde_json::Value {
    json!({
        "ID": row.id, "CacheType": "regular", "Description": row.text, "InUse": false,
        "Shared": row.shared, "Size": human_size(row.bytes as f64),
    })
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
    const FIELDS: &'static [&'static str] =
        &["Driver", "Labels", "Links", "Mountpoint", "Name", "Scope", "Size"];

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
            _ => return None,
        }))
    }
}

impl Row for Shown {
    const FIELDS: &'static [&'static str] = ShownImage::FIELDS;

    fn field(&self, name: &str) -> Option<Value> {
        let size = |bytes: u64| Some(Value::Str(human_size_3(bytes as f64)));
        match name {
            "Size" => size(self.usage.size),
            "SharedSize" => size(self.usage.shared),
            "UniqueSize" => size(self.usage.unique),
            "Containers" => Some(Value::Str(self.containers.to_string())),
            name => self.image.field(name),
        }
    }
}
