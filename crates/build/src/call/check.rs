//! `--call=check`: what the checks find, written as buildx writes it, and our advice below.

use serde_json::{Value, json};

use super::{encoded, location};
use crate::error::{BuildError, Excerpts};
use crate::lint::{Finding, Report};

/// For people; `file` is the Dockerfile's name.
pub fn check_text(found: &Result<Report, BuildError>, file: &str, text: &str) -> String {
    let report = match found {
        Ok(report) => report,
        Err(error) => return error_text(error, file, text),
    };
    let mut shown = match report.warnings().count() {
        0 if report.refused.is_some() => String::new(),
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    let excerpts = Excerpts::of(file, text);
    let warnings = report.warnings().map(|found| ("WARNING", found));
    for (word, found) in warnings.chain(report.advice().map(|found| ("ADVICE", found))) {
        let Finding { rule, message, span, hint, edits, .. } = found;
        shown.push_str(&format!("\n{word}: {}\n{message}\n", rule.name));
        shown.push_str(&excerpts.at(*span));
        shown.push_str(&format!("why: {}\n", rule.why));
        let by_itself = if edits.is_empty() { "" } else { " (--fix does it)" };
        if let Some(hint) = hint {
            shown.push_str(&format!("hint: {hint}{by_itself}\n"));
        }
    }
    if let Some(error) = &report.refused {
        let space = if shown.is_empty() { "" } else { "\n" };
        shown.push_str(&format!("{space}{}", error_text(error, file, text)));
    }
    shown
}

fn error_text(error: &BuildError, file: &str, text: &str) -> String {
    let lines = error.excerpt(file, text).unwrap_or_default();
    let why = std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default();
    let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("{lines}ERROR: {error}{why}\n{hint}")
}

/// For programs: BuildKit's document, with our advice in a field of its own.
pub fn check_document(found: &Result<Report, BuildError>, file: &str, text: &str) -> Value {
    let one = |found: &Finding| {
        let mut row = json!({
            "ruleName": found.rule.name,
            "description": found.rule.about,
            "detail": found.message,
            "location": location(found.span),
        });
        if let Some(hint) = &found.hint {
            row["hint"] = json!(hint);
        }
        row
    };
    let (warnings, advice): (Vec<Value>, Vec<Value>) = match found {
        Ok(report) => (report.warnings().map(one).collect(), report.advice().map(one).collect()),
        Err(_) => Default::default(),
    };
    let source = json!({ "filename": file, "language": "Dockerfile", "data": encoded(text) });
    let mut document = json!({ "warnings": warnings, "sources": [source] });
    if !advice.is_empty() {
        document["advice"] = json!(advice);
    }
    let refused = match found {
        Ok(report) => report.refused.as_ref(),
        Err(error) => Some(error),
    };
    if let Some(error) = refused {
        document["buildError"] = json!({ "message": error.to_string() });
        if let Some(span) = error.span() {
            document["buildError"]["location"] = location(span);
        }
    }
    document
}
