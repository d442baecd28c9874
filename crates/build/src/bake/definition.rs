//! All HCL and JSON files of a bake as one definition: variables, functions, targets, groups.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::evaluate::{Evaluator, Function, Names, World, wrong};
use super::syntax::{Attribute, Block, Body, Expr, Kind, Place, Wrong};
use super::target::{KEYS, Target, find_key};
use super::types::{shown_type, type_of};
use super::value::{Type, Value};
use super::{Given, Variable, functions};
use crate::error::nearest;

/// No honest matrix makes more targets.
const MAX_TARGETS: usize = 1 << 12;

pub(super) struct Definition<'a> {
    /// Variables, and attributes outside all blocks, which are variables nobody can override.
    attributes: BTreeMap<String, &'a Expr>,
    variables: BTreeMap<String, Vec<&'a Block>>,
    functions: BTreeMap<String, Function>,
    blocks: Vec<&'a Block>,
    given: &'a Given,
    /// Values that are known, and `None` for those being found out.
    values: RefCell<BTreeMap<String, Option<Value>>>,
    /// Attributes of blocks being found out.
    open: RefCell<BTreeSet<(String, String, String)>>,
}

impl<'a> Definition<'a> {
    pub(super) fn new(bodies: &'a [Body], given: &'a Given) -> Result<Definition<'a>, Wrong> {
        let mut definition = Definition {
            attributes: BTreeMap::new(),
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            blocks: Vec::new(),
            given,
            values: RefCell::default(),
            open: RefCell::default(),
        };
        for body in bodies {
            for Attribute { name, value, .. } in &body.attributes {
                definition.attributes.insert(name.clone(), value);
            }
            for block in &body.blocks {
                let [label] = block.labels.as_slice() else {
                    let message =
                        format!("Missing name for {}; One label is required.", block.kind);
                    return Err(wrong(block.at, message));
                };
                match block.kind.as_str() {
                    "target" | "group" => definition.blocks.push(block),
                    "variable" => {
                        definition.variables.entry(label.clone()).or_default().push(block)
                    }
                    "function" => {
                        definition.functions.insert(label.clone(), function(block)?);
                    }
                    other => {
                        let known = ["target", "group", "variable", "function"];
                        let meant =
                            nearest(other, known).map(|meant| format!(" Did you mean {meant:?}?"));
                        let message = format!(
                            "Unsupported block type; Blocks of type {other:?} are not expected here.{}",
                            meant.unwrap_or_default()
                        );
                        return Err(wrong(block.at, message));
                    }
                }
            }
        }
        Ok(definition)
    }

    /// Finds the value of every variable, so that a wrong one is told even if nobody uses it.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.variables
            .keys()
            .try_for_each(|name| self.variable(name).unwrap_or(Ok(Value::Null)).map(drop))
    }

    /// The variables, for `--list`.
    pub(super) fn list(&self) -> Result<Vec<Variable>, Wrong> {
        let one = |(name, blocks): (&String, &Vec<&Block>)| {
            let text = |attribute: &str| -> Result<Option<String>, Wrong> {
                let found = blocks.iter().rev().find_map(|block| block.body.attribute(attribute));
                found.map(|found| Evaluator::new(self, vec![]).text(&found.value)).transpose()
            };
            let kind = blocks.iter().rev().find_map(|block| block.body.attribute("type"));
            let value = self.variable(name).unwrap_or(Ok(Value::Null))?;
            let value = match value {
                Value::Null => None,
                value => Some(value.to_text().unwrap_or_else(|_| value.to_json().to_string())),
            };
            let kind = kind.map(|kind| shown_type(&kind.value));
            Ok(Variable { name: name.clone(), kind, value, description: text("description")? })
        };
        self.variables.iter().map(one).collect()
    }

    /// What the variable is given from outside: a text, or JSON under its name with `_JSON`.
    fn given(&self, name: &str, wanted: &Type, at: Place) -> Option<Result<Value, Wrong>> {
        let lists = matches!(wanted, Type::List(_) | Type::Set(_) | Type::Tuple(_));
        let maps = matches!(wanted, Type::Map(_) | Type::Object(_));
        let failed =
            |error: String| wrong(at, format!("Invalid value for variable {name}: {error}"));
        if let Some(text) = self.given.variables.get(name) {
            let value = match (lists, maps) {
                (false, false) => Ok(Value::text(text)),
                (true, _) => functions::csv_rows(text)
                    .map(|rows| rows.into_iter().flatten().map(Value::Text).collect())
                    .map(Value::List),
                (_, true) => serde_json::from_str(text)
                    .map(|json| Value::of_json(&json))
                    .map_err(|error| error.to_string()),
            };
            return Some(value.and_then(|value| value.convert(wanted)).map_err(failed));
        }
        let text = self.given.variables.get(&format!("{name}_JSON")).filter(|_| lists || maps)?;
        let value = serde_json::from_str(text).map_err(|error| error.to_string());
        Some(value.and_then(|json| Value::of_json(&json).convert(wanted)).map_err(failed))
    }

    fn resolve(&self, name: &str) -> Result<Value, Wrong> {
        let Some(blocks) = self.variables.get(name) else {
            return Evaluator::new(self, vec![]).value(self.attributes[name]);
        };
        let last =
            |attribute: &str| blocks.iter().rev().find_map(|block| block.body.attribute(attribute));
        let at = blocks[0].at;
        let wanted = last("type").map(|wanted| type_of(&wanted.value)).transpose()?;
        let default = last("default").map(|default| &default.value);
        let default = default.map(|default| Evaluator::new(self, vec![]).value(default));
        let default = default.transpose()?.unwrap_or(Value::Null);
        // Without a type, the default says what is wanted.
        let kind = wanted.clone().unwrap_or(match &default {
            Value::Bool(_) => Type::Bool,
            Value::Number(_) => Type::Number,
            Value::List(_) => Type::List(Box::new(Type::Any)),
            Value::Map(_) => Type::Map(Box::new(Type::Any)),
            Value::Null | Value::Text(_) => Type::Text,
        });
        match self.given(name, &kind, at) {
            Some(value) => value,
            None => default.convert(&wanted.unwrap_or(Type::Any)).map_err(|error| {
                wrong(at, format!("Invalid default for variable {name}: {error}"))
            }),
        }
    }

    fn validate(&self, name: &str) -> Result<(), Wrong> {
        let blocks = self.variables.get(name).into_iter().flatten();
        for rule in blocks.flat_map(|block| &block.body.blocks).filter(|b| b.kind == "validation") {
            let Some(condition) = rule.body.attribute("condition") else { continue };
            let mut evaluator = Evaluator::new(self, vec![]);
            let holds = evaluator.value(&condition.value)?.to_bool();
            if !holds
                .map_err(|error| wrong(condition.at, format!("Invalid condition; {error}.")))?
            {
                let message = rule.body.attribute("error_message");
                let message = message.map(|text| evaluator.text(&text.value)).transpose()?;
                let message = message.unwrap_or_else(|| "This check failed.".to_owned());
                return Err(wrong(condition.at, format!("Validation failed; {message}")));
            }
        }
        Ok(())
    }

    /// All targets and groups, in the order of the files.
    pub(super) fn collect(
        &self,
        targets: &mut BTreeMap<String, Target>,
        groups: &mut BTreeMap<String, Vec<String>>,
    ) -> Result<(), Wrong> {
        for block in &self.blocks {
            let label = block.labels[0].clone();
            if block.kind == "group" {
                let list = self.group(block)?;
                let group: &mut Vec<String> = groups.entry(label).or_default();
                for name in list {
                    if !group.contains(&name) {
                        group.push(name);
                    }
                }
                continue;
            }
            let rows = self.matrix(block)?;
            for row in rows.clone().unwrap_or_else(|| vec![Vec::new()]) {
                let name = self.name(block, &row, rows.is_some())?;
                let made = self.target(block, row)?;
                if rows.is_some() && name != label {
                    let group: &mut Vec<String> = groups.entry(label.clone()).or_default();
                    if group.contains(&name) {
                        let message = format!("Duplicate name; The matrix gives {name:?} twice.");
                        return Err(wrong(block.at, message));
                    }
                    group.push(name.clone());
                }
                targets.entry(name).or_default().join(&made);
                if targets.len() > MAX_TARGETS {
                    return Err(wrong(block.at, "The matrix makes too many targets."));
                }
            }
        }
        Ok(())
    }

    fn group(&self, block: &Block) -> Result<Vec<String>, Wrong> {
        known_only(block, &["targets", "description"])?;
        let Some(list) = block.body.attribute("targets") else { return Ok(Vec::new()) };
        let value = Evaluator::new(self, vec![]).value(&list.value)?;
        let texts = value.to_list().and_then(|list| list.iter().map(Value::to_text).collect());
        texts.map_err(|error| wrong(list.at, format!("Incorrect value for targets; {error}.")))
    }

    /// Every combination of a matrix; the first name in order changes slowest.
    fn matrix(&self, block: &Block) -> Result<Option<Vec<Vec<(String, Value)>>>, Wrong> {
        let Some(matrix) = block.body.attribute("matrix") else { return Ok(None) };
        let value = Evaluator::new(self, vec![]).value(&matrix.value)?;
        let failed = |error: String| wrong(matrix.at, format!("Invalid matrix; {error}."));
        let mut rows: Vec<Vec<(String, Value)>> = vec![Vec::new()];
        for (name, list) in value.to_map().map_err(failed)? {
            let values = list.to_list().map_err(failed)?;
            if rows.len().saturating_mul(values.len()) > MAX_TARGETS {
                return Err(wrong(matrix.at, "The matrix makes too many targets."));
            }
            let with = |row: &Vec<(String, Value)>, value: &Value| {
                [row.as_slice(), &[(name.clone(), value.clone())]].concat()
            };
            rows = rows
                .iter()
                .flat_map(|row| values.iter().map(move |value| with(row, value)))
                .collect();
        }
        Ok(Some(rows))
    }

    fn name(
        &self,
        block: &Block,
        row: &[(String, Value)],
        has_matrix: bool,
    ) -> Result<String, Wrong> {
        let label = block.labels[0].clone();
        let name = match (block.body.attribute("name"), has_matrix) {
            (Some(name), true) => Evaluator::new(self, row.to_vec()).text(&name.value)?,
            (None, true) => {
                return Err(wrong(block.at, "Missing name; A target with a matrix needs a name."));
            }
            (Some(name), false) => {
                return Err(wrong(
                    name.at,
                    "Unexpected name; Only a target with a matrix takes one.",
                ));
            }
            (None, false) => label,
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        match !name.is_empty() && name.chars().all(letter) {
            true => Ok(name),
            false => {
                let message = format!(
                    "Invalid name {name:?}; only \"a-zA-Z0-9_-\" are allowed in a target's name."
                );
                Err(wrong(block.at, message))
            }
        }
    }

    fn target(&self, block: &Block, row: Vec<(String, Value)>) -> Result<Target, Wrong> {
        let known: Vec<&str> =
            KEYS.iter().map(|key| key.name).chain(["inherits", "matrix", "name"]).collect();
        known_only(block, &known)?;
        let mut target = Target::default();
        let mut evaluator = Evaluator::new(self, row);
        for attribute in &block.body.attributes {
            let failed = |error: String| {
                wrong(attribute.at, format!("Incorrect value for {}; {error}.", attribute.name))
            };
            if let Some(key) = find_key(&attribute.name) {
                let value = evaluator.value(&attribute.value)?;
                target.say(key, &value).map_err(failed)?;
            } else if attribute.name == "inherits" {
                let value = evaluator.value(&attribute.value)?;
                let texts = value.to_list().and_then(|l| l.iter().map(Value::to_text).collect());
                target.inherits = texts.map_err(failed)?;
            }
        }
        Ok(target)
    }
}

impl Names for Definition<'_> {
    fn variable(&self, name: &str) -> Option<Result<Value, Wrong>> {
        let builtin = match name {
            "BAKE_CMD_CONTEXT" => Some(&self.given.context),
            "BAKE_LOCAL_PLATFORM" => Some(&self.given.platform),
            _ => None,
        };
        if let Some(value) = builtin {
            return Some(Ok(Value::text(value)));
        }
        let at = match (self.variables.get(name), self.attributes.get(name)) {
            (Some(blocks), _) => blocks[0].at,
            (None, Some(expr)) => expr.at,
            (None, None) => return None,
        };
        let known = self.values.borrow().get(name).cloned();
        match known {
            Some(Some(value)) => return Some(Ok(value)),
            Some(None) => {
                let message = format!("variable cycle not allowed for {name}");
                return Some(Err(wrong(at, message)));
            }
            None => {}
        }
        self.values.borrow_mut().insert(name.to_owned(), None);
        let value = self.resolve(name);
        match &value {
            Ok(value) => self.values.borrow_mut().insert(name.to_owned(), Some(value.clone())),
            Err(_) => self.values.borrow_mut().remove(name),
        };
        // A condition may name its own variable, which is known by now.
        Some(value.and_then(|value| self.validate(name).map(|()| value)))
    }

    fn block(&self, kind: &str, label: &str, attribute: &str) -> Option<Result<Value, Wrong>> {
        let mut named = self.blocks.iter().rev().filter(|block| block.kind == kind);
        let found = named.find_map(|block| {
            let is_it = block.labels[0] == label && block.body.attribute("matrix").is_none();
            block.body.attribute(attribute).filter(|_| is_it)
        })?;
        let place = (kind.to_owned(), label.to_owned(), attribute.to_owned());
        if !self.open.borrow_mut().insert(place.clone()) {
            let message = format!("reference cycle not allowed for {kind}.{label}.{attribute}");
            return Some(Err(wrong(found.at, message)));
        }
        let value = Evaluator::new(self, vec![]).value(&found.value);
        self.open.borrow_mut().remove(&place);
        Some(value)
    }

    fn function(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }

    fn known(&self) -> Vec<String> {
        self.variables.keys().chain(self.attributes.keys()).cloned().collect()
    }

    fn world(&self) -> &World {
        &self.given.world
    }
}

fn known_only(block: &Block, known: &[&str]) -> Result<(), Wrong> {
    let unknown = block.body.attributes.iter().find(|one| !known.contains(&one.name.as_str()));
    match unknown {
        None => Ok(()),
        Some(Attribute { name, at, .. }) => {
            let meant = nearest(name, known.iter().copied());
            let meant = meant.map(|meant| format!(" Did you mean {meant:?}?")).unwrap_or_default();
            let message = format!(
                "Unsupported argument; An argument named {name:?} is not expected here.{meant}"
            );
            Err(wrong(*at, message))
        }
    }
}

fn function(block: &Block) -> Result<Function, Wrong> {
    let name = |expr: &Expr| match &expr.kind {
        Kind::Variable(name) => Ok(name.clone()),
        Kind::Literal(Value::Text(name)) => Ok(name.clone()),
        _ => Err(wrong(expr.at, "Invalid param element; Each must be a name.")),
    };
    let params = match block.body.attribute("params").map(|params| &params.value.kind) {
        Some(Kind::Tuple(list)) => list.iter().map(name).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    let rest = block.body.attribute("variadic_params");
    let rest = rest.map(|rest| name(&rest.value)).transpose()?;
    let result = block.body.attribute("result").map(|result| result.value.clone());
    let result = result.ok_or_else(|| wrong(block.at, "Missing result; A function needs one."))?;
    Ok(Function { params, rest, result })
}
