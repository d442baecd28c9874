//! The text of a Dockerfile as a row of nodes: directives, comments, continued lines, heredocs.
//!
//! Keywords are not judged here, and words are not expanded.

use crate::error::{BuildError, Span};

mod directives;
mod heredoc;
mod print;
mod words;

pub use directives::Directives;
pub use heredoc::{Heredoc, is_heredoc};
pub use words::{first_word, json_list};

/// No honest Dockerfile is longer.
pub const MAX_BYTES: usize = 16 << 20;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the first lines say about the rest.
    pub directives: Directives,
    /// One node an instruction, in the order of the file.
    pub nodes: Vec<Node>,
}

/// One instruction as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The first word, as it is written.
    pub keyword: String,
    /// Words that begin with `--`, without quotes and escapes.
    pub flags: Vec<String>,
    /// All the rest of the joined lines.
    pub rest: String,
    /// The documents that follow the lines, in order.
    pub heredocs: Vec<Heredoc>,
    /// The comments directly above.
    pub comments: Vec<String>,
    /// The lines, with those of the heredocs.
    pub span: Span,
    /// The empty lines within the instruction, which one day will end it.
    pub empty_lines: Vec<usize>,
}

impl Node {
    /// The keyword in capitals, which is how it is known.
    pub fn name(&self) -> String {
        self.keyword.to_ascii_uppercase()
    }

    /// The instruction in one line, as a history row shows it.
    pub fn text(&self) -> String {
        let flags = self.flags.iter().map(String::as_str);
        let parts = std::iter::once(self.keyword.as_str()).chain(flags).chain([self.rest.as_str()]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Reads a file.
pub fn parse(text: &str) -> Result<Document, BuildError> {
    if text.len() > MAX_BYTES {
        return Err(BuildError::parse(Span::new(1, 1), "the file is larger than 16 MiB"));
    }
    if text.is_empty() {
        return Err(BuildError::Blank);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let directives = Directives::read(text)?;
    let mut reader = Lines { lines: text.split_inclusive('\n'), at: 0, escape: directives.escape };
    let mut nodes = Vec::new();
    let mut comments = Vec::new();
    while let Some(line) = reader.next() {
        let trimmed = trim_end(line).trim_start();
        if reader.at <= directives.lines {
            continue;
        } else if let Some(comment) = trimmed.strip_prefix('#') {
            comments.push(comment.trim().to_owned());
        } else if trimmed.trim_end().is_empty() {
            comments.clear();
        } else if let Some(node) = reader.node(trimmed, std::mem::take(&mut comments))? {
            nodes.push(node);
        }
    }
    if nodes.is_empty() { Err(BuildError::Empty) } else { Ok(Document { directives, nodes }) }
}

/// Reads what follows `ONBUILD`: one instruction, whose documents stand elsewhere.
pub fn parse_trigger(text: &str, escape: char, span: Span) -> Node {
    let (keyword, flags, rest) = words::split_instruction(text, escape);
    let (heredocs, comments, empty_lines) = Default::default();
    Node { keyword, flags, rest, heredocs, comments, span, empty_lines }
}

/// Reads a trigger out of a configuration: one instruction, and the documents in the lines below it.
pub fn read_trigger(text: &str, escape: char, span: Span) -> Result<Node, BuildError> {
    // Its own lines are nobody's; the `FROM` that has it is to blame.
    let blamed = |error: BuildError| match error {
        BuildError::Parse { message, .. } => BuildError::Parse { at: span, message },
        other => other,
    };
    let mut reader = Lines { lines: text.split_inclusive('\n'), at: 0, escape };
    let mut found = None;
    while let Some(line) = reader.next() {
        let line = trim_end(line).trim_start();
        if line.trim_end().is_empty() || line.starts_with('#') {
            continue;
        }
        let node = reader.node(line, Vec::new()).map_err(blamed)?;
        if node.is_some() && found.is_some() {
            let words = "onbuild trigger should be a single expression";
            return Err(BuildError::parse(span, words));
        }
        found = node.or(found);
    }
    Ok(found.map_or_else(|| parse_trigger(text, escape, span), |node| Node { span, ..node }))
}

struct Lines<'a> {
    lines: std::str::SplitInclusive<'a, char>,
    /// The number of the line that was read last.
    at: usize,
    escape: char,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.next()?;
        self.at += 1;
        Some(line)
    }

    /// Reads the instruction that begins with `first`, nothing if it is a lone escape.
    fn node(&mut self, first: &str, comments: Vec<String>) -> Result<Option<Node>, BuildError> {
        let begin = self.at;
        let (first, mut goes_on) = continued(first, self.escape);
        let mut text = first.to_owned();
        let mut empty_lines = Vec::new();
        while goes_on && let Some(line) = self.next() {
            let line = trim_end(line);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                empty_lines.push(self.at);
                continue;
            }
            let (part, more) = continued(line, self.escape);
            text.push_str(part);
            goes_on = more;
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let (keyword, flags, rest) = words::split_instruction(&text, self.escape);
        let span = Span::new(begin, self.at);
        let mut node = Node { keyword, flags, rest, heredocs: vec![], comments, span, empty_lines };
        self.heredocs(&mut node)?;
        node.span.last = self.at;
        Ok(Some(node))
    }

    fn heredocs(&mut self, node: &mut Node) -> Result<(), BuildError> {
        for mut heredoc in heredoc::announced(node, self.escape) {
            let begin = self.at + 1;
            loop {
                let Some(line) = self.next() else {
                    return Err(BuildError::parse(node.span, "unterminated heredoc"));
                };
                let line = if heredoc.strip_tabs { line.trim_start_matches('\t') } else { line };
                if trim_end(line) == heredoc.name {
                    break;
                }
                heredoc.content.push_str(line);
            }
            heredoc.span = Span::new(begin, self.at);
            node.heredocs.push(heredoc);
        }
        Ok(())
    }
}

fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The line without an escape at its end, and whether there was one. A doubled escape is none.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests;
