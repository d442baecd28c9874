//! Heredocs: documents that follow an instruction and end at a line of their own choice.

use spec::quoted_words;

use super::{Node, json_list};
use crate::error::Span;

/// A document within the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Whether variables in it mean their values: no part of the name is quoted.
    pub expand: bool,
    /// Written `<<-`: tabs at the beginnings of its lines are gone.
    pub strip_tabs: bool,
    /// The number of the file it is read from; 0 unless one stands before `<<`.
    pub fd: u32,
    /// All its lines.
    pub content: String,
    /// Its lines and the one that ends it.
    pub span: Span,
}

/// The heredocs that an instruction announces, still without their lines.
pub(super) fn announced(node: &Node, escape: char) -> Vec<Heredoc> {
    let name = node.name();
    let (name, rest) = match name.as_str() {
        "ONBUILD" => {
            let (name, _, rest) = super::words::split_instruction(&node.rest, escape);
            (name.to_ascii_uppercase(), rest)
        }
        _ => (name, node.rest.clone()),
    };
    let may_have_them = matches!(name.as_str(), "RUN" | "COPY" | "ADD");
    if !may_have_them || !rest.contains("<<") || json_list(&rest).is_some() {
        return Vec::new();
    }
    quoted_words(&rest, escape).iter().filter_map(|word| read(word, escape)).collect()
}

/// Reads `<<name`, `<<-name`, `<<"name"` or `3<<name`.
pub(crate) fn read(word: &str, escape: char) -> Option<Heredoc> {
    let (fd, name) = word.split_once("<<")?;
    if !fd.bytes().all(|digit| digit.is_ascii_digit()) || name.contains('<') {
        return None;
    }
    let fd = if fd.is_empty() { 0 } else { fd.parse().ok()? };
    let (strip_tabs, written) = match name.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let name = unquoted(written, escape)?;
    let expand = name == written;
    let (content, span) = Default::default();
    (!name.is_empty()).then_some(Heredoc { name, expand, strip_tabs, fd, content, span })
}

/// The word without quotes and escapes; nothing if a quote is not closed.
fn unquoted(word: &str, escape: char) -> Option<String> {
    let mut plain = String::new();
    let mut quote = None;
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        match letter {
            _ if quote == Some(letter) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(letter),
            _ if letter == escape && quote != Some('\'') => plain.extend(letters.next()),
            _ => plain.push(letter),
        }
    }
    quote.is_none().then_some(plain)
}

/// Whether a word announces a heredoc.
pub fn is_heredoc(word: &str, escape: char) -> bool {
    read(word, escape).is_some()
}
