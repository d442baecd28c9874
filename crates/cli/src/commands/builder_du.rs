//! `mica builder du`: what builds remember, in docker's table, in words of one's own, or as JSON.

use std::time::UNIX_EPOCH;

use engine::{BuildCache, CacheFilter, CacheRow};
use serde_json::json;
use spec::{Timestamp, human_duration, human_size};

use super::build::flags::known_builder;
use super::builder::{filter, table};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{self, Column, Row};
use crate::template::Value;
use crate::ui::Ui;

pub(crate) fn run(context: &Context) -> Outcome {
    show_cache(context, || Ok(context.engine()?.build_cache()?))
}

/// Shows what builds remember, here or elsewhere, as the flags ask for it.
pub(crate) fn show_cache(
    context: &Context,
    read: impl FnOnce() -> Result<BuildCache, Failure>,
) -> Outcome {
    let matches = context.matches();
    known_builder(matches.string("builder"))?;
    let format = match (matches.string("format"), matches.flag("verbose")) {
        (Some(_), true) => {
            return Err(Failure::new("ERROR: --format and --verbose cannot be used together"));
        }
        (None, true) => "pretty",
        (format, false) => format.unwrap_or_default(),
    };
    let filter = filter(matches.list("filter"))?;
    let mut cache = read()?;
    cache.rows.retain(|row| filter.holds(row));
    let ui = &context.ui;
    match format {
        "" | "table" => table(ui, &cache.rows),
        "pretty" => cache.rows.iter().for_each(|row| pretty(ui, row)),
        "json" => {
            cache.rows.iter().for_each(|row| ui.line(&document(row).to_string()));
            return Ok(0);
        }
        template => {
            let rows = cache.rows.into_iter().map(Usage);
            show::rows(ui, Some(template), &[], HEADERS, rows)?;
            return Ok(0);
        }
    }
    // What is chosen of it has no sum of its own: layers may be counted with others.
    if filter == CacheFilter::default() {
        sums(ui, &cache);
    }
    Ok(0)
}

fn sums(ui: &Ui, BuildCache { bytes, reclaimable, .. }: &BuildCache) {
    let size = |bytes: u64| human_size(bytes as f64);
    ui.line(&format!("Shared:\t\t{}", size(bytes - reclaimable)));
    ui.line(&format!("Private:\t{}", size(*reclaimable)));
    ui.line(&format!("Reclaimable:\t{}", size(*reclaimable)));
    ui.line(&format!("Total:\t\t{}", size(*bytes)));
}

/// A row, a line for each thing that is known of it.
fn pretty(ui: &Ui, row: &CacheRow) {
    let lines = [
        ("ID", row.id.clone()),
        ("Created at", made(row).docker_local()),
        ("Mutable", row.is_mount().to_string()),
        ("Reclaimable", (!row.shared).to_string()),
        ("Shared", row.shared.to_string()),
        ("Size", human_size(row.bytes as f64)),
        ("Description", row.text.clone()),
        ("Usage count", "1".to_owned()),
        ("Last used", last_used(row)),
        ("Type", row.kind().to_owned()),
    ];
    for (name, value) in lines {
        ui.line(&format!("{:<14}{value}", format!("{name}:")));
    }
    ui.line("");
}

/// A row as buildx's JSON has it. Steps do not know those that they stand on.
fn document(row: &CacheRow) -> serde_json::Value {
    json!({
        "CreatedAt": made(row).to_string(),
        "Description": row.text,
        "ID": row.id,
        "LastUsedAt": used(row).to_string(),
        "Mutable": row.is_mount(),
        "Parents": null,
        "Reclaimable": !row.shared,
        "Shared": row.shared,
        "Size": row.bytes.to_string(),
        "Type": row.kind(),
        "UsageCount": 1,
    })
}

fn made(row: &CacheRow) -> Timestamp {
    Timestamp::from_unix(row.made, 0)
}

fn used(row: &CacheRow) -> Timestamp {
    let since = row.used.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or_default(), 0)
}

fn last_used(row: &CacheRow) -> String {
    format!("{} ago", human_duration(i64::try_from(row.idle().as_secs()).unwrap_or_default()))
}

const HEADERS: &[Column] = &[
    ("ID", "ID"),
    ("Parents", "PARENTS"),
    ("CreatedAt", "CREATED AT"),
    ("Mutable", "MUTABLE"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Shared", "SHARED"),
    ("Size", "SIZE"),
    ("Description", "DESCRIPTION"),
    ("UsageCount", "USAGE COUNT"),
    ("LastUsedAt", "LAST ACCESSED"),
    ("Type", "TYPE"),
];

/// A row for templates: a star stands behind what may still change, and behind what others have too.
struct Usage(CacheRow);

impl Row for Usage {
    const KIND: &'static str = "*commands.diskusageContext";
    const FIELDS: &'static [&'static str] = &[
        "CreatedAt",
        "Description",
        "ID",
        "LastUsedAt",
        "Mutable",
        "Parents",
        "Reclaimable",
        "Shared",
        "Size",
        "Type",
        "UsageCount",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        let row = &self.0;
        let starred = |text: String, is_starred: bool| if is_starred { text + "*" } else { text };
        Some(match name {
            "ID" => Value::Str(starred(row.id.clone(), row.is_mount())),
            "Parents" => Value::List(Vec::new()),
            "CreatedAt" => Value::Str(made(row).docker_local()),
            "Mutable" => Value::Bool(row.is_mount()),
            "Reclaimable" => Value::Bool(!row.shared),
            "Shared" => Value::Bool(row.shared),
            "Size" => Value::Str(starred(human_size(row.bytes as f64), row.shared)),
            "Description" => Value::Str(row.text.clone()),
            "UsageCount" => Value::Int(1),
            "LastUsedAt" => Value::Str(last_used(row)),
            "Type" => Value::Str(row.kind().to_owned()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn row(text: &str) -> CacheRow {
        let (id, text) = ("abc".to_owned(), text.to_owned());
        let used = SystemTime::now() - Duration::from_secs(7200);
        CacheRow { id, text, bytes: 1_653_000_000, made: 1_700_000_000, used, shared: true }
    }

    #[test]
    fn records_are_told_in_buildxs_words() {
        let told = document(&row("RUN make"));
        assert_eq!(told["CreatedAt"], "2023-11-14T22:13:20Z");
        assert_eq!((&told["Size"], &told["Type"]), (&json!("1653000000"), &json!("regular")));
        let shown = |format: &str, text: &str| {
            show::rendered(Some(format), &[], HEADERS, [Usage(row(text))]).unwrap_or_default()
        };
        assert_eq!(shown("{{.ID}}: {{.Size}}", "RUN"), "abc: 1.653GB*\n");
        assert_eq!(shown("{{.ID}} {{.Mutable}}", "cache mount x"), "abc* true\n");
        assert_eq!(
            shown("table {{.ID}}\t{{.Description}}", "RUN x"),
            "ID        DESCRIPTION\nabc       RUN x\n"
        );
    }
}
