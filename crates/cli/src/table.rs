//! docker's tables: columns as wide as their contents, by the rules of Go's tab writer.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::template::{Functions, MissingKey, Object, Template, TemplateError, Value};

/// What begins a format that asks for a table.
const TABLE_KEY: &str = "table";

/// The most that a table may hold before it is laid out.
const MAX_TABLE_BYTES: usize = 64 << 20;

/// Beyond these a table is not lined up, because the blanks would outgrow all else.
const MAX_CELLS: usize = 1 << 22;
const MAX_BLANKS: usize = 256 << 20;

/// Lays out text whose cells end in tabs, as Go's `text/tabwriter` does with blanks for padding.
///
/// A column is a run of lines that all have a cell there which a tab ends. What follows the last tab
/// of a line is in no column and is never padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TabWriter {
    /// The least width of a column, padding included.
    pub min_width: usize,
    /// The blanks behind the widest cell of a column.
    pub padding: usize,
}

impl TabWriter {
    /// The settings of docker's lists: columns of at least ten, three blanks between them.
    pub const DOCKER: TabWriter = TabWriter { min_width: 10, padding: 3 };

    /// The settings of those of docker's tables whose columns are at least twenty wide.
    pub const DOCKER_WIDE: TabWriter = TabWriter { min_width: 20, padding: 3 };

    /// The text with blanks in place of tabs. Every character counts as one blank wide.
    ///
    /// A table out of all proportion gets the bare padding instead of aligned columns.
    pub fn lay_out(self, text: &str) -> String {
        let cells = text.bytes().filter(|byte| matches!(byte, b'\t' | b'\n')).count();
        let aligned = if cells > MAX_CELLS { None } else { self.align(text) };
        aligned.unwrap_or_else(|| text.replace('\t', &" ".repeat(self.padding)))
    }

    fn align(self, text: &str) -> Option<String> {
        // A tab that nothing follows, not even a line end, ends no cell.
        let text = text.strip_suffix('\t').unwrap_or(text);
        let lines: Vec<Vec<&str>> =
            text.split('\n').map(|line| line.split('\t').collect()).collect();
        let widths = self.widths(&lines);
        let total = widths.iter().flatten().fold(0, |sum: usize, width| sum.saturating_add(*width));
        if total > MAX_BLANKS {
            return None;
        }
        let mut out = String::with_capacity(text.len() * 2);
        for (number, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
            if number > 0 {
                out.push('\n');
            }
            for (place, cell) in cells.iter().enumerate() {
                out.push_str(cell);
                if let Some(column) = widths.get(place) {
                    let blanks = column.saturating_sub(cell.chars().count());
                    out.extend(std::iter::repeat_n(' ', blanks));
                }
            }
        }
        Some(out)
    }

    /// The width of the column that each cell of each line belongs to, without the last cells.
    fn widths(self, lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
        let mut widths: Vec<Vec<usize>> = Vec::with_capacity(lines.len());
        // Going down, a column keeps the greatest width so far; going up, that is handed back.
        for cells in lines {
            let above = widths.last().map(Vec::as_slice).unwrap_or_default();
            let own = cells[..cells.len() - 1].iter().enumerate().map(|(place, cell)| {
                let wanted = (cell.chars().count() + self.padding).max(self.min_width);
                wanted.max(above.get(place).copied().unwrap_or(0))
            });
            let own = own.collect();
            widths.push(own);
        }
        for line in (1..widths.len()).rev() {
            let (above, below) = widths.split_at_mut(line);
            for (upper, lower) in above[line - 1].iter_mut().zip(&below[0]) {
                *upper = (*upper).max(*lower);
            }
        }
        widths
    }
}

/// A table of known columns, every row with a cell in each: what [`TabWriter::DOCKER`] makes of it,
/// without looking for the cells in the text again.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: usize,
    text: String,
    /// Where each cell ends in the text, row by row.
    ends: Vec<usize>,
}

impl Table {
    /// A table with these words at the head of its columns.
    pub fn new<S: AsRef<str>>(headers: impl IntoIterator<Item = S>) -> Table {
        let mut table = Table::default();
        table.row(headers);
        table.columns = table.ends.len();
        table
    }

    /// Adds a row.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        cells.into_iter().for_each(|cell| self.cell(|text| text.push_str(cell.as_ref())));
    }

    /// Adds the next cell: what `write` appends. Tabs and line ends in it become blanks.
    pub fn cell(&mut self, write: impl FnOnce(&mut String)) {
        write_cell(&mut self.text, write);
        self.ends.push(self.text.len());
    }

    /// The table as docker lays it out.
    pub fn render(&self) -> String {
        let count = self.columns.max(1);
        let mut columns = Columns::new(count);
        self.cells().enumerate().for_each(|(place, cell)| columns.measure(place % count, cell));
        let rows = self.ends.len() / count;
        let mut out = String::with_capacity((columns.widths.iter().sum::<usize>() + 1) * rows);
        self.cells()
            .enumerate()
            .for_each(|(place, cell)| columns.put(place % count, cell, &mut out));
        out
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}

/// How wide the columns of a table are: what must be known of all its cells before the first is
/// shown.
#[derive(Debug, Clone)]
pub struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// So many columns, none wider than it must be.
    pub fn new(count: usize) -> Columns {
        Columns { widths: vec![TabWriter::DOCKER.min_width; count] }
    }

    /// Makes a column wide enough for a cell.
    pub fn measure(&mut self, column: usize, cell: &str) {
        let width = &mut self.widths[column];
        *width = (*width).max(letters(cell) + TabWriter::DOCKER.padding);
    }

    /// Appends a cell and what fills its column, or the line's end behind the last.
    pub fn put(&self, column: usize, cell: &str, out: &mut String) {
        out.push_str(cell);
        // What follows the last column is never padded.
        match column + 1 == self.widths.len() {
            true => out.push('\n'),
            false => blanks(out, self.widths[column] - letters(cell)),
        }
    }
}

/// How many characters a cell has.
fn letters(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// Appends a cell; tabs and line ends in it become blanks.
pub(crate) fn write_cell(text: &mut String, write: impl FnOnce(&mut String)) {
    let start = text.len();
    write(text);
    if text[start..].bytes().any(|byte| matches!(byte, b'\t' | b'\n')) {
        let cell = text.split_off(start);
        text.push_str(&cell.replace(['\t', '\n'], " "));
    }
}

fn blanks(out: &mut String, count: usize) {
    const SOME: &str = "                                                                ";
    let mut left = count;
    while left > 0 {
        let now = left.min(SOME.len());
        out.push_str(&SOME[..now]);
        left -= now;
    }
}

/// A `--format` as docker reads it: whether it asks for a table, and the template in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Whether there is a header, and columns are lined up.
    pub is_table: bool,
    /// The template for one row, without its line end.
    pub template: String,
}

/// The words above the columns of a table, by the fields that are in them.
struct Headers(BTreeMap<String, Value>);

impl Object for Headers {
    fn field(&self, name: &str) -> Option<Value> {
        Some(self.0.get(name).cloned().unwrap_or_else(|| "<no value>".into()))
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// A label's column is called by the last part of the label's name.
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let ("Label", [Value::Str(label)]) = (name, arguments) else { return None };
        let last = label.rsplit('.').next().unwrap_or_default();
        Some(Ok(Value::Str(last.replace(['-', '_'], " "))))
    }
}

impl Format {
    /// Reads a format: `table TEMPLATE`, `json`, or a template.
    ///
    /// In all of them `\t` and `\n` stand for a tab and a line end.
    pub fn parse(format: &str) -> Format {
        if format == "json" {
            return Format { is_table: false, template: "{{json .}}".to_owned() };
        }
        let rest = format.strip_prefix(TABLE_KEY);
        let template = rest.unwrap_or(format).trim_matches(' ');
        let template = template.replace("\\t", "\t").replace("\\n", "\n");
        Format { is_table: rest.is_some(), template }
    }

    /// Writes a line for every row, below a header if this is a table.
    ///
    /// `headers` says which words stand above the values of which field. A table without rows is
    /// its header alone. Nothing is shown when one row fails.
    pub fn render(
        &self,
        headers: &[(&str, &str)],
        rows: impl IntoIterator<Item = Value>,
        functions: &Functions,
    ) -> Result<String, TemplateError> {
        let template = Template::parse(&self.template, functions)?;
        let mut text = String::new();
        if self.is_table {
            let names = headers.iter().map(|(field, words)| ((*field).to_owned(), (*words).into()));
            let names = Value::Object(Rc::new(Headers(names.collect())));
            text.push_str(&template.render_partly(&names, &Functions::table_header()));
            text.push('\n');
        }
        for row in rows {
            text.push_str(&template.render(&row, MissingKey::NoValue)?);
            text.push('\n');
            if text.len() > MAX_TABLE_BYTES {
                return Err(TemplateError::TooLarge { limit_bytes: MAX_TABLE_BYTES });
            }
        }
        Ok(if self.is_table { TabWriter::DOCKER.lay_out(&text) } else { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str, rows: Vec<Value>) -> Result<String, TemplateError> {
        Format::parse(format).render(HEADERS, rows, &Functions::docker())
    }

    #[track_caller]
    fn check_layout(text: &str, wanted: &str) {
        assert_eq!(TabWriter::DOCKER.lay_out(text), wanted);
    }

    fn row(fields: &[(&str, &str)]) -> Value {
        Value::Struct(
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
        )
    }

    const HEADERS: &[(&str, &str)] =
        &[("Name", "NAME"), ("Image", "IMAGE"), ("ID", "CONTAINER ID"), ("Ports", "PORTS")];

    fn rows() -> Vec<Value> {
        vec![
            row(&[("Name", "web"), ("Image", "nginx:latest"), ("ID", "4f0a"), ("Ports", "80/tcp")]),
            row(&[("Name", "a-longer-name"), ("Image", "db"), ("ID", "77"), ("Ports", "")]),
        ]
    }

    #[track_caller]
    fn check(format: &str, wanted: &str) {
        assert_eq!(render(format, rows()).as_deref(), Ok(wanted), "{format}");
    }

    #[test]
    fn a_labels_column_is_called_by_its_last_word() {
        let wanted = "NAME      foo bar x   IMAGE     <no value>\n";
        let format = "table {{.Name}}\\t{{.Label \"com.foo_bar-x\"}}\\t{{.Image}}\\t{{.Nope}}";
        assert_eq!(render(format, Vec::new()).as_deref(), Ok(wanted));
    }

    #[test]
    fn pads_columns() {
        check_layout("", "");
        check_layout("a", "a");
        check_layout("a\n", "a\n");
        check_layout("a\tb\n", "a         b\n");
        check_layout("a\t", "a");
        check_layout("b\na\tb\t", "b\na         b");
        check_layout("a\t\n", "a         \n");
        check_layout("1234567\tb\n", "1234567   b\n");
        check_layout("12345678\tb\n", "12345678   b\n");
        check_layout("\t\tx\n", "                    x\n");
        check_layout("ä☃é\tx\n123\ty\n", "ä☃é       x\n123       y\n");
        assert_eq!(TabWriter::DOCKER_WIDE.lay_out("a\tb"), "a                   b");
    }

    #[test]
    fn forms_columns_of_neighbours_only() {
        check_layout(
            "a\tb\nlong long cell\tb\nno cell\nshort\tb\n",
            "a                b\nlong long cell   b\nno cell\nshort     b\n",
        );
        check_layout(
            "a\tb\tc\naaaaaaaaaaaa\tb\na\tbbbbbbbbbbbb\tc\n",
            "a              b         c\naaaaaaaaaaaa   b\na              bbbbbbbbbbbb   c\n",
        );
        check_layout(
            "a\tb\tc\na\tb\naaaaaaaaaaaa\tb",
            "a              b         c\na              b\naaaaaaaaaaaa   b",
        );
    }

    #[test]
    fn gives_up_on_absurd_tables() {
        let text = format!("{}\tx\n{}", "w".repeat(1 << 20), "a\tb\n".repeat(1 << 12));
        assert!(TabWriter::DOCKER.lay_out(&text).ends_with("\na   b\n"));
        let text = "\t".repeat(MAX_CELLS + 1);
        assert_eq!(TabWriter::DOCKER.lay_out(&text).len(), 3 * text.len());
    }

    #[test]
    fn shows_dockers_lists() {
        let mut images = Table::new(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        images.row(["alpine", "3.19", "05455a08881e", "4 months ago", "7.38MB"]);
        images.row(["<none>", "<none>", "0123456789ab", "2 days ago", "1.2GB"]);
        assert_eq!(
            images.render(),
            "REPOSITORY   TAG       IMAGE ID       CREATED        SIZE\n\
             alpine       3.19      05455a08881e   4 months ago   7.38MB\n\
             <none>       <none>    0123456789ab   2 days ago     1.2GB\n"
        );
        let empty =
            Table::new(["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
        assert_eq!(
            empty.render(),
            "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
        );
    }

    #[test]
    fn a_table_is_what_the_tab_writer_makes_of_it() {
        let rows = [["ä☃", "", "x"], ["a\tb", "a rather long cell", "y\nz"], ["", "b", ""]];
        let mut table = Table::new(["ONE", "TWO", "THREE"]);
        let mut text = "ONE\tTWO\tTHREE\n".to_owned();
        for row in rows {
            table.row(row);
            text += &row.map(|cell| cell.replace(['\t', '\n'], " ")).join("\t");
            text.push('\n');
        }
        assert_eq!(table.render(), TabWriter::DOCKER.lay_out(&text));
    }

    #[test]
    fn reads_formats() {
        let check = |format: &str, is_table: bool, template: &str| {
            let template = template.to_owned();
            assert_eq!(Format::parse(format), Format { is_table, template }, "{format}");
        };
        check("table {{.ID}}\\t{{.Names}}", true, "{{.ID}}\t{{.Names}}");
        check("table", true, "");
        check("table{{.ID}}", true, "{{.ID}}");
        check("tablex{{.ID}}", true, "x{{.ID}}");
        check("  {{.ID}}\\n ", false, "{{.ID}}\n");
        check("\"{{.ID}}\" \\\\n", false, "\"{{.ID}}\" \\\n");
        check("\\x\\r", false, "\\x\\r");
        check("json", false, "{{json .}}");
        check("", false, "");
    }

    #[test]
    fn writes_tables_with_headers() {
        check(
            "table {{.ID}}\\t{{.Name}}\\t{{.Ports}}",
            "CONTAINER ID   NAME            PORTS\n\
             4f0a           web             80/tcp\n\
             77             a-longer-name   \n",
        );
        check("table {{.Name}}", "NAME\nweb\na-longer-name\n");
        check("table {{.Name}}: {{.Image}}", "NAME: IMAGE\nweb: nginx:latest\na-longer-name: db\n");
        check("table", "\n\n\n");
    }

    #[test]
    fn writes_headers_through_functions() {
        check(
            "table {{upper .Name}}|{{truncate .ID 1}}",
            "NAME|CONTAINER ID\nWEB|4\nA-LONGER-NAME|7\n",
        );
        check("table {{pad .Name 2 1}}|", "  NAME |\n  web |\n  a-longer-name |\n");
        check(
            "table {{join (split .Name \"-\") \"+\"}}\\t{{json .ID}}",
            "NAME            CONTAINER ID\nweb             \"4f0a\"\na+longer+name   \"77\"\n",
        );
        check(
            "table {{range split .Name \"-\"}}{{.}}\\n{{end}}.",
            "\nweb\n.\na\nlonger\nname\n.\n",
        );
        check(
            "table {{.Name}}\\t{{len .Name}}\\t{{json .}}|x",
            "NAME            4         \n\
             web             3         {\"Name\":\"web\",\"Image\":\"nginx:latest\",\"ID\":\"4f0a\",\"Ports\":\"80/tcp\"}|x\n\
             a-longer-name   13        {\"Name\":\"a-longer-name\",\"Image\":\"db\",\"ID\":\"77\",\"Ports\":\"\"}|x\n",
        );
    }

    #[test]
    fn writes_plain_rows() {
        check("{{.ID}}\\t{{.Name}}", "4f0a\tweb\n77\ta-longer-name\n");
        check("{{.ID}}\\n-", "4f0a\n-\n77\n-\n");
        check("x", "x\nx\n");
    }

    #[test]
    fn writes_headers_alone_where_nothing_is_listed() {
        let write = |format| render(format, Vec::new()).unwrap();
        assert_eq!(write("table {{.ID}}\\t{{.Ports}}"), "CONTAINER ID   PORTS\n");
        assert_eq!(write("{{.ID}}"), "");
    }

    #[test]
    fn shows_nothing_of_a_list_with_a_mistake() {
        let error = |format| render(format, rows()).unwrap_err().to_string();
        assert_eq!(
            error("table {{.ID}}\\t{{.Nope}}"),
            "template: :1:10: executing \"\" at <.Nope>: can't evaluate field Nope in type struct"
        );
        assert_eq!(error("table {{.ID"), "template: :1: unclosed action");
    }
}
