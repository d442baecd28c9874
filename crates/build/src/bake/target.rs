//! What a target says, key by key: how each is read, joined and written.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::functions::csv_rows;
use super::value::Value;

/// A key of a target.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in files.
    pub name: &'static str,
    /// Its name for `--set`, where that is another.
    set_name: &'static str,
    shape: Shape,
    join: Join,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Bool,
    List,
    Map,
    /// Rows of names and values, written as objects or as `type=local,dest=out`.
    Rows(Bare),
}

/// What a row means that has no names: `user/app:cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bare {
    Cache,
    Output,
    Ssh,
    Kind,
    Id,
}

/// What becomes of a key that is said twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    Replace,
    Append,
    /// Rows of the same name are replaced, others appended.
    ByName(&'static str),
}

const fn key(name: &'static str, shape: Shape, join: Join) -> Key {
    Key { name, set_name: name, shape, join }
}

const fn also(name: &'static str, set_name: &'static str, shape: Shape, join: Join) -> Key {
    Key { name, set_name, shape, join }
}

/// All keys, in the order in which `--print` writes them.
pub static KEYS: &[Key] = &[
    key("description", Shape::Text, Join::Replace),
    key("annotations", Shape::List, Join::Append),
    key("attest", Shape::Rows(Bare::Kind), Join::ByName("type")),
    key("context", Shape::Text, Join::Replace),
    key("contexts", Shape::Map, Join::Append),
    key("dockerfile", Shape::Text, Join::Replace),
    key("dockerfile-inline", Shape::Text, Join::Replace),
    key("args", Shape::Map, Join::Append),
    key("labels", Shape::Map, Join::Append),
    key("tags", Shape::List, Join::Replace),
    key("cache-from", Shape::Rows(Bare::Cache), Join::Append),
    key("cache-to", Shape::Rows(Bare::Cache), Join::Replace),
    key("target", Shape::Text, Join::Replace),
    also("secret", "secrets", Shape::Rows(Bare::Id), Join::ByName("id")),
    key("ssh", Shape::Rows(Bare::Ssh), Join::ByName("id")),
    also("platforms", "platform", Shape::List, Join::Replace),
    key("output", Shape::Rows(Bare::Output), Join::Replace),
    key("pull", Shape::Bool, Join::Replace),
    key("no-cache", Shape::Bool, Join::Replace),
    key("network", Shape::Text, Join::Replace),
    key("no-cache-filter", Shape::List, Join::Replace),
    key("shm-size", Shape::Text, Join::Replace),
    key("ulimits", Shape::List, Join::Replace),
    key("call", Shape::Text, Join::Replace),
    key("entitlements", Shape::List, Join::Append),
    key("extra-hosts", Shape::Map, Join::Append),
    key("policy", Shape::Rows(Bare::Kind), Join::Append),
    key("resources", Shape::Map, Join::Append),
];

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// Texts in order.
    List(Vec<String>),
    /// Texts by name.
    Map(BTreeMap<String, String>),
    /// Names and values, row by row.
    Rows(Vec<BTreeMap<String, String>>),
}

/// A build as a file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    fields: BTreeMap<&'static str, Field>,
    /// The targets it takes keys from, the last being the strongest.
    pub(super) inherits: Vec<String>,
}

pub(super) fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Target {
    /// What a key holds, if it is said.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// Changes where contexts are.
    pub(super) fn change_contexts(&mut self, change: impl Fn(&str) -> String) {
        if let Some(Field::Text(path)) = self.fields.get_mut("context") {
            *path = change(path);
        }
        if let Some(Field::Map(paths)) = self.fields.get_mut("contexts") {
            paths.values_mut().for_each(|path| *path = change(path));
        }
    }

    /// A key's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A key's texts.
    pub fn list(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Field::List(list)) => list,
            _ => &[],
        }
    }

    /// A key's names and texts.
    pub fn map(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = match self.get(name) {
            Some(Field::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A key's rows, each as the flag of `build` takes it.
    pub fn rows(&self, name: &str) -> Vec<String> {
        let Some(Field::Rows(rows)) = self.get(name) else { return Vec::new() };
        let field = |(name, value): (&String, &String)| match value.contains([',', '"']) {
            true => format!("\"{name}={}\"", value.replace('"', "\"\"")),
            false => format!("{name}={value}"),
        };
        rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",")).collect()
    }

    /// A key that is said or not.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some(&Field::Bool(true))
    }

    pub(super) fn set(&mut self, key: &'static Key, field: Field) {
        self.fields.insert(key.name, field);
    }

    /// Sets a key to what is said of it.
    pub(super) fn say(&mut self, key: &'static Key, value: &Value) -> Result<(), String> {
        if *value != Value::Null {
            self.set(key, key.read(value)?);
        }
        Ok(())
    }

    /// Takes what another target says, which is the stronger one.
    pub(super) fn join(&mut self, other: &Target) {
        for key in KEYS {
            if let Some(field) = other.fields.get(key.name) {
                let joined = match self.fields.remove(key.name) {
                    Some(own) => key.joined(own, field.clone()),
                    None => field.clone(),
                };
                self.set(key, joined);
            }
        }
        self.inherits.extend(other.inherits.iter().cloned());
    }

    pub(super) fn default_text(&mut self, name: &'static str, text: &str) {
        self.fields.entry(name).or_insert_with(|| Field::Text(text.to_owned()));
    }

    /// As `--print` writes it.
    pub fn document(&self) -> Json {
        let mut document = Map::new();
        for key in KEYS {
            let Some(field) = self.fields.get(key.name) else { continue };
            let value = match field {
                Field::Text(text) => json!(text),
                Field::Bool(yes) => json!(yes),
                Field::List(list) => json!(list),
                Field::Map(map) => json!(map),
                Field::Rows(rows) => rows.iter().map(|row| key.row_document(row)).collect(),
            };
            let is_empty = matches!(&value, Json::Array(list) if list.is_empty())
                || matches!(&value, Json::Object(map) if map.is_empty());
            if !is_empty {
                document.insert(key.name.to_owned(), value);
            }
        }
        Json::Object(document)
    }
}

impl Key {
    /// Whether `--set` calls it so.
    pub(super) fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.set_name == name
    }

    pub(super) fn is_map(&self) -> bool {
        self.shape == Shape::Map
    }

    fn read(&self, value: &Value) -> Result<Field, String> {
        Ok(match self.shape {
            Shape::Text => Field::Text(value.to_text()?),
            Shape::Bool => Field::Bool(match value {
                Value::Number(number) => *number != 0.0,
                Value::Text(text) if text == "always" => true,
                value => value.to_bool()?,
            }),
            Shape::List => Field::List(texts(value)?),
            Shape::Map => {
                let pairs = value.to_map()?.iter().filter(|(_, value)| **value != Value::Null);
                let pair = |(name, value): (&String, &Value)| Ok((name.clone(), value.to_text()?));
                Field::Map(pairs.map(pair).collect::<Result<_, String>>()?)
            }
            Shape::Rows(bare) => {
                let rows = value.to_list()?.iter().filter(|row| **row != Value::Null);
                Field::Rows(rows.map(|row| bare.row(row)).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Reads what `--set` gives; several make a list.
    pub(super) fn read_texts(&self, given: &[String]) -> Result<Field, String> {
        let last = || given.last().cloned().unwrap_or_default();
        match self.shape {
            Shape::Text => Ok(Field::Text(last())),
            Shape::Bool => self.read(&Value::Text(last())),
            Shape::List if self.name == "platforms" => {
                let split = given.iter().flat_map(|text| text.split(','));
                Ok(Field::List(split.map(|text| text.trim().to_owned()).collect()))
            }
            Shape::List => Ok(Field::List(given.to_vec())),
            Shape::Map => Err(format!("{} needs a name: {0}.NAME=VALUE", self.name)),
            Shape::Rows(_) => {
                let full = given.iter().filter(|text| !text.is_empty());
                self.read(&Value::List(full.map(Value::text).collect()))
            }
        }
    }

    pub(super) fn joined(&self, own: Field, other: Field) -> Field {
        match (self.join, own, other) {
            (Join::Replace, _, other) => other,
            (_, Field::Map(mut own), Field::Map(other)) => {
                own.extend(other);
                Field::Map(own)
            }
            (Join::ByName(name), own, other) => Key::by_name(name, own, other),
            (Join::Append, own, other) => Key::appended(own, other),
        }
    }

    /// One list after the other, each entry once.
    pub(super) fn appended(own: Field, other: Field) -> Field {
        match (own, other) {
            (Field::List(mut own), Field::List(other)) => {
                for text in other {
                    if !own.contains(&text) {
                        own.push(text);
                    }
                }
                Field::List(own)
            }
            (Field::Rows(mut own), Field::Rows(other)) => {
                for row in other {
                    if !own.contains(&row) {
                        own.push(row);
                    }
                }
                Field::Rows(own)
            }
            (_, other) => other,
        }
    }

    fn by_name(name: &str, own: Field, other: Field) -> Field {
        let (Field::Rows(mut own), Field::Rows(other)) = (own, other) else {
            return Field::Rows(Vec::new());
        };
        for row in other {
            own.retain(|known| known.get(name) != row.get(name));
            own.push(row);
        }
        Field::Rows(own)
    }

    fn row_document(&self, row: &BTreeMap<String, String>) -> Json {
        let mut document = Map::new();
        for (name, value) in row {
            let value = match name.as_str() {
                "paths" => json!(value.split(',').collect::<Vec<_>>()),
                _ => json!(value),
            };
            document.insert(name.clone(), value);
        }
        Json::Object(document)
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let full = value.to_list()?.iter().filter(|text| **text != Value::Null);
    full.map(Value::to_text).collect()
}

impl Bare {
    fn row(self, value: &Value) -> Result<BTreeMap<String, String>, String> {
        match value {
            Value::Map(map) => {
                let text = |value: &Value| match value {
                    Value::List(list) => Ok(list
                        .iter()
                        .map(Value::to_text)
                        .collect::<Result<Vec<_>, _>>()?
                        .join(",")),
                    value => value.to_text(),
                };
                let full = map.iter().filter(|(_, value)| **value != Value::Null);
                full.map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
            }
            value => self.parsed(&value.to_text()?),
        }
    }

    fn parsed(self, text: &str) -> Result<BTreeMap<String, String>, String> {
        let row = |pairs: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Ok(pairs.iter().map(own).collect())
        };
        if self == Bare::Ssh {
            return match text.split_once('=') {
                Some((id, paths)) => row(&[("id", id), ("paths", paths)]),
                None => row(&[("id", text)]),
            };
        }
        let fields = csv_rows(text)?.into_iter().next().unwrap_or_default();
        if let [only] = fields.as_slice()
            && !only.contains('=')
        {
            return match self {
                Bare::Cache => row(&[("ref", only), ("type", "registry")]),
                Bare::Output if only == "-" => row(&[("dest", "-"), ("type", "tar")]),
                Bare::Output => row(&[("dest", only), ("type", "local")]),
                Bare::Kind => row(&[("type", only)]),
                Bare::Id => row(&[("id", only)]),
                Bare::Ssh => row(&[("id", only)]),
            };
        }
        let pair = |field: &String| match field.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_ascii_lowercase(), value.to_owned())),
            None => Err(format!("invalid value {field}: want name=value")),
        };
        fields.iter().map(pair).collect()
    }
}
