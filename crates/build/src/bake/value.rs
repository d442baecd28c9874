//! Values of a bake file's expressions, and how one becomes another.

use std::collections::BTreeMap;

/// A value. Lists, tuples and sets are one; so are maps and objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number; whole ones are exact up to 53 bits.
    Number(f64),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

/// What a value is wanted to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Any,
    Bool,
    Number,
    Text,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Tuple(Vec<Type>),
    Object(BTreeMap<String, Type>),
    /// What an object need not have, and what it is then.
    Optional(Box<Type>, Value),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// What it is, in HCL's words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "tuple",
            Value::Map(_) => "object",
        }
    }

    /// As a text, if it is as simple as that.
    pub(super) fn to_text(&self) -> Result<String, String> {
        match self {
            Value::Text(text) => Ok(text.clone()),
            Value::Bool(yes) => Ok(yes.to_string()),
            Value::Number(number) => Ok(number_text(*number)),
            other => Err(format!("string required, but have {}", other.kind())),
        }
    }

    pub(super) fn to_number(&self) -> Result<f64, String> {
        let wrong = || "a number is required".to_owned();
        match self {
            Value::Number(number) => Ok(*number),
            Value::Text(text) => {
                let plain = text.starts_with(|c: char| c.is_ascii_digit() || "-+.".contains(c));
                text.parse().ok().filter(|n: &f64| plain && n.is_finite()).ok_or_else(wrong)
            }
            other => Err(format!("a number is required, but have {}", other.kind())),
        }
    }

    /// As a number that counts something.
    pub(super) fn to_index(&self) -> Result<i64, String> {
        let number = self.to_number()?;
        match number.fract() == 0.0 && number.abs() < 9e15 {
            // Cannot lose anything: it is whole and of less than 53 bits.
            #[allow(clippy::cast_possible_truncation)]
            true => Ok(number as i64),
            false => Err("a whole number is required".to_owned()),
        }
    }

    pub(super) fn to_bool(&self) -> Result<bool, String> {
        match self {
            Value::Bool(yes) => Ok(*yes),
            Value::Text(text) if text == "true" || text == "1" => Ok(true),
            Value::Text(text) if text == "false" || text == "0" => Ok(false),
            other => Err(format!("a bool is required, but have {}", other.kind())),
        }
    }

    pub(super) fn to_list(&self) -> Result<&[Value], String> {
        match self {
            Value::List(list) => Ok(list),
            other => Err(format!("a list is required, but have {}", other.kind())),
        }
    }

    pub(super) fn to_map(&self) -> Result<&BTreeMap<String, Value>, String> {
        match self {
            Value::Map(map) => Ok(map),
            other => Err(format!("a map is required, but have {}", other.kind())),
        }
    }

    /// An element by its number or name.
    pub(super) fn index(&self, key: &Value) -> Result<Value, String> {
        match self {
            Value::List(list) => {
                let at = usize::try_from(key.to_index()?).ok();
                at.and_then(|at| list.get(at)).cloned().ok_or_else(|| {
                    "the given key does not identify an element in this collection value".to_owned()
                })
            }
            Value::Map(map) => {
                let key = key.to_text()?;
                map.get(&key)
                    .cloned()
                    .ok_or_else(|| format!("this object does not have an attribute named {key:?}"))
            }
            other => Err(format!("{} has no elements", other.kind())),
        }
    }

    /// Makes it what is wanted.
    pub(super) fn convert(self, wanted: &Type) -> Result<Value, String> {
        if self == Value::Null {
            return Ok(self);
        }
        Ok(match wanted {
            Type::Any => self,
            Type::Bool => Value::Bool(self.to_bool()?),
            Type::Number => Value::Number(self.to_number()?),
            Type::Text => Value::Text(self.to_text()?),
            Type::List(inner) => Value::List(each(self.to_list()?, inner)?),
            Type::Set(inner) => Value::List(as_set(each(self.to_list()?, inner)?)),
            Type::Map(inner) => {
                let pair = |(key, value): (&String, &Value)| {
                    Ok((key.clone(), value.clone().convert(inner)?))
                };
                Value::Map(self.to_map()?.iter().map(pair).collect::<Result<_, String>>()?)
            }
            Type::Tuple(types) => {
                let list = self.to_list()?;
                if list.len() != types.len() {
                    return Err(format!("tuple of {} elements required", types.len()));
                }
                let pairs = list.iter().cloned().zip(types);
                Value::List(
                    pairs.map(|(value, wanted)| value.convert(wanted)).collect::<Result<_, _>>()?,
                )
            }
            Type::Optional(inner, _) => self.convert(inner)?,
            Type::Object(types) => {
                let map = self.to_map()?;
                let pair = |(key, wanted): (&String, &Type)| {
                    let value = match (map.get(key), wanted) {
                        (None | Some(Value::Null), Type::Optional(_, default)) => default,
                        (Some(value), _) => value,
                        (None, _) => return Err(format!("attribute {key:?} is required")),
                    };
                    Ok((key.clone(), value.clone().convert(wanted)?))
                };
                Value::Map(types.iter().map(pair).collect::<Result<_, String>>()?)
            }
        })
    }

    /// From JSON.
    pub(super) fn of_json(json: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(yes) => Value::Bool(*yes),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(0.0)),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(list) => Value::List(list.iter().map(Value::of_json).collect()),
            Json::Object(map) => Value::Map(
                map.iter().map(|(key, value)| (key.clone(), Value::of_json(value))).collect(),
            ),
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null => Json::Null,
            Value::Bool(yes) => Json::Bool(*yes),
            Value::Number(number) => {
                serde_json::from_str(&number_text(*number)).unwrap_or(Json::Null)
            }
            Value::Text(text) => Json::String(text.clone()),
            Value::List(list) => Json::Array(list.iter().map(Value::to_json).collect()),
            Value::Map(map) => Json::Object(
                map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
            ),
        }
    }

    /// An order over all values, for sets.
    pub(super) fn order(&self) -> (u8, f64, String) {
        match self {
            Value::Null => (0, 0.0, String::new()),
            Value::Bool(yes) => (1, f64::from(u8::from(*yes)), String::new()),
            Value::Number(number) => (2, *number, String::new()),
            Value::Text(text) => (3, 0.0, text.clone()),
            other => (4, 0.0, other.to_json().to_string()),
        }
    }
}

fn each(list: &[Value], inner: &Type) -> Result<Vec<Value>, String> {
    list.iter().map(|value| value.clone().convert(inner)).collect()
}

/// Each value once, in order.
pub(super) fn as_set(mut list: Vec<Value>) -> Vec<Value> {
    list.sort_by(|one, other| {
        one.order().partial_cmp(&other.order()).unwrap_or(std::cmp::Ordering::Equal)
    });
    list.dedup();
    list
}

/// A number as it is written: whole ones without a point.
pub(super) fn number_text(number: f64) -> String {
    match number == 0.0 {
        // There is a zero below zero, which nobody means.
        true => "0".to_owned(),
        false => number.to_string(),
    }
}
