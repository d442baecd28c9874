//! Texts with values in them: `${…}`, `%{ if … }`, `%{ for … }`, in quotes, heredocs and JSON.

use super::parser::{MAX_DEPTH, Parser};
use super::syntax::{Expr, Kind, Part, Wrong};
use super::value::Value;

/// A template as a row, before its directives are put into each other.
enum Token {
    Text(String),
    Value(Expr),
    If(Expr),
    Else,
    EndIf,
    For(Option<String>, String, Expr),
    EndFor,
}

/// Reads a text in which nothing but templates has a meaning, as in JSON.
pub(super) fn of_text(text: &str, file: usize, line: usize) -> Result<Expr, Wrong> {
    Parser::new(text, file, line).unquoted()
}

impl Parser<'_> {
    fn unquoted(&mut self) -> Result<Expr, Wrong> {
        let tokens = self.tokens(false)?;
        self.nested(tokens, 0)
    }

    /// A text in quotes.
    pub(super) fn quoted(&mut self) -> Result<Expr, Wrong> {
        let start = self.at;
        self.next();
        let tokens = self.tokens(true)?;
        self.nested(tokens, start)
    }

    /// `<<NAME`, the lines, and the line that is the name.
    pub(super) fn heredoc(&mut self) -> Result<Expr, Wrong> {
        let start = self.at;
        self.at += 2;
        let flush = self.take("-");
        let Some(name) = self.identifier() else {
            return self.wrong("Invalid heredoc; A name is required after <<.");
        };
        if !self.rest().trim_start_matches(['\r', ' ']).starts_with('\n') {
            return self.wrong("Invalid heredoc; The name must end its line.");
        }
        self.at += self.rest().find('\n').unwrap_or_default() + 1;
        let first_line = self.line();
        let mut lines = Vec::new();
        loop {
            let rest = self.rest();
            let (line, more) =
                rest.split_once('\n').map_or((rest, false), |(line, _)| (line, true));
            if line.trim() == name {
                // The newline stays: it ends the attribute.
                self.at += line.len();
                break;
            }
            if !more {
                return self.wrong("Unterminated template string; The heredoc is not closed.");
            }
            lines.push(line);
            self.at += line.len() + 1;
        }
        let indent = |line: &&str| line.len() - line.trim_start_matches(' ').len();
        let least = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min();
        let cut = if flush { least.unwrap_or(0) } else { 0 };
        let text: String =
            lines.iter().map(|line| format!("{}\n", line.get(cut..).unwrap_or_default())).collect();
        let mut expr = self.inner(&text, first_line).unquoted()?;
        expr.at = self.place(start);
        Ok(expr)
    }

    fn tokens(&mut self, quoted: bool) -> Result<Vec<Token>, Wrong> {
        let mut tokens = Vec::new();
        let mut text = String::new();
        // A `~` before or after a value takes the spaces on that side.
        let mut trim_next = false;
        loop {
            if self.take("$${") {
                text.push_str("${");
            } else if self.take("%%{") {
                text.push_str("%{");
            } else if self.rest().starts_with("${") || self.rest().starts_with("%{") {
                let is_value = self.rest().starts_with('$');
                self.at += 2;
                let trims_before = self.take("~");
                let mut before = std::mem::take(&mut text);
                if std::mem::take(&mut trim_next) {
                    before = before.trim_start().to_owned();
                }
                if trims_before {
                    before = before.trim_end().to_owned();
                }
                tokens.push(Token::Text(before));
                tokens.push(self.in_braces(is_value)?);
                trim_next = self.sign("~");
                self.want("}")?;
            } else {
                match self.next() {
                    Some('"') if quoted => break,
                    Some('\n') | None if quoted => {
                        return self.wrong("Unterminated template string; No closing marker was found for the string.");
                    }
                    None => break,
                    Some('\\') if quoted => text.push(self.escaped()?),
                    Some(letter) => text.push(letter),
                }
            }
        }
        tokens.push(Token::Text(if trim_next { text.trim_start().to_owned() } else { text }));
        Ok(tokens)
    }

    fn escaped(&mut self) -> Result<char, Wrong> {
        let digits = match self.next() {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(same @ ('"' | '\\')) => return Ok(same),
            Some('u') => 4,
            Some('U') => 8,
            _ => return self.wrong("Invalid escape sequence."),
        };
        let code = self.rest().get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.and_then(char::from_u32) {
            Some(letter) => {
                self.at += digits;
                Ok(letter)
            }
            None => self.wrong("Invalid escape sequence."),
        }
    }

    fn in_braces(&mut self, is_value: bool) -> Result<Token, Wrong> {
        let mut read = |parser: &mut Self| {
            if is_value {
                return parser.expression().map(Token::Value);
            }
            match parser.identifier().as_deref() {
                Some("if") => parser.expression().map(Token::If),
                Some("else") => Ok(Token::Else),
                Some("endif") => Ok(Token::EndIf),
                Some("endfor") => Ok(Token::EndFor),
                Some("for") => {
                    let first = parser.identifier();
                    let second = if parser.sign(",") { parser.identifier() } else { None };
                    let (key, value) = match second {
                        Some(second) => (first, Some(second)),
                        None => (None, first),
                    };
                    match value.filter(|_| parser.keyword("in")) {
                        Some(value) => Ok(Token::For(key, value, parser.expression()?)),
                        None => parser.wrong("Invalid 'for' directive."),
                    }
                }
                _ => parser.wrong("Invalid template directive."),
            }
        };
        self.with_newlines(&mut read)
    }

    /// Puts directives into each other. A value alone keeps its kind; a text alone is a literal.
    fn nested(&self, tokens: Vec<Token>, start: usize) -> Result<Expr, Wrong> {
        let mut tokens =
            tokens.into_iter().filter(|token| !matches!(token, Token::Text(t) if t.is_empty()));
        let (mut parts, end) = self.parts(&mut tokens, self.depth)?;
        if end.is_some() {
            return self.wrong("Unexpected template directive.");
        }
        let at = self.place(start);
        if let [Part::Value(_)] = parts.as_slice()
            && let Some(Part::Value(only)) = parts.pop()
        {
            // The value keeps its place, which is more exact.
            return Ok(only);
        }
        let kind = match parts.as_slice() {
            [] => Kind::Literal(Value::Text(String::new())),
            [Part::Text(text)] => Kind::Literal(Value::Text(text.clone())),
            _ => Kind::Template(parts),
        };
        Ok(Expr { kind, at })
    }

    /// Parts up to what ends them, which is given too.
    fn parts(
        &self,
        tokens: &mut dyn Iterator<Item = Token>,
        depth: usize,
    ) -> Result<(Vec<Part>, Option<Token>), Wrong> {
        if depth > MAX_DEPTH {
            return self.wrong("Invalid template; It is nested too deeply.");
        }
        let mut parts = Vec::new();
        while let Some(token) = tokens.next() {
            parts.push(match token {
                Token::Text(text) => Part::Text(text),
                Token::Value(expr) => Part::Value(expr),
                Token::If(condition) => {
                    let (yes, mut end) = self.parts(tokens, depth + 1)?;
                    let mut no = Vec::new();
                    if let Some(Token::Else) = end {
                        (no, end) = self.parts(tokens, depth + 1)?;
                    }
                    if !matches!(end, Some(Token::EndIf)) {
                        return self.wrong("Unclosed 'if' directive.");
                    }
                    Part::If(condition, yes, no)
                }
                Token::For(key, value, list) => {
                    let (body, end) = self.parts(tokens, depth + 1)?;
                    if !matches!(end, Some(Token::EndFor)) {
                        return self.wrong("Unclosed 'for' directive.");
                    }
                    Part::For { key, value, list, body }
                }
                end @ (Token::Else | Token::EndIf | Token::EndFor) => {
                    return Ok((parts, Some(end)));
                }
            });
        }
        Ok((parts, None))
    }
}
