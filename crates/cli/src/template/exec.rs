//! Carries out a template: walks its nodes and writes what they say.

use super::datum::Datum;
use super::error::TemplateError;
use super::functions::Functions;
use super::node::{Branch, Command, Invoke, Node, Operand, Pipe};
use super::parser::Bodies;
use super::printf;
use super::quote::quote;
use super::value::Value;
use super::{MAX_OUTPUT_BYTES, MissingKey};

/// How deep templates, structures and pipelines may nest while they are carried out.
///
/// It bounds the stack where templates call themselves.
const MAX_DEPTH: usize = 250;

/// How many steps a template may take, which bounds its time.
const MAX_WORK: u64 = 8 << 20;

/// A template being carried out.
pub(super) struct Executor<'a> {
    pub(super) text: &'a str,
    pub(super) bodies: &'a Bodies,
    pub(super) functions: &'a Functions,
    pub(super) missing_key: MissingKey,
    pub(super) out: String,
    /// The variables in sight, innermost last; the first is `$`.
    pub(super) variables: Vec<(&'a str, Datum<'a>)>,
    /// The defined template that is being carried out.
    pub(super) name: &'a str,
    /// What an error is put down to.
    pub(super) place: Place<'a>,
    depth: usize,
    work: u64,
}

/// A piece of the template that a message can show.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Start,
    Pipe(&'a Pipe),
    Command(&'a Command),
    Operand(&'a Operand),
    Invoke(&'a Invoke),
}

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

pub(super) type Result<T, E = TemplateError> = std::result::Result<T, E>;

impl<'a> Executor<'a> {
    pub(super) fn new(
        text: &'a str,
        bodies: &'a Bodies,
        functions: &'a Functions,
        missing_key: MissingKey,
    ) -> Self {
        Executor {
            text,
            bodies,
            functions,
            missing_key,
            out: String::new(),
            variables: Vec::new(),
            name: "",
            place: Place::Start,
            depth: 0,
            work: 0,
        }
    }

    /// Carries out the outermost template; what it wrote is in `out`, even after an error.
    pub(super) fn run(&mut self, data: &'a Value) -> Result<()> {
        let data = Datum::borrowed(data).in_box(matches!(data, Value::Nil)).unboxed();
        let Some(body) = self.bodies.get("") else {
            return Ok(());
        };
        self.variables.push(("$", data.clone()));
        self.walk(&data, body).map(drop)
    }

    fn walk(&mut self, dot: &Datum<'a>, nodes: &'a [Node]) -> Result<Flow> {
        for node in nodes {
            let flow = self.deeper(|executor| executor.step(dot, node))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn step(&mut self, dot: &Datum<'a>, node: &'a Node) -> Result<Flow> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print(&value)?;
                }
            }
            Node::If(branch) => return self.choose(dot, branch, false),
            Node::With(branch) => return self.choose(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Invoke(invoke) => self.invoke(dot, invoke)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn choose(&mut self, dot: &Datum<'a>, branch: &'a Branch, moves_dot: bool) -> Result<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if !value.value().truth() {
            self.walk(dot, &branch.otherwise)?
        } else if moves_dot {
            self.walk(&value, &branch.body)?
        } else {
            self.walk(dot, &branch.body)?
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, dot: &Datum<'a>, branch: &'a Branch) -> Result<Flow> {
        let known = self.variables.len();
        let whole = self.pipeline(dot, &branch.pipe)?;
        let children = match whole.value() {
            Value::Nil => Vec::new(),
            Value::Int(count) => {
                let count = *count;
                return self.count(dot, branch, count, known);
            }
            value => match whole.children() {
                Some(children) => {
                    self.charge(children.len() as u64 + whole.made_weight())?;
                    children
                }
                None => {
                    let shown = printf::sprint(&[value]).unwrap_or_default();
                    return self.fail(format!("range can't iterate over {shown}"));
                }
            },
        };
        let is_empty = children.is_empty();
        for (key, item) in children {
            if self.round(branch, Some(key), item)? == Flow::Break {
                break;
            }
        }
        self.otherwise(dot, branch, is_empty, known)
    }

    /// Ranges over the numbers below `count`.
    fn count(
        &mut self,
        dot: &Datum<'a>,
        branch: &'a Branch,
        count: i64,
        known: usize,
    ) -> Result<Flow> {
        if branch.pipe.variables.len() > 1 {
            let problem = format!("can't use {count} to iterate over more than one variable");
            return self.fail(problem);
        }
        for number in 0..count {
            if self.round(branch, None, Datum::owned(number))? == Flow::Break {
                break;
            }
        }
        self.otherwise(dot, branch, count <= 0, known)
    }

    fn otherwise(
        &mut self,
        dot: &Datum<'a>,
        branch: &'a Branch,
        is_empty: bool,
        known: usize,
    ) -> Result<Flow> {
        let flow = if is_empty { self.walk(dot, &branch.otherwise)? } else { Flow::Next };
        self.variables.truncate(known);
        Ok(flow)
    }

    /// Carries out the body of a range once.
    fn round(
        &mut self,
        branch: &'a Branch,
        key: Option<Datum<'a>>,
        item: Datum<'a>,
    ) -> Result<Flow> {
        self.charge(1)?;
        let known = self.variables.len();
        let names = &branch.pipe.variables;
        let values = match (names.len(), key) {
            (2, Some(key)) => vec![key, item.clone()],
            (0, _) => Vec::new(),
            _ => vec![item.clone()],
        };
        if branch.pipe.assigns {
            for (name, value) in names.iter().zip(values) {
                self.assign(name, value)?;
            }
        } else {
            let first = known - values.len().min(known);
            for (variable, value) in self.variables[first..].iter_mut().zip(values) {
                variable.1 = value;
            }
        }
        let flow = self.walk(&item, &branch.body)?;
        self.variables.truncate(known);
        Ok(flow)
    }

    fn invoke(&mut self, dot: &Datum<'a>, invoke: &'a Invoke) -> Result<()> {
        self.place = Place::Invoke(invoke);
        let Some((name, body)) = self.bodies.get_key_value(&invoke.name) else {
            return self.fail(format!("template {} not defined", quote(&invoke.name)));
        };
        let dot = match &invoke.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Datum::missing(),
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.walk(&dot, body)?;
        self.variables = variables;
        self.name = caller;
        Ok(())
    }

    /// Sets a variable that exists.
    pub(super) fn assign(&mut self, name: &str, value: Datum<'a>) -> Result<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some(variable) => {
                variable.1 = value;
                Ok(())
            }
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn print(&mut self, value: &Datum<'a>) -> Result<()> {
        if value.is_absent() {
            return self.write("<no value>");
        }
        match value.value() {
            Value::Str(text) => self.write(text),
            other => match printf::sprint(&[other]) {
                Ok(text) => self.write(&text),
                Err(problem) => self.fail(problem),
            },
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        if self.out.len() + text.len() > MAX_OUTPUT_BYTES {
            return self.fail(format!("output exceeds {MAX_OUTPUT_BYTES} bytes"));
        }
        self.charge(text.len() as u64 / 64)?;
        self.out.push_str(text);
        Ok(())
    }

    /// Goes one level down, unless that is too deep.
    pub(super) fn deeper<T>(&mut self, go: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.charge(1)?;
        if self.depth >= MAX_DEPTH {
            return self.fail(format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        self.depth += 1;
        let result = go(self);
        self.depth -= 1;
        result
    }

    /// Counts work that was done, and stops a template that never ends.
    pub(super) fn charge(&mut self, work: u64) -> Result<()> {
        self.work = self.work.saturating_add(work);
        if self.work > MAX_WORK {
            return self.fail("takes too long".into());
        }
        Ok(())
    }

    /// An error at the piece that is being carried out.
    pub(super) fn fail<T>(&self, problem: String) -> Result<T> {
        let (at, shown) = match self.place {
            Place::Start => (0, String::new()),
            Place::Pipe(pipe) => (pipe.at, pipe.to_string()),
            Place::Command(command) => (command.at, command.to_string()),
            Place::Operand(operand) => (operand.at, operand.to_string()),
            Place::Invoke(invoke) => (invoke.at, invoke.to_string()),
        };
        let before = &self.text.as_bytes()[..at];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Err(TemplateError::Execute {
            line,
            column: at - line_start,
            template: self.name.to_owned(),
            at: shown,
            problem,
        })
    }
}
