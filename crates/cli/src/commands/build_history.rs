//! `mica buildx history`: builds that were, and what they told.

use std::fmt::Write as _;
use std::time::Duration;

use engine::{BuildOutcome, BuildRecord, Engine, StepOutcome};
use spec::{Timestamp, human_duration};

use super::build::show::Style;
use super::tar_out::write_tar;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, indented, rows, templated};
use crate::template::Value;
use crate::ui::cut;

const COLUMNS: &[Column] = &[
    ("Ref", "BUILD ID"),
    ("Name", "NAME"),
    ("Status", "STATUS"),
    ("CreatedAt", "CREATED AT"),
    ("Duration", "DURATION"),
];
const HEADERS: &[Column] = COLUMNS;
/// As much of a name as fits beside the rest.
const NAME_LETTERS: usize = 30;

pub(crate) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let filters = Filters::parse(matches.list("filter"))?;
    let builds = context.engine()?.builds().into_iter().filter(|record| filters.take(record));
    let full = matches.flag("no-trunc");
    let shown = builds.map(|record| Shown { record, full });
    rows(&context.ui, matches.string("format"), COLUMNS, HEADERS, shown)?;
    Ok(0)
}

pub(crate) fn logs(context: &Context) -> Outcome {
    let style = match context.matches().string("progress").unwrap_or("plain") {
        "plain" => Style::Plain,
        "rawjson" => Style::Raw,
        "tty" => Style::Terminal,
        other => return Err(Failure::new(format!("ERROR: unsupported progress style: {other}"))),
    };
    let engine = context.engine()?;
    let record = wanted(context, &engine)?;
    let watch = style.watch(context);
    engine.replay_build(&record, &*watch)?;
    watch.over();
    Ok(0)
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let record = wanted(context, &engine)?;
    let document =
        || serde_json::to_value(&record).map_err(|error| Failure::new(error.to_string()));
    match context.matches().string("format").unwrap_or_default() {
        "" | "pretty" => context.ui.print(&told(&record)),
        "json" => context.ui.line(&indented(&document()?)),
        format => context.ui.line(&templated(format, &document()?)?),
    }
    Ok(0)
}

pub(crate) fn remove(context: &Context) -> Outcome {
    let engine = context.engine()?;
    let matches = context.matches();
    let names = context.names();
    if names.is_empty() != matches.flag("all") {
        let words = "ERROR: give the ids of builds, or --all";
        return Err(Failure::new(words));
    }
    let records = match names.is_empty() {
        true => {
            let ended = |record: &BuildRecord| record.outcome != BuildOutcome::Running;
            engine.builds().into_iter().filter(ended).collect()
        }
        false => names.iter().map(|name| engine.find_build(name)).collect::<Result<Vec<_>, _>>()?,
    };
    for record in records {
        engine.forget_build(&record)?;
        if !names.is_empty() {
            context.ui.line(&record.id);
        }
    }
    Ok(0)
}

pub(crate) fn export(context: &Context) -> Outcome {
    let name = name(context);
    write_tar(context, "build", |engine, out| engine.export_build(&engine.find_build(name)?, out))
}

/// Which build is meant; the last one if none is named.
fn name(context: &Context) -> &str {
    context.names().first().map(String::as_str).unwrap_or_default()
}

fn wanted(context: &Context, engine: &Engine) -> Result<BuildRecord, Failure> {
    Ok(engine.find_build(name(context))?)
}

/// A build in words, as buildx has them, and then what its time went into.
fn told(record: &BuildRecord) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<15} {value}");
        }
    };
    line("Name:", &record.name);
    line("Context:", &record.context);
    line("Dockerfile:", &record.dockerfile);
    line("Target:", record.target.as_deref().unwrap_or_default());
    line("Platforms:", &record.platforms.join(", "));
    line("Started:", &record.created.docker_local());
    line("Duration:", &seconds(record.took));
    line("Status:", status(record));
    if let BuildOutcome::Failed { error } = &record.outcome {
        line("Error:", error);
    }
    if let BuildOutcome::Completed { images } = &record.outcome {
        images.iter().for_each(|image| line("Image:", &image.to_string()));
    }
    let all = record.steps.iter().filter(|step| step.number.is_some()).count();
    let (done, cached) = (record.completed_steps(), record.cached_steps());
    let share = (100 * cached).checked_div(done).unwrap_or_default();
    line("Build Steps:", &format!("{done}/{all} ({share}% cached)"));
    if !record.arguments.is_empty() {
        text += "\nBuild arguments:\n";
        for (name, value) in &record.arguments {
            let _ = writeln!(text, "  {name}={value}");
        }
    }
    let critical = record.critical_path();
    text += "\nSteps, those of the critical path with *:\n";
    for (at, step) in record.steps.iter().enumerate() {
        let Some(number) = step.number else { continue };
        let mark = if critical.contains(&at) { '*' } else { ' ' };
        let became = match step.outcome {
            StepOutcome::Untold => "",
            StepOutcome::Cached => "cached",
            StepOutcome::Done => "done",
            StepOutcome::Failed => "failed",
        };
        let (number, took) = (format!("#{number}"), seconds(step.took));
        let _ = writeln!(text, "{mark} {number:<5}{became:<8}{took:>8}  {}", step.title);
    }
    text
}

fn seconds(nanos: u64) -> String {
    let took = Duration::from_nanos(nanos);
    match took.as_secs() {
        0..60 => format!("{:.1}s", took.as_secs_f64()),
        seconds => format!("{}m {:>2}s", seconds / 60, seconds % 60),
    }
}

fn status(record: &BuildRecord) -> &'static str {
    match record.outcome {
        BuildOutcome::Running => "Running",
        BuildOutcome::Completed { .. } => "Completed",
        BuildOutcome::Failed { .. } => "Error",
        BuildOutcome::Killed => "Canceled",
    }
}

struct Shown {
    record: BuildRecord,
    full: bool,
}

impl Row for Shown {
    const FIELDS: &'static [&'static str] = &[
        "CompletedAt",
        "CreatedAt",
        "Duration",
        "Name",
        "NumCachedSteps",
        "NumCompletedSteps",
        "Ref",
        "Status",
    ];

    fn field(&self, name: &str) -> Option<Value> {
        let record = &self.record;
        let count = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        let ago = |time: Timestamp| {
            format!("{} ago", human_duration(Timestamp::now().seconds_since(time)))
        };
        Some(match name {
            "Ref" => Value::Str(record.id.clone()),
            "Name" if self.full => Value::Str(record.name.clone()),
            "Name" => Value::Str(cut(&record.name, NAME_LETTERS)),
            "Status" => Value::Str(status(record).to_owned()),
            "CreatedAt" => Value::Str(ago(record.created)),
            "CompletedAt" => {
                let took = i64::try_from(record.took).unwrap_or(i64::MAX);
                Value::Str(ago(record.created.plus_nanos(took)))
            }
            "Duration" => Value::Str(seconds(record.took)),
            "NumCompletedSteps" => count(record.completed_steps()),
            "NumCachedSteps" => count(record.cached_steps()),
            _ => return None,
        })
    }
}

/// `--filter` by status, name and id.
#[derive(Default)]
struct Filters(Vec<(String, String)>);

impl Filters {
    fn parse(texts: &[String]) -> Result<Filters, Failure> {
        let filter = |text: &String| match text.split_once('=') {
            Some((key @ ("status" | "name" | "ref"), value)) => {
                Ok((key.to_owned(), value.to_owned()))
            }
            _ => Err(Failure::new(format!("ERROR: invalid filter {text:?}"))
                .hint("filter by status=…, name=… or ref=…")),
        };
        texts.iter().map(filter).collect::<Result<_, _>>().map(Filters)
    }

    fn take(&self, record: &BuildRecord) -> bool {
        self.0.iter().all(|(key, value)| match key.as_str() {
            "status" => status(record).eq_ignore_ascii_case(value),
            "name" => record.name.contains(value),
            _ => record.id.starts_with(value),
        })
    }
}
