//! `mica system check`, `mica system sync`.

use serde_json::json;
use spec::{counted, human_size};

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show;
use crate::ui::Colour;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let report = context.engine()?.check(matches.flag("repair"))?;
    if let Some(format) = matches.string("format").filter(|text| !text.is_empty()) {
        let faults: Vec<_> = report
            .faults
            .iter()
            .map(|fault| {
                json!({
                    "What": fault.what, "Why": fault.why,
                    "Remedy": fault.remedy, "Mended": fault.mended, "Obstacle": fault.obstacle,
                })
            })
            .collect();
        let document = json!({
            "Images": report.images, "Layers": report.layers, "Blobs": report.blobs,
            "Bytes": report.bytes, "Clean": report.is_clean(), "Faults": faults,
        });
        show::document(&context.ui, Some(format), &document)?;
        return if report.is_clean() { Ok(0) } else { Err(Failure::silent(1)) };
    }
    for fault in &report.faults {
        let (colour, word) = match (fault.mended, &fault.remedy) {
            (true, _) => (Colour::Green, "mended"),
            (false, Some(_)) => (Colour::Yellow, "fault"),
            (false, None) => (Colour::Red, "lost"),
        };
        let word = context.ui.paint(colour, word);
        context.ui.line(&format!("{word}: {}: {}", fault.what, fault.why));
        if let Some(obstacle) = fault.obstacle.as_ref().filter(|_| !fault.mended) {
            context.ui.line(&format!("  not mended: {obstacle}"));
        }
    }
    context.ui.line(&format!(
        "Checked {}, {}, {}, {}: {}",
        counted(report.images, "image"),
        counted(report.layers, "layer"),
        counted(report.blobs, "blob"),
        human_size(report.bytes as f64),
        match report.faults.iter().filter(|fault| !fault.mended).count() {
            0 if report.faults.is_empty() => "all is well".to_owned(),
            0 => format!("{}, all mended", counted(report.faults.len(), "fault")),
            left => counted(left, "fault"),
        }
    ));
    if report.is_clean() {
        return Ok(0);
    }
    let curable = report.faults.iter().any(|fault| !fault.mended && fault.remedy.is_some());
    let failure = Failure::silent(1);
    Err(match curable && !matches.flag("repair") {
        true => failure.hint("`mica system check --repair` mends what it can"),
        false => {
            failure.hint("what is lost must be loaded again; `mica rmi` removes what is broken")
        }
    })
}

pub(crate) fn unmount(context: &Context) -> Outcome {
    context.engine()?.unmount_all()?;
    Ok(0)
}

pub(crate) fn sync(context: &Context) -> Outcome {
    let layers = context.engine()?.sync()?;
    if !formatted(context, [json!({ "Layers": layers })])? {
        context.ui.line(&format!("Layers made durable: {layers}"));
    }
    Ok(0)
}
