//! What goes wrong with a template, in the words that docker's users know.

use super::quote::quote;

/// A template that cannot be understood or carried out.
///
/// The text is Go's: docker puts `template parsing error: ` before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template: :{line}: {problem}")]
    Parse {
        /// The line, counted from one.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The template asks for something that its data cannot give.
    #[error("template: :{line}:{column}: executing {} at <{at}>: {problem}", quote(.template))]
    Execute {
        /// The line, counted from one.
        line: usize,
        /// The byte within the line, counted from zero.
        column: usize,
        /// The defined template it happened in; empty for the outermost.
        template: String,
        /// The piece of the template that was being carried out.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
    /// All rows together are more than may be shown at once.
    #[error("template: output exceeds {limit_bytes} bytes")]
    TooLarge {
        /// The most that may be shown.
        limit_bytes: usize,
    },
}
