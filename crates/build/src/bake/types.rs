//! Types as files write them.

use std::collections::BTreeMap;

use super::evaluate::wrong;
use super::syntax::{Expr, Kind, Wrong};
use super::value::{Type, Value};

/// A type as a file writes it: `list(string)`.
pub(super) fn type_of(expr: &Expr) -> Result<Type, Wrong> {
    let unknown = || Err(wrong(expr.at, "Invalid type specification."));
    Ok(match &expr.kind {
        Kind::Variable(name) => match name.as_str() {
            "string" => Type::Text,
            "number" => Type::Number,
            "bool" => Type::Bool,
            "any" => Type::Any,
            "list" => Type::List(Box::new(Type::Any)),
            "set" => Type::Set(Box::new(Type::Any)),
            "map" => Type::Map(Box::new(Type::Any)),
            _ => return unknown(),
        },
        Kind::Literal(Value::Text(name)) => {
            return type_of(&Expr { kind: Kind::Variable(name.clone()), at: expr.at });
        }
        Kind::Call(name, list, false) => match (name.as_str(), list.as_slice()) {
            ("list", [inner]) => Type::List(Box::new(type_of(inner)?)),
            ("set", [inner]) => Type::Set(Box::new(type_of(inner)?)),
            ("map", [inner]) => Type::Map(Box::new(type_of(inner)?)),
            ("optional", [inner]) => Type::Optional(Box::new(type_of(inner)?), Value::Null),
            ("optional", [inner, default]) => match &default.kind {
                Kind::Literal(value) => Type::Optional(Box::new(type_of(inner)?), value.clone()),
                _ => return unknown(),
            },
            ("tuple", [Expr { kind: Kind::Tuple(list), .. }]) => {
                Type::Tuple(list.iter().map(type_of).collect::<Result<_, _>>()?)
            }
            ("object", [Expr { kind: Kind::Object(pairs), .. }]) => {
                let mut types = BTreeMap::new();
                for (name, wanted) in pairs {
                    let Kind::Literal(Value::Text(name)) = &name.kind else { return unknown() };
                    types.insert(name.clone(), type_of(wanted)?);
                }
                Type::Object(types)
            }
            _ => return unknown(),
        },
        _ => return unknown(),
    })
}

/// A type as the file writes it.
pub(super) fn shown_type(expr: &Expr) -> String {
    match &expr.kind {
        Kind::Variable(name) => name.clone(),
        Kind::Call(name, list, _) => {
            let list: Vec<String> = list.iter().map(shown_type).collect();
            format!("{name}({})", list.join(", "))
        }
        Kind::Tuple(list) => {
            format!("[{}]", list.iter().map(shown_type).collect::<Vec<_>>().join(", "))
        }
        Kind::Object(_) => "{…}".to_owned(),
        _ => String::new(),
    }
}
