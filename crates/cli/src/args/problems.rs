//! What is wrong with a tree of commands, for a test of the tree.

use super::error::Place;
use super::flag::HELP;
use super::value::accept;
use super::{Command, Flag, Kind};

/// Every mistake in the tables under `root`; a sound tree has none.
pub fn problems<A: Copy>(root: &'static Command<A>) -> Vec<String> {
    let mut found = Vec::new();
    visit(&[root], &mut found);
    found
}

fn visit<A: Copy>(path: &[&'static Command<A>], found: &mut Vec<String>) {
    let Some(command) = path.last() else { return };
    let name = Place { program: "…", path }.name();
    let mut mistakes = shape(command, path.len());
    mistakes.extend(duplicates(command));
    let flags: Vec<_> = command.all_flags().collect();
    mistakes.extend(flags.iter().enumerate().flat_map(|(at, flag)| flag_faults(flag, at, &flags)));
    found.extend(mistakes.into_iter().map(|mistake| format!("{name}: {mistake}")));
    for sub in command.sub {
        visit(&[path, &[sub]].concat(), found);
    }
}

/// A leaf acts; a group does not, unless all below it are groups. Flags of a group between root and
/// leaf would be lost.
fn shape<A: Copy>(command: &Command<A>, depth: usize) -> Vec<String> {
    let is_group = !command.sub.is_empty();
    let does_both = command.action.is_some() && command.sub.iter().all(|sub| !sub.sub.is_empty());
    let is_odd = is_group && !does_both;
    let faults = [
        (is_odd && command.action.is_some(), "a group with an action"),
        (!is_group && command.action.is_none(), "neither commands nor an action"),
        (is_odd && depth > 1 && !command.flags.is_empty(), "a group with flags"),
        (depth > 1 && (command.name.is_empty() || command.about.is_empty()), "no name or about"),
    ];
    faults.iter().filter(|(wrong, _)| *wrong).map(|(_, what)| (*what).to_owned()).collect()
}

fn duplicates<A: Copy>(group: &Command<A>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut twice = Vec::new();
    for name in group.sub.iter().flat_map(|sub| sub.aliases.iter().chain([&sub.name])) {
        if seen.contains(name) {
            twice.push(format!("two commands {name}"));
        }
        seen.push(*name);
    }
    twice
}

fn flag_faults(flag: &Flag, at: usize, flags: &[&Flag]) -> Vec<String> {
    let before = &flags[..at];
    let letter = flag.short.filter(|letter| before.iter().any(|f| f.short == Some(*letter)));
    let target =
        |name| flags.iter().any(|f| f.name == name && f.kind == flag.kind && f.same_as.is_none());
    let stray = flag.same_as.filter(|name| !target(*name));
    let faults = [
        before.iter().any(|f| f.name == flag.name).then(|| "declared twice".to_owned()),
        letter.map(|letter| format!("letter {letter} is taken")),
        (flag.name == HELP.name).then(|| "is there already".to_owned()),
        (flag.name.is_empty() || flag.name.starts_with('-') || flag.name.contains(['=', ' ']))
            .then(|| "cannot be written".to_owned()),
        flag.short.filter(|letter| !letter.is_ascii_alphanumeric()).map(|_| "no letter".to_owned()),
        stray.map(|name| format!("no --{name} of its kind")),
        (flag.kind == Kind::Bool && !flag.value.is_empty())
            .then(|| "a noun, but no value".to_owned()),
        wrong_value(flag, flag.default),
        flag.no_value.and_then(|value| wrong_value(flag, value)),
    ];
    faults.into_iter().flatten().map(|fault| format!("--{}: {fault}", flag.name)).collect()
}

/// Why `value` cannot be a value of `flag`; the shown default of a list is none.
fn wrong_value(flag: &Flag, value: &str) -> Option<String> {
    if value.is_empty() || flag.kind.repeats() {
        return None;
    }
    accept(flag, value).err()
}
