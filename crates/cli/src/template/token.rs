//! The pieces that a template is cut into.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The lexer gave up; the text of the token says why.
    Error,
    /// The end of the template.
    End,
    /// What stands outside of actions.
    Text,
    LeftDelimiter,
    RightDelimiter,
    Space,
    Dot,
    /// `.Name`
    Field,
    /// `$` or `$name`
    Variable,
    Identifier,
    Bool,
    Nil,
    /// A control word such as `if`.
    Keyword,
    Char,
    Number,
    Quoted,
    Pipe,
    LeftParen,
    RightParen,
    Declare,
    Assign,
    /// Any other sign, such as the comma between two variables.
    Sign,
}

/// A piece of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// The byte it starts at.
    pub(super) at: usize,
    /// The line it starts on, counted from one.
    pub(super) line: usize,
}
