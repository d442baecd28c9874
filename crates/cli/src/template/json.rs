//! Values as JSON, in the form that Go's encoder gives them.

use std::fmt::Write;

use super::MAX_OUTPUT_BYTES;
use super::value::Value;

/// `value` as one line of JSON with `<`, `>` and `&` left as they are, as docker wants it.
///
/// Numbers that JSON has no words for make it fail, and so does a document that is too large.
pub(super) fn encode(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    push_value(&mut out, value)?;
    Ok(out)
}

fn push_value(out: &mut String, value: &Value) -> Result<(), String> {
    if out.len() > MAX_OUTPUT_BYTES {
        return Err("text too large".into());
    }
    match value {
        Value::Nil | Value::Unset(_) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => push_float(out, *number)?,
        Value::Str(text) => push_text(out, text),
        Value::Word(word) => push_value(out, word.text())?,
        Value::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                push_value(out, item)?;
            }
            out.push(']');
        }
        Value::Map(entries) => push_members(out, entries.iter())?,
        Value::Struct(fields) => {
            push_members(out, fields.iter().map(|(name, field)| (name, field)))?;
        }
        Value::Object(object) => {
            let mut names = object.names();
            if !object.is_document() {
                names.sort();
            }
            let fields: Vec<(String, Value)> = names
                .into_iter()
                .map(|name| {
                    let field = object.field(&name).unwrap_or_default();
                    (name, field)
                })
                .collect();
            let start = out.len();
            push_members(out, fields.iter().map(|(name, field)| (name, field)))?;
            if !object.is_document() {
                escape_html(out, start);
            }
        }
    }
    Ok(())
}

/// Escapes, from `start` on, what means something in HTML. In JSON it stands only in texts.
fn escape_html(out: &mut String, start: usize) {
    if out[start..].contains(['<', '>', '&']) {
        let written = out.split_off(start);
        for character in written.chars() {
            match character {
                '<' => out.push_str("\\u003c"),
                '>' => out.push_str("\\u003e"),
                '&' => out.push_str("\\u0026"),
                _ => out.push(character),
            }
        }
    }
}

fn push_members<'v>(
    out: &mut String,
    members: impl Iterator<Item = (&'v String, &'v Value)>,
) -> Result<(), String> {
    out.push('{');
    for (place, (name, member)) in members.enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_value(out, member)?;
    }
    out.push('}');
    Ok(())
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // The two line ends of Unicode would break JavaScript that JSON is pasted into.
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn push_float(out: &mut String, number: f64) -> Result<(), String> {
    if !number.is_finite() {
        return Err("json: unsupported value".into());
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        out.push_str(&format!("{mantissa}e{sign}{exponent}"));
    } else {
        out.push_str(&format!("{number}"));
    }
    Ok(())
}
