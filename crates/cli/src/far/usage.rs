//! `stats` and `system df` elsewhere.

use std::time::{Duration, UNIX_EPOCH};

use client::Request;
use engine::{BuildCache, CacheRow};
use serde_json::{Value, json};
use spec::Timestamp;

use super::containers::Told;
use super::images::Named;
use super::volumes;
use crate::commands::builder_du::show_cache;
use crate::commands::containers::Shown as ShownContainer;
use crate::commands::df::{Line, Parts, ShownStep, in_document, show_lines};
use crate::commands::images::{Measured, Shown as ShownImage};
use crate::commands::stats::{Figures, Source, watch};
use crate::commands::volume::Shown as ShownVolume;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn stats(context: &Context) -> Outcome {
    watch(context, &Elsewhere { context })
}

/// What an engine elsewhere says that containers use.
struct Elsewhere<'a> {
    context: &'a Context,
}

impl Elsewhere<'_> {
    /// Whose figures are wanted: those that are named, or all, or all that run, at any moment.
    fn names(&self) -> Result<Vec<String>, Failure> {
        if !self.context.names().is_empty() {
            return Ok(self.context.names().to_vec());
        }
        let request =
            Request::get("/containers/json").flag("all", self.context.matches().flag("all"));
        let rows: Vec<Value> = self.context.far()?.call(request)?;
        let id = |row: &Value| row["Id"].as_str().unwrap_or_default().chars().take(12).collect();
        Ok(rows.iter().map(id).collect())
    }
}

impl Source for Elsewhere<'_> {
    type Sample = Value;

    fn samples(&self) -> Result<Vec<(String, Value)>, Failure> {
        let named = !self.context.names().is_empty();
        let mut samples = Vec::new();
        for name in self.names()? {
            let request = Request::get(format!("/containers/{name}/stats"))
                .with("stream", "0")
                .with("one-shot", "1");
            match self.context.far()?.call(request) {
                Ok(sample) => samples.push((name, sample)),
                // It was removed meanwhile.
                Err(error) if error.is_missing() && !named => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(samples)
    }

    fn figures(now: &Value, before: Option<&Value>) -> Figures {
        let memory = &now["memory_stats"];
        let sum = |name: &str| {
            let links = now["networks"].as_object().into_iter().flatten();
            links.filter_map(|(_, link)| link[name].as_u64()).sum::<u64>()
        };
        let blocks = |operation: &str| {
            let rows = now["blkio_stats"]["io_service_bytes_recursive"].as_array();
            let own = |row: &&Value| {
                row["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case(operation))
            };
            rows.into_iter().flatten().filter(own).filter_map(|row| row["value"].as_u64()).sum()
        };
        let name = now["name"].as_str().unwrap_or_default();
        Figures {
            id: Elsewhere::id(now).to_owned(),
            name: name.trim_start_matches('/').to_owned(),
            processors: before.map_or(0.0, |before| processors(now, before)),
            memory: memory_used(memory),
            memory_limit: memory["limit"].as_u64().unwrap_or_default(),
            network: (sum("rx_bytes"), sum("tx_bytes")),
            blocks: (blocks("read"), blocks("write")),
            pids: now["pids_stats"]["current"].as_u64().unwrap_or_default(),
        }
    }

    fn id(sample: &Value) -> &str {
        sample["id"].as_str().unwrap_or_default()
    }
}

/// Files that are only kept at hand do not count, as far as the kernel says which they are: by
/// another name in each version of control groups.
fn memory_used(memory: &Value) -> u64 {
    let used = memory["usage"].as_u64().unwrap_or_default();
    let count = |name: &str| memory["stats"][name].as_u64();
    let cached = count("total_inactive_file").or(count("inactive_file")).unwrap_or_default();
    if cached < used { used - cached } else { used }
}

/// The share of one processor's time between two samples: the machine's own counts are the clock.
fn processors(now: &Value, before: &Value) -> f64 {
    let used = |sample: &Value| sample["cpu_stats"]["cpu_usage"]["total_usage"].as_u64();
    let all = |sample: &Value| sample["cpu_stats"]["system_cpu_usage"].as_u64();
    let between = |of: &dyn Fn(&Value) -> Option<u64>| {
        of(now).unwrap_or_default().saturating_sub(of(before).unwrap_or_default()) as f64
    };
    let online = now["cpu_stats"]["online_cpus"].as_f64().unwrap_or(1.0);
    match between(&all) {
        0.0 => 0.0,
        elapsed => between(&used) / elapsed * online,
    }
}

pub(super) fn df(context: &Context) -> Outcome {
    let told: Value = context.far()?.call(Request::get("/system/df"))?;
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    let (images, containers) = (list("Images"), list("Containers"));
    let (volumes, steps) = (list("Volumes"), list("BuildCache"));
    if !context.matches().flag("verbose") {
        let layers = number(&told, "LayersSize");
        return show_lines(
            context,
            vec![
                image_line(layers, &images),
                Line::of("Containers", &containers, |row| (number(row, "SizeRw"), is_alive(row))),
                Line::of("Local Volumes", &volumes, |volume| {
                    let usage = &volume["UsageData"];
                    (number(usage, "Size"), number(usage, "RefCount") > 0)
                }),
                step_line(&steps),
            ],
        );
    }
    let (full, now) = (in_document(context), Timestamp::now());
    let image = |told: &Value| {
        let row = |image| ShownImage { image, measured: Some(measured(told)), full, now };
        Named::all(told, true).into_iter().map(row).collect::<Vec<_>>()
    };
    let container = |mut row: Value| {
        // What it has of its image is counted with the images.
        row["SizeRootFs"] = json!(0);
        ShownContainer { row: Told(row), full, now }
    };
    let volume = |told: &Value| ShownVolume {
        volume: volumes::volume(told),
        measured: Some((
            number(&told["UsageData"], "Size"),
            number(&told["UsageData"], "RefCount"),
        )),
    };
    let parts = Parts {
        cache_bytes: step_line(&steps).size,
        images: images.iter().flat_map(image).collect(),
        containers: containers.into_iter().map(container).collect(),
        volumes: volumes.iter().map(volume).collect(),
        steps: steps.iter().map(|told| ShownStep { row: step(told), full, now }).collect(),
        on_disk: None,
    };
    parts.show(context)
}

/// `buildx du` elsewhere.
pub(super) fn cache(context: &Context) -> Outcome {
    show_cache(context, || {
        let told: Value =
            context.far()?.call(Request::get("/system/df").with("type", "build-cache"))?;
        let steps = told["BuildCache"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<CacheRow> = steps.iter().map(step).collect();
        let size = |shared: bool| {
            let own = rows.iter().filter(|row| shared || !row.shared);
            own.map(|row| row.bytes).sum::<u64>()
        };
        let (bytes, reclaimable) = (size(true), size(false));
        Ok(BuildCache { rows, bytes, reclaimable })
    })
}

/// A number of a document; one that is not known, which docker says with -1, is none.
fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_default()
}

fn is_alive(row: &Value) -> bool {
    matches!(row["State"].as_str(), Some("running" | "paused" | "restarting"))
}

fn measured(told: &Value) -> Measured {
    let shared = number(told, "SharedSize");
    let unique = number(told, "Size").saturating_sub(shared);
    Measured { shared, unique, containers: number(told, "Containers") }
}

/// What images take: their layers, each once.
fn image_line(layers: u64, images: &[Value]) -> Line {
    let used = images.iter().map(measured).filter(|image| image.containers > 0);
    let (mut active, mut bytes) = (0, 0);
    for image in used {
        active += 1;
        bytes += image.unique;
    }
    let reclaimable = layers.saturating_sub(bytes);
    Line { kind: "Images", total: images.len(), active, size: layers, reclaimable }
}

/// What builds remember. What images have too is counted there.
fn step_line(steps: &[Value]) -> Line {
    let own: Vec<_> = steps.iter().filter(|step| step["Shared"] != true).collect();
    let line = Line::of("Build Cache", &own, |step| (number(step, "Size"), step["InUse"] == true));
    Line { total: steps.len(), ..line }
}

fn step(told: &Value) -> CacheRow {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let seconds = |name: &str| text(name).parse().map_or(0, |time: Timestamp| time.unix_seconds());
    let used = u64::try_from(seconds("LastUsedAt")).unwrap_or_default();
    CacheRow {
        id: text("ID"),
        text: text("Description"),
        bytes: number(told, "Size"),
        made: seconds("CreatedAt"),
        used: UNIX_EPOCH + Duration::from_secs(used),
        shared: told["Shared"] == true,
    }
}
