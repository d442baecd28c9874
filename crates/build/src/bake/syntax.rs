//! What a bake file consists of: attributes, blocks, expressions.

use super::value::Value;

/// Where something stands: the line, and the columns from the first to after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// Which of the files.
    pub(super) file: usize,
    /// The line, counted from one.
    pub(super) line: usize,
    /// The first column, counted from one.
    pub(super) from: usize,
    /// The column after the last.
    pub(super) to: usize,
}

/// Why a text is no bake file, or an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: Place,
    pub(super) message: String,
}

/// Attributes and blocks between braces, or of a whole file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Body {
    pub(super) attributes: Vec<Attribute>,
    pub(super) blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Expr,
    pub(super) at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) body: Body,
    pub(super) at: Place,
}

impl Body {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    pub(super) at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Literal(Value),
    Template(Vec<Part>),
    Variable(String),
    Attribute(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    /// Each element of a list, and what is taken of it.
    Splat(Box<Expr>, Vec<Step>),
    /// The flag says that the last argument is a list of further ones.
    Call(String, Vec<Expr>, bool),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    Tuple(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    For(Box<For>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Attribute(String),
    Index(Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// `[for key, value in list : item if condition]`, or with `{ name => item... }`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct For {
    pub(super) key: Option<String>,
    pub(super) value: String,
    pub(super) list: Expr,
    pub(super) name: Option<Expr>,
    pub(super) item: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) groups: bool,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Value(Expr),
    If(Expr, Vec<Part>, Vec<Part>),
    For { key: Option<String>, value: String, list: Expr, body: Vec<Part> },
}
