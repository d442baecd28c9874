//! `--format`: docker's tables, JSON lines and templates over rows that compute what is asked for.

use std::borrow::Cow;
use std::rc::Rc;

use crate::failure::Failure;
use crate::table::{Columns, Format, Table, write_cell};
use crate::template::{Functions, MissingKey, Object, Template, Value};
use crate::ui::Ui;

/// A row of a list: its fields by docker's names.
pub(crate) trait Row {
    /// What messages about a wrong field call it, after docker's own type.
    const KIND: &'static str = "*formatter.Context";
    /// The fields that `{{json .}}` shows, in any order.
    const FIELDS: &'static [&'static str];

    /// A field's value; `None` if there is no such field.
    fn field(&self, name: &str) -> Option<Value>;

    /// Answers `{{.Label "key"}}`; `None` if a row has no labels.
    fn label(&self, _key: &str) -> Option<String> {
        None
    }

    /// Appends a field as a table shows it. A list that may be long does without the value.
    fn write(&self, name: &str, out: &mut String) {
        match self.field(name) {
            Some(Value::Str(text)) => out.push_str(&text),
            Some(Value::Int(number)) => out.push_str(&number.to_string()),
            Some(other) => out.push_str(&format!("{other:?}")),
            None => {}
        }
    }
}

/// What stands for a template in the lists that docker's client has had from the beginning.
pub(crate) struct Words {
    /// The field that `--quiet` shows.
    pub(crate) id: &'static str,
    /// What `--format raw` calls it then.
    pub(crate) raw_id: &'static str,
    /// The lines that `--format raw` shows of each row.
    pub(crate) raw: &'static str,
}

impl Words {
    /// The format that is meant: `raw` is a word for one, and with `--quiet` so is `table`.
    pub(crate) fn meant<'a>(&self, format: Option<&'a str>, quiet: bool) -> Option<Cow<'a, str>> {
        let Words { id, raw_id, raw } = self;
        match (format.unwrap_or_default(), quiet) {
            ("" | "table", true) => Some(format!("{{{{.{id}}}}}").into()),
            ("raw", true) => Some(format!("{raw_id}: {{{{.{id}}}}}").into()),
            ("raw", false) => Some((*raw).into()),
            ("", false) => None,
            (format, _) => Some(format.into()),
        }
    }
}

struct RowObject<R>(R);

impl<R: Row> Object for RowObject<R> {
    fn field(&self, name: &str) -> Option<Value> {
        self.0.field(name)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        match (name, arguments) {
            ("Label", [Value::Str(key)]) => Some(Ok(Value::Str(self.0.label(key)?))),
            _ => None,
        }
    }

    fn type_name(&self) -> &str {
        R::KIND
    }

    fn names(&self) -> Vec<String> {
        R::FIELDS.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// A column of a table: the field and the words above it.
pub(crate) type Column = (&'static str, &'static str);

/// Prints rows: as a table of these columns, or as `--format` says.
pub(crate) fn rows<R: Row + 'static>(
    ui: &Ui,
    format: Option<&str>,
    columns: &[Column],
    headers: &[Column],
    rows: impl IntoIterator<Item = R>,
) -> Result<(), Failure> {
    ui.print(&rendered(format, columns, headers, rows)?);
    Ok(())
}

/// What [`rows`] prints.
pub(crate) fn rendered<R: Row + 'static>(
    format: Option<&str>,
    columns: &[Column],
    headers: &[Column],
    rows: impl IntoIterator<Item = R>,
) -> Result<String, Failure> {
    let format = format.unwrap_or("table");
    if matches!(format, "table" | "") {
        let mut table = Table::new(columns.iter().map(|(_, words)| words));
        for row in rows {
            columns.iter().for_each(|(field, _)| table.cell(|out| row.write(field, out)));
        }
        return Ok(table.render());
    }
    let rows = rows.into_iter().map(|row| Value::Object(Rc::new(RowObject(row))));
    Ok(Format::parse(format).render(headers, rows, &Functions::docker())?)
}

/// Prints rows of which there may be millions: none is kept. The rows are read anew each time, and
/// a table is measured in one walk and shown in another.
pub(crate) fn long_rows<R, I>(
    ui: &Ui,
    format: Option<&str>,
    columns: &[Column],
    headers: &[Column],
    rows: impl Fn() -> Result<I, Failure>,
) -> Result<(), Failure>
where
    R: Row + 'static,
    I: Iterator<Item = Result<R, Failure>>,
{
    let format = format.unwrap_or("table");
    if matches!(format, "table" | "") {
        return long_table(ui, columns, rows);
    }
    let parsed = Format::parse(format);
    if parsed.is_table {
        let rows = rows()?.collect::<Result<Vec<R>, Failure>>()?;
        ui.print(&rendered(Some(format), columns, headers, rows)?);
        return Ok(());
    }
    let template = Template::parse(&parsed.template, &Functions::docker())?;
    let mut pieces = ui.pieces();
    for row in rows()? {
        let row = Value::Object(Rc::new(RowObject(row?)));
        pieces.line(&template.render(&row, MissingKey::NoValue)?);
    }
    Ok(())
}

fn long_table<R: Row, I: Iterator<Item = Result<R, Failure>>>(
    ui: &Ui,
    columns: &[Column],
    rows: impl Fn() -> Result<I, Failure>,
) -> Result<(), Failure> {
    let mut widths = Columns::new(columns.len());
    let mut cell = String::new();
    columns.iter().enumerate().for_each(|(place, (_, words))| widths.measure(place, words));
    // The last column is as wide as it is.
    let measured = &columns[..columns.len().saturating_sub(1)];
    for row in rows()? {
        let row = row?;
        for (place, (field, _)) in measured.iter().enumerate() {
            cell.clear();
            write_cell(&mut cell, |out| row.write(field, out));
            widths.measure(place, &cell);
        }
    }
    let (mut pieces, mut line) = (ui.pieces(), String::new());
    for (place, (_, words)) in columns.iter().enumerate() {
        widths.put(place, words, &mut line);
    }
    pieces.text(&line);
    for row in rows()? {
        let row = row?;
        line.clear();
        for (place, (field, _)) in columns.iter().enumerate() {
            cell.clear();
            write_cell(&mut cell, |out| row.write(field, out));
            widths.put(place, &cell, &mut line);
        }
        pieces.text(&line);
    }
    Ok(())
}

/// The exit code for a template that is none, where docker checks it before anything else.
pub(crate) const NO_TEMPLATE: u8 = 64;

/// Prints one document: by a template, as JSON on one line, or as indented JSON.
pub(crate) fn document(
    ui: &Ui,
    format: Option<&str>,
    document: &serde_json::Value,
) -> Result<(), Failure> {
    match format {
        None | Some("") => ui.line(&indented(document)),
        Some("json") => ui.line(&document.to_string()),
        Some(format) => ui.line(&templated(format, document)?),
    }
    Ok(())
}

/// A document through a template, as docker's `inspect` does it.
pub(crate) fn templated(format: &str, document: &serde_json::Value) -> Result<String, Failure> {
    filled_in(format, &Value::from(document.clone()), MissingKey::Error)
}

/// Anything through a template, in the same way.
pub(crate) fn filled_in(
    format: &str,
    value: &Value,
    missing: MissingKey,
) -> Result<String, Failure> {
    let template = Template::parse(format, &Functions::docker())
        .map_err(|error| Failure::from(error).code(NO_TEMPLATE))?;
    template
        .render(value, missing)
        .map_err(|error| Failure::new(format!("template parsing error: {error}")))
}

/// JSON as docker indents it.
pub(crate) fn indented(document: &serde_json::Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(document, &mut serializer)
        .expect("a JSON value can always be written");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}
