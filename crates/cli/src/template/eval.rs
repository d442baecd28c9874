//! Finds what pipelines, commands and their words stand for.

use super::MissingKey;
use super::datum::{Datum, Field};
use super::exec::{Executor, Place, Result};
use super::functions::Param;
use super::node::{Command, Operand, Pipe, Term};
use super::quote::quote;
use super::value::Value;

/// A call as it is written: what it is put down to, and what it is given.
pub(super) struct Call<'a> {
    pub(super) place: Place<'a>,
    pub(super) arguments: &'a [Operand],
    /// What the pipeline hands over, which comes after the arguments.
    pub(super) last: Option<Datum<'a>>,
}

impl Call<'_> {
    fn is_bare(&self) -> bool {
        self.arguments.is_empty() && self.last.is_none()
    }

    pub(super) fn count(&self) -> usize {
        self.arguments.len() + usize::from(self.last.is_some())
    }
}

impl<'a> Executor<'a> {
    /// The value of a pipeline, which also goes to the variables it names.
    pub(super) fn pipeline(&mut self, dot: &Datum<'a>, pipe: &'a Pipe) -> Result<Datum<'a>> {
        self.place = Place::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            let last = value.take();
            let next = self.deeper(|executor| executor.command(dot, command, last))?;
            value = Some(next.unboxed());
        }
        let value = value.unwrap_or_else(Datum::missing);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Datum<'a>,
        command: &'a Command,
        last: Option<Datum<'a>>,
    ) -> Result<Datum<'a>> {
        let first = &command.first;
        let place = match &first.term {
            Term::Function(_) => Place::Command(command),
            _ => Place::Operand(first),
        };
        self.word(dot, first, Call { place, arguments: &command.arguments, last })
    }

    /// The value of the first word of a command.
    fn word(&mut self, dot: &Datum<'a>, operand: &'a Operand, call: Call<'a>) -> Result<Datum<'a>> {
        if !matches!(operand.term, Term::Pipe(_)) {
            self.place = Place::Operand(operand);
        }
        match &operand.term {
            Term::Field(names) => self.fields(dot, dot.clone(), names, call),
            Term::Function(name) => self.function(dot, name, call),
            Term::Variable(name, names) if names.is_empty() => {
                let value = self.variable(name)?;
                self.no_function(operand, &call)?;
                Ok(value)
            }
            Term::Variable(name, names) => {
                let value = self.variable(name)?;
                self.fields(dot, value, names, call)
            }
            Term::Chain(inner, names) => {
                let value = self.deeper(|executor| executor.bare(dot, inner))?;
                self.fields(dot, value, names, call)
            }
            Term::Pipe(pipe) => {
                self.no_function(operand, &call)?;
                self.pipeline(dot, pipe)
            }
            _ => {
                self.no_function(operand, &call)?;
                self.constant(dot, operand)
            }
        }
    }

    /// The value of a word without arguments.
    pub(super) fn bare(&mut self, dot: &Datum<'a>, operand: &'a Operand) -> Result<Datum<'a>> {
        let call = Call { place: Place::Operand(operand), arguments: &[], last: None };
        self.word(dot, operand, call)
    }

    fn constant(&mut self, dot: &Datum<'a>, operand: &'a Operand) -> Result<Datum<'a>> {
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Bool(value) => Ok(Datum::owned(*value)),
            Term::Text { value, .. } => Ok(Datum::borrowed(value)),
            Term::Number { text, number } if number.overflows => {
                self.fail(format!("{text} overflows int"))
            }
            Term::Number { number, .. } => Ok(Datum::borrowed(&number.value)),
            _ => self.fail("nil is not a command".into()),
        }
    }

    fn no_function(&self, operand: &Operand, call: &Call<'a>) -> Result<()> {
        if call.is_bare() {
            return Ok(());
        }
        self.fail(format!("can't give argument to non-function {operand}"))
    }

    fn variable(&self, name: &str) -> Result<Datum<'a>> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    /// Goes from field to field; the last one may be a method, which gets the arguments.
    fn fields(
        &mut self,
        dot: &Datum<'a>,
        receiver: Datum<'a>,
        names: &'a [String],
        call: Call<'a>,
    ) -> Result<Datum<'a>> {
        let Some((last, names)) = names.split_last() else {
            return Ok(receiver);
        };
        let mut receiver = receiver;
        for name in names {
            let bare = Call { place: call.place, arguments: &[], last: None };
            receiver = self.field(dot, &receiver, name, bare)?;
        }
        self.field(dot, &receiver, last, call)
    }

    fn field(
        &mut self,
        dot: &Datum<'a>,
        receiver: &Datum<'a>,
        name: &str,
        call: Call<'a>,
    ) -> Result<Datum<'a>> {
        self.charge(1 + receiver.value().size())?;
        if receiver.get().is_none() {
            return match self.missing_key {
                MissingKey::NoValue => Ok(Datum::missing()),
                MissingKey::Error => {
                    self.fail(format!("nil data; no entry for key {}", quote(name)))
                }
            };
        }
        if let Some(result) = self.method(dot, receiver, name, &call)? {
            return Ok(result);
        }
        let has_arguments = !call.is_bare();
        match receiver.field(name) {
            Field::Found(_) if has_arguments && matches!(receiver.value(), Value::Struct(_)) => {
                self.fail(format!("{name} has arguments but cannot be invoked as function"))
            }
            Field::Found(_) | Field::Absent if has_arguments => {
                self.fail(format!("{name} is not a method but has arguments"))
            }
            Field::Found(found) => {
                self.charge(found.made_weight())?;
                Ok(found)
            }
            Field::Absent => match self.missing_key {
                MissingKey::NoValue => Ok(Datum::missing()),
                MissingKey::Error => self.fail(format!("map has no entry for key {}", quote(name))),
            },
            Field::Unknown => {
                let type_name = receiver.static_type();
                self.fail(format!("can't evaluate field {name} in type {type_name}"))
            }
            Field::Nil => {
                let type_name = receiver.static_type();
                self.fail(format!("nil pointer evaluating {type_name}.{name}"))
            }
        }
    }

    /// Calls a method of an object; `None` where a plain field is meant, or nothing at all.
    fn method(
        &mut self,
        dot: &Datum<'a>,
        receiver: &Datum<'a>,
        name: &str,
        call: &Call<'a>,
    ) -> Result<Option<Datum<'a>>> {
        let Value::Object(object) = receiver.value() else {
            return Ok(None);
        };
        if call.is_bare() && object.field(name).is_some() {
            return Ok(None);
        }
        let place = self.place;
        let mut arguments = Vec::new();
        for operand in call.arguments {
            arguments.push(self.argument(dot, Param::Any, operand)?.value().clone());
        }
        self.place = place;
        arguments.extend(call.last.iter().map(|last| last.value().clone()));
        match object.call(name, &arguments) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(Datum::owned(value).in_box(true))),
            Some(Err(problem)) => {
                self.place = call.place;
                self.fail(format!("error calling {name}: {problem}"))
            }
        }
    }
}
