//! Go's text templates, the language of `--format`.
//!
//! A text is read once with [`Template::parse`] and then carried out over any number of values.
//! Messages are worded as Go's, so that docker's `template parsing error: ` fits before them.
//! Complex numbers and values that are functions are absent: nothing in docker's data has them.

mod builtins;
mod call;
mod compare;
mod datum;
mod docker;
mod error;
mod escape;
mod eval;
mod exec;
mod float;
mod functions;
mod json;
mod lexer;
mod node;
mod number;
mod parser;
mod phrases;
mod printf;
pub(crate) mod quote;
mod token;
mod value;
mod verbs;

#[cfg(test)]
mod tests;

pub use error::TemplateError;
pub use functions::{Functions, Param};
pub use value::{Object, Unset, Value, Word};

/// A value as one line of JSON.
pub(crate) fn as_json(value: &Value) -> Result<String, String> {
    json::encode(value)
}

/// The most that a template may write, and the longest text it may make on the way.
const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// What a key that a map lacks stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// `<no value>`, as Go's templates have it.
    #[default]
    NoValue,
    /// An error, as docker's `inspect` has it for documents.
    Error,
}

/// A template that has been read and can be carried out.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    bodies: parser::Bodies,
    functions: Functions,
}

impl Template {
    /// Reads a template, which may call Go's functions and the given ones.
    pub fn parse(text: &str, functions: &Functions) -> Result<Template, TemplateError> {
        let bodies = parser::parse(text, functions)?;
        Ok(Template { text: text.to_owned(), bodies, functions: functions.clone() })
    }

    /// Carries the template out over `data`.
    pub fn render(&self, data: &Value, missing_key: MissingKey) -> Result<String, TemplateError> {
        let (out, result) = self.render_with(&self.functions, data, missing_key);
        result.map(|()| out)
    }

    /// Carries the template out with some functions replaced, and returns how far it came.
    ///
    /// The header of a table is written so: what it cannot show, it leaves out.
    pub fn render_partly(&self, data: &Value, replaced: &Functions) -> String {
        let mut functions = self.functions.clone();
        functions.extend(replaced);
        self.render_with(&functions, data, MissingKey::NoValue).0
    }

    fn render_with(
        &self,
        functions: &Functions,
        data: &Value,
        missing_key: MissingKey,
    ) -> (String, Result<(), TemplateError>) {
        let mut executor = exec::Executor::new(&self.text, &self.bodies, functions, missing_key);
        let result = executor.run(data);
        (executor.out, result)
    }
}
