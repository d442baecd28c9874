//! `mica builder prune`: what builds remember is let go.

use std::time::{Duration, SystemTime};

use engine::{CacheRow, KeepCache, PruneCache};
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
    let request = PruneCache { all, until: until(matches.list("filter"))?, keep };
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
        let idle = SystemTime::now().duration_since(row.used).unwrap_or_default();
        let ago = format!("{} ago", human_duration(i64::try_from(idle.as_secs()).unwrap_or(0)));
        let (id, size) = (row.id.get(..25).unwrap_or(&row.id), human_size(row.bytes as f64));
        let step: String = row.text.chars().take(60).collect();
        ui.line(&format!("{id:<26}{:<12}{size:<12}{ago:<24}{step}", !row.shared));
    }
}

/// `--filter until=24h`, the only one that there is a meaning for.
pub(super) fn until(filters: &[String]) -> Result<Option<Duration>, Failure> {
    let mut until = None;
    for text in filters.iter().filter(|text| !text.is_empty()) {
        let Some(("until" | "unused-for", time)) = text.split_once('=') else {
            return Err(Failure::new(format!("ERROR: invalid filter {text:?}")));
        };
        let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("ERROR: {text:?}: {why}"));
        let nanos = spec::parse_go_duration(time).map_err(|error| wrong(&error))?;
        let nanos = u64::try_from(nanos).map_err(|error| wrong(&error))?;
        until = Some(Duration::from_nanos(nanos));
    }
    Ok(until)
}
