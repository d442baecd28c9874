//! How a build is shown while it goes on, and when it failed.

use engine::{BuildFailure, BuildWatch, EngineError, News};

use super::findings::Findings;
use super::{plain, raw, tty};
use crate::context::Context;
use crate::failure::Failure;

/// How a build is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Terminal,
    Raw,
    Quiet,
}

/// Somebody who shows a build, and is told when it is over.
pub(crate) trait Shown: BuildWatch {
    /// Nothing more will come.
    fn over(&self);
}

/// Nobody watches.
struct Nobody;

impl BuildWatch for Nobody {
    fn tell(&self, _: News<'_>) {}
}

impl Shown for Nobody {
    fn over(&self) {}
}

impl Style {
    pub(crate) fn of(context: &Context) -> Result<Style, Failure> {
        let matches = context.matches();
        if matches.has("quiet") && matches.flag("quiet") {
            return Ok(Style::Quiet);
        }
        let asked = match matches.string("progress").unwrap_or("auto") {
            "auto" if !matches.given("progress") => {
                context.variable("BUILDKIT_PROGRESS").unwrap_or("auto")
            }
            asked => asked,
        };
        match asked {
            "auto" | "" | "tty" if context.ui.error_is_terminal() => Ok(Style::Terminal),
            "auto" | "" | "plain" => Ok(Style::Plain),
            "tty" => {
                Err(Failure::new("ERROR: failed to get console: provided file is not a console"))
            }
            "rawjson" => Ok(Style::Raw),
            "quiet" | "none" => Ok(Style::Quiet),
            other => Err(Failure::new(format!("ERROR: invalid progress mode {other}"))),
        }
    }

    pub(crate) fn watch(self, context: &Context) -> Box<dyn Shown> {
        match self {
            Style::Plain => Box::new(plain::Lines::new(&context.ui, Findings::of(context))),
            Style::Terminal => Box::new(tty::Tree::new(&context.ui, Findings::of(context))),
            Style::Raw => Box::new(raw::Statuses::new(&context.ui)),
            Style::Quiet => Box::new(Nobody),
        }
    }
}

/// A failed build as BuildKit tells it: what the step printed, where it stands, why it failed.
pub(crate) fn told(context: &Context, style: Style, failure: BuildFailure) -> Failure {
    let BuildFailure { error, step, excerpt, .. } = failure;
    let ui = &context.ui;
    let quiet = style == Style::Quiet;
    if let Some((title, printed)) = step.filter(|(title, _)| !title.is_empty()) {
        ui.warn(&format!("------\n > {title}:"));
        let printed = last_lines(&printed);
        ui.print_error(printed);
        if !printed.is_empty() && !printed.ends_with('\n') {
            ui.print_error("\n");
        }
        ui.warn("------");
    }
    if let Some(excerpt) = excerpt.filter(|_| !quiet || matches!(error, EngineError::Dockerfile(_)))
    {
        ui.print_error(&excerpt);
    }
    let words = match &error {
        EngineError::Input(words) => format!("ERROR: {words}"),
        error => format!("ERROR: failed to build: failed to solve: {}", causes(error)),
    };
    let told = Failure::new(words);
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// So many lines of a failed step are shown again, as BuildKit shows them.
const SHOWN_LINES: usize = 10;

/// The last lines that were printed.
fn last_lines(printed: &str) -> &str {
    let body = printed.strip_suffix('\n').unwrap_or(printed);
    let start = body.rmatch_indices('\n').nth(SHOWN_LINES - 1).map_or(0, |(at, _)| at + 1);
    &printed[start..]
}

/// An error with its causes in one line, each once.
fn causes(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown() {
        let lines = |range: std::ops::RangeInclusive<u32>| -> String {
            range.map(|line| format!("{line}\n")).collect()
        };
        assert_eq!(last_lines(""), "");
        assert_eq!(last_lines("a\nb"), "a\nb");
        assert_eq!(last_lines(&lines(1..=10)), lines(1..=10));
        assert_eq!(last_lines(&lines(1..=300)), lines(291..=300));
        assert_eq!(
            last_lines(&format!("{}end", lines(1..=300))),
            format!("{}end", lines(292..=300))
        );
    }
}
