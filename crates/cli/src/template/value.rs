//! What a template is given to look at: Go's dynamic values, as far as documents have them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A value that a template can read.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing: `null` in a document, or an unset optional field of a [`Value::Struct`].
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or beyond the whole ones.
    Float(f64),
    /// Text.
    Str(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key; one whose values are all text counts as Go's `map[string]string`.
    Map(BTreeMap<String, Value>),
    /// Named fields in their order; reading another field is an error, as with Go's structs.
    Struct(Vec<(String, Value)>),
    /// Fields that are computed when they are asked for.
    Object(Rc<dyn Object>),
    /// A list or a map that was never made: empty to look at, `null` as JSON.
    Unset(Unset),
    /// A text of a type that has methods.
    Word(Rc<Word>),
}

/// A text, and the methods that its type has.
pub struct Word {
    /// The text, as whoever asks nothing of its type sees it.
    text: Value,
    methods: Box<Methods>,
}

/// What a method of this name says of a text; none if there is no such method.
type Methods = dyn Fn(&str, &str) -> Option<Value>;

impl Word {
    /// A text whose type has these methods: they are given the text and their name.
    pub fn new(text: &str, methods: impl Fn(&str, &str) -> Option<Value> + 'static) -> Word {
        Word { text: Value::Str(text.to_owned()), methods: Box::new(methods) }
    }

    /// The text.
    pub(super) fn text(&self) -> &Value {
        &self.text
    }

    /// What the method of this name says.
    pub(super) fn method(&self, name: &str) -> Option<Value> {
        let Value::Str(text) = &self.text else { return None };
        (self.methods)(text, name)
    }
}

/// What kind of thing was never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// A list.
    List,
    /// A map.
    Map,
}

impl Unset {
    /// What it looks like.
    pub(super) fn empty(self) -> &'static Value {
        const LIST: &Value = &Value::List(Vec::new());
        const MAP: &Value = &Value::Map(BTreeMap::new());
        match self {
            Unset::List => LIST,
            Unset::Map => MAP,
        }
    }
}

/// Something with fields that are worth computing only when a template reads them.
pub trait Object {
    /// The field `name`, or `None` where there is no such field.
    fn field(&self, name: &str) -> Option<Value>;

    /// Every field that `json .` shows.
    fn names(&self) -> Vec<String>;

    /// Calls the method `name`, as in `{{.Label "key"}}`; `None` where there is no such method.
    ///
    /// A method that takes no arguments belongs into [`Object::field`].
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let _ = (name, arguments);
        None
    }

    /// Whether `json` shows it as a document: in its own order, with nothing escaped for HTML.
    /// Otherwise it is a row: sorted by name and escaped, as docker's own encoder does it.
    fn is_document(&self) -> bool {
        false
    }

    /// The name that error messages give to the type.
    fn type_name(&self) -> &str {
        "*formatter.Context"
    }
}

impl Value {
    /// The truth of a value: everything but false, zero, nothing and the empty is true.
    pub fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            Value::Struct(_) | Value::Object(_) => true,
            Value::Unset(_) => false,
            Value::Word(word) => word.text.truth(),
        }
    }

    /// The name that Go would give to the type of this value.
    pub fn type_name(&self) -> Cow<'static, str> {
        match self {
            Value::Nil => "interface {}".into(),
            Value::Bool(_) => "bool".into(),
            Value::Int(_) => "int".into(),
            Value::Float(_) => "float64".into(),
            Value::Str(_) => "string".into(),
            Value::List(_) if self.holds_only_text() => "[]string".into(),
            Value::List(_) => "[]interface {}".into(),
            Value::Map(_) if self.holds_only_text() => "map[string]string".into(),
            Value::Map(_) => "map[string]interface {}".into(),
            Value::Struct(_) => "struct".into(),
            Value::Object(object) => object.type_name().to_owned().into(),
            Value::Unset(unset) => unset.empty().type_name(),
            Value::Word(word) => word.text.type_name(),
        }
    }

    /// Whether this is a list or a map that Go would type by its text, as it does with labels.
    ///
    /// Such a map answers `index .Labels "missing"` with empty text instead of no value.
    pub(super) fn holds_only_text(&self) -> bool {
        let is_text = |value: &Value| matches!(value, Value::Str(_));
        match self {
            Value::List(items) => items.iter().all(is_text),
            Value::Map(entries) => entries.values().all(is_text),
            Value::Unset(_) => true,
            _ => false,
        }
    }

    /// About how much work it is to go over this value, but not into what it holds.
    pub(super) fn size(&self) -> u64 {
        let things = match self {
            Value::Str(text) => text.len(),
            Value::List(items) => items.len() * 2,
            Value::Map(entries) => entries.len() * 2,
            _ => 0,
        };
        things as u64 / 32
    }

    /// About how much work a copy of this value is.
    pub(super) fn weight(&self) -> u64 {
        1 + match self {
            Value::Str(text) => text.len() as u64 / 32,
            Value::List(items) => items.iter().map(Value::weight).sum(),
            Value::Map(entries) => entries.values().map(Value::weight).sum(),
            Value::Struct(fields) => fields.iter().map(|(_, value)| value.weight()).sum(),
            _ => 0,
        }
    }
}

impl PartialEq for Value {
    /// Compares what can be compared; two objects are never the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            (Value::Struct(a), Value::Struct(b)) => a == b,
            (Value::Unset(a), Value::Unset(b)) => a == b,
            (Value::Word(a), Value::Word(b)) => a.text == b.text,
            _ => false,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("Nil"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::Float(value) => value.fmt(f),
            Value::Str(text) => text.fmt(f),
            Value::List(items) => items.fmt(f),
            Value::Map(entries) => entries.fmt(f),
            Value::Struct(fields) => fields.fmt(f),
            Value::Object(object) => f.debug_tuple("Object").field(&object.type_name()).finish(),
            Value::Unset(unset) => f.debug_tuple("Unset").field(unset).finish(),
            Value::Word(word) => word.text.fmt(f),
        }
    }
}

impl From<serde_json::Value> for Value {
    /// Takes a document over; its objects become maps, which print their keys sorted.
    fn from(document: serde_json::Value) -> Self {
        match document {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Str(text),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(Value::from).collect())
            }
            serde_json::Value::Object(entries) => {
                Value::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<BTreeMap<String, T>> for Value {
    fn from(entries: BTreeMap<String, T>) -> Self {
        Value::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}
