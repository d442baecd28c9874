//! `mica system df`.

use engine::{DiskUsage, ImageUsage};
use serde_json::json;
use spec::{human_size, human_size_3};

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
    let usage = usage.usage;
    let images = Line {
        kind: "Images",
        total: usage.images.len(),
        active: usage.active.len(),
        size: usage.layers,
        reclaimable: usage.reclaimable,
    };
    let containers = Line {
        kind: "Containers",
        total: usage.tops.len(),
        active: usage.tops.values().filter(|top| top.mounted).count(),
        size: usage.tops_bytes(),
        reclaimable: usage.tops_reclaimable(),
    };
    let none = |kind| Line { kind, total: 0, active: 0, size: 0, reclaimable: 0 };
    let lines = vec![images, containers, none("Local Volumes"), none("Build Cache")];
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
    let DiskUsage { usage: all, images } = usage;
    let shown: Vec<Shown> = ShownImage::all(images, false)
        .map(|image| {
            let usage = all.images.get(&image.image().id).copied().unwrap_or_default();
            Shown { image, usage }
        })
        .collect();
    let format = context.matches().string("format").filter(|text| !matches!(*text, "" | "table"));
    if let Some(format) = format {
        let images: Vec<_> = shown.iter().map(document).collect();
        let whole = json!({ "Images": images, "Containers": [], "Volumes": [], "BuildCache": [] });
        show::document(&context.ui, Some(format), &whole)?;
        return Ok(0);
    }
    context.ui.print("Images space usage:\n\n");
    rows(&context.ui, None, IMAGES, IMAGES, shown)?;
    let size = |bytes: u64| human_size(bytes as f64);
    context.ui.print(&format!(
        "\nOn disk:\n\nBlobs: {}\nIndexes: {}\nUnpacked layers: {}\nCompressed layers kept beside their plain form: {}\n",
        size(all.blobs),
        size(all.indexes),
        size(all.folders),
        size(all.evictable),
    ));
    Ok(0)
}

/// A row as an element of docker's document over everything.
fn document(row: &Shown) -> serde_json::Value {
    let text = |name: &&str| match row.field(name) {
        Some(Value::Str(text)) => ((*name).to_owned(), json!(text)),
        _ => ((*name).to_owned(), json!(null)),
    };
    Shown::FIELDS.iter().map(text).collect::<serde_json::Map<_, _>>().into()
}

struct Shown {
    image: ShownImage,
    usage: ImageUsage,
}

impl Row for Shown {
    const FIELDS: &'static [&'static str] = ShownImage::FIELDS;

    fn field(&self, name: &str) -> Option<Value> {
        let size = |bytes: u64| Some(Value::Str(human_size_3(bytes as f64)));
        match name {
            "Size" => size(self.usage.size),
            "SharedSize" => size(self.usage.shared),
            "UniqueSize" => size(self.usage.unique),
            "Containers" => Some(Value::Str("0".to_owned())),
            name => self.image.field(name),
        }
    }
}
