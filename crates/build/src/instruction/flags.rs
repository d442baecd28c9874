//! Flags of an instruction: each known, each at most once unless it is a list.

use std::collections::BTreeMap;

use crate::error::nearest;

/// How often a flag may stand, and what it holds.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Text,
    Bool,
    List,
}

pub(super) struct Flags(BTreeMap<String, Vec<String>>);

impl Flags {
    pub(super) fn read(written: &[String], known: &[(&str, Form)]) -> Result<Flags, String> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for flag in written {
            let (name, value) = match flag[2..].split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (&flag[2..], None),
            };
            let Some((_, form)) = known.iter().find(|(known, _)| *known == name) else {
                let meant = nearest(name, known.iter().map(|(known, _)| *known));
                let meant = meant.map(|meant| format!(" (did you mean {meant}?)"));
                return Err(format!("unknown flag: --{name}{}", meant.unwrap_or_default()));
            };
            let value = match (form, value) {
                (Form::Bool, None | Some("")) => "true".to_owned(),
                (Form::Bool, Some(value)) => match value.to_ascii_lowercase().as_str() {
                    known @ ("true" | "false") => known.to_owned(),
                    _ => {
                        return Err(format!(
                            "expecting boolean value for flag --{name}, not: {value}"
                        ));
                    }
                },
                (_, None) => return Err(format!("missing a value on flag: --{name}")),
                (_, Some(value)) => value.to_owned(),
            };
            let list = values.entry(name.to_owned()).or_default();
            if !list.is_empty() && *form != Form::List {
                return Err(format!("duplicate flag specified: --{name}"));
            }
            list.push(value);
        }
        Ok(Flags(values))
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.list(name).into_iter().next()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.text(name).as_deref() == Some("true")
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}
