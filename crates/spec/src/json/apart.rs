//! A struct in whose object others' members stand: those of a struct within it, or all that nobody
//! knows.
//!
//! serde's own way (`flatten`) reads such an object without ever saying which names it looks for, so
//! that nobody can call them otherwise, and keeps members in a form that is read by its own habits.
//! Here the members that are not the struct's own are set apart, and the rest is made of them after.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::go_json::visit_members;

/// Reads and writes a struct with one field whose members stand beside its own. The struct derives
/// both with `remote = "Self"`, and the field has `flatten` and `skip_deserializing`.
macro_rules! with_members_of {
    ($name:ty, $field:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$name>::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut others = Vec::new();
                let apart = crate::json::Apart { inner: deserializer, others: &mut others };
                let mut read = <$name>::deserialize(apart)?;
                let rest = crate::json::Others::read(others);
                read.$field = rest.map_err(<D::Error as serde::de::Error>::custom)?;
                Ok(read)
            }
        }
    };
}
pub(crate) use with_members_of;

/// Something that is made of the members which are not a struct's own.
pub(crate) trait Others: Sized {
    fn read(others: Vec<(String, Value)>) -> serde_json::Result<Self>;
}

impl Others for Map<String, Value> {
    fn read(others: Vec<(String, Value)>) -> serde_json::Result<Self> {
        Ok(others.into_iter().collect())
    }
}

impl Others for crate::Resources {
    fn read(others: Vec<(String, Value)>) -> serde_json::Result<Self> {
        serde::Deserialize::deserialize(Members(others))
    }
}

/// Members of an object of which a struct takes what is its own.
struct Members(Vec<(String, Value)>);

impl<'de> Deserializer<'de> for Members {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visit_members(self.0.into_iter(), &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visit_members(self.0.into_iter(), fields, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A document of which a struct is given its own members only.
pub(crate) struct Apart<'a, D> {
    pub(crate) inner: D,
    /// The others, in their order.
    pub(crate) others: &'a mut Vec<(String, Value)>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Apart<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Sorting { inner: visitor, fields, others: self.others };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Passes on what is a struct's own, and keeps the others. It is a visitor, and then what it gives
/// to the one within.
struct Sorting<'a, T> {
    inner: T,
    fields: &'static [&'static str],
    others: &'a mut Vec<(String, Value)>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Sorting<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let Sorting { inner, fields, others } = self;
        inner.visit_map(Sorting { inner: map, fields, others })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Sorting<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        loop {
            match self.inner.next_key_seed(Known(self.fields))? {
                None => return Ok(None),
                Some(Ok(name)) => return seed.deserialize(name.into_deserializer()).map(Some),
                Some(Err(name)) => {
                    let value = self.inner.next_value()?;
                    self.others.push((name, value));
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}

/// Reads a name: one of these, or another.
struct Known(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Result<&'static str, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Known {
    type Value = Result<&'static str, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let own = self.0.iter().find(|own| **own == name);
        Ok(own.copied().ok_or_else(|| name.to_owned()))
    }
}
