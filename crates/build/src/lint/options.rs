//! Which checks are heard: the `check` directive, the argument in its place, a comment above one
//! instruction.

use super::{Class, Rule};

/// The argument that takes the directive's place.
pub const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which checks are heard, and whether they fail the build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    skip: Names,
    experimental: Names,
    /// Whether a build stops at what is found.
    pub error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    /// In small letters.
    names: Vec<String>,
}

impl Names {
    fn read(text: &str) -> Names {
        let text = text.trim();
        match text.eq_ignore_ascii_case("all") {
            true => Names { all: true, names: Vec::new() },
            false => {
                let names = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
                Names { all: false, names }
            }
        }
    }

    fn has(&self, rule: &Rule) -> bool {
        self.all || self.names.contains(&rule.name.to_ascii_lowercase())
    }
}

impl Options {
    /// Reads `skip=A,B;error=true;experimental=all`.
    pub fn parse(text: &str) -> Result<Options, String> {
        let mut options = Options::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("invalid check option {part:?}: want name=value"))?;
            match name.trim() {
                "skip" => options.skip = Names::read(value),
                "experimental" => options.experimental = Names::read(value),
                "error" => {
                    options.error = truth(value.trim())
                        .ok_or_else(|| format!("failed to parse check option {part:?}"))?;
                }
                name => return Err(format!("invalid check option {name:?}")),
            }
        }
        Ok(options)
    }

    /// Whether a check is heard.
    pub fn hears(&self, rule: &Rule) -> bool {
        match rule.class {
            // Asking for an experimental check is stronger than skipping all.
            Class::Experimental => self.experimental.has(rule),
            Class::Warning | Class::Advice => !self.skip.has(rule),
        }
    }
}

/// Go's words for yes and no.
fn truth(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether a comment directly above an instruction skips a check there.
pub(super) fn skipped_above(comments: &[String], rule: &Rule) -> bool {
    comments.iter().any(|comment| {
        let text = comment.strip_prefix("check").map(str::trim_start);
        let text = text.and_then(|rest| rest.strip_prefix('='));
        text.and_then(|text| Options::parse(text).ok()).is_some_and(|own| own.skip.has(rule))
    })
}
