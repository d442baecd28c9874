//! `mica history`.

use engine::HistoryRow;
use spec::{Timestamp, human_size_3};

use super::images::since;
use super::platform;
use crate::context::Context;
use crate::failure::Outcome;
use crate::show::{Column, Row, rows};
use crate::template::Value;
use crate::ui::cut;

const COLUMNS: &[Column] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
const HEADERS: &[Column] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
/// As much of an instruction as fits beside the rest.
const INSTRUCTION_LETTERS: usize = 45;

pub(crate) fn run(context: &Context) -> Outcome {
    let history = context.engine()?.history(&context.names()[0], platform(context)?.as_ref())?;
    show(context, history)
}

/// Shows a history as the command line asks for it.
pub(crate) fn show(context: &Context, history: Vec<HistoryRow>) -> Outcome {
    let matches = context.matches();
    let (full, human, now) = (matches.flag("no-trunc"), matches.flag("human"), Timestamp::now());
    let shown: Vec<Shown> =
        history.into_iter().map(|row| Shown { row, full, human, now }).collect();
    if matches.flag("quiet") {
        shown.iter().for_each(|row| context.ui.line(&row.id()));
        return Ok(0);
    }
    let mut columns = COLUMNS.to_vec();
    if !human {
        columns[1] = ("CreatedAt", "CREATED AT");
    }
    rows(&context.ui, matches.string("format"), &columns, HEADERS, shown)?;
    Ok(0)
}

struct Shown {
    row: HistoryRow,
    full: bool,
    human: bool,
    now: Timestamp,
}

impl Shown {
    fn id(&self) -> String {
        match &self.row.id {
            None => "<missing>".to_owned(),
            Some(id) if self.full => id.to_string(),
            Some(id) => id.0.short(),
        }
    }

    fn created_at(&self) -> String {
        let whole = |time: Timestamp| Timestamp::from_unix(time.unix_seconds(), 0).to_string();
        self.row.created.map_or_else(|| "N/A".to_owned(), whole)
    }
}

impl Row for Shown {
    const KIND: &'static str = "*image.historyContext";
    const FIELDS: &'static [&'static str] =
        &["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"];

    fn field(&self, name: &str) -> Option<Value> {
        Some(Value::Str(match name {
            "ID" => self.id(),
            "CreatedAt" => self.created_at(),
            "CreatedSince" if self.human => since(self.row.created, self.now),
            "CreatedSince" => self.created_at(),
            "CreatedBy" => {
                let text = self.row.created_by.replace('\t', " ");
                if self.full { text } else { cut(&text, INSTRUCTION_LETTERS) }
            }
            "Size" if self.human => human_size_3(self.row.size as f64),
            "Size" => self.row.size.to_string(),
            "Comment" => self.row.comment.clone(),
            _ => return None,
        }))
    }
}
