//! `mica image diff`, `why`, `files`, `tree`.

use engine::{DiffEntry, FileRow, ImageDiff, TreeRow, WhyRow};
use serde_json::json;
use spec::{Timestamp, human_size, human_size_3};

use super::formatted;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, long_rows, rows};
use crate::template::Value;
use crate::ui::Colour;

pub(crate) fn diff(context: &Context) -> Outcome {
    let names = context.names();
    let diff = context.engine()?.image_diff(&names[0], &names[1])?;
    match context.matches().string("format").filter(|text| !text.is_empty()) {
        Some("json") => diff_json(context, &diff)?,
        Some(format) => {
            let mut files = Vec::new();
            diff.each_file(&mut |entry| files.push(entry_json(&entry)))?;
            let document = json!({ "Files": files, "Config": config_json(&diff) });
            crate::show::document(&context.ui, Some(format), &document)?;
        }
        None => {
            let mut pieces = context.ui.pieces();
            diff.each_file(&mut |entry| pieces.line(&entry_line(context, &entry)))?;
            for (field, before, after) in &diff.config {
                pieces.line(&format!("config {field}: {before} -> {after}"));
            }
        }
    }
    Ok(0)
}

fn entry_line(context: &Context, entry: &DiffEntry) -> String {
    let (letter, colour) = match letter(entry) {
        "A" => ("A", Colour::Green),
        "D" => ("D", Colour::Red),
        letter => (letter, Colour::Yellow),
    };
    let path = shown(&entry.path);
    let size = match (entry.before, entry.after) {
        (Some(before), Some(after)) if before != after => {
            format!(" ({} -> {})", human_size(before as f64), human_size(after as f64))
        }
        (None, Some(size)) | (Some(size), None) if size > 0 => {
            format!(" ({})", human_size(size as f64))
        }
        _ => String::new(),
    };
    let size = context.ui.paint(Colour::Faint, &size);
    format!("{} {path}{size}", context.ui.paint(colour, letter))
}

/// A file's name on one line, with nothing in it that a terminal would obey.
fn shown(path: &[u8]) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(path).chars() {
        match letter.is_control() {
            true => text.extend(letter.escape_default()),
            false => text.push(letter),
        }
    }
    text
}

/// The document on one line, its files as they are found.
fn diff_json(context: &Context, diff: &ImageDiff) -> Result<(), Failure> {
    let mut pieces = context.ui.pieces();
    let mut before = "{\"Files\":[";
    diff.each_file(&mut |entry| {
        pieces.text(std::mem::replace(&mut before, ","));
        pieces.text(&entry_json(&entry).to_string());
    })?;
    if before != "," {
        pieces.text(before);
    }
    pieces.line(&format!("],\"Config\":{}}}", config_json(diff)));
    Ok(())
}

fn config_json(diff: &ImageDiff) -> serde_json::Value {
    let field = |(field, before, after): &(String, serde_json::Value, serde_json::Value)| json!({ "Field": field, "Before": before, "After": after });
    diff.config.iter().map(field).collect()
}

fn letter(entry: &DiffEntry) -> &'static str {
    match (&entry.before, &entry.after) {
        (None, _) => "A",
        (_, None) => "D",
        _ => "C",
    }
}

fn entry_json(entry: &DiffEntry) -> serde_json::Value {
    json!({
        "Kind": letter(entry), "Path": String::from_utf8_lossy(&entry.path),
        "Before": entry.before, "After": entry.after,
    })
}

const WHY: &[Column] =
    &[("Layer", "LAYER"), ("Change", "CHANGE"), ("Size", "SIZE"), ("CreatedBy", "CREATED BY")];

pub(crate) fn why(context: &Context) -> Outcome {
    let names = context.names();
    let found = context.engine()?.why(&names[0], &names[1])?;
    rows(&context.ui, context.matches().string("format"), WHY, WHY, found)?;
    Ok(0)
}

impl Row for WhyRow {
    const FIELDS: &'static [&'static str] = &["Change", "CreatedBy", "DiffID", "Layer", "Size"];

    fn field(&self, name: &str) -> Option<Value> {
        Some(Value::Str(match name {
            "Layer" => (self.layer + 1).to_string(),
            "DiffID" => self.diff.clone(),
            "Change" => self.what.to_owned(),
            "Size" => human_size_3(self.size as f64),
            "CreatedBy" => self.created_by.clone(),
            _ => return None,
        }))
    }
}

const FILES: &[Column] = &[
    ("Mode", "MODE"),
    ("Owner", "OWNER"),
    ("Size", "SIZE"),
    ("Modified", "MODIFIED"),
    ("Path", "PATH"),
];

pub(crate) fn files(context: &Context) -> Outcome {
    let names = context.names();
    let below = names.get(1).map_or("/", String::as_str);
    let files = context.engine()?.image_files(&names[0], below)?;
    if context.matches().flag("quiet") {
        let mut pieces = context.ui.pieces();
        for row in files.rows()? {
            pieces.bytes(&row?.path);
            pieces.text("\n");
        }
        return Ok(0);
    }
    let format = context.matches().string("format");
    let walk = || Ok(files.rows()?.map(|row| row.map_err(Failure::from)));
    long_rows(&context.ui, format, FILES, FILES, walk)?;
    Ok(0)
}

/// A time; as seconds where no year of four digits has it.
fn modified(seconds: i64) -> String {
    let time = Timestamp::from_unix(seconds, 0);
    match time.unix_seconds() == seconds {
        true => time.to_string(),
        false => format!("@{seconds}"),
    }
}

impl Row for FileRow {
    const FIELDS: &'static [&'static str] =
        &["Gid", "Layer", "Mode", "Modified", "Owner", "Path", "Size", "Target", "Uid"];

    fn field(&self, name: &str) -> Option<Value> {
        let text = shown;
        Some(match name {
            "Mode" => Value::Str(mode_text(self.mode)),
            "Owner" => Value::Str(format!("{}:{}", self.uid, self.gid)),
            "Uid" => Value::Int(i64::from(self.uid)),
            "Gid" => Value::Int(i64::from(self.gid)),
            "Size" => Value::Int(self.size as i64),
            "Modified" => Value::Str(modified(self.mtime)),
            "Layer" => Value::Int(self.layer as i64 + 1),
            "Target" => Value::Str(self.target.as_deref().map(text).unwrap_or_default()),
            "Path" => Value::Str(match &self.target {
                Some(target) => format!("{} -> {}", text(&self.path), text(target)),
                None => text(&self.path),
            }),
            _ => return None,
        })
    }
}

/// `drwxr-xr-x`, as `ls` writes it.
fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Layers and the images on them, drawn as a tree.
pub(crate) fn tree(context: &Context) -> Outcome {
    let found = context.engine()?.layer_tree()?;
    if formatted(context, found.iter().map(tree_json))? {
        return Ok(0);
    }
    for row in &found {
        let mut pieces = vec![
            (None, "  ".repeat(row.depth)),
            (Some(Colour::Faint), row.chain.0.short()),
            (None, format!(" {}", human_size_3(row.size as f64))),
        ];
        for (id, names) in &row.images {
            let names = if names.is_empty() { "<none>".to_owned() } else { names.join(", ") };
            let total = human_size_3(row.total as f64);
            pieces.push((None, "  ".to_owned()));
            pieces.push((Some(Colour::Green), names));
            pieces.push((None, format!(" ({}, {total} in all)", id.0.short())));
        }
        context.ui.line(&context.ui.fitted(&pieces));
    }
    Ok(0)
}

fn tree_json(row: &TreeRow) -> serde_json::Value {
    let images: Vec<_> = row
        .images
        .iter()
        .map(|(id, names)| json!({ "ID": id.to_string(), "Names": names }))
        .collect();
    json!({
        "Chain": row.chain.to_string(), "Depth": row.depth, "Size": row.size,
        "Total": row.total, "Images": images,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_calendar_of_ours_has_are_told_in_seconds() {
        assert_eq!(modified(0), "1970-01-01T00:00:00Z");
        assert_eq!(modified(-1), "1969-12-31T23:59:59Z");
        assert_eq!(modified(281_474_976_710_656), "@281474976710656");
        assert_eq!(modified(-99_999_999_999), "@-99999999999");
    }
}
