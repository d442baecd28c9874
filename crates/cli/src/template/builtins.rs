//! The functions that Go gives to every template.

use super::compare;
use super::datum::Datum;
use super::escape;
use super::printf;
use super::value::Value;

/// A function of Go's.
#[derive(Clone, Copy)]
pub(super) struct Builtin {
    /// The fewest and the most arguments it takes.
    pub(super) least: usize,
    pub(super) most: Option<usize>,
    pub(super) body: Body,
}

/// What it does with its arguments.
pub(super) type Body = for<'a> fn(&[Datum<'a>]) -> Result<Datum<'a>, String>;

/// The built-in function `name`.
pub(super) fn find(name: &str) -> Option<Builtin> {
    let (least, most, body): (usize, Option<usize>, Body) = match name {
        // These two take their arguments one by one, so they are carried out where that is done.
        "and" | "or" => (1, None, last),
        "not" => (1, Some(1), |args| Ok(Datum::owned(!args[0].value().truth()))),
        "len" => (1, Some(1), len),
        "index" => (1, None, index),
        "slice" => (1, None, slice),
        "call" => (1, None, last),
        "print" => (0, None, |args| text(printf::sprint(&values(args)))),
        "println" => (0, None, |args| text(printf::sprintln(&values(args)))),
        "printf" => (1, None, printf),
        "html" => (0, None, |args| text(escape::html(&joined(args)?))),
        "js" => (0, None, |args| text(escape::js(&joined(args)?))),
        "urlquery" => (0, None, |args| text(escape::url_query(&joined(args)?))),
        "eq" => (1, None, |args| compare::equal(args).map(Datum::owned)),
        "ne" => (2, Some(2), |args| compare::equal(args).map(|equal| Datum::owned(!equal))),
        "lt" => (2, Some(2), |args| compare::less(args).map(Datum::owned)),
        "le" => (2, Some(2), |args| compare::at_most(args).map(Datum::owned)),
        "gt" => (2, Some(2), |args| compare::at_most(args).map(|most| Datum::owned(!most))),
        "ge" => (2, Some(2), |args| compare::less(args).map(|less| Datum::owned(!less))),
        _ => return None,
    };
    Some(Builtin { least, most, body })
}

fn last<'a>(args: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    Ok(args.last().cloned().unwrap_or_else(Datum::missing))
}

fn values<'d>(args: &'d [Datum<'_>]) -> Vec<&'d Value> {
    args.iter().map(Datum::value).collect()
}

fn text<'a>(text: Result<String, String>) -> Result<Datum<'a>, String> {
    text.map(Datum::owned)
}

fn printf<'a>(args: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    match args[0].value() {
        Value::Str(format) => text(printf::sprintf(format, &values(&args[1..]))),
        other => Err(format!("format is of type {}", other.type_name())),
    }
}

/// The arguments as the text that is to be escaped.
fn joined(args: &[Datum<'_>]) -> Result<String, String> {
    let absent = Value::from("<no value>");
    let shown = |arg: &'_ Datum<'_>| arg.is_absent();
    let values: Vec<&Value> =
        args.iter().map(|arg| if shown(arg) { &absent } else { arg.value() }).collect();
    printf::sprint(&values)
}

fn len<'a>(args: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    let length = match args[0].get() {
        None => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        Some(Value::Nil) => return Err("len of nil pointer".into()),
        Some(Value::Str(text)) => text.len(),
        Some(Value::List(items)) => items.len(),
        Some(Value::Map(entries)) => entries.len(),
        Some(other) => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Datum::owned(Value::Int(length as i64)))
}

fn index<'a>(args: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    let mut item = args[0].clone().unboxed();
    if item.get().is_none() {
        return Err("index of untyped nil".into());
    }
    for index in &args[1..] {
        item = match item.value() {
            Value::Nil => return Err("index of nil pointer".into()),
            Value::Map(_) => map_entry(&item, index)?,
            Value::List(items) => {
                let place = place(index, items.len())?;
                item.item(place).ok_or("reflect: slice index out of range")?
            }
            Value::Str(text) => {
                let place = place(index, text.len())?;
                let byte = text.as_bytes().get(place).copied();
                let byte = byte.ok_or("reflect: string index out of range")?;
                Datum::owned(Value::Int(i64::from(byte)))
            }
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

/// What a map has under a key; one that it lacks is empty text among texts, else nothing.
fn map_entry<'a>(map: &Datum<'a>, key: &Datum<'a>) -> Result<Datum<'a>, String> {
    match key.clone().unboxed().get() {
        Some(Value::Str(key)) => Ok(map.entry(key).unwrap_or_else(|| {
            if map.value().holds_only_text() {
                Datum::owned("")
            } else {
                Datum::owned(Value::Nil).in_box(true)
            }
        })),
        Some(other) => Err(format!("value has type {}; should be string", other.type_name())),
        None => Err("value is nil; should be of type string".into()),
    }
}

/// An index that is at most `limit`.
fn place(index: &Datum<'_>, limit: usize) -> Result<usize, String> {
    match index.clone().unboxed().get() {
        Some(Value::Int(place)) => match usize::try_from(*place) {
            Ok(small) if small <= limit => Ok(small),
            _ => Err(format!("index out of range: {place}")),
        },
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
        None => Err("cannot index slice/array with nil".into()),
    }
}

fn slice<'a>(args: &[Datum<'a>]) -> Result<Datum<'a>, String> {
    let item = args[0].clone().unboxed();
    if item.get().is_none() {
        return Err("slice of untyped nil".into());
    }
    if args.len() > 4 {
        return Err(format!("too many slice indexes: {}", args.len() - 1));
    }
    let length = match item.value() {
        Value::Nil => return Err("slice of nil pointer".into()),
        Value::Str(_) if args.len() == 4 => return Err("cannot 3-index slice a string".into()),
        Value::Str(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(&args[1..]) {
        *bound = place(index, length)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if args.len() == 4 && to > cap {
        return Err(format!("invalid slice index: {to} > {cap}"));
    }
    Ok(match item.value() {
        // A cut through a character leaves bytes that are no text; what is shown must be text.
        Value::Str(text) => {
            Datum::owned(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned())
        }
        Value::List(items) => Datum::owned(Value::List(items[from..to].to_vec())),
        _ => Datum::missing(),
    })
}
