//! Reads what stands in an action: pipelines, commands, and the words of commands.

use super::node::{Command, Operand, Pipe, Term};
use super::number::Number;
use super::parser::{Parser, Result};
use super::quote::quote;
use super::token::{Kind, Token};
use super::value::Value;

impl<'t> Parser<'t> {
    /// Reads commands up to the token `end`, which is taken as well.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let at = self.peek_solid().at;
        let mut pipe = Pipe { at, assigns: false, variables: Vec::new(), commands: Vec::new() };
        while self.variable_declared(context, &mut pipe)? {}
        loop {
            let token = self.peek_solid();
            match token.kind {
                kind if kind == end => {
                    self.take_solid();
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => {
                    self.take_solid();
                    return self.unexpected(token, context);
                }
            }
        }
    }

    /// Reads `$x :=` or the like; true if another variable of the same pipeline follows.
    fn variable_declared(&mut self, context: &str, pipe: &mut Pipe) -> Result<bool> {
        let variable = self.peek_solid();
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        let start = self.next;
        self.take_solid();
        let sign = self.peek_solid();
        let is_comma = sign.kind == Kind::Sign && sign.text == ",";
        if !is_comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
            self.next = start;
            return Ok(false);
        }
        self.take_solid();
        pipe.assigns = sign.kind == Kind::Assign;
        pipe.variables.push(variable.text.to_owned());
        self.variables.push(variable.text);
        if !is_comma {
            return Ok(false);
        }
        if context != "range" || pipe.variables.len() > 1 {
            return self.fail(format!("too many declarations in {context}"));
        }
        match self.peek_solid().kind {
            Kind::Variable | Kind::RightDelimiter | Kind::RightParen => Ok(true),
            _ => self.fail("range can only initialize variables".into()),
        }
    }

    fn check(&mut self, pipe: &Pipe, context: &str) -> Result<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (place, command) in pipe.commands.iter().enumerate().skip(1) {
            let is_constant = matches!(
                command.first.term,
                Term::Bool(_) | Term::Dot | Term::Nil | Term::Number { .. } | Term::Text { .. }
            );
            if is_constant {
                let stage = place + 1;
                return self.fail(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let at = self.peek_solid().at;
        let mut operands = Vec::new();
        loop {
            self.peek_solid();
            operands.extend(self.operand()?);
            let before = self.next;
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParen => self.next = before,
                Kind::Pipe => {}
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        let mut operands = operands.into_iter();
        match operands.next() {
            Some(first) => Ok(Command { at, first, arguments: operands.collect() }),
            None => self.fail("empty command".into()),
        }
    }

    /// Reads a word and the fields that hang on it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.take().text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        let term = match operand.term {
            Term::Field(mut names) => {
                names.extend(fields);
                Term::Field(names)
            }
            Term::Variable(name, _) => Term::Variable(name, fields),
            Term::Function(_) | Term::Pipe(_) => Term::Chain(Box::new(operand), fields),
            _ => {
                let term = quote(&operand.to_string());
                return self.fail(format!("unexpected . after term {term}"));
            }
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let before = self.next;
        let token = self.take_solid();
        let term = match token.kind {
            Kind::Identifier => {
                if !self.functions.knows(token.text) {
                    return self.fail(format!("function {} not defined", quote(token.text)));
                }
                Term::Function(token.text.to_owned())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.fail(format!("undefined variable {}", quote(token.text)));
                }
                Term::Variable(token.text.to_owned(), Vec::new())
            }
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::Char => self.number(token, Number::parse_char(token.text))?,
            Kind::Number => self.number(token, Number::parse(token.text))?,
            Kind::LeftParen => {
                let context = "parenthesized pipeline";
                Term::Pipe(self.deeper(|parser| parser.pipeline(context, Kind::RightParen))?)
            }
            Kind::Quoted => {
                let value = Value::Str(self.unquoted(token)?);
                Term::Text { literal: token.text.to_owned(), value }
            }
            _ => {
                self.next = before;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, term }))
    }

    fn number(&self, token: Token<'t>, number: Result<Number, String>) -> Result<Term> {
        match number {
            Ok(number) => Ok(Term::Number { text: token.text.to_owned(), number }),
            Err(problem) => self.fail(problem),
        }
    }
}
