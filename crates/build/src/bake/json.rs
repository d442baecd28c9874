//! JSON in place of HCL: the same blocks and attributes as objects, templates in every text.

use serde_json::Value as Json;

use super::syntax::{Attribute, Block, Body, Expr, Kind, Place, Wrong};
use super::template;
use super::value::Value;

/// Kinds of blocks that have a name.
const NAMED: &[&str] = &["target", "group", "variable", "function"];

/// Reads a file. serde_json says at which line a text is wrong, but not where a value stands.
pub(super) fn parse(text: &str, file: usize) -> Result<Body, Wrong> {
    let at = |line: usize| Place { file, line, from: 1, to: 2 };
    let json: Json = serde_json::from_str(text)
        .map_err(|error| Wrong { at: at(error.line().max(1)), message: error.to_string() })?;
    let root = match json {
        Json::Object(_) => body(&json, at(1))?,
        _ => return Err(Wrong { at: at(1), message: "Root value must be object.".to_owned() }),
    };
    Ok(root)
}

fn body(json: &Json, at: Place) -> Result<Body, Wrong> {
    let mut read = Body::default();
    for (name, value) in json.as_object().into_iter().flatten() {
        match value {
            Json::Object(labels) if NAMED.contains(&name.as_str()) => {
                for (label, value) in labels {
                    for value in one_or_many(value) {
                        let (kind, labels) = (name.clone(), vec![label.clone()]);
                        read.blocks.push(Block { kind, labels, body: body(value, at)?, at });
                    }
                }
            }
            // The one block without a name.
            value if name == "validation" => {
                for value in one_or_many(value) {
                    let (kind, labels) = (name.clone(), Vec::new());
                    read.blocks.push(Block { kind, labels, body: body(value, at)?, at });
                }
            }
            value => {
                let value = expression(name, value, at)?;
                read.attributes.push(Attribute { name: name.clone(), value, at });
            }
        }
    }
    Ok(read)
}

/// Several blocks of one name are a list of objects.
fn one_or_many(value: &Json) -> &[Json] {
    match value {
        Json::Array(list) => list,
        one => std::slice::from_ref(one),
    }
}

/// What HCL takes as an expression is a text here, with or without `${}`.
const EXPRESSIONS: &[&str] = &["condition", "result", "type"];

fn expression(name: &str, json: &Json, at: Place) -> Result<Expr, Wrong> {
    let kind = match json {
        Json::String(text) if EXPRESSIONS.contains(&name) && !text.contains("${") => {
            return super::parser::Parser::new(text, at.file, at.line).expression();
        }
        Json::String(text) => return template::of_text(text, at.file, at.line),
        Json::Array(list) if name == "params" => {
            let variable = |json: &Json| Expr {
                kind: Kind::Variable(json.as_str().unwrap_or_default().to_owned()),
                at,
            };
            Kind::Tuple(list.iter().map(variable).collect())
        }
        Json::Array(list) => {
            Kind::Tuple(list.iter().map(|item| expression("", item, at)).collect::<Result<_, _>>()?)
        }
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| {
                Ok((template::of_text(key, at.file, at.line)?, expression("", value, at)?))
            };
            Kind::Object(map.iter().map(pair).collect::<Result<_, Wrong>>()?)
        }
        plain => Kind::Literal(Value::of_json(plain)),
    };
    Ok(Expr { kind, at })
}
