//! Expressions to values. What a name means is found out when it is asked for.

use std::collections::BTreeMap;

use super::functions;
use super::syntax::{Expr, For, Kind, Operator, Part, Place, Step, Wrong};
use super::types::type_of;
use super::value::Value;
use crate::error::nearest;

/// What names mean outside the expression itself.
pub(super) trait Names {
    /// The value of a variable of the file.
    fn variable(&self, name: &str) -> Option<Result<Value, Wrong>>;
    /// An attribute of a block: `target.app.tags`.
    fn block(&self, kind: &str, label: &str, attribute: &str) -> Option<Result<Value, Wrong>>;
    /// A function of the file.
    fn function(&self, name: &str) -> Option<&Function>;
    /// The names that could have been meant.
    fn known(&self) -> Vec<String>;
    /// What is asked of the world.
    fn world(&self) -> &World;
}

/// What expressions may ask of the world.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Now, in seconds since 1970.
    pub now: i64,
    /// What makes identifiers different from run to run.
    pub seed: u64,
    /// The user's own folder.
    pub home: String,
}

/// A function of the file.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) params: Vec<String>,
    pub(super) rest: Option<String>,
    pub(super) result: Expr,
}

/// Functions that call functions may go so deep.
const MAX_CALLS: usize = 64;
/// No honest list is longer.
const MAX_ITEMS: usize = 1 << 20;

pub(super) struct Evaluator<'a> {
    names: &'a dyn Names,
    /// Names of the expression: of `for`, of a function, of a matrix. The innermost is last.
    locals: Vec<(String, Value)>,
    calls: usize,
}

type Answer = Result<Value, Wrong>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(names: &'a dyn Names, locals: Vec<(String, Value)>) -> Evaluator<'a> {
        Evaluator { names, locals, calls: 0 }
    }

    pub(super) fn value(&mut self, expr: &Expr) -> Answer {
        let at = expr.at;
        match &expr.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Template(parts) => {
                let mut text = String::new();
                self.template(parts, &mut text)?;
                Ok(Value::Text(text))
            }
            Kind::Variable(name) => self.variable(name, at),
            Kind::Attribute(of, name) => self.attribute(of, name, at),
            Kind::Index(of, index) => {
                let (of, index) = (self.value(of)?, self.value(index)?);
                of.index(&index).map_err(|error| wrong(at, format!("Invalid index; {error}.")))
            }
            Kind::Splat(of, steps) => self.splat(of, steps, at),
            Kind::Call(name, list, spread) => self.call(name, list, *spread, at),
            Kind::Not(of) => {
                let yes = self.value(of)?.to_bool().map_err(|error| operand(of.at, &error))?;
                Ok(Value::Bool(!yes))
            }
            Kind::Negate(of) => {
                let number = self.value(of)?.to_number().map_err(|error| operand(of.at, &error))?;
                Ok(Value::Number(-number))
            }
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right),
            Kind::Conditional(condition, yes, no) => {
                let chosen = self.condition(condition)?;
                self.value(if chosen { yes } else { no })
            }
            Kind::Tuple(list) => {
                Ok(Value::List(list.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            Kind::Object(pairs) => {
                let mut map = BTreeMap::new();
                for (key, value) in pairs {
                    map.insert(self.text(key)?, self.value(value)?);
                }
                Ok(Value::Map(map))
            }
            Kind::For(of) => self.each(of, at),
        }
    }

    pub(super) fn text(&mut self, expr: &Expr) -> Result<String, Wrong> {
        let value = self.value(expr)?;
        value.to_text().map_err(|error| wrong(expr.at, format!("Incorrect value; {error}.")))
    }

    fn condition(&mut self, expr: &Expr) -> Result<bool, Wrong> {
        let value = self.value(expr)?;
        value
            .to_bool()
            .map_err(|error| wrong(expr.at, format!("Incorrect condition type; {error}.")))
    }

    fn template(&mut self, parts: &[Part], text: &mut String) -> Result<(), Wrong> {
        for part in parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Value(expr) => {
                    let value = self.value(expr)?;
                    text.push_str(&value.to_text().map_err(|error| {
                        wrong(expr.at, format!("Invalid template interpolation value; {error}."))
                    })?);
                }
                Part::If(condition, yes, no) => {
                    let chosen = self.condition(condition)?;
                    self.template(if chosen { yes } else { no }, text)?;
                }
                Part::For { key, value, list, body } => {
                    let pairs = pairs_of(&self.value(list)?, list.at)?;
                    for (name, item) in pairs {
                        let depth = self.locals.len();
                        self.locals.extend(key.iter().map(|key| (key.clone(), name.clone())));
                        self.locals.push((value.clone(), item));
                        let done = self.template(body, text);
                        self.locals.truncate(depth);
                        done?;
                    }
                }
            }
            if text.len() > MAX_ITEMS << 4 {
                return Err(wrong(Place::default(), "A text becomes too long."));
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, at: Place) -> Answer {
        let local = self.locals.iter().rev().find(|(local, _)| local == name);
        if let Some((_, value)) = local {
            return Ok(value.clone());
        }
        self.names.variable(name).unwrap_or_else(|| {
            let known = self.names.known();
            let meant = nearest(name, known.iter().map(String::as_str));
            let meant = meant.map(|meant| format!(" Did you mean {meant:?}?")).unwrap_or_default();
            let message = format!("Unknown variable; There is no variable named {name:?}.{meant}");
            Err(wrong(at, message))
        })
    }

    fn attribute(&mut self, of: &Expr, name: &str, at: Place) -> Answer {
        // `target.app.tags` names an attribute of a block, unless a variable has that name.
        if let Kind::Attribute(outer, label) = &of.kind
            && let Kind::Variable(kind) = &outer.kind
            && let Some(value) = self.names.block(kind, label, name)
        {
            return value;
        }
        let value = self.value(of)?;
        match &value {
            Value::Map(map) if map.contains_key(name) => Ok(map[name].clone()),
            Value::Map(_) => {
                let message = format!(
                    "Unsupported attribute; This object does not have an attribute named {name:?}."
                );
                Err(wrong(at, message))
            }
            other => {
                let kind = other.kind();
                Err(wrong(
                    at,
                    format!("Unsupported attribute; This value is a {kind} and has no attributes."),
                ))
            }
        }
    }

    fn splat(&mut self, of: &Expr, steps: &[Step], at: Place) -> Answer {
        let list = match self.value(of)? {
            Value::List(list) => list,
            Value::Null => Vec::new(),
            one => vec![one],
        };
        let mut taken = Vec::new();
        for mut value in list {
            for step in steps {
                let key = match step {
                    Step::Attribute(name) => Value::text(name),
                    Step::Index(index) => self.value(index)?,
                };
                value = value
                    .index(&key)
                    .map_err(|error| wrong(at, format!("Invalid index; {error}.")))?;
            }
            taken.push(value);
        }
        Ok(Value::List(taken))
    }

    fn call(&mut self, name: &str, list: &[Expr], spread: bool, at: Place) -> Answer {
        match name {
            "try" | "can" => return self.attempt(name, list, at),
            "convert" => return self.convert(list, at),
            _ => {}
        }
        let mut values = list.iter().map(|expr| self.value(expr)).collect::<Result<Vec<_>, _>>()?;
        if spread && let Some(last) = values.pop() {
            values.extend(last.to_list().map_err(|error| operand(at, &error))?.iter().cloned());
        }
        if let Some(function) = self.names.function(name) {
            return self.own(name, function, values, at);
        }
        let world = self.names.world();
        let answer = functions::call(name, &values, world).ok_or_else(|| {
            let meant = nearest(name, functions::names());
            let meant = meant.map(|meant| format!(" Did you mean {meant:?}?")).unwrap_or_default();
            wrong(
                at,
                format!("Call to unknown function; There is no function named {name:?}.{meant}"),
            )
        })?;
        let message =
            |error| format!("Error in function call; Call to function {name:?} failed: {error}.");
        answer.map_err(|error| wrong(at, message(error)))
    }

    /// `try` gives the first argument that has a value, `can` says whether its has one.
    fn attempt(&mut self, name: &str, list: &[Expr], at: Place) -> Answer {
        for expr in list {
            let depth = self.locals.len();
            let answer = self.value(expr);
            self.locals.truncate(depth);
            if name == "can" {
                return Ok(Value::Bool(answer.is_ok()));
            }
            if answer.is_ok() {
                return answer;
            }
        }
        Err(wrong(
            at,
            format!(
                "Error in function call; Call to function {name:?} failed: no expression succeeded."
            ),
        ))
    }

    fn convert(&mut self, list: &[Expr], at: Place) -> Answer {
        let [value, wanted] = list else {
            return Err(wrong(at, "Error in function call; convert takes a value and a type."));
        };
        let wanted = type_of(wanted)?;
        self.value(value)?.convert(&wanted).map_err(|error| operand(at, &error))
    }

    fn own(
        &mut self,
        name: &str,
        function: &Function,
        mut values: Vec<Value>,
        at: Place,
    ) -> Answer {
        let wanted = function.params.len();
        if values.len() < wanted || (function.rest.is_none() && values.len() > wanted) {
            let message = format!(
                "Error in function call; Function {name:?} expects {wanted} argument(s), not {}.",
                values.len()
            );
            return Err(wrong(at, message));
        }
        if self.calls >= MAX_CALLS {
            return Err(wrong(
                at,
                format!("Error in function call; {name:?} calls itself too deeply."),
            ));
        }
        let more = values.split_off(wanted);
        let mut locals: Vec<_> = function.params.iter().cloned().zip(values).collect();
        locals.extend(function.rest.iter().map(|rest| (rest.clone(), Value::List(more.clone()))));
        // A function sees its own arguments and the file, not who calls it.
        let mut inner = Evaluator { names: self.names, locals, calls: self.calls + 1 };
        inner.value(&function.result)
    }

    fn binary(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Answer {
        use Operator as O;
        let one = self.value(left)?;
        if let O::Or | O::And = operator {
            let first = one.to_bool().map_err(|error| operand(left.at, &error))?;
            if first == (operator == O::Or) {
                return Ok(Value::Bool(first));
            }
            let second = self.value(right)?.to_bool().map_err(|error| operand(right.at, &error))?;
            return Ok(Value::Bool(second));
        }
        let other = self.value(right)?;
        if let O::Equal | O::NotEqual = operator {
            return Ok(Value::Bool((one == other) == (operator == O::Equal)));
        }
        let one = one.to_number().map_err(|error| operand(left.at, &error))?;
        let other = other.to_number().map_err(|error| operand(right.at, &error))?;
        if matches!(operator, O::Divide | O::Modulo) && other == 0.0 {
            return Err(wrong(right.at, "Division by zero; The divisor must not be zero."));
        }
        Ok(match operator {
            O::Less => Value::Bool(one < other),
            O::LessOrEqual => Value::Bool(one <= other),
            O::Greater => Value::Bool(one > other),
            O::GreaterOrEqual => Value::Bool(one >= other),
            O::Add => Value::Number(one + other),
            O::Subtract => Value::Number(one - other),
            O::Multiply => Value::Number(one * other),
            O::Divide => Value::Number(one / other),
            _ => Value::Number(one % other),
        })
    }

    fn each(&mut self, of: &For, at: Place) -> Answer {
        let pairs = pairs_of(&self.value(&of.list)?, of.list.at)?;
        let mut items = Vec::new();
        let mut map: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in pairs {
            let depth = self.locals.len();
            self.locals.extend(of.key.iter().map(|name| (name.clone(), key.clone())));
            self.locals.push((of.value.clone(), value));
            let pair = self.one_of(of);
            self.locals.truncate(depth);
            let Some((name, item)) = pair? else { continue };
            match name {
                None => items.push(item),
                Some(name) if of.groups => {
                    let group = map.entry(name).or_insert_with(|| Value::List(Vec::new()));
                    if let Value::List(list) = group {
                        list.push(item);
                    }
                }
                Some(name) => {
                    if map.contains_key(&name) {
                        let message = format!(
                            "Duplicate object key; Two different items produced the key {name:?} in this 'for' expression."
                        );
                        return Err(wrong(at, message));
                    }
                    map.insert(name, item);
                }
            }
        }
        Ok(if of.name.is_some() { Value::Map(map) } else { Value::List(items) })
    }

    fn one_of(&mut self, of: &For) -> Result<Option<(Option<String>, Value)>, Wrong> {
        if let Some(condition) = &of.condition
            && !self.condition(condition)?
        {
            return Ok(None);
        }
        let name = of.name.as_ref().map(|name| self.text(name)).transpose()?;
        Ok(Some((name, self.value(&of.item)?)))
    }
}

/// The elements of a list by their numbers, or of a map by their names.
fn pairs_of(value: &Value, at: Place) -> Result<Vec<(Value, Value)>, Wrong> {
    let pairs: Vec<(Value, Value)> = match value {
        Value::List(list) => {
            let number = |at: usize| Value::Number(u32::try_from(at).map_or(f64::MAX, f64::from));
            list.iter().cloned().enumerate().map(|(at, item)| (number(at), item)).collect()
        }
        Value::Map(map) => map.iter().map(|(key, item)| (Value::text(key), item.clone())).collect(),
        other => {
            let kind = other.kind();
            return Err(wrong(
                at,
                format!("Iteration over non-iterable value; A {kind} has no elements."),
            ));
        }
    };
    match pairs.len() > MAX_ITEMS {
        true => Err(wrong(at, "A list is too long.")),
        false => Ok(pairs),
    }
}

pub(super) fn wrong(at: Place, message: impl Into<String>) -> Wrong {
    Wrong { at, message: message.into() }
}

fn operand(at: Place, error: &str) -> Wrong {
    wrong(at, format!("Invalid operand; Unsuitable value: {error}."))
}
