//! What can be wrong with a Dockerfile, where, and what was probably meant.

use std::fmt::Write;

/// The lines something stands on, counted from one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first line.
    pub first: usize,
    /// The last line.
    pub last: usize,
}

impl Span {
    /// The lines from `first` to `last`.
    pub fn new(first: usize, last: usize) -> Span {
        Span { first, last }
    }
}

/// What sort of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file or an argument is not written as it must be.
    InvalidInput,
    /// A stage or context that was named does not exist.
    NotFound,
}

/// Why a Dockerfile cannot be built. The first line is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An instruction is not written as it must be.
    #[error("dockerfile parse error on line {}: {message}", at.first)]
    Parse {
        /// Where it stands.
        at: Span,
        /// What is wrong.
        message: String,
    },
    /// An instruction can be read, and cannot be carried out as it is.
    #[error("{message}")]
    Refused {
        /// Where it stands.
        at: Span,
        /// What is wrong.
        message: String,
    },
    /// The file has nothing in it.
    #[error("the Dockerfile cannot be empty")]
    Blank,
    /// The file has no instruction.
    #[error("file with no instructions")]
    Empty,
    /// The file has arguments, and nothing that they are for.
    #[error("dockerfile contains no stages to build")]
    NoStages,
    /// An instruction other than `ARG` stands before the first `FROM`.
    #[error("no build stage in current context")]
    NoStage {
        /// Where it stands.
        at: Span,
    },
    /// A word's quotes or variables are wrong.
    #[error("failed to process {word:?}")]
    Word {
        /// Where it stands.
        at: Span,
        /// The word as it was written.
        word: String,
        /// What is wrong with it.
        source: spec::WordError,
    },
    /// `--target` names no stage.
    #[error("target stage {name:?} could not be found")]
    NoTarget {
        /// What was asked for.
        name: String,
        /// A stage with nearly that name.
        meant: Option<String>,
    },
    /// A stage needs itself, through others or directly.
    #[error("circular dependency detected on stage: {name}")]
    Circular {
        /// Where the stage begins.
        at: Span,
        /// The stage's name or number.
        name: String,
    },
    /// Checks found something, and the file or the user wants that to stop the build.
    #[error("lint violation found for rules: {0}")]
    Checks(String),
    /// A bake cannot be planned.
    #[error("{0}")]
    Bake(String),
    /// A bake file is not written as it must be, or an expression in it has no value.
    #[error("{place}: {message}")]
    BakeFile {
        /// File, line and columns.
        place: String,
        /// What is wrong.
        message: String,
        /// The lines around the place.
        lines: String,
    },
    /// A pattern of an ignore file means nothing.
    #[error("invalid pattern {0:?}: syntax error in pattern")]
    Pattern(String),
}

impl BuildError {
    pub(crate) fn parse(at: Span, message: impl Into<String>) -> BuildError {
        BuildError::Parse { at, message: message.into() }
    }

    pub(crate) fn refused(at: Span, message: impl Into<String>) -> BuildError {
        BuildError::Refused { at, message: message.into() }
    }

    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            BuildError::NoTarget { .. } => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// What the user can do, where we know it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BuildError::NoTarget { meant: Some(meant), .. } => {
                Some(format!("did you mean {meant}?"))
            }
            BuildError::NoStage { .. } => Some("begin the file with FROM".to_owned()),
            _ => None,
        }
    }

    /// Where in the file it is, if it is at one place.
    pub fn span(&self) -> Option<Span> {
        match self {
            BuildError::Parse { at, .. }
            | BuildError::Refused { at, .. }
            | BuildError::NoStage { at }
            | BuildError::Word { at, .. }
            | BuildError::Circular { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// The lines around the error as BuildKit prints them, `>>>` before those that are meant.
    pub fn excerpt(&self, file: &str, text: &str) -> Option<String> {
        self.span().map(|span| excerpt(file, text, span))
    }
}

/// The lines of `span` with a few around them, numbered, `>>>` before those that are meant.
pub fn excerpt(file: &str, text: &str, span: Span) -> String {
    Excerpts::of(file, text).at(span)
}

/// A file whose lines are shown more than once.
pub struct Excerpts<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Excerpts<'a> {
    /// Finds its lines.
    pub fn of(file: &'a str, text: &'a str) -> Excerpts<'a> {
        // A text that ends in a newline has, for BuildKit, one more line.
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        Excerpts { file, lines }
    }

    /// The lines of `span` with a few around them, numbered, `>>>` before those that are meant.
    pub fn at(&self, span: Span) -> String {
        let Excerpts { file, lines } = self;
        let first = span.first.clamp(1, lines.len());
        let last = span.last.clamp(first, lines.len());
        let around = if first == last { 2 } else { 1 };
        let mut shown = format!("{file}:{first}\n--------------------\n");
        for at in first.saturating_sub(around).max(1)..=(last + around).min(lines.len()) {
            let mark = if (first..=last).contains(&at) { ">>>" } else { "   " };
            let _ = writeln!(shown, "{at:4} | {mark} {}", lines[at - 1]);
        }
        shown.push_str("--------------------\n");
        shown
    }
}

/// The one of `known` that is nearest to `word`, if it is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody meant a word of this length, and the comparison costs its square.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    let ranked = known.into_iter().filter(|known| known.len() <= 64);
    let ranked = ranked.map(|known| (distance(&word, &known.to_lowercase()), known));
    ranked.filter(|(far, _)| *far <= limit).min_by_key(|(far, _)| *far).map(|(_, known)| known)
}

/// How many letters must be put in, taken out or exchanged; two neighbours that changed places
/// count once.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut before = None;
    for (at, letter) in from.chars().enumerate() {
        let mut row = vec![at + 1];
        for (column, other) in to.iter().enumerate() {
            let cost = above[column] + usize::from(letter != *other);
            let mut best = cost.min(above[column + 1] + 1).min(row[column] + 1);
            if column > 0 && before == Some(*other) && to[column - 1] == letter {
                best = best.min(older[column - 1] + 1);
            }
            row.push(best);
        }
        before = Some(letter);
        older = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near() {
        assert_eq!(nearest("RUNN", ["RUN", "FROM"]), Some("RUN"));
        assert_eq!(nearest("copi", ["COPY", "FROM"]), Some("COPY"));
        assert_eq!(nearest("FORM", ["FROM", "COPY"]), Some("FROM"));
        assert_eq!(nearest("apk", ["COPY", "ADD"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["COPY"]), None);
    }

    #[test]
    fn shows_lines_around_the_place() {
        let shown = excerpt("Dockerfile", "a\nb\nc\nd\ne\nf\n", Span::new(3, 3));
        assert!(shown.contains("   3 | >>> c\n") && shown.contains("   1 |     a\n"), "{shown}");
        assert!(shown.starts_with("Dockerfile:3\n") && !shown.contains("   6 |"));
        let shown = excerpt("f", "a\nb\nc\nd\n", Span::new(2, 3));
        assert!(shown.starts_with("f:2\n") && shown.contains("   4 |     d\n"), "{shown}");
        assert!(!shown.contains("   5 |"));
        excerpt("", "", Span::new(0, 0));
        excerpt("", "a", Span::new(7, 9));
    }
}
