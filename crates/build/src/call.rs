//! What a build can be asked instead of building: its arguments, its targets, its checks.
//!
//! Each answer is a value with a text for people and a document for programs, both as BuildKit
//! writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::Span;

mod check;
mod outline;
mod targets;

pub use check::{check_document, check_text};
pub use outline::{Argument, Cache, Mounted, Outline, outline};
pub use targets::{Target, Targets, targets};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// What the checks find.
    Check,
    /// The arguments, secrets and caches of a target.
    Outline,
    /// The stages that can be built.
    Targets,
    /// What can be asked.
    Describe,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Call {
    /// Reads the value of `--call`: a method, perhaps with `format=json`. Nothing for `build`.
    pub fn parse(text: &str) -> Result<Option<(Call, Format)>, String> {
        let mut fields = text.split(',');
        let method = fields.next().unwrap_or_default();
        let mut format = Format::default();
        for field in fields {
            match field.split_once('=') {
                Some(("format", "json")) => format = Format::Json,
                Some(("format", "text")) => format = Format::Text,
                Some(("format", other)) => return Err(format!("unsupported format {other:?}")),
                // Whoever wants unknown methods to be passed over is glad of a known one.
                Some(("ignorestatus" | "optional", _)) => {}
                _ => return Err(format!("invalid call option {field:?}")),
            }
        }
        let call = match method {
            "" | "build" => return Ok(None),
            "check" | "lint" | "frontend.lint" => Call::Check,
            "outline" | "frontend.outline" => Call::Outline,
            "targets" | "frontend.targets" => Call::Targets,
            "subrequests.describe" | "frontend.subrequests.describe" => Call::Describe,
            other => {
                let meant = crate::error::nearest(other, ["check", "outline", "targets", "build"]);
                let meant = meant.map(|meant| format!(" (did you mean {meant}?)"));
                return Err(format!("unknown call {other:?}{}", meant.unwrap_or_default()));
            }
        };
        Ok(Some((call, format)))
    }
}

/// What can be asked, for people.
pub fn describe_text() -> String {
    let mut rows = vec![["NAME", "VERSION", "DESCRIPTION"].map(str::to_owned).to_vec()];
    rows.extend(
        METHODS
            .iter()
            .map(|(name, about)| vec![(*name).to_owned(), "1.0.0".to_owned(), (*about).to_owned()]),
    );
    columns(&rows, 1)
}

/// What can be asked, for programs.
pub fn describe_document() -> Value {
    let method = |(name, about): &(&str, &str)| {
        let documents = match *name {
            "lint" => &["result.json", "result.txt", "result.statuscode"][..],
            _ => &["result.json", "result.txt"][..],
        };
        let documents: Vec<Value> = documents.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "name": format!("frontend.{name}"),
            "version": "1.0.0",
            "type": "rpc",
            "description": about,
            "metadata": documents,
        })
    };
    METHODS.iter().map(method).collect()
}

const METHODS: &[(&str, &str)] = &[
    ("lint", "Lint a Dockerfile"),
    ("outline", "List all parameters current build target supports"),
    ("targets", "List all targets current build supports"),
    ("subrequests.describe", "List available subrequest types"),
];

/// Rows as a table: every column as wide as its widest cell, the last as it is.
fn columns(rows: &[Vec<String>], gap: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| column + 1 < row.len()).map(|row| &row[column]);
        cells.map(|cell| cell.chars().count() + gap).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let (last, cells) = row.split_last().expect("a row has cells");
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line: String = cells.chain([last.clone()]).collect();
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// A place as BuildKit's documents give it.
fn location(span: Span) -> Value {
    let line = |line: usize| json!({ "line": line });
    json!({ "ranges": [{ "start": line(span.first), "end": line(span.last) }] })
}

/// A whole file within a document.
fn encoded(text: &str) -> Value {
    Value::String(STANDARD.encode(text))
}

/// What a comment directly above says of a name: the rest of the line that begins with it.
fn description(comments: &[String], name: &str) -> Option<String> {
    let rest = |comment: &String| {
        let (first, rest) = comment.split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case(name).then(|| rest.trim().to_owned())
    };
    comments.iter().find_map(rest)
}

/// A document with only the fields that say something.
fn without_empty(mut document: Value) -> Value {
    if let Some(fields) = document.as_object_mut() {
        let is_empty = |value: &Value| match value {
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Bool(yes) => !yes,
            _ => false,
        };
        fields.retain(|_, value| !is_empty(value));
    }
    document
}

#[cfg(test)]
mod tests;
