//! What a template means, and how Go writes it out again in messages.

use std::fmt;

use super::number::Number;
use super::quote::quote;

/// A part of a template's body.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// What is printed as it stands.
    Text(String),
    /// `{{pipeline}}`
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    /// `{{template "name" pipeline}}`
    Invoke(Invoke),
    Break,
    Continue,
}

/// A control structure: a condition and what to do either way.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// The call of a defined template.
#[derive(Debug, Clone)]
pub(super) struct Invoke {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) pipe: Option<Pipe>,
}

/// Commands, each of which hands its value to the next, and the variables that take the last one.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Whether the variables exist already.
    pub(super) assigns: bool,
    /// The variables, with their `$`.
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

/// A value, or a function and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A word of a command.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
}

/// What a word of a command stands for.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number {
        text: String,
        number: Number,
    },
    Text {
        literal: String,
        value: super::value::Value,
    },
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`; the name has its `$`.
    Variable(String, Vec<String>),
    /// `(pipeline).A.B`
    Chain(Box<Operand>, Vec<String>),
    Function(String),
    /// `(pipeline)`
    Pipe(Pipe),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.variables.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{name}")?;
        }
        if !self.variables.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (place, command) in self.commands.iter().enumerate() {
            let bar = if place > 0 { " | " } else { "" };
            write!(f, "{bar}{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.write_enclosed(f)?;
        self.arguments.iter().try_for_each(|argument| {
            f.write_str(" ")?;
            argument.write_enclosed(f)
        })
    }
}

impl Operand {
    /// Writes the word as a part of something, where a pipeline needs its parentheses.
    fn write_enclosed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Pipe(pipe) => write!(f, "({pipe})"),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[String]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(value) => write!(f, "{value}"),
            Term::Number { text, .. } => f.write_str(text),
            Term::Text { literal, .. } => f.write_str(literal),
            Term::Field(names) => fields(f, names),
            Term::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            Term::Chain(operand, names) => {
                operand.write_enclosed(f)?;
                fields(f, names)
            }
            Term::Function(name) => f.write_str(name),
            Term::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

impl fmt::Display for Invoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}
