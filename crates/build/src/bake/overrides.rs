//! `--set`: what the command line says over the files.

use super::Given;
use super::target::{Field, KEYS, Key, Target};
use crate::error::{BuildError, nearest};

/// One `--set`, or several of the same key.
pub(super) struct Override {
    /// Which targets, with stars.
    pattern: String,
    key: &'static Key,
    /// The name within the key: `args.NAME`.
    name: Option<String>,
    values: Vec<String>,
    /// Written `+=`: added to what the file says.
    adds: bool,
}

/// Reads all of them; the same key several times is one list.
pub(super) fn read(given: &Given) -> Result<Vec<Override>, BuildError> {
    let mut all: Vec<Override> = Vec::new();
    for text in &given.overrides {
        let (left, value) = match text.split_once('=') {
            Some((left, value)) => (left, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        let (left, adds) = match left.strip_suffix('+').filter(|_| value.is_some()) {
            Some(left) => (left, true),
            None => (left, false),
        };
        let one = one(text, left, value, adds, given)?;
        let same = |other: &&mut Override| {
            other.key == one.key
                && other.pattern == one.pattern
                && other.name == one.name
                && other.adds == one.adds
        };
        match all.iter_mut().find(same) {
            Some(other) => other.values.extend(one.values),
            None => all.push(one),
        }
    }
    Ok(all)
}

fn one(
    text: &str,
    left: &str,
    value: Option<String>,
    adds: bool,
    given: &Given,
) -> Result<Override, BuildError> {
    let malformed =
        || BuildError::Bake(format!("invalid override {text}, expected target.name=value"));
    let (pattern, rest) = left.split_once('.').ok_or_else(malformed)?;
    let (key, name) = match rest.split_once('.') {
        Some((key, name)) => (key, Some(name.to_owned())),
        None => (rest, None),
    };
    // Short words for an output.
    let (key, value) = match (key, value.as_deref()) {
        ("load", None | Some("true" | "1")) => ("output", Some("type=docker".to_owned())),
        ("push", None | Some("true" | "1")) => ("output", Some("type=registry".to_owned())),
        (key, _) => (key, value),
    };
    let Some(found) = KEYS.iter().find(|known| known.answers_to(key)) else {
        let meant = nearest(key, KEYS.iter().map(|known| known.name));
        let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        return Err(BuildError::Bake(format!("unknown key: {key}{meant}")));
    };
    if found.is_map() != name.is_some() {
        return Err(malformed());
    }
    let value = match (value, &name) {
        (Some(value), _) => Some(value),
        // As with --build-arg, one without a value has that of the environment.
        (None, Some(name)) => given.variables.get(name).cloned(),
        (None, None) => Some("true".to_owned()),
    };
    let pattern = pattern.to_owned();
    Ok(Override { pattern, key: found, name, values: value.into_iter().collect(), adds })
}

impl Override {
    fn is_for(&self, target: &str) -> bool {
        spec::path_match(&self.pattern, target).unwrap_or(false)
    }
}

/// Each must mean a target.
pub(super) fn check<'a>(
    overrides: &[Override],
    targets: impl Iterator<Item = &'a String> + Clone,
) -> Result<(), BuildError> {
    let lost = overrides.iter().find(|one| !targets.clone().any(|target| one.is_for(target)));
    match lost {
        None => Ok(()),
        Some(lost) => {
            let pattern = &lost.pattern;
            Err(BuildError::Bake(format!("could not find any target matching '{pattern}'")))
        }
    }
}

/// Changes a target as they say.
pub(super) fn apply(
    overrides: &[Override],
    name: &str,
    target: &mut Target,
) -> Result<(), BuildError> {
    for one in overrides.iter().filter(|one| one.is_for(name)) {
        let own = target.get(one.key.name).cloned();
        let field = match &one.name {
            Some(name) => {
                let mut map = match own {
                    Some(Field::Map(map)) => map,
                    _ => Default::default(),
                };
                map.extend(one.values.last().map(|value| (name.clone(), value.clone())));
                Field::Map(map)
            }
            None => {
                let field = one.key.read_texts(&one.values).map_err(|error| {
                    BuildError::Bake(format!("invalid value for {}: {error}", one.key.name))
                })?;
                match own.filter(|_| one.adds) {
                    Some(own) => Key::appended(own, field),
                    None => field,
                }
            }
        };
        target.set(one.key, field);
    }
    Ok(())
}
