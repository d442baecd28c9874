//! `mica system check`, `mica system sync`.

use engine::{CheckReport, Fault};
use serde_json::{Value, json};
use spec::{counted, human_size};

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Colour, Ui};

pub(crate) fn run(context: &Context) -> Outcome {
    let repair = context.matches().flag("repair");
    let report = context.engine()?.check(repair)?;
    let is_told = formatted(context, [document(&report)])?;
    if !is_told {
        report.faults.iter().for_each(|fault| tell(&context.ui, fault));
        context.ui.line(&summary(&report));
    }
    match report.is_clean() {
        true => Ok(0),
        false if is_told => Err(Failure::silent(1)),
        false => Err(Failure::silent(1).hint(advice(&report, repair))),
    }
}

fn document(report: &CheckReport) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "What": fault.what, "Why": fault.why,
            "Remedy": fault.remedy, "Mended": fault.mended, "Obstacle": fault.obstacle,
            "Missing": fault.missing,
        })
    };
    json!({
        "Images": report.images, "Layers": report.layers, "Blobs": report.blobs,
        "Bytes": report.bytes, "Clean": report.is_clean(),
        "Faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
    })
}

fn tell(ui: &Ui, fault: &Fault) {
    let (colour, word) = match (fault.mended, &fault.remedy) {
        (true, _) => (Colour::Green, "mended"),
        (false, Some(_)) => (Colour::Yellow, "fault"),
        (false, None) => (Colour::Red, "lost"),
    };
    let word = ui.paint(colour, word);
    ui.line(&format!("{word}: {}: {}", fault.what, fault.why));
    if let Some(obstacle) = fault.obstacle.as_ref().filter(|_| !fault.mended) {
        ui.line(&format!("  not mended: {obstacle}"));
    }
    if let (true, Some(remedy), Some(missing)) = (fault.mended, &fault.remedy, &fault.missing) {
        ui.line(&format!("  what was done: {remedy}"));
        ui.line(&format!("  may be missing: {missing}"));
    }
}

fn summary(report: &CheckReport) -> String {
    let left = report.faults.iter().filter(|fault| !fault.mended).count();
    let result = match (left, report.faults.len()) {
        (0, 0) => "all is well".to_owned(),
        (0, mended) if report.faults.iter().any(|fault| fault.missing.is_some()) => {
            format!("{}, mended as far as can be told", counted(mended, "fault"))
        }
        (0, mended) => format!("{}, all mended", counted(mended, "fault")),
        (left, _) => counted(left, "fault"),
    };
    format!(
        "Checked {}, {}, {}, {}: {result}",
        counted(report.images, "image"),
        counted(report.layers, "layer"),
        counted(report.blobs, "blob"),
        human_size(report.bytes as f64),
    )
}

fn advice(report: &CheckReport, was_repaired: bool) -> &'static str {
    let curable = report.faults.iter().any(|fault| !fault.mended && fault.remedy.is_some());
    match curable && !was_repaired {
        true => "`mica system check --repair` mends what it can",
        false => "load or pull again what is lost, or remove it with `mica rmi`",
    }
}

pub(crate) fn unmount(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let images = engine.mounted_images()?.len();
    engine.unmount_all()?;
    formatted(context, [json!({ "Images": images })])?;
    Ok(0)
}

pub(crate) fn sync(context: &Context) -> Outcome {
    let layers = context.engine()?.sync()?;
    if !formatted(context, [json!({ "Layers": layers })])? {
        context.ui.line(&format!("Layers made durable: {layers}"));
    }
    Ok(0)
}
