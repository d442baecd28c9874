//! What a build tells while it works; who shows it is the door's business.

use std::time::Duration;

use spec::{ContainerId, ImageId};

/// Somebody who watches a build. Steps that are worked on at once tell what they do in turn.
pub trait BuildWatch: Sync {
    /// Something happened.
    fn tell(&self, news: News<'_>);

    /// Whether nobody wants the result any more: then no step begins, and a command that runs is
    /// killed.
    fn is_stopped(&self) -> bool {
        false
    }

    /// The instructions that will be carried out, in the order of the Dockerfile. Told once for each
    /// platform, before its steps; who shows steps alone need not know.
    fn planned(&self, _lines: &[PlannedLine]) {}

    /// A step's command runs in this container, which goes with the step.
    fn runs(&self, _number: usize, _container: &ContainerId) {}

    /// Whether it wants to know which image each instruction makes. To put them together costs as much
    /// as there are instructions, each time.
    fn wants_images(&self) -> bool {
        false
    }

    /// The instruction in this line of the Dockerfile is carried out: a file that ended there would give
    /// this image, or none before there is anything. Told where it is wanted.
    fn reached(&self, _line: usize, _image: Option<&ImageId>) {}
}

/// An instruction that will be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLine {
    /// The instruction in one line.
    pub text: String,
    /// Its first line in the Dockerfile.
    pub line: usize,
    /// What its step is called; none for one that only changes what is written down.
    pub title: Option<String>,
}

/// What happened, and to which step: they are numbered from one in the order in which they begin.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A step begins.
    Began {
        /// Its number.
        number: usize,
        /// What it does.
        title: &'a str,
    },
    /// A part of a step's work is done.
    Note {
        /// The step.
        number: usize,
        /// What was done.
        text: &'a str,
    },
    /// A step's command printed this.
    Output {
        /// The step.
        number: usize,
        /// When, from the step's beginning.
        after: Duration,
        /// What.
        bytes: &'a [u8],
    },
    /// A step need not be done: what it gave before is here.
    Cached {
        /// The step.
        number: usize,
    },
    /// A step had to be done, and why.
    Why {
        /// The step.
        number: usize,
        /// In a few words each.
        reasons: &'a [String],
    },
    /// A step is done.
    Done {
        /// The step.
        number: usize,
        /// How long it took.
        took: Duration,
    },
    /// A step failed.
    Failed {
        /// The step.
        number: usize,
        /// Why.
        why: &'a str,
    },
    /// A check of the Dockerfile found something, which stops no build.
    Finding {
        /// In one line: the check, what it found, and where.
        text: &'a str,
        /// What the check is for, and the lines that are meant.
        more: &'a str,
    },
    /// Something that the user should know.
    Warning {
        /// In words.
        text: &'a str,
    },
}
