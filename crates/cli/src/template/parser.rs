//! Builds the tree of a template out of its tokens.

use std::collections::BTreeMap;

use super::error::TemplateError;
use super::functions::Functions;
use super::lexer::{Tokens, tokens};
use super::node::{Branch, Invoke, Node};
use super::quote::{quote, unquote};
use super::token::{Kind, Token};

/// How deep control structures and parentheses may nest, which bounds the stack.
const MAX_DEPTH: usize = 100;

/// The bodies of a text: the outermost under the empty name, and what it defines.
pub(super) type Bodies = BTreeMap<String, Vec<Node>>;

/// Reads `text` as a template that may use the built-in functions and `functions`.
pub(super) fn parse(text: &str, functions: &Functions) -> Result<Bodies, TemplateError> {
    let Tokens { list, problem } = tokens(text);
    let variables = vec!["$"];
    let mut parser = Parser {
        tokens: list,
        lexer_problem: problem,
        next: 0,
        furthest: 0,
        functions,
        bodies: Bodies::new(),
        variables,
        ranges: 0,
        depth: 0,
        action_line: None,
    };
    parser.outermost()?;
    Ok(parser.bodies)
}

/// A template being read.
pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    lexer_problem: String,
    pub(super) next: usize,
    /// The last token looked at, whose line errors name.
    furthest: usize,
    pub(super) functions: &'t Functions,
    bodies: Bodies,
    pub(super) variables: Vec<&'t str>,
    /// How many `range`s are open here.
    ranges: usize,
    depth: usize,
    /// The line of the action being read.
    action_line: Option<usize>,
}

pub(super) type Result<T, E = TemplateError> = std::result::Result<T, E>;

/// What a list of nodes was ended by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    Else,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Stop::End => "{{end}}",
            Stop::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Stop(Stop),
}

impl<'t> Parser<'t> {
    fn outermost(&mut self) -> Result<()> {
        let mut body = Vec::new();
        while self.peek().kind != Kind::End {
            if self.peek().kind == Kind::LeftDelimiter {
                let start = self.next;
                self.take();
                if self.take_solid().text == "define" {
                    self.define()?;
                    continue;
                }
                self.next = start;
            }
            match self.item()? {
                Item::Node(node) => body.push(node),
                Item::Stop(stop) => return self.fail(format!("unexpected {}", stop.name())),
            }
        }
        self.add(String::new(), body)
    }

    /// Keeps a body; one that holds nothing but blanks gives way to any other.
    fn add(&mut self, name: String, body: Vec<Node>) -> Result<()> {
        let is_empty = |body: &[Node]| {
            body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
        };
        match self.bodies.get(&name) {
            Some(known) if !is_empty(known) => {
                if !is_empty(&body) {
                    let name = quote(&name);
                    return self.fail(format!("template: multiple definition of template {name}"));
                }
            }
            _ => {
                self.bodies.insert(name, body);
            }
        }
        Ok(())
    }

    fn define(&mut self) -> Result<()> {
        let context = "define clause";
        let name = self.template_name(context)?;
        self.expect(Kind::RightDelimiter, context)?;
        self.defined_body(name, context)
    }

    /// Reads the body of a template of its own, which sees no variables from around it.
    fn defined_body(&mut self, name: String, context: &str) -> Result<()> {
        let outer_variables = std::mem::replace(&mut self.variables, vec!["$"]);
        let outer_ranges = std::mem::take(&mut self.ranges);
        let (body, stop) = self.list()?;
        if stop != Stop::End {
            return self.fail(format!("unexpected {} in {context}", stop.name()));
        }
        self.variables = outer_variables;
        self.ranges = outer_ranges;
        self.add(name, body)
    }

    fn template_name(&mut self, context: &str) -> Result<String> {
        let token = self.take_solid();
        if token.kind != Kind::Quoted {
            return self.unexpected(token, context);
        }
        self.unquoted(token)
    }

    pub(super) fn unquoted(&mut self, token: Token<'t>) -> Result<String> {
        match unquote(token.text) {
            Some(text) => Ok(text),
            None => self.fail("invalid syntax".into()),
        }
    }

    /// Reads nodes up to an `end` or `else`.
    fn list(&mut self) -> Result<(Vec<Node>, Stop)> {
        self.deeper(|parser| {
            let mut nodes = Vec::new();
            while parser.peek_solid().kind != Kind::End {
                match parser.item()? {
                    Item::Node(node) => nodes.push(node),
                    Item::Stop(stop) => return Ok((nodes, stop)),
                }
            }
            parser.fail("unexpected EOF".into())
        })
    }

    fn item(&mut self) -> Result<Item> {
        let token = self.take_solid();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.to_owned()))),
            Kind::LeftDelimiter => {
                self.action_line = Some(token.line);
                let item = self.action()?;
                self.action_line = None;
                Ok(item)
            }
            _ => self.unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item> {
        let token = self.peek_solid();
        let keyword = if token.kind == Kind::Keyword { token.text } else { "" };
        if !matches!(keyword, "" | "define") {
            self.take_solid();
        }
        let node = match keyword {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => self.invoke()?,
            "block" => self.block()?,
            "break" => self.jump("{{break}}", Node::Break)?,
            "continue" => self.jump("{{continue}}", Node::Continue)?,
            "end" => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            "else" => {
                // `{{else if}}` leaves its `if` to the structure that the `else` belongs to.
                if !self.at_keyword("if") && !self.at_keyword("with") {
                    self.expect(Kind::RightDelimiter, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            _ => Node::Action(self.pipeline("command", Kind::RightDelimiter)?),
        };
        Ok(Item::Node(node))
    }

    fn jump(&mut self, name: &str, node: Node) -> Result<Node> {
        let token = self.take_solid();
        if token.kind != Kind::RightDelimiter {
            return self.unexpected(token, name);
        }
        if self.ranges == 0 {
            return self.fail(format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Result<Branch> {
        let known_variables = self.variables.len();
        let is_range = context == "range";
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        self.ranges += usize::from(is_range);
        let (body, stop) = self.list()?;
        self.ranges -= usize::from(is_range);
        let mut otherwise = Vec::new();
        if stop == Stop::Else {
            if !is_range && self.at_keyword(context) {
                // One `end` ends the whole chain of `else if`.
                self.take_solid();
                let branch = self.deeper(|parser| parser.branch(context))?;
                otherwise.push(match context {
                    "if" => Node::If(branch),
                    _ => Node::With(branch),
                });
            } else {
                let stop;
                (otherwise, stop) = self.list()?;
                if stop != Stop::End {
                    return self.fail(format!("expected end; found {}", stop.name()));
                }
            }
        }
        self.variables.truncate(known_variables);
        Ok(Branch { pipe, body, otherwise })
    }

    fn invoke(&mut self) -> Result<Node> {
        let context = "template clause";
        let at = self.peek_solid().at;
        let name = self.template_name(context)?;
        let pipe = if self.peek_solid().kind == Kind::RightDelimiter {
            self.take_solid();
            None
        } else {
            Some(self.pipeline(context, Kind::RightDelimiter)?)
        };
        Ok(Node::Invoke(Invoke { at, name, pipe }))
    }

    fn block(&mut self) -> Result<Node> {
        let context = "block clause";
        let at = self.peek_solid().at;
        let name = self.template_name(context)?;
        let pipe = Some(self.pipeline(context, Kind::RightDelimiter)?);
        self.defined_body(name.clone(), context)?;
        Ok(Node::Invoke(Invoke { at, name, pipe }))
    }

    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    fn at_keyword(&mut self, keyword: &str) -> bool {
        let token = self.peek_solid();
        token.kind == Kind::Keyword && token.text == keyword
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<()> {
        let token = self.take_solid();
        if token.kind == kind { Ok(()) } else { self.unexpected(token, context) }
    }

    pub(super) fn peek(&mut self) -> Token<'t> {
        // The last token is the end or an error, and is never left behind.
        let place = self.next.min(self.tokens.len() - 1);
        self.furthest = self.furthest.max(place);
        self.tokens[place]
    }

    pub(super) fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// The next token that is no blank; the blanks before it are gone.
    pub(super) fn peek_solid(&mut self) -> Token<'t> {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    pub(super) fn take_solid(&mut self) -> Token<'t> {
        self.peek_solid();
        self.take()
    }

    pub(super) fn unexpected<T>(&self, token: Token<'t>, context: &str) -> Result<T> {
        let shown = match token.kind {
            Kind::Error => {
                let mut problem = self.lexer_problem.clone();
                if let Some(line) = self.action_line.filter(|line| *line != token.line) {
                    let of_action = if problem.ends_with(" action") { "" } else { " in action" };
                    problem.push_str(&format!("{of_action} started at :{line}"));
                }
                return self.fail(problem);
            }
            Kind::End => "EOF".to_owned(),
            Kind::Keyword | Kind::Nil | Kind::Dot => format!("<{}>", token.text),
            _ if token.text.len() > 10 => {
                format!("{}...", quote(&token.text.chars().take(10).collect::<String>()))
            }
            _ => quote(token.text),
        };
        self.fail(format!("unexpected {shown} in {context}"))
    }

    pub(super) fn fail<T>(&self, problem: String) -> Result<T> {
        Err(TemplateError::Parse { line: self.tokens[self.furthest].line, problem })
    }
}
