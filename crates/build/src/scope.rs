//! Which variables an instruction sees: arguments of the file, of the stage, and its environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use spec::{Platform, WordError, expand_document, expand_word, expand_words};

use crate::error::{BuildError, Span};
use crate::shared::Shared;

/// What the user gives to a build.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// What the image is for.
    pub target_platform: Platform,
    /// What the build runs on.
    pub build_platform: Platform,
    /// `--target`, a stage's name or number; without it the last.
    pub target: Option<String>,
}

/// Arguments every `RUN` may see without declaring them; they are no part of an image's history.
pub const PROXY_ARGUMENTS: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Variables at one place. Copies share what they have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    env: Shared<Arc<str>>,
    arguments: Shared<Arc<str>>,
    /// Arguments that were declared, with a value or without, by their places among them.
    declared: Shared<usize>,
}

impl Scope {
    /// The scope before the first `FROM`: what is known of the platforms.
    pub fn global(inputs: &Inputs) -> Scope {
        let mut scope = Scope::default();
        let sides = [("TARGET", &inputs.target_platform), ("BUILD", &inputs.build_platform)];
        for (side, platform) in sides {
            scope.set_argument(&format!("{side}PLATFORM"), &platform.to_string());
            scope.set_argument(&format!("{side}OS"), &platform.os);
            scope.set_argument(&format!("{side}ARCH"), &platform.architecture);
            let variant = platform.variant.as_deref().unwrap_or_default();
            scope.set_argument(&format!("{side}VARIANT"), variant);
        }
        scope.set_argument("TARGETSTAGE", inputs.target.as_deref().unwrap_or("default"));
        // A platform's arguments can be given like any other.
        for (name, value) in &inputs.arguments {
            if scope.arguments.get(name).is_some() {
                scope.set_argument(name, value);
            }
        }
        scope
    }

    /// A variable's value; the environment hides arguments.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.env.get(name).or_else(|| self.arguments.get(name)).map(|value| &**value)
    }

    /// Whether the environment has a variable of that name.
    pub fn has_env(&self, name: &str) -> bool {
        self.env.get(name).is_some()
    }

    /// The arguments that were declared, in that order, as a command sees them: the environment hides
    /// them, and those without a value are empty.
    pub fn declared(&self) -> Vec<(&str, &str)> {
        let mut names: Vec<(&str, &usize)> = self.declared.entries().into_iter().collect();
        names.sort_unstable_by_key(|(_, place)| **place);
        names.into_iter().map(|(name, _)| (name, self.get(name).unwrap_or_default())).collect()
    }

    /// The arguments alone.
    pub fn arguments(&self) -> BTreeMap<&str, &str> {
        self.arguments.entries().into_iter().map(|(name, value)| (name, &**value)).collect()
    }

    /// Sets a variable of the environment.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.set(name, value.into());
    }

    fn set_argument(&mut self, name: &str, value: &str) {
        self.arguments.set(name, value.into());
    }

    /// Takes an argument back.
    pub fn unset_argument(&mut self, name: &str) {
        let mut left = Shared::default();
        let others = self.arguments.entries().into_iter().filter(|(own, _)| *own != name);
        others.for_each(|(own, value)| left.set(own, value.clone()));
        self.arguments = left;
    }

    /// Declares an argument, and says its value: given by the user, else by the instruction, else
    /// by the file's head.
    pub fn declare(
        &mut self,
        (name, default): &(String, Option<String>),
        (inputs, global): (&Inputs, Option<&Scope>),
        (at, escape): (Span, char),
    ) -> Result<Option<String>, BuildError> {
        let default = default.as_ref().map(|word| self.expand(word, at, escape)).transpose()?;
        let of_file = || global?.arguments.get(name.as_str()).map(|value| value.to_string());
        let value = inputs.arguments.get(name).cloned().or(default).or_else(of_file);
        if let Some(value) = &value {
            self.set_argument(name, value);
        }
        if self.declared.get(name).is_none() {
            self.declared.set(name, self.declared.count());
        }
        Ok(value)
    }

    /// Expands a word to one word.
    pub fn expand(&self, word: &str, at: Span, escape: char) -> Result<String, BuildError> {
        self.expand_noting(word, at, escape, &|_, _| ())
    }

    /// The same, telling each variable that is looked up; one that is not set is empty.
    pub fn expand_noting(
        &self,
        word: &str,
        at: Span,
        escape: char,
        note: &dyn Fn(&str, &str),
    ) -> Result<String, BuildError> {
        let expanded = self.noting(note, |env| expand_word(word, escape, env));
        expanded.map_err(|source| BuildError::Word { at, word: word.to_owned(), source })
    }

    /// Expands a document of the file. Its escape is the backslash, whatever the file's is.
    pub(crate) fn expand_document(
        &self,
        text: &str,
        at: Span,
        note: &dyn Fn(&str, &str),
    ) -> Result<String, BuildError> {
        let expanded = self.noting(note, |env| expand_document(text, '\\', env));
        expanded.map_err(|source| BuildError::Word { at, word: text.to_owned(), source })
    }

    fn noting(
        &self,
        note: &dyn Fn(&str, &str),
        expand: impl FnOnce(spec::Lookup<'_>) -> Result<String, WordError>,
    ) -> Result<String, WordError> {
        expand(&|name| {
            let value = self.get(name);
            note(name, value.unwrap_or_default());
            value.map(str::to_owned)
        })
    }

    /// Expands a word to as many as its spaces make.
    pub fn expand_all(
        &self,
        word: &str,
        at: Span,
        escape: char,
    ) -> Result<Vec<String>, BuildError> {
        let expanded = expand_words(word, escape, &|name| self.get(name).map(str::to_owned));
        expanded.map_err(|source| BuildError::Word { at, word: word.to_owned(), source })
    }
}
