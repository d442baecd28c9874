//! Lists, sets and maps.

use std::collections::BTreeMap;

use super::texts::length;
use super::{Answer, Arguments, MANY, Row};
use crate::bake::value::{Value, as_set};

pub(super) const ROWS: &[Row] = &[
    ("chunklist", 2..=2, |of| {
        let size =
            usize::try_from(of.index(1)?).map_err(|_| "the size argument must be positive")?;
        let list = of.items(0)?;
        let size = if size == 0 { list.len().max(1) } else { size };
        Ok(Value::List(list.chunks(size).map(|chunk| Value::List(chunk.to_vec())).collect()))
    }),
    ("coalesce", 1..=MANY, |of| {
        let found = of.list.iter().find(|value| **value != Value::Null).cloned();
        found.ok_or_else(|| "no non-null arguments".to_owned())
    }),
    ("coalescelist", 1..=MANY, |of| {
        for at in 0..of.list.len() {
            if !of.items(at)?.is_empty() {
                return Ok(of.list[at].clone());
            }
        }
        Err("no non-null arguments".to_owned())
    }),
    ("compact", 1..=1, |of| {
        let is_full = |value: &&Value| !matches!(value, Value::Null) && **value != Value::text("");
        list(of.items(0)?.iter().filter(is_full).cloned())
    }),
    ("concat", 1..=MANY, |of| {
        let lists = (0..of.list.len()).map(|at| of.items(at)).collect::<Result<Vec<_>, _>>()?;
        list(lists.concat())
    }),
    ("contains", 2..=2, |of| Ok(Value::Bool(of.items(0)?.contains(of.get(1)?)))),
    ("sethaselement", 2..=2, |of| Ok(Value::Bool(of.items(0)?.contains(of.get(1)?)))),
    ("distinct", 1..=1, |of| {
        let mut seen: Vec<Value> = Vec::new();
        for value in of.items(0)? {
            if !seen.contains(value) {
                seen.push(value.clone());
            }
        }
        list(seen)
    }),
    ("element", 2..=2, |of| {
        let (values, at) = (of.items(0)?, of.index(1)?);
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        if count == 0 {
            return Err("cannot use element function with an empty list".to_owned());
        }
        Ok(values[usize::try_from(at.rem_euclid(count)).unwrap_or(0)].clone())
    }),
    ("flatten", 1..=1, |of| {
        let mut flat = Vec::new();
        flatten(of.items(0)?, &mut flat);
        list(flat)
    }),
    ("hasindex", 2..=2, |of| Ok(Value::Bool(of.get(0)?.index(of.get(1)?).is_ok()))),
    ("index", 2..=2, |of| of.get(0)?.index(of.get(1)?)),
    ("indexof", 2..=2, |of| {
        let found = of.items(0)?.iter().position(|value| Ok(value) == of.get(1));
        found.map_or_else(|| Err("item not found".to_owned()), length)
    }),
    ("keys", 1..=1, |of| list(map(of, 0)?.keys().map(Value::text))),
    ("values", 1..=1, |of| list(map(of, 0)?.values().cloned())),
    ("length", 1..=1, |of| match of.get(0)? {
        Value::List(list) => length(list.len()),
        Value::Map(map) => length(map.len()),
        other => Err(format!("collection must be a list, a map or a tuple, not {}", other.kind())),
    }),
    ("lookup", 2..=3, |of| match (map(of, 0)?.get(&of.text(1)?), of.list.get(2)) {
        (Some(found), _) | (None, Some(found)) => Ok(found.clone()),
        (None, None) => Err(format!("the given map has no key {:?}", of.text(1)?)),
    }),
    ("merge", 0..=MANY, |of| {
        let mut merged = BTreeMap::new();
        for at in (0..of.list.len()).filter(|at| of.list[*at] != Value::Null) {
            merged.extend(map(of, at)?.clone());
        }
        Ok(Value::Map(merged))
    }),
    ("range", 1..=3, range),
    ("reverselist", 1..=1, |of| list(of.items(0)?.iter().rev().cloned())),
    ("setintersection", 1..=MANY, |of| {
        let mut kept = of.items(0)?.to_vec();
        for at in 1..of.list.len() {
            let other = of.items(at)?;
            kept.retain(|value| other.contains(value));
        }
        list(as_set(kept))
    }),
    ("setproduct", 1..=MANY, product),
    ("setsubtract", 2..=2, |of| {
        let other = of.items(1)?;
        list(as_set(of.items(0)?.iter().filter(|value| !other.contains(value)).cloned().collect()))
    }),
    ("setsymmetricdifference", 1..=MANY, |of| {
        let mut kept = as_set(of.items(0)?.to_vec());
        for at in 1..of.list.len() {
            let other = as_set(of.items(at)?.to_vec());
            let fresh: Vec<Value> =
                other.iter().filter(|value| !kept.contains(value)).cloned().collect();
            kept.retain(|value| !other.contains(value));
            kept.extend(fresh);
        }
        list(as_set(kept))
    }),
    ("setunion", 1..=MANY, |of| {
        let lists = (0..of.list.len()).map(|at| of.items(at)).collect::<Result<Vec<_>, _>>()?;
        list(as_set(lists.concat()))
    }),
    ("slice", 2..=3, |of| {
        let values = of.items(0)?;
        let from = usize::try_from(of.index(1)?).ok();
        let to = match of.list.len() {
            3 => usize::try_from(of.index(2)?).ok(),
            _ => Some(values.len()),
        };
        let part = from.zip(to).and_then(|(from, to)| values.get(from..to));
        list(part.ok_or("the indices are not within the list")?.iter().cloned())
    }),
    ("sort", 1..=1, |of| {
        let mut texts = of.texts(0)?;
        texts.sort_unstable();
        list(texts.into_iter().map(Value::Text))
    }),
    ("zipmap", 2..=2, |of| {
        let (keys, values) = (of.texts(0)?, of.items(1)?);
        match keys.len() == values.len() {
            true => Ok(Value::Map(keys.into_iter().zip(values.iter().cloned()).collect())),
            false => Err("there must be as many values as keys".to_owned()),
        }
    }),
];

fn list(values: impl IntoIterator<Item = Value>) -> Answer {
    Ok(Value::List(values.into_iter().collect()))
}

fn map<'a>(of: &Arguments<'a>, at: usize) -> Result<&'a BTreeMap<String, Value>, String> {
    of.get(at)?.to_map()
}

fn flatten(list: &[Value], flat: &mut Vec<Value>) {
    for value in list {
        match value {
            Value::List(inner) => flatten(inner, flat),
            value => flat.push(value.clone()),
        }
    }
}

/// As many as `range` and `setproduct` may make.
const MAX_MADE: usize = 1 << 16;

fn range(of: &Arguments<'_>) -> Answer {
    let (from, to) = match of.list.len() {
        1 => (0.0, of.number(0)?),
        _ => (of.number(0)?, of.number(1)?),
    };
    let step = match of.list.len() {
        3 => of.number(2)?,
        _ => {
            if to < from {
                -1.0
            } else {
                1.0
            }
        }
    };
    if step == 0.0 || (to - from) * step < 0.0 {
        return Err("the step must lead from the start to the end".to_owned());
    }
    let mut values = Vec::new();
    let mut at = from;
    while if step > 0.0 { at < to } else { at > to } {
        if values.len() >= MAX_MADE {
            return Err("more than 65536 values".to_owned());
        }
        values.push(Value::Number(at));
        at += step;
    }
    Ok(Value::List(values))
}

fn product(of: &Arguments<'_>) -> Answer {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for at in 0..of.list.len() {
        let values = of.items(at)?;
        if rows.len().saturating_mul(values.len()) > MAX_MADE {
            return Err("more than 65536 combinations".to_owned());
        }
        let with = |row: &Vec<Value>, value: &Value| {
            [row.as_slice(), std::slice::from_ref(value)].concat()
        };
        rows =
            rows.iter().flat_map(|row| values.iter().map(move |value| with(row, value))).collect();
    }
    list(rows.into_iter().map(Value::List))
}
