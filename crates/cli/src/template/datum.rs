//! A value on its way through a template, with what Go's reflection would know about it.

use std::borrow::Cow;
use std::rc::Rc;

use super::functions::Param;
use super::value::Value;

/// A value being worked on; cheap to copy.
#[derive(Clone)]
pub(super) struct Datum<'a> {
    held: Held<'a>,
    /// Whether it sits in a Go interface, as what a document's map or list holds does.
    ///
    /// It decides over messages, and whether nothing prints as `<nil>` or `<no value>`.
    boxed: bool,
}

#[derive(Clone)]
enum Held<'a> {
    /// Not even nothing: a key that a map does not have.
    Missing,
    Borrowed(&'a Value),
    Shared(Rc<Value>),
}

/// How a receiver answers when asked for a field.
pub(super) enum Field<'a> {
    Found(Datum<'a>),
    /// A map without the key.
    Absent,
    /// A type without the field.
    Unknown,
    /// There is nothing that could have fields.
    Nil,
}

const NIL: &Value = &Value::Nil;

impl<'a> Datum<'a> {
    pub(super) fn missing() -> Self {
        Datum { held: Held::Missing, boxed: false }
    }

    /// A value of the data or of the template itself.
    pub(super) fn borrowed(value: &'a Value) -> Self {
        Datum { held: Held::Borrowed(value), boxed: false }
    }

    /// A value made by a function or an object.
    pub(super) fn owned(value: impl Into<Value>) -> Self {
        Datum { held: Held::Shared(Rc::new(value.into())), boxed: false }
    }

    /// The same value, inside of an interface or not.
    pub(super) fn in_box(mut self, boxed: bool) -> Self {
        self.boxed = boxed;
        self
    }

    /// Takes a value out of its interface, where nothing becomes missing.
    pub(super) fn unboxed(self) -> Self {
        match self.get() {
            Some(Value::Nil) if self.boxed => Datum::missing(),
            _ => self.in_box(false),
        }
    }

    /// About how much work it was to make this value, if it was made and not just found.
    pub(super) fn made_weight(&self) -> u64 {
        match &self.held {
            Held::Shared(value) => value.weight(),
            _ => 0,
        }
    }

    /// The value; `None` if it is missing. A list or map that was never made is an empty one.
    pub(super) fn get(&self) -> Option<&Value> {
        match self.raw() {
            Some(Value::Unset(unset)) => Some(unset.empty()),
            Some(Value::Word(word)) => Some(word.text()),
            other => other,
        }
    }

    /// The same, with what was never made as it is.
    pub(super) fn raw(&self) -> Option<&Value> {
        match &self.held {
            Held::Missing => None,
            Held::Borrowed(value) => Some(value),
            Held::Shared(value) => Some(value),
        }
    }

    /// The value as a function gets it; only one that takes anything may care whether a list was
    /// ever made.
    pub(super) fn passed_for(&self, param: Param) -> Value {
        match param {
            Param::Any => self.raw().unwrap_or(NIL).clone(),
            _ => self.value().clone(),
        }
    }

    /// The value, with nothing for what is missing.
    pub(super) fn value(&self) -> &Value {
        self.get().unwrap_or(NIL)
    }

    /// Whether an action prints it as `<no value>`.
    pub(super) fn is_absent(&self) -> bool {
        match self.get() {
            None => true,
            Some(Value::Nil) => self.boxed,
            Some(_) => false,
        }
    }

    /// The type as a message about a field names it.
    pub(super) fn static_type(&self) -> Cow<'static, str> {
        if self.boxed { "interface {}".into() } else { self.value().type_name() }
    }

    /// The field or entry `name`.
    pub(super) fn field(&self, name: &str) -> Field<'a> {
        if let Some(Value::Word(word)) = self.raw() {
            let answer = word.method(name).map(Datum::owned);
            return answer.map_or(Field::Unknown, Field::Found);
        }
        match self.value() {
            Value::Nil => Field::Nil,
            Value::Map(_) => match self.entry(name) {
                Some(entry) => Field::Found(entry),
                None => Field::Absent,
            },
            Value::Struct(fields) => match fields.iter().position(|(known, _)| known == name) {
                Some(place) => Field::Found(self.nth_field(place)),
                None => Field::Unknown,
            },
            Value::Object(object) => match object.field(name) {
                Some(value) => Field::Found(Datum::owned(value)),
                None => Field::Unknown,
            },
            _ => Field::Unknown,
        }
    }

    /// What the map holds under `key`.
    pub(super) fn entry(&self, key: &str) -> Option<Datum<'a>> {
        let boxed = !self.value().holds_only_text();
        let child = match &self.held {
            Held::Borrowed(Value::Map(entries)) => Datum::borrowed(entries.get(key)?),
            Held::Shared(value) => match &**value {
                Value::Map(entries) => Datum::owned(entries.get(key)?.clone()),
                _ => return None,
            },
            _ => return None,
        };
        Some(child.in_box(boxed))
    }

    /// What the list holds at `place`.
    pub(super) fn item(&self, place: usize) -> Option<Datum<'a>> {
        let boxed = !self.value().holds_only_text();
        let child = match &self.held {
            Held::Borrowed(Value::List(items)) => Datum::borrowed(items.get(place)?),
            Held::Shared(value) => match &**value {
                Value::List(items) => Datum::owned(items.get(place)?.clone()),
                _ => return None,
            },
            _ => return None,
        };
        Some(child.in_box(boxed))
    }

    /// The field of a struct by its place; an unset one is a nil pointer, not an empty interface.
    fn nth_field(&self, place: usize) -> Datum<'a> {
        match &self.held {
            Held::Borrowed(Value::Struct(fields)) => Datum::borrowed(&fields[place].1),
            _ => match self.value() {
                Value::Struct(fields) => Datum::owned(fields[place].1.clone()),
                _ => Datum::missing(),
            },
        }
    }

    /// All entries of the map in the order of their keys, or all items of the list.
    ///
    /// `None` for what cannot be walked over.
    pub(super) fn children(&self) -> Option<Vec<(Datum<'a>, Datum<'a>)>> {
        if matches!(self.raw(), Some(Value::Unset(_))) {
            return Some(Vec::new());
        }
        let boxed = !self.value().holds_only_text();
        let child = |value: &Value| Datum::owned(value.clone()).in_box(boxed);
        let number = |place: usize| Datum::owned(Value::Int(place as i64));
        match &self.held {
            Held::Borrowed(Value::List(items)) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(place, item)| (number(place), Datum::borrowed(item).in_box(boxed)))
                    .collect(),
            ),
            Held::Borrowed(Value::Map(entries)) => Some(
                entries
                    .iter()
                    .map(|(key, item)| {
                        (Datum::owned(key.as_str()), Datum::borrowed(item).in_box(boxed))
                    })
                    .collect(),
            ),
            Held::Shared(value) => match &**value {
                Value::List(items) => Some(
                    items.iter().enumerate().map(|(at, item)| (number(at), child(item))).collect(),
                ),
                Value::Map(entries) => Some(
                    entries
                        .iter()
                        .map(|(key, item)| (Datum::owned(key.as_str()), child(item)))
                        .collect(),
                ),
                _ => None,
            },
            _ => None,
        }
    }
}
