//! `mica builder prune`: what builds remember is let go.

use engine::{CacheFilter, CacheRow, KeepCache, PruneCache};
use spec::{human_duration, human_size};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::Ui;

const SURE: &str = "Are you sure you want to continue? [y/N] ";

pub(crate) fn prune(context: &Context) -> Outcome {
    let matches = context.matches();
    let all = matches.flag("all");
    let what = if all { "all build cache" } else { "all dangling build cache" };
    let question = format!("WARNING! This will remove {what}. {SURE}");
    if !matches.flag("force") && !context.ui.confirm(&question, false) {
        return Ok(0);
    }
    let bytes = |name: &str| {
        let bytes = matches.size_bytes(name).filter(|bytes| *bytes > 0);
        bytes.and_then(|bytes| u64::try_from(bytes).ok())
    };
    let keep = KeepCache {
        // Docker's older name for it.
        reserved: bytes("reserved-space").or(bytes("keep-storage")),
        max_used: bytes("max-used-space"),
        min_free: bytes("min-free-space"),
    };
    let filter = filter(matches.list("filter"))?;
    let request = PruneCache { all, until: filter.unused(), filters: vec![filter], keep };
    let (gone, freed) = context.engine()?.prune_cache(&request)?;
    table(&context.ui, &gone);
    context.ui.line(&format!("Total:\t{}", human_size(freed as f64)));
    Ok(0)
}

pub(super) fn table(ui: &Ui, rows: &[CacheRow]) {
    if rows.is_empty() {
        return;
    }
    ui.line(&format!(
        "{:<26}{:<12}{:<12}{:<24}{}",
        "ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "STEP"
    ));
    for row in rows {
        let idle = i64::try_from(row.idle().as_secs()).unwrap_or(0);
        let ago = format!("{} ago", human_duration(idle));
        let (id, size) = (row.id.get(..25).unwrap_or(&row.id), human_size(row.bytes as f64));
        let step: String = row.text.chars().take(60).collect();
        ui.line(&format!("{id:<26}{:<12}{size:<12}{ago:<24}{step}", !row.shared));
    }
}

/// Which of what builds remember is meant by `--filter`.
pub(super) fn filter(texts: &[String]) -> Result<CacheFilter, Failure> {
    let texts = texts.iter().map(String::as_str).filter(|text| !text.is_empty());
    CacheFilter::read(texts).map_err(|error| {
        Failure::new(format!("ERROR: {error}"))
            .hint(format!("there are until and {}", CacheFilter::FIELDS.join(", ")))
    })
}
