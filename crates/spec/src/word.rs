//! Words of a Dockerfile: quotes, escapes and variables, expanded as BuildKit's small shell does.
//!
//! Variables are `$name`, `${name}` and, with a modifier, `${name:-word}`, `:+`, `:?` (also without
//! the colon), `${name#pattern}`, `##`, `%`, `%%`, `${name/pattern/word}` and `//`.

use std::iter::Peekable;
use std::str::Chars;

use glob::Glob;

mod glob;

/// Where a variable's value comes from; nothing means that it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote is not closed.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    OpenQuote(&'static str),
    /// A brace is not closed.
    #[error("syntax error: missing '}}'")]
    OpenBrace,
    /// The pattern of a replacement is not closed.
    #[error("syntax error: missing '/' in ${{}}")]
    OpenPattern,
    /// There is no name between the braces.
    #[error("syntax error: bad substitution")]
    NoName,
    /// What follows the name is no modifier.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${name?message}` found the variable unset or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the author says about it.
        message: String,
    },
    /// A pattern ends in a backslash.
    #[error("invalid escape at the end of pattern {0:?}")]
    Pattern(String),
    /// Braces stand in braces in braces, beyond what anybody writes.
    #[error("substitutions are nested too deeply")]
    TooDeep,
}

/// No honest word nests deeper; hostile ones must not use up the stack.
const MAX_DEPTH: usize = 64;

/// Expands a word to one word: spaces in values stay as they are.
pub fn expand_word(word: &str, escape: char, env: Lookup<'_>) -> Result<String, WordError> {
    Expansion::new(word, escape, env).run(None, false).map(|(text, _)| text)
}

/// Expands a word to as many words as its spaces outside quotes make, values' spaces included.
pub fn expand_words(word: &str, escape: char, env: Lookup<'_>) -> Result<Vec<String>, WordError> {
    Expansion::new(word, escape, env).run(None, false).map(|(_, words)| words)
}

/// Expands the lines of a document: quotes in them are signs like any other.
pub fn expand_document(text: &str, escape: char, env: Lookup<'_>) -> Result<String, WordError> {
    let document = Expansion { quotes_count: false, ..Expansion::new(text, escape, env) };
    { document }.run(None, false).map(|(text, _)| text)
}

/// Splits at spaces that no quote and no escape protects. Quotes and escapes are left in.
pub fn quoted_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if quote.is_none() && letter.is_whitespace() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        word.push(letter);
        match letter {
            _ if letter == escape && quote != Some('\'') => word.extend(letters.next()),
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            _ if quote == Some(letter) => quote = None,
            _ => {}
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

struct Expansion<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    env: Lookup<'a>,
    /// Whether quotes keep together what is between them.
    quotes_count: bool,
    depth: usize,
    /// The word being collected. Shared by all depths: BuildKit forgets what stands directly before
    /// `${name:-word}` when it splits, and so do we.
    open_word: String,
}

impl<'a> Expansion<'a> {
    fn new(word: &'a str, escape: char, env: Lookup<'a>) -> Expansion<'a> {
        let rest = word.chars().peekable();
        Expansion { rest, escape, env, quotes_count: true, depth: 0, open_word: String::new() }
    }

    /// Expands up to `stop` or the end: the text as one word, and split. `keep_escapes` leaves them
    /// in for patterns, which have their own.
    fn run(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
    ) -> Result<(String, Vec<String>), WordError> {
        let mut text = String::new();
        let mut words = Vec::new();
        self.open_word.clear();
        while let Some(next) = self.rest.next() {
            match next {
                _ if Some(next) == stop => {
                    self.close_word(&mut words);
                    return Ok((text, words));
                }
                '\'' | '"' if self.quotes_count => {
                    let quoted =
                        if next == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    self.open_word.push_str(&quoted);
                    text.push_str(&quoted);
                }
                '$' => {
                    let value = self.variable()?;
                    value.chars().for_each(|letter| self.add(letter, &mut words));
                    text.push_str(&value);
                }
                _ if next == self.escape => {
                    let kept = keep_escapes.then_some(next);
                    for letter in kept.into_iter().chain(self.rest.next()) {
                        self.open_word.push(letter);
                        text.push(letter);
                    }
                }
                _ => {
                    self.add(next, &mut words);
                    text.push(next);
                }
            }
        }
        self.close_word(&mut words);
        if stop.is_some() { Err(WordError::OpenBrace) } else { Ok((text, words)) }
    }

    /// Takes a letter that is not quoted: a space ends the word.
    fn add(&mut self, letter: char, words: &mut Vec<String>) {
        if letter.is_whitespace() {
            self.close_word(words);
        } else {
            self.open_word.push(letter);
        }
    }

    fn close_word(&mut self, words: &mut Vec<String>) {
        if !self.open_word.is_empty() {
            words.push(std::mem::take(&mut self.open_word));
        }
    }

    fn single_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        loop {
            match self.rest.next().ok_or(WordError::OpenQuote("single"))? {
                '\'' => return Ok(text),
                letter => text.push(letter),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, WordError> {
        let mut text = String::new();
        loop {
            match self.rest.next().ok_or(WordError::OpenQuote("double"))? {
                '"' => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                letter if letter == self.escape => {
                    let escape = self.escape;
                    let is_special = |next: &char| matches!(next, '"' | '$') || *next == escape;
                    match self.rest.next_if(is_special) {
                        Some(next) => text.push(next),
                        // At the very end the missing quote is the error to report.
                        None => text.push(letter),
                    }
                }
                letter => text.push(letter),
            }
        }
    }

    /// Reads what follows a `$`.
    fn variable(&mut self) -> Result<String, WordError> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name) });
        }
        match self.rest.peek() {
            None => return Err(WordError::OpenBrace),
            Some('{' | '}' | ':') => return Err(WordError::NoName),
            Some(_) => {}
        }
        if self.depth == MAX_DEPTH {
            return Err(WordError::TooDeep);
        }
        self.depth += 1;
        let name = self.name();
        let value = match self.rest.next().ok_or(WordError::OpenBrace)? {
            '}' => self.value(&name),
            '/' => self.replaced(&name)?,
            ':' => {
                let modifier = self.rest.next().ok_or(WordError::OpenBrace)?;
                self.modified(&name, modifier, true)?
            }
            modifier => self.modified(&name, modifier, false)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Reads a name: digits, one special sign, or letters, digits and underscores.
    fn name(&mut self) -> String {
        let is_digit = char::is_ascii_digit;
        let is_special = |letter: &char| "@*#?-$!".contains(*letter);
        let is_name = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        let mut name = String::new();
        if self.rest.peek().is_some_and(is_digit) {
            while let Some(digit) = self.rest.next_if(is_digit) {
                name.push(digit);
            }
        } else if let Some(special) = self.rest.next_if(is_special) {
            name.push(special);
        } else {
            while let Some(letter) = self.rest.next_if(is_name) {
                name.push(letter);
            }
        }
        name
    }

    fn value(&self, name: &str) -> String {
        (self.env)(name).unwrap_or_default()
    }

    /// Handles `-`, `+`, `?`, `#` and `%`; with a colon an empty value counts as unset.
    fn modified(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, WordError> {
        let is_pattern = matches!(modifier, '#' | '%');
        if !matches!(modifier, '-' | '+' | '?' | '#' | '%') || (colon && is_pattern) {
            let colon = if colon { ":" } else { "" };
            return Err(WordError::Modifier(format!("{colon}{modifier}")));
        }
        let (word, _) = self.run(Some('}'), is_pattern)?;
        let value = (self.env)(name);
        let given = value.clone().filter(|value| !colon || !value.is_empty());
        match (modifier, given) {
            ('-', given) => Ok(given.unwrap_or(word)),
            ('+', given) => Ok(given.map(|_| word).unwrap_or_default()),
            ('?', Some(given)) => Ok(given),
            ('?', None) => {
                let unset = if value.is_none() {
                    "not allowed to be unset"
                } else {
                    "not allowed to be empty"
                };
                let message = if word.is_empty() { unset.to_owned() } else { word };
                Err(WordError::Required { name: name.to_owned(), message })
            }
            (_, given) => trimmed(&given.unwrap_or_default(), &word, modifier),
        }
    }

    /// Handles `${name/pattern/word}` and, for every match, `${name//pattern/word}`.
    fn replaced(&mut self, name: &str) -> Result<String, WordError> {
        let all = self.rest.next_if_eq(&'/').is_some();
        let pattern = self.run(Some('/'), true).map_err(|error| match error {
            WordError::OpenBrace => WordError::OpenPattern,
            error => error,
        });
        let (pattern, _) = pattern?;
        let (word, _) = self.run(Some('}'), true)?;
        Ok(Glob::new(&pattern)?.replace(&self.value(name), &word, all))
    }
}

/// Cuts a match off the front (`#`) or the end (`%`); a doubled sign cuts as much as possible.
fn trimmed(value: &str, pattern: &str, sign: char) -> Result<String, WordError> {
    let (pattern, longest) = match pattern.strip_prefix(sign) {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let glob = Glob::new(pattern)?;
    Ok(match sign {
        '#' => glob.trim_start(value, longest),
        _ => glob.trim_end(value, longest),
    })
}

#[cfg(test)]
mod tests;
