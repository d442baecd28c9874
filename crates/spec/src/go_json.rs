//! JSON as Go's programs read it. Docker, its clients and whoever writes images are such programs,
//! so what they take is no error here, and what they make of a document is made of it here.
//!
//! - A field is called by its name in whatever case; of several the last counts that says something.
//! - `null` says nothing, wherever it stands: a field keeps what it is without one, an element of a
//!   list or map is empty.
//! - Bytes that are no UTF-8, and halves of pairs (`\ud800`), become U+FFFD.
//! - A list is no struct, though serde would take one for it.
//!
//! Deeper nesting than serde_json takes, 128, is an error; Go bears with 10,000. Of an object that is
//! there twice the last counts alone, where Go adds its members to those of the first, and a list or a
//! map is not emptied by a `null` behind it. Of letters beyond ASCII only the same are the same: Go
//! takes U+017F for an `s` and U+212A for a `k`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// What becomes of what follows the value in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// It is an error, unless it is blank.
    Refused,
    /// Nobody looks at it.
    Ignored,
}

/// Reads the first value of a text.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], behind: Behind) -> Result<T, Error> {
    let text = mended(bytes);
    let mut reader = serde_json::Deserializer::from_str(&text);
    let Last(value) = serde::Deserialize::deserialize(&mut reader)?;
    if behind == Behind::Refused {
        reader.end()?;
    }
    from_value(value)
}

/// Makes of a value what Go would make of it.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    T::deserialize(GoValue(value))
}

/// A text without what no text has.
fn mended(bytes: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replaced(bytes)),
    };
    match text.contains(r"\ud") || text.contains(r"\uD") {
        true => Cow::Owned(paired(&text)),
        false => text,
    }
}

/// Each byte that belongs to no letter becomes one that says so.
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The number that an escape `\uXXXX` at the beginning of a text stands for.
fn escaped(text: &str) -> Option<u32> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u32::from_str_radix(digits, 16).ok()
}

/// Halves of pairs that stand alone become U+FFFD.
fn paired(text: &str) -> String {
    const ESCAPE: usize = r"\uXXXX".len();
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        written.push_str(&rest[..at]);
        rest = &rest[at..];
        let count = match escaped(rest) {
            Some(0xd800..=0xdbff)
                if matches!(rest.get(ESCAPE..).and_then(escaped), Some(0xdc00..=0xdfff)) =>
            {
                2 * ESCAPE
            }
            Some(0xd800..=0xdfff) => {
                written.push_str(r"\ufffd");
                rest = &rest[ESCAPE..];
                continue;
            }
            Some(_) => ESCAPE,
            // What follows is part of the escape, be it another of these.
            None => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        written.push_str(&rest[..count]);
        rest = &rest[count..];
    }
    written.push_str(rest);
    written
}

/// A value in which the last of several members of one name stands where it was said.
struct Last(Value);

impl<'de> Deserialize<'de> for Last {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Last, D::Error> {
        from.deserialize_any(LastVisitor).map(Last)
    }
}

struct LastVisitor;

impl<'de> Visitor<'de> for LastVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Last(value)) = elements.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (mut said, mut places) = (Vec::new(), HashMap::new());
        while let Some((name, Last(value))) = members.next_entry::<String, Last>()? {
            let end = said.len();
            match places.entry(name.clone()) {
                Entry::Occupied(_) if value.is_null() => continue,
                Entry::Occupied(mut before) => said[before.insert(end)] = None,
                Entry::Vacant(place) => _ = place.insert(end),
            }
            said.push(Some((name, value)));
        }
        Ok(Value::Object(said.into_iter().flatten().collect()))
    }
}

/// A value that is read with Go's habits.
pub(crate) struct GoValue(pub(crate) Value);

impl<'de> IntoDeserializer<'de, Error> for GoValue {
    type Deserializer = GoValue;

    fn into_deserializer(self) -> GoValue {
        self
    }
}

/// Reads a struct from the members of an object, each by the name that the struct has for it.
pub(crate) fn visit_members<'de, V: Visitor<'de>>(
    members: impl Iterator<Item = (String, Value)>,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Error> {
    let mut known: Vec<Option<Value>> = fields.iter().map(|_| None).collect();
    let mut others = Vec::new();
    for (name, value) in members.filter(|(_, value)| !value.is_null()) {
        let exact = fields.iter().position(|field| **field == name);
        let loose = || fields.iter().position(|field| field.eq_ignore_ascii_case(&name));
        match exact.or_else(loose) {
            Some(at) => known[at] = Some(value),
            None => others.push((Cow::Owned(name), GoValue(value))),
        }
    }
    let known = fields.iter().zip(known);
    let known = known.filter_map(|(name, value)| Some((Cow::Borrowed(*name), GoValue(value?))));
    visitor.visit_map(MapDeserializer::new(known.chain(others)))
}

impl GoValue {
    fn wrong<'de, V: Visitor<'de>>(&self, visitor: &V) -> Error {
        let found = match &self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Error::invalid_type(found, visitor)
    }

    /// A number; `null` is 0.
    fn visit_number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_u64(0),
            Value::Number(number) => number.deserialize_any(visitor),
            _ => Err(self.wrong(&visitor)),
        }
    }

    /// A text; `null` is an empty one.
    fn visit_text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_str(""),
            Value::String(text) => visitor.visit_string(text),
            _ => Err(self.wrong(&visitor)),
        }
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_number(visitor)
        })*
    };
}

macro_rules! texts {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_text(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for GoValue {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(_) => self.visit_number(visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.wrong(&visitor)),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    texts! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let list = match self.0 {
            Value::Null => Vec::new(),
            Value::Array(list) => list,
            _ => return Err(self.wrong(&visitor)),
        };
        visitor.visit_seq(SeqDeserializer::new(list.into_iter().map(GoValue)))
    }

    /// What a list lacks is empty, and what it has beyond is nobody's.
    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Array(list) = &mut self.0 {
            list.resize(len, Value::Null);
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let members = match self.0 {
            Value::Null => serde_json::Map::new(),
            Value::Object(members) => members,
            _ => return Err(self.wrong(&visitor)),
        };
        let members = members.into_iter().map(|(name, value)| (name, GoValue(value)));
        visitor.visit_map(MapDeserializer::new(members))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visit_members(std::iter::empty(), fields, visitor),
            Value::Object(members) => visit_members(members.into_iter(), fields, visitor),
            _ => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct }
}

#[cfg(test)]
mod tests;
