//! Checks of a Dockerfile: BuildKit's with its names and words, and advice of our own.
//!
//! A check is a pure function of the text and of what is known around it. What can be put right
//! without thinking carries the change with it.

use std::collections::BTreeMap;

use spec::ImageConfig;

use crate::error::{BuildError, Span};
use crate::ignore::Ignore;
use crate::instruction::{self, Instruction, Kind};
use crate::scope::Inputs;
use crate::stage::Stages;
use crate::syntax;

mod casing;
mod options;
mod packages;
mod practice;
mod rules;
mod secrets;
mod shell;
mod source;
mod stages;
mod walk;

pub use options::{ARGUMENT, Options};
pub use rules::{Class, RULES, Rule, rule};
pub use source::Edit;

use source::Source;

/// What is known around a file.
pub struct Surroundings<'a> {
    /// What the user gives to the build.
    pub inputs: &'a Inputs,
    /// What is left out of the context; nothing where there is no ignore file.
    pub ignore: Option<&'a Ignore>,
    /// Whether there is a context that could have an ignore file.
    pub has_context: bool,
    /// The configurations of base images, by the names of `FROM`, as far as they are here.
    pub bases: &'a BTreeMap<String, ImageConfig>,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By which check.
    pub rule: &'static Rule,
    /// What is found.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What can be done.
    pub hint: Option<String>,
    /// The changes that do it, where that needs no thinking.
    pub edits: Vec<Edit>,
    /// The stage whose building it concerns; none if it concerns the file.
    stage: Option<usize>,
}

/// Everything found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// Whether the file or the user wants the build to stop at warnings.
    pub stops_build: bool,
    /// What else a build would be refused for, where somebody looked.
    pub refused: Option<BuildError>,
}

impl Report {
    /// What is found by BuildKit's checks.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.rule.class != Class::Advice)
    }

    /// What is found by ours.
    pub fn advice(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.rule.class == Class::Advice)
    }

    /// The error that stops a build, if one is wanted and there is a reason.
    pub fn error(&self) -> Option<BuildError> {
        let mut rules: Vec<&str> = Vec::new();
        for finding in self.warnings() {
            if !rules.contains(&finding.rule.name) {
                rules.push(finding.rule.name);
            }
        }
        (self.stops_build && !rules.is_empty()).then(|| BuildError::Checks(rules.join(", ")))
    }
}

/// Checks a file: all of it, or what a target needs.
pub fn check(text: &str, around: &Surroundings<'_>) -> Result<Report, BuildError> {
    let document = syntax::parse(text)?;
    let instructions = instruction::read(&document)?;
    let options = match around.inputs.arguments.get(ARGUMENT) {
        Some(text) => Options::parse(text),
        None => Options::parse(document.directives.check.as_deref().unwrap_or_default()),
    };
    let options = options.map_err(|message| BuildError::parse(Span::new(1, 1), message))?;
    let escape = document.directives.escape;
    let mut linter = Linter {
        source: Source::new(text),
        instructions: &instructions,
        around,
        escape,
        findings: Vec::new(),
    };
    casing::check(&mut linter);
    stages::check(&mut linter);
    walk::check(&mut linter);
    practice::check(&mut linter);
    let mut findings = linter.findings;
    findings.retain(|finding| options.hears(finding.rule));
    findings.retain(|finding| {
        let after = instructions.partition_point(|one| one.span.first <= finding.span.first);
        let own = after.checked_sub(1).and_then(|at| instructions.get(at));
        own.is_none_or(|one| !options::skipped_above(&one.comments, finding.rule))
    });
    if around.inputs.target.is_some() {
        let stages = Stages::read(&document, around.inputs)?;
        let needed = stages.needed(stages.target(around.inputs)?)?;
        findings.retain(|finding| finding.stage.is_none_or(|stage| needed.contains(&stage)));
    }
    findings.sort_by_key(|finding| finding.span.first);
    Ok(Report { findings, stops_build: options.error, refused: None })
}

/// Rounds of changes after which a file must be at rest; each puts right what the last uncovered.
const MAX_ROUNDS: usize = 8;

/// Puts right what needs no thinking: the new text, and what was found and changed.
pub fn fix(text: &str, around: &Surroundings<'_>) -> Result<(String, Vec<Finding>), BuildError> {
    let (mut text, mut fixed) = (text.to_owned(), Vec::new());
    for _ in 0..MAX_ROUNDS {
        let mut findings = check(&text, around)?.findings;
        findings.retain(|finding| !finding.edits.is_empty());
        let changed = source::apply(&text, findings.iter().flat_map(|finding| &finding.edits));
        // A change that makes the file unreadable would be a mistake of ours: keep the last text.
        if findings.is_empty() || check(&changed, around).is_err() {
            break;
        }
        text = changed;
        fixed.append(&mut findings);
    }
    Ok((text, fixed))
}

/// One check of one file.
struct Linter<'a> {
    source: Source<'a>,
    instructions: &'a [Instruction],
    around: &'a Surroundings<'a>,
    escape: char,
    findings: Vec<Finding>,
}

impl<'a> Linter<'a> {
    fn find(
        &mut self,
        rule: &'static Rule,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Finding {
        let (hint, edits, stage) = Default::default();
        let message = message.into();
        self.findings.push(Finding { rule, message, span, hint, edits, stage });
        self.findings.last_mut().expect("it was put there now")
    }

    /// Each stage: its `FROM` and what follows.
    fn stages(&self) -> impl Iterator<Item = (usize, &'a [Instruction])> + use<'a> {
        let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From { .. });
        let first = self.instructions.iter().position(is_from).unwrap_or(self.instructions.len());
        let mut rest = &self.instructions[first..];
        std::iter::from_fn(move || {
            let length = 1 + rest.get(1..)?.iter().take_while(|one| !is_from(one)).count();
            let (stage, after) = rest.split_at(length);
            rest = after;
            Some(stage)
        })
        .enumerate()
    }
}

impl Finding {
    fn in_stage(&mut self, stage: usize) -> &mut Finding {
        self.stage = Some(stage);
        self
    }

    fn hint(&mut self, hint: impl Into<String>) -> &mut Finding {
        self.hint = Some(hint.into());
        self
    }

    /// Says how it is put right, if the place was found.
    fn replace(&mut self, range: Option<std::ops::Range<usize>>, text: impl Into<String>) {
        self.edits.extend(range.map(|range| Edit { range, text: text.into() }));
    }
}

#[cfg(test)]
mod tests;
