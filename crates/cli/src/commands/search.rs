//! `mica search`.

use engine::{EngineError, SearchResult};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show::{Column, Row, rows};
use crate::template::Value;
use crate::ui::cut;

const COLUMNS: &[Column] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
];
/// So many rows are asked for if nobody says.
const LIMIT: i64 = 25;
const MOST: i64 = 100;
const DESCRIPTION: usize = 45;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let limit = matches.int("limit").filter(|limit| *limit != 0).unwrap_or(LIMIT);
    if !(1..=MOST).contains(&limit) {
        let text = format!("Limit {limit} is outside the range of [1, {MOST}]");
        return Err(Failure::new(format!("Error response from daemon: {text}")));
    }
    let filter = Filter::parse(matches.list("filter"))?;
    let (host, term) = divide(&context.names()[0]);
    let client = context.settings()?.client()?;
    let mut found = client.search(host, term, limit as usize).map_err(EngineError::from)?;
    found.retain(|row| filter.takes(row));
    show(context, found)
}

/// Shows what was found, what is liked most first.
pub(crate) fn show(context: &Context, mut found: Vec<SearchResult>) -> Outcome {
    let matches = context.matches();
    found.sort_by_key(|row| std::cmp::Reverse(row.star_count));
    let whole = matches.flag("no-trunc");
    let shown = found.into_iter().map(|row| Shown { row, whole });
    rows(&context.ui, matches.string("format"), COLUMNS, COLUMNS, shown)?;
    Ok(0)
}

/// A registry and what is looked for there, or only the latter.
fn divide(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), rest)
        }
        _ => (None, term),
    }
}

#[derive(Default)]
struct Filter {
    official: Option<bool>,
    stars: i64,
}

impl Filter {
    fn parse(texts: &[String]) -> Result<Filter, Failure> {
        let wrong = |text: &str| {
            Failure::new(format!("Error response from daemon: invalid filter '{text}'"))
        };
        let mut filter = Filter::default();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            match text.split_once('=') {
                Some(("stars", number)) => {
                    filter.stars = number.parse().map_err(|_| wrong(text))?;
                }
                Some(("is-official", "true" | "1")) => filter.official = Some(true),
                Some(("is-official", "false" | "0")) => filter.official = Some(false),
                // Nothing is built automatically any more.
                Some(("is-automated", "true" | "false" | "1" | "0")) => {}
                _ => return Err(wrong(text)),
            }
        }
        Ok(filter)
    }

    fn takes(&self, row: &SearchResult) -> bool {
        row.star_count >= self.stars && self.official.is_none_or(|wanted| wanted == row.is_official)
    }
}

struct Shown {
    row: SearchResult,
    whole: bool,
}

impl Row for Shown {
    const KIND: &'static str = "*formatter.searchContext";
    const FIELDS: &'static [&'static str] =
        &["Description", "IsAutomated", "IsOfficial", "Name", "StarCount"];

    fn field(&self, name: &str) -> Option<Value> {
        let row = &self.row;
        let mark = |is: bool| if is { "[OK]" } else { "" };
        let text = match name {
            "Name" => row.name.chars().filter(|letter| !letter.is_control()).collect(),
            "Description" => {
                let line = row.description.replace(['\n', '\r'], " ");
                let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
                if self.whole { line } else { cut(&line, DESCRIPTION) }
            }
            "StarCount" => row.star_count.to_string(),
            "IsOfficial" => mark(row.is_official).to_owned(),
            "IsAutomated" => String::new(),
            _ => return None,
        };
        Some(Value::Str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn a_host_before_the_term_is_asked_itself() {
        assert_eq!(divide("debian"), (None, "debian"));
        assert_eq!(divide("me/debian"), (None, "me/debian"));
        assert_eq!(divide("localhost:5000/debian"), (Some("localhost:5000"), "debian"));
        assert_eq!(divide("quay.io/me/debian"), (Some("quay.io"), "me/debian"));
    }
}
