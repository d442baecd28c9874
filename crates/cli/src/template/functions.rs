//! The functions that a caller adds to Go's own.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::builtins;
use super::value::Value;

/// What a function takes at one place; anything else is refused before the function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    /// Any value at all.
    Any,
    /// A [`Value::Str`].
    Text,
    /// A [`Value::Int`].
    Integer,
    /// A [`Value::List`] of text; nothing counts as an empty one.
    Texts,
}

impl Param {
    /// The name of the type in Go.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::Text => "string",
            Param::Integer => "int",
            Param::Texts => "[]string",
        }
    }
}

type Body = Rc<dyn Fn(&[Value]) -> Result<Value, String>>;

/// A function with the arguments it takes.
#[derive(Clone)]
pub(super) struct Function {
    pub(super) params: Vec<Param>,
    /// What any number of further arguments must be, if there may be any.
    pub(super) rest: Option<Param>,
    pub(super) body: Body,
}

/// Functions by name, over and above the built-in ones; cheap to copy.
#[derive(Clone, Default)]
pub struct Functions {
    by_name: BTreeMap<String, Function>,
}

impl Functions {
    /// No functions but Go's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function that takes any number of arguments of any kind.
    ///
    /// Its error text is shown as `error calling NAME: TEXT`.
    pub fn insert(
        &mut self,
        name: &str,
        body: impl Fn(&[Value]) -> Result<Value, String> + 'static,
    ) {
        let function = Function { params: Vec::new(), rest: Some(Param::Any), body: Rc::new(body) };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Adds a function that takes exactly these arguments, already checked when it is called.
    pub fn insert_typed(
        &mut self,
        name: &str,
        params: &[Param],
        body: impl Fn(&[Value]) -> Result<Value, String> + 'static,
    ) {
        let function = Function { params: params.to_vec(), rest: None, body: Rc::new(body) };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Adds all functions of `others`, which win over those of the same name.
    pub fn extend(&mut self, others: &Functions) {
        let others = others.by_name.iter();
        self.by_name.extend(others.map(|(name, function)| (name.clone(), function.clone())));
    }

    /// Whether a template may call `name`.
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || builtins::find(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Function> {
        self.by_name.get(name)
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
