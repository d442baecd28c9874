//! YAML, as far as values go: what compose files and descriptions of devices are written in.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value as Json};

/// Reads a document, with what its aliases and merge keys (`<<`) stand for in their place. Numbers
/// stay texts as they are written: a version 1.10 is not 1.1, and who wants a number knows.
pub fn read(text: &str) -> Result<Json, String> {
    Reader::read(text).map(merged)
}

/// Carries out merge keys: what `<<` names is taken where the object itself says nothing.
fn merged(json: Json) -> Json {
    match json {
        Json::Array(list) => Json::Array(list.into_iter().map(merged).collect()),
        Json::Object(mut map) => {
            let below = map.remove("<<").map(merged);
            let mut all: Map<String, Json> =
                map.into_iter().map(|(name, value)| (name, merged(value))).collect();
            let below = match below {
                Some(Json::Array(list)) => list,
                Some(one) => vec![one],
                None => Vec::new(),
            };
            for (name, value) in
                below.into_iter().filter_map(|one| one.as_object().cloned()).flatten()
            {
                all.entry(name).or_insert(value);
            }
            Json::Object(all)
        }
        other => other,
    }
}

/// A list or an object that is not complete.
enum Open {
    List(Vec<Json>, usize),
    Object(Map<String, Json>, Option<String>, usize),
}

/// Events of YAML to a value.
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Json>,
    root: Option<Json>,
    /// How much aliases have copied: a small file must not become a huge value.
    copied: usize,
}

/// No honest file copies more, or nests deeper.
const MAX_COPIED: usize = 1 << 20;
const MAX_DEPTH: usize = 64;

impl Reader {
    fn read(text: &str) -> Result<Json, String> {
        let mut reader =
            Reader { open: Vec::new(), anchors: BTreeMap::new(), root: None, copied: 0 };
        for event in Parser::new_from_str(text) {
            let (event, _) = event.map_err(|error| error.to_string())?;
            reader.event(event)?;
            if reader.open.len() > MAX_DEPTH {
                return Err("it is nested too deeply".to_owned());
            }
        }
        Ok(reader.root.unwrap_or(Json::Null))
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => self.put(scalar(&text, style), anchor),
            Event::SequenceStart(anchor, ..) => {
                self.open.push(Open::List(Vec::new(), anchor));
                Ok(())
            }
            Event::MappingStart(anchor, ..) => {
                self.open.push(Open::Object(Map::new(), None, anchor));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list, anchor)) => self.put(Json::Array(list), anchor),
                Some(Open::Object(map, _, anchor)) => self.put(Json::Object(map), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or(Json::Null);
                self.copied += value.to_string().len();
                match self.copied > MAX_COPIED {
                    true => Err("its aliases make it too large".to_owned()),
                    false => self.put(value, 0),
                }
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, value: Json, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => self.root = self.root.take().or(Some(value)),
            Some(Open::List(list, _)) => list.push(value),
            Some(Open::Object(map, name, _)) => match name.take() {
                Some(name) => {
                    map.insert(name, value);
                }
                None => {
                    *name = Some(match value {
                        Json::String(text) => text,
                        Json::Null => String::new(),
                        other => other.to_string(),
                    });
                }
            },
        }
        Ok(())
    }
}

/// A text, unless it is plain and looks like something else.
fn scalar(text: &str, style: ScalarStyle) -> Json {
    if style != ScalarStyle::Plain {
        return Json::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        other => Json::String(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_values() {
        let text = "a: &a {x: 1.10, y: ~}\nb:\n- <<: *a\n  y: 'no'\n- true\n- \"0\"\n";
        let expected = json!({
            "a": {"x": "1.10", "y": null},
            "b": [{"x": "1.10", "y": "no"}, true, "0"],
        });
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read(""), Ok(Json::Null));
        assert!(read("a: [").is_err());
    }

    #[test]
    fn small_files_do_not_become_huge_values() {
        let mut text = "a0: &a0 [xxxxxxxx, xxxxxxxx]\n".to_owned();
        for at in 1..20 {
            let below = at - 1;
            text.push_str(&format!("a{at}: &a{at} [*a{below}, *a{below}, *a{below}, *a{below}]\n"));
        }
        assert!(read(&text).unwrap_err().contains("too large"));
        assert!(read(&"[".repeat(1000)).is_err());
    }
}
