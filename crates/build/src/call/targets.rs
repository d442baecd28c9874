//! `--call=targets`: the stages that can be built.

use serde_json::{Value, json};

use super::{columns, description, encoded, location, without_empty};
use crate::error::{BuildError, Span};
use crate::instruction::{self, Kind};
use crate::syntax;

/// The stages of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// In the order of the file; the last is built unless another is asked for.
    pub targets: Vec<Target>,
    text: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What it begins from, as it is written.
    pub base: String,
    /// `--platform`, as it is written.
    pub platform: Option<String>,
    /// Whether it is built unless another is asked for.
    pub is_default: bool,
    span: Span,
}

/// The stages of a file.
pub fn targets(text: &str) -> Result<Targets, BuildError> {
    let document = syntax::parse(text)?;
    let mut targets: Vec<Target> = Vec::new();
    for instruction in instruction::read(&document)? {
        let Kind::From { base, name, platform, .. } = instruction.kind else { continue };
        let about = name.as_deref().and_then(|name| description(&instruction.comments, name));
        targets.push(Target {
            name,
            description: about,
            base,
            platform,
            is_default: false,
            span: instruction.span,
        });
    }
    targets.last_mut().ok_or(BuildError::NoStages)?.is_default = true;
    Ok(Targets { targets, text: text.to_owned() })
}

impl Targets {
    /// For people.
    pub fn text(&self) -> String {
        let mut rows = vec![vec!["TARGET".to_owned(), "DESCRIPTION".to_owned()]];
        rows.extend(self.targets.iter().map(|target| {
            let name = target.name.clone().unwrap_or_default();
            let name = match (name.as_str(), target.is_default) {
                (_, false) => name,
                ("", true) => "(default)".to_owned(),
                (name, true) => format!("{name} (default)"),
            };
            vec![name, target.description.clone().unwrap_or_default()]
        }));
        columns(&rows, 1)
    }

    /// For programs.
    pub fn document(&self) -> Value {
        let target = |target: &Target| {
            without_empty(json!({
                "name": target.name.as_deref().unwrap_or_default(),
                "default": target.is_default,
                "description": target.description.as_deref().unwrap_or_default(),
                "base": target.base,
                "platform": target.platform.as_deref().unwrap_or_default(),
                "location": location(target.span),
            }))
        };
        let targets: Vec<Value> = self.targets.iter().map(target).collect();
        json!({ "targets": targets, "sources": [encoded(&self.text)] })
    }
}
