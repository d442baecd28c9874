//! One value that holds many, between commas; quotes keep a comma, docker-wise.

/// The values of the first line of `text` that is not blank.
///
/// Errors are in docker's words and count lines and bytes from one.
pub(crate) fn split_values(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = text.strip_suffix('\r').unwrap_or(text).replace("\r\n", "\n");
    let record = text.trim_start_matches('\n');
    if record.is_empty() {
        return Err("EOF".to_owned());
    }
    let line = 1 + text.len() - record.len();
    Fields { record, at: 0, line }.read()
}

struct Fields<'a> {
    record: &'a str,
    at: usize,
    line: usize,
}

impl Fields<'_> {
    fn read(&mut self) -> Result<Vec<String>, String> {
        let mut fields = Vec::new();
        loop {
            let field = if self.rest().starts_with('"') { self.quoted() } else { self.plain() };
            fields.push(field?);
            if !self.rest().starts_with(',') {
                return Ok(fields);
            }
            self.at += 1;
        }
    }

    fn rest(&self) -> &str {
        &self.record[self.at..]
    }

    fn plain(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let field = &rest[..rest.find([',', '\n']).unwrap_or(rest.len())];
        if let Some(quote) = field.find('"') {
            return Err(self.fault(self.at, self.at + quote, BARE));
        }
        let field = field.to_owned();
        self.at += field.len();
        Ok(field)
    }

    /// Reads from one quote to the next that is not doubled; line ends belong to the value.
    fn quoted(&mut self) -> Result<String, String> {
        let mut field = String::new();
        self.at += 1;
        loop {
            let Some(length) = self.rest().find('"') else {
                // The end is told where the last line ends, not on an empty line after it.
                let end = self.record.strip_suffix('\n').unwrap_or(self.record).len();
                return Err(self.fault(end, self.record.len(), EXTRANEOUS));
            };
            field.push_str(&self.rest()[..length]);
            self.at += length + 1;
            match self.rest().bytes().next() {
                Some(b'"') => field.push('"'),
                None | Some(b',' | b'\n') => return Ok(field),
                Some(_) => return Err(self.fault(self.at - 1, self.at - 1, EXTRANEOUS)),
            }
            self.at += 1;
        }
    }

    /// The message for a fault at byte `at` of the line that byte `line_of` is on.
    fn fault(&self, line_of: usize, at: usize, what: &str) -> String {
        let before = &self.record[..line_of];
        let started = before.rfind('\n').map_or(0, |end| end + 1);
        let further = before.matches('\n').count();
        let column = at - started + 1;
        let place = format!("parse error on line {}, column {column}: {what}", self.line + further);
        if further == 0 { place } else { format!("record on line {}; {place}", self.line) }
    }
}

const BARE: &str = "bare \" in non-quoted-field";
const EXTRANEOUS: &str = "extraneous or missing \" in quoted-field";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_commas() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a,,b,", &["a", "", "b", ""]),
            ("a,\"b,c\",d", &["a", "b,c", "d"]),
            ("a,\"b\"\"c\",", &["a", "b\"c", ""]),
            ("\"a\nb\",c", &["a\nb", "c"]),
            ("\na\r\nb\"", &["a"]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&value| value.to_owned()).collect();
            assert_eq!(split_values(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn refuses_stray_quotes() {
        let on = |line: usize, column: usize, what: &str| {
            let start = if line == 1 { "" } else { "record on line 1; " };
            format!("{start}parse error on line {line}, column {column}: {what}")
        };
        for (text, expected) in [
            ("\n", "EOF".to_owned()),
            ("a\"b", on(1, 2, BARE)),
            ("aé\"", on(1, 4, BARE)),
            ("\n\na\"b", format!("parse error on line 3, column 2: {BARE}")),
            ("\"ab", on(1, 4, EXTRANEOUS)),
            ("\"a\r", on(1, 3, EXTRANEOUS)),
            ("\"a\n", on(1, 4, EXTRANEOUS)),
            ("\"a\nb", on(2, 2, EXTRANEOUS)),
            ("\"a\n\n\n", on(3, 2, EXTRANEOUS)),
            ("\"a\n\"b", on(2, 1, EXTRANEOUS)),
            ("a,\"b\" ,c", on(1, 5, EXTRANEOUS)),
            ("a,\"b\nc\"d", on(2, 2, EXTRANEOUS)),
        ] {
            assert_eq!(split_values(text), Err(expected), "{text:?}");
        }
    }
}
