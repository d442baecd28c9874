//! HCL's native syntax, as much of it as bake files have: all of it.

use super::syntax::{Attribute, Block, Body, Kind, Place, Wrong};
use super::value::Value;

/// No honest expression nests deeper; hostile ones must not use up the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// Reads a file.
pub(super) fn parse(text: &str, file: usize) -> Result<Body, Wrong> {
    let mut parser = Parser::new(text, file, 1);
    parser.body(false)
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Where the lines begin.
    starts: Vec<usize>,
    file: usize,
    /// The line the text begins on, where it is part of a file.
    first_line: usize,
    /// Whether a newline is a space: between parentheses and brackets.
    newlines_are_spaces: bool,
    pub(super) depth: usize,
}

pub(super) type Read<T> = Result<T, Wrong>;

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, file: usize, first_line: usize) -> Parser<'a> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Parser { text, at: 0, starts, file, first_line, newlines_are_spaces: false, depth: 0 }
    }

    /// A parser of a part of this text.
    pub(super) fn inner<'b>(&self, text: &'b str, first_line: usize) -> Parser<'b> {
        Parser { depth: self.depth, ..Parser::new(text, self.file, first_line) }
    }

    pub(super) fn line(&self) -> usize {
        self.first_line + self.starts.partition_point(|start| *start <= self.at) - 1
    }

    /// From a byte to here, as far as that is on one line.
    pub(super) fn place(&self, from: usize) -> Place {
        let after = self.starts.partition_point(|start| *start <= from);
        let line_start = self.starts[after - 1];
        let line_end = self.starts.get(after).map_or(self.text.len(), |next| next - 1);
        let to = self.at.clamp(from + 1, line_end.max(from + 1));
        let column = |at: usize| at - line_start + 1;
        let line = self.first_line + after - 1;
        Place { file: self.file, line, from: column(from), to: column(to) }
    }

    pub(super) fn wrong<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(Wrong { at: self.place(self.at.min(self.text.len())), message: message.into() })
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Passes over spaces and comments, and newlines where they mean nothing.
    pub(super) fn spaces(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                match self.peek() {
                    Some('\n') if !self.newlines_are_spaces => return,
                    Some(letter) if letter.is_whitespace() => self.at += letter.len_utf8(),
                    _ => return,
                }
            }
        }
    }

    pub(super) fn lines(&mut self) {
        self.spaces();
        while self.peek() == Some('\n') {
            self.at += 1;
            self.spaces();
        }
    }

    /// Whether this sign comes next, spaces passed over.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        self.spaces();
        self.take(sign)
    }

    pub(super) fn want(&mut self, sign: &str) -> Read<()> {
        match self.sign(sign) {
            true => Ok(()),
            false => self.wrong(format!("Invalid expression; Expected {sign:?}.")),
        }
    }

    pub(super) fn identifier(&mut self) -> Option<String> {
        self.spaces();
        let rest = self.rest();
        let first = |letter: char| letter.is_alphabetic() || letter == '_';
        let more = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        rest.starts_with(first).then(|| {
            let end = rest.find(|letter| !more(letter)).unwrap_or(rest.len());
            self.at += end;
            rest[..end].to_owned()
        })
    }

    /// The word, if it comes next and nothing is joined to it.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let before = self.at;
        let found = self.identifier().as_deref() == Some(word);
        if !found {
            self.at = before;
        }
        found
    }

    /// Runs something in which newlines are spaces, or are not.
    pub(super) fn within<T>(
        &mut self,
        spaces: bool,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<T> {
        let before = std::mem::replace(&mut self.newlines_are_spaces, spaces);
        let result = read(self);
        self.newlines_are_spaces = before;
        result
    }

    /// Runs something in which newlines are spaces.
    pub(super) fn with_newlines<T>(
        &mut self,
        read: &mut dyn FnMut(&mut Self) -> Read<T>,
    ) -> Read<T> {
        self.within(true, read)
    }

    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return self.wrong("Invalid expression; It is nested too deeply.");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn body(&mut self, is_inner: bool) -> Read<Body> {
        let mut body = Body::default();
        loop {
            self.lines();
            if is_inner && self.take("}") {
                return Ok(body);
            }
            if self.peek().is_none() {
                return match is_inner {
                    true => self.wrong("Unclosed configuration block; There is no closing brace."),
                    false => Ok(body),
                };
            }
            self.item(&mut body)?;
            self.spaces();
            if !matches!(self.peek(), Some('\n' | '}') | None) {
                return self.wrong(
                    "Missing newline; An argument or block definition must end with a newline.",
                );
            }
        }
    }

    fn item(&mut self, body: &mut Body) -> Read<()> {
        self.spaces();
        let start = self.at;
        // JSON habits: names in quotes.
        let name = match self.peek() {
            Some('"') => self.label()?,
            _ => match self.identifier() {
                Some(name) => name,
                None => {
                    return self
                        .wrong("Argument or block definition required; A name was expected here.");
                }
            },
        };
        self.spaces();
        let is_attribute = self.rest().starts_with('=') && !self.rest().starts_with("==");
        if is_attribute || self.rest().starts_with(':') {
            self.at += 1;
            let at = self.place(start);
            let value = self.expression()?;
            if body.attribute(&name).is_some() {
                return Err(Wrong {
                    at,
                    message: format!("Attribute redefined; The argument {name:?} was already set."),
                });
            }
            body.attributes.push(Attribute { name, value, at });
            return Ok(());
        }
        let mut labels = Vec::new();
        while !self.sign("{") {
            labels.push(match self.peek() {
                Some('"') => self.label()?,
                _ => {
                    match self.identifier() {
                        Some(label) => label,
                        None => return self.wrong(
                            "Invalid block definition; A label or an opening brace was expected.",
                        ),
                    }
                }
            });
        }
        let at = self.place(start);
        let inner = self.deeper(|parser| parser.within(false, |parser| parser.body(true)))?;
        body.blocks.push(Block { kind: name, labels, body: inner, at });
        Ok(())
    }

    /// A text in quotes without templates.
    fn label(&mut self) -> Read<String> {
        let parsed = self.quoted()?;
        match parsed.kind {
            Kind::Literal(Value::Text(text)) => Ok(text),
            _ => self.wrong(
                "Invalid string literal; Template sequences are not allowed in this string.",
            ),
        }
    }
}
