//! How templates compare: only what is alike, and never by guess.

use std::cmp::Ordering;
use std::rc::Rc;

use super::datum::Datum;
use super::printf;
use super::value::Value;

const INCOMPATIBLE: &str = "incompatible types for comparison";
const NOT_ORDERED: &str = "invalid type for comparison";

/// Whether the first argument is equal to any of the others.
pub(super) fn equal(args: &[Datum<'_>]) -> Result<bool, String> {
    if args.len() < 2 {
        return Err("missing argument for comparison".into());
    }
    let first = args[0].clone().unboxed();
    for other in &args[1..] {
        if same(first.get(), other.clone().unboxed().get())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the first argument comes before the second.
pub(super) fn less(args: &[Datum<'_>]) -> Result<bool, String> {
    match (args[0].get(), args[1].get()) {
        (Some(Value::Int(a)), Some(Value::Int(b))) => Ok(a < b),
        (Some(Value::Float(a)), Some(Value::Float(b))) => {
            Ok(a.partial_cmp(b) == Some(Ordering::Less))
        }
        (Some(Value::Str(a)), Some(Value::Str(b))) => Ok(a < b),
        (Some(a), Some(b)) if is_basic(a) && is_basic(b) && !both_bool(a, b) => {
            Err(INCOMPATIBLE.into())
        }
        _ => Err(NOT_ORDERED.into()),
    }
}

/// Whether the first argument comes before the second or is equal to it.
pub(super) fn at_most(args: &[Datum<'_>]) -> Result<bool, String> {
    Ok(less(args)? || equal(args)?)
}

fn both_bool(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Bool(_), Value::Bool(_)))
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_))
}

fn same(a: Option<&Value>, b: Option<&Value>) -> Result<bool, String> {
    let (Some(a), Some(b)) = (a, b) else {
        let is_nil = |value: Option<&Value>| matches!(value, None | Some(Value::Nil));
        return Ok(is_nil(a) && is_nil(b));
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        _ if is_basic(a) || is_basic(b) => Err(INCOMPATIBLE.into()),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Object(a), Value::Object(b)) => Ok(Rc::ptr_eq(a, b)),
        (Value::Struct(_), Value::Struct(_)) => Ok(a == b),
        _ => Err(not_comparable(a, b)),
    }
}

fn not_comparable(a: &Value, b: &Value) -> String {
    let shown = |format: &str, value: &Value| printf::sprintf(format, &[value]).unwrap_or_default();
    let (type_of_a, type_of_b) = (a.type_name(), b.type_name());
    if std::mem::discriminant(a) == std::mem::discriminant(b) {
        format!("non-comparable type {}: {type_of_b}", shown("%s", b))
    } else {
        format!(
            "non-comparable types {}: {type_of_a}, {type_of_b}: {}",
            shown("%s", a),
            shown("%v", b)
        )
    }
}
