//! The functions of bake's standard library. `try`, `can` and `convert` are the evaluator's, which
//! gives them expressions; `bcrypt` and `rsadecrypt` are deliberately absent: each would bring a
//! cipher that nothing else here needs.

use super::evaluate::World;
use super::value::Value;

mod collections;
mod format;
mod networks;
mod numbers;
mod texts;
mod times;

pub(super) type Answer = Result<Value, String>;

/// What every function gets: its arguments, checked as they are asked for.
pub(super) struct Arguments<'a> {
    list: &'a [Value],
    world: &'a World,
}

impl<'a> Arguments<'a> {
    fn get(&self, at: usize) -> Result<&'a Value, String> {
        self.list.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))
    }

    fn text(&self, at: usize) -> Result<String, String> {
        self.get(at)?.to_text()
    }

    fn number(&self, at: usize) -> Result<f64, String> {
        self.get(at)?.to_number()
    }

    fn index(&self, at: usize) -> Result<i64, String> {
        self.get(at)?.to_index()
    }

    fn bool(&self, at: usize) -> Result<bool, String> {
        self.get(at)?.to_bool()
    }

    fn items(&self, at: usize) -> Result<&'a [Value], String> {
        self.get(at)?.to_list()
    }

    fn texts(&self, at: usize) -> Result<Vec<String>, String> {
        self.items(at)?.iter().map(Value::to_text).collect()
    }
}

pub(in crate::bake) use texts::csv_rows;

type Function = fn(&Arguments<'_>) -> Answer;

/// A row of the library: the name, how many arguments it takes, what it does.
pub(super) type Row = (&'static str, std::ops::RangeInclusive<usize>, Function);

/// As many as there are.
pub(super) const MANY: usize = 1 << 16;

fn rows() -> impl Iterator<Item = &'static Row> {
    let families =
        [numbers::ROWS, texts::ROWS, collections::ROWS, format::ROWS, networks::ROWS, times::ROWS];
    families.into_iter().flatten()
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    rows().map(|(name, _, _)| *name).chain(["try", "can", "convert"])
}

/// Calls a function; nothing if there is none of this name.
pub(super) fn call(name: &str, list: &[Value], world: &World) -> Option<Answer> {
    let (_, counts, function) = rows().find(|(known, _, _)| *known == name)?;
    if !counts.contains(&list.len()) {
        let (least, most) = (counts.start(), counts.end());
        let wanted = match (least == most, *most == MANY) {
            (true, _) => least.to_string(),
            (false, true) => format!("{least} or more"),
            (false, false) => format!("{least} to {most}"),
        };
        return Some(Err(format!("{wanted} argument(s) expected, not {}", list.len())));
    }
    Some(function(&Arguments { list, world }))
}
