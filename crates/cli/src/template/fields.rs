//! Which fields of its data a template reads, told without carrying it out.

use std::collections::BTreeSet;

use super::node::{Command, Node, Operand, Pipe, Term};
use super::parser::Bodies;

/// What a template takes from its data.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads {
    /// The first names of fields, as in `.State.Status`.
    pub(super) fields: BTreeSet<String>,
    /// Whether it takes the data as a whole, as in `{{json .}}`.
    pub(super) whole: bool,
}

impl Reads {
    /// What the outermost template and all that is defined beside it read.
    pub(super) fn of(bodies: &Bodies) -> Reads {
        let mut reads = Reads::default();
        for (name, body) in bodies {
            // A defined template has the data only if it was given it as a whole, which is noticed
            // where it is called; what it then reads is not told apart.
            if name.is_empty() {
                reads.nodes(body, true);
            }
        }
        reads
    }

    /// Goes through nodes; `at_root` tells whether dot is still the data itself.
    fn nodes(&mut self, nodes: &[Node], at_root: bool) {
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break | Node::Continue => {}
                Node::Action(pipe) => self.pipe(pipe, at_root),
                Node::Invoke(invoke) => {
                    invoke.pipe.iter().for_each(|pipe| self.pipe(pipe, at_root));
                }
                Node::If(branch) => {
                    self.pipe(&branch.pipe, at_root);
                    self.nodes(&branch.body, at_root);
                    self.nodes(&branch.otherwise, at_root);
                }
                Node::With(branch) | Node::Range(branch) => {
                    self.pipe(&branch.pipe, at_root);
                    self.nodes(&branch.body, false);
                    self.nodes(&branch.otherwise, at_root);
                }
            }
        }
    }

    fn pipe(&mut self, pipe: &Pipe, at_root: bool) {
        for Command { first, arguments, .. } in &pipe.commands {
            self.operand(first, at_root);
            arguments.iter().for_each(|argument| self.operand(argument, at_root));
        }
    }

    fn operand(&mut self, operand: &Operand, at_root: bool) {
        match &operand.term {
            Term::Dot => self.whole |= at_root,
            Term::Field(names) if at_root => self.fields.extend(names.first().cloned()),
            Term::Variable(name, names) if name == "$" => match names.first() {
                Some(first) => {
                    self.fields.insert(first.clone());
                }
                None => self.whole = true,
            },
            Term::Chain(inner, _) => self.operand(inner, at_root),
            Term::Pipe(pipe) => self.pipe(pipe, at_root),
            _ => {}
        }
    }
}
