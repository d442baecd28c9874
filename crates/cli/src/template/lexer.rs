//! Cuts the text of a template into tokens.
//!
//! The blanks between words are tokens as well, because they tell `.A.B` from `.A .B`.

use super::quote::{name_of_char, quote};
use super::token::{Kind, Token};

/// All tokens of a template; after an error there are no more.
pub(super) struct Tokens<'t> {
    pub(super) list: Vec<Token<'t>>,
    /// What the closing [`Kind::Error`] token means.
    pub(super) problem: String,
}

/// Cuts `text` into tokens, the last of which is [`Kind::End`] or [`Kind::Error`].
pub(super) fn tokens(text: &str) -> Tokens<'_> {
    let mut lexer = Lexer { text, at: 0, start: 0, line: 1, parens: 0, list: Vec::new() };
    let problem = match lexer.run() {
        Ok(()) => String::new(),
        Err(problem) => {
            lexer.at = lexer.start;
            lexer.emit(Kind::Error);
            problem
        }
    };
    Tokens { list: lexer.list, problem }
}

struct Lexer<'t> {
    text: &'t str,
    /// The next byte to look at.
    at: usize,
    /// Where the token being read begins, and its line.
    start: usize,
    line: usize,
    parens: usize,
    list: Vec<Token<'t>>,
}

const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with", "nil",
];

impl<'t> Lexer<'t> {
    fn run(&mut self) -> Result<(), String> {
        while self.text_until_action() {
            self.action()?;
        }
        self.emit(Kind::End);
        Ok(())
    }

    /// Reads text up to the next action; false when there is none.
    fn text_until_action(&mut self) -> bool {
        let Some(length) = self.rest().find("{{") else {
            self.at = self.text.len();
            self.emit_unless_empty(Kind::Text);
            return false;
        };
        let open = self.at + length;
        if trims_left(&self.text[open + 2..]) {
            self.at += self.rest()[..length].trim_end_matches(is_space).len();
        } else {
            self.at = open;
        }
        self.emit_unless_empty(Kind::Text);
        self.at = open;
        self.skip();
        true
    }

    fn action(&mut self) -> Result<(), String> {
        let marker = if trims_left(&self.rest()[2..]) { 2 } else { 0 };
        if self.rest()[2 + marker..].starts_with("/*") {
            self.at += 2 + marker;
            self.skip();
            return self.comment();
        }
        self.at += 2;
        self.emit(Kind::LeftDelimiter);
        self.at += marker;
        self.skip();
        self.parens = 0;
        while !self.closes()? {
            self.word()?;
        }
        Ok(())
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(length) = self.rest().find("*/") else {
            return Err("unclosed comment".into());
        };
        self.at += length + 2;
        if self.rest().starts_with("}}") {
            self.at += 2;
        } else if self.at_trimming_close() {
            self.at += 4;
            self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
        } else {
            return Err("comment ends before closing delimiter".into());
        }
        self.skip();
        Ok(())
    }

    fn at_trimming_close(&self) -> bool {
        let rest = self.rest().as_bytes();
        rest.first().is_some_and(|byte| is_space(char::from(*byte)))
            && rest[1..].starts_with(b"-}}")
    }

    /// Ends the action if its closing delimiter comes next.
    fn closes(&mut self) -> Result<bool, String> {
        let trims = self.at_trimming_close();
        if !trims && !self.rest().starts_with("}}") {
            return Ok(false);
        }
        if self.parens != 0 {
            return Err("unclosed left paren".into());
        }
        if trims {
            self.at += 2;
            self.skip();
        }
        self.at += 2;
        self.emit(Kind::RightDelimiter);
        if trims {
            self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
            self.skip();
        }
        Ok(true)
    }

    /// Reads one token inside of an action.
    fn word(&mut self) -> Result<(), String> {
        let Some(first) = self.next() else {
            return Err("unclosed action".into());
        };
        let simple = match first {
            _ if is_space(first) => {
                self.spaces();
                Kind::Space
            }
            '=' => Kind::Assign,
            ':' if self.next() == Some('=') => Kind::Declare,
            ':' => return Err("expected :=".into()),
            '|' => Kind::Pipe,
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' if self.parens == 0 => return Err("unexpected right paren".into()),
            ')' => {
                self.parens -= 1;
                Kind::RightParen
            }
            '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::Char, "unterminated character constant")?,
            '`' => match self.rest().find('`') {
                Some(length) => {
                    self.at += length + 1;
                    Kind::Quoted
                }
                None => return Err("unterminated raw quoted string".into()),
            },
            '$' => self.name_after_sign(Kind::Variable, Kind::Variable)?,
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                self.name_after_sign(Kind::Dot, Kind::Field)?
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()?
            }
            _ if is_alphanumeric(first) => self.identifier()?,
            ' '..='~' => Kind::Sign,
            _ => {
                return Err(format!("unrecognized character in action: {}", name_of_char(first)));
            }
        };
        self.emit(simple);
        Ok(())
    }

    /// Takes blanks, but leaves the one that belongs to a closing trim marker.
    fn spaces(&mut self) {
        self.at = self.start;
        while self.peek().is_some_and(is_space) && !self.at_trimming_close() {
            self.at += 1;
        }
    }

    fn quoted(&mut self, mark: char, kind: Kind, problem: &str) -> Result<Kind, String> {
        loop {
            match self.next() {
                Some('\\') if self.next().is_some_and(|next| next != '\n') => {}
                Some(end) if end == mark => return Ok(kind),
                None | Some('\n' | '\\') => return Err(problem.into()),
                Some(_) => {}
            }
        }
    }

    fn name_after_sign(&mut self, alone: Kind, named: Kind) -> Result<Kind, String> {
        if self.at_terminator() {
            return Ok(alone);
        }
        self.skip_alphanumeric()?;
        Ok(named)
    }

    fn identifier(&mut self) -> Result<Kind, String> {
        self.skip_alphanumeric()?;
        Ok(match &self.text[self.start..self.at] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        })
    }

    fn skip_alphanumeric(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        match self.peek() {
            Some(next) if !self.at_terminator() => {
                Err(format!("bad character {}", name_of_char(next)))
            }
            _ => Ok(()),
        }
    }

    /// Whether a name may end here.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | '(' | ')') => true,
            Some(next) => is_space(next) || self.rest().starts_with("}}"),
        }
    }

    /// Takes what looks like a number; its worth is told later.
    fn number(&mut self) -> Result<Kind, String> {
        let mut good = self.scan_number();
        if self.peek().is_some_and(|next| matches!(next, '+' | '-')) {
            // Only a complex number has a second sign, and there are none here.
            self.scan_number();
            good = false;
        }
        if good {
            return Ok(Kind::Number);
        }
        let text = &self.text[self.start..self.at];
        Err(format!("bad number syntax: {}", quote(text)))
    }

    /// Takes a number; false if it runs into a letter, which is taken as well.
    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut radix = 10;
        if self.accept("0") {
            radix = match () {
                () if self.accept("xX") => 16,
                () if self.accept("oO") => 8,
                () if self.accept("bB") => 2,
                () => 10,
            };
        }
        let is_digit = |next: char| next == '_' || next.is_digit(radix);
        self.skip_while(is_digit);
        if self.accept(".") {
            self.skip_while(is_digit);
        }
        let has_exponent = (radix == 10 && self.accept("eE")) || (radix == 16 && self.accept("pP"));
        if has_exponent {
            self.accept("+-");
            self.skip_while(|next| next == '_' || next.is_ascii_digit());
        }
        self.accept("i");
        let runs_on = self.peek().is_some_and(is_alphanumeric);
        if runs_on {
            self.next();
        }
        !runs_on
    }

    fn accept(&mut self, any_of: &str) -> bool {
        let accepted = self.peek().is_some_and(|next| any_of.contains(next));
        if accepted {
            self.at += 1;
        }
        accepted
    }

    fn skip_while(&mut self, holds: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&holds) {
            self.next();
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn emit_unless_empty(&mut self, kind: Kind) {
        if self.at > self.start {
            self.emit(kind);
        }
    }

    fn emit(&mut self, kind: Kind) {
        let text = &self.text[self.start..self.at];
        self.list.push(Token { kind, text, at: self.start, line: self.line });
        self.skip();
    }

    /// Starts the next token here.
    fn skip(&mut self) {
        self.line += self.text[self.start..self.at].matches('\n').count();
        self.start = self.at;
    }
}

fn trims_left(after_delimiter: &str) -> bool {
    after_delimiter.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
