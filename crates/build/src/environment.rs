//! The variables of an image on their way through a stage: as the base lists them, and then as they
//! were set, in the order in which they came.

use std::sync::Arc;

use crate::shared::Shared;

/// An environment. Copies share what they have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    /// As it was listed at first: perhaps with names twice, or with what is no variable.
    listed: Arc<[String]>,
    /// The last word on each name.
    variables: Shared<Variable>,
}

#[derive(Debug, Clone, PartialEq)]
struct Variable {
    /// Where it stands in the list.
    place: usize,
    /// `NAME=VALUE`.
    pair: Arc<str>,
}

impl Environment {
    /// What an image lists.
    pub fn new(list: Vec<String>) -> Environment {
        let mut variables = Shared::default();
        for (place, pair) in list.iter().enumerate() {
            let name = name_of(pair);
            if variables.get(name).is_none() {
                variables.set(name, Variable { place, pair: pair.as_str().into() });
            }
        }
        Environment { listed: list.into(), variables }
    }

    /// Whether there is a variable of that name.
    pub fn has(&self, name: &str) -> bool {
        self.variables.get(name).is_some()
    }

    /// Sets a variable, in its place if it has one.
    pub fn set(&mut self, name: &str, value: &str) {
        let known = self.variables.get(name).map(|variable| variable.place);
        let place = known.unwrap_or(self.listed.len() + self.variables.count());
        let pair = format!("{name}={value}").into();
        self.variables.set(name, Variable { place, pair });
    }

    /// All of it as images list it.
    pub fn list(&self) -> Vec<String> {
        let mut list = self.listed.to_vec();
        let mut variables: Vec<&Variable> = self.variables.entries().into_values().collect();
        variables.sort_unstable_by_key(|variable| variable.place);
        for Variable { place, pair } in variables {
            match list.get_mut(*place).filter(|_| *place < self.listed.len()) {
                Some(known) => pair.as_ref().clone_into(known),
                None => list.push(pair.to_string()),
            }
        }
        list
    }

    /// What was set since it was that other one, or nothing if it did not come from it.
    pub fn since(&self, before: &Environment) -> Option<Vec<String>> {
        if !Arc::ptr_eq(&self.listed, &before.listed) {
            return None;
        }
        let mut set: Vec<&Variable> =
            self.variables.since(&before.variables).map(|(_, variable)| variable).collect();
        set.sort_unstable_by_key(|variable| variable.place);
        Some(set.into_iter().map(|variable| variable.pair.to_string()).collect())
    }
}

/// The name of a variable as it is listed.
fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_places() {
        let list = ["B=1", "word", "A=2", "B=3"].map(str::to_owned).to_vec();
        let base = Environment::new(list.clone());
        assert_eq!(base.list(), list);
        let mut own = base.clone();
        for (name, value) in [("Z", "1"), ("A", "3"), ("C", ""), ("Z", "2"), ("B", "4")] {
            own.set(name, value);
        }
        assert_eq!(own.list(), ["B=4", "word", "A=3", "B=3", "Z=2", "C="]);
        assert_eq!(own.since(&base).unwrap(), ["B=4", "A=3", "Z=2", "C="]);
        assert_eq!((own.since(&own), own.has("C"), own.has("D")), (Some(Vec::new()), true, false));
        assert_eq!(own.since(&Environment::default()), None);
    }
}
