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
    let size = usage.usage.layers;
    let written = |row: &ContainerRow| row.size.map_or(0, |(own, _)| own);
    let runs = |row: &&ContainerRow| row.state.status.is_alive();
    let (containers, volumes) = (&usage.containers, &usage.volumes);
    let used = |volume: &&VolumeUsage| volume.links > 0;
    let all: u64 = containers.iter().map(written).sum();
    let running: u64 = containers.iter().filter(runs).map(written).sum();
    let kept: u64 = volumes.iter().filter(used).map(|volume| volume.bytes).sum();
    let bytes: u64 = volumes.iter().map(|volume| volume.bytes).sum();
    let lines = vec![
        Line {
            kind: "Images",
            total: usage.usage.images.len(),
            active: usage.users.len(),
            size,
            reclaimable: usage.usage.reclaimable,
        },
        Line {
            kind: "Containers",
            total: containers.len(),
            active: containers.iter().filter(runs).count(),
            size: all,
            reclaimable: all - running,
        },
        Line {
            kind: "Local Volumes",
            total: volumes.len(),
            active: volumes.iter().filter(used).count(),
            size: bytes,
            reclaimable: bytes - kept,
        },
        Line {
            kind: "Build Cache",
            total: usage.build_cache.rows.len(),
            active: 0,
            size: usage.build_cache.bytes,
            reclaimable: usage.build_cache.reclaimable,
        },
    ];
    rows(&context.ui, matches.string("format"), COLUMNS, COLUMNS, lines)?;
    Ok(0)
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
