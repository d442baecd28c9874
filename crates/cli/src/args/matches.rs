//! What a command line gave to one command.

use super::amount::{parse_duration, parse_swap_size};
use super::decimal::parse_billionths;
use super::number::{parse_bool, parse_float, parse_int, parse_uint};
use super::{Flag, Kind};

/// The flags and positionals given to one command; all values are known to be of their kind.
///
/// Asking for a flag that the command does not declare, for another kind, or by a name that is
/// only the other name of a flag, is a mistake of the
/// program: a debug build panics, a release build answers as if the flag were not given.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    declared: &'static [&'static [Flag]],
    given: Vec<Given>,
    positionals: Vec<String>,
}

#[derive(Debug, Clone)]
struct Given {
    name: &'static str,
    values: Vec<String>,
}

impl Matches {
    /// Nothing given yet to a command with these flags.
    pub(super) fn new(declared: &'static [&'static [Flag]]) -> Matches {
        Matches { declared, given: Vec::new(), positionals: Vec::new() }
    }

    /// Keeps the values given to `flag`.
    pub(super) fn put(&mut self, flag: &Flag, values: Vec<String>) {
        let name =
            flag.same_as.and_then(|name| self.find(name)).map_or(flag.name, |flag| flag.name);
        let Some(given) = self.given.iter_mut().find(|given| given.name == name) else {
            // A name out of the table lives as long as the table.
            if let Some(flag) = self.find(name) {
                self.given.push(Given { name: flag.name, values });
            }
            return;
        };
        if flag.kind.repeats() {
            given.values.extend(values);
        } else {
            given.values = values;
        }
    }

    /// Keeps one positional.
    pub(super) fn push(&mut self, word: &str) {
        self.positionals.push(word.to_owned());
    }

    /// Whether the command declares a flag of this name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether any flag was given.
    pub fn any_given(&self) -> bool {
        !self.given.is_empty()
    }

    /// Whether the flag `name` was given, with whatever value.
    pub fn given(&self, name: &str) -> bool {
        let flag = self.find(name).filter(|flag| flag.same_as.is_none());
        debug_assert!(flag.is_some(), "no flag --{name} here");
        self.values(name).is_some()
    }

    /// The value of a yes-or-no flag.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.value(name, &[Kind::Bool]);
        value.is_some_and(|value| parse_bool(value) == Ok(true))
    }

    /// The value of a flag with text: what was given, else its default if that is not empty.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.value(name, &[Kind::String])
    }

    /// All values of a flag that may be given many times, in order.
    pub fn list(&self, name: &str) -> &[String] {
        let declared = self.declared(name, &[Kind::List, Kind::Strings]);
        declared.and_then(|flag| self.values(flag.name)).unwrap_or_default()
    }

    /// The value of a flag with a signed whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        parse_int(self.value(name, &[Kind::Int])?).ok()
    }

    /// The value of a flag with a whole number that is not negative.
    pub fn uint(&self, name: &str) -> Option<u64> {
        parse_uint(self.value(name, &[Kind::Uint, Kind::Uint16])?, u64::MAX).ok()
    }

    /// The value of a flag with a fraction.
    pub fn float(&self, name: &str) -> Option<f64> {
        parse_float(self.value(name, &[Kind::Float])?).ok()
    }

    /// The value of a flag with a time span, in nanoseconds; it may be negative.
    pub fn duration_nanos(&self, name: &str) -> Option<i64> {
        parse_duration(self.value(name, &[Kind::Duration])?).ok()
    }

    /// The value of a flag with a size, in bytes; -1 is no limit where the kind allows it.
    pub fn size_bytes(&self, name: &str) -> Option<i64> {
        parse_swap_size(self.value(name, &[Kind::Size, Kind::SwapSize])?).ok()
    }

    /// The value of a decimal flag in billionths, as `--cpus` counts.
    pub fn billionths(&self, name: &str) -> Option<i64> {
        parse_billionths(self.value(name, &[Kind::Decimal])?).ok()
    }

    /// The words that are no flags, in order.
    pub fn positionals(&self) -> &[String] {
        &self.positionals
    }

    fn value(&self, name: &str, kinds: &[Kind]) -> Option<&str> {
        let flag = self.declared(name, kinds)?;
        let given = self.values(flag.name).and_then(<[String]>::last).map(String::as_str);
        given.or(Some(flag.default).filter(|value| !value.is_empty()))
    }

    fn declared(&self, name: &str, kinds: &[Kind]) -> Option<&'static Flag> {
        let flag = self.find(name).filter(|flag| flag.same_as.is_none());
        let flag = flag.filter(|flag| kinds.contains(&flag.kind));
        debug_assert!(flag.is_some(), "no flag --{name} of kind {kinds:?} here");
        flag
    }

    fn find(&self, name: &str) -> Option<&'static Flag> {
        self.declared.iter().copied().flatten().find(|flag| flag.name == name)
    }

    fn values(&self, name: &str) -> Option<&[String]> {
        let given = self.given.iter().find(|given| given.name == name)?;
        Some(&given.values)
    }
}
