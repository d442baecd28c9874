//! Checks on how an instruction is written, whatever it says.

use super::rules::{
    CONSISTENT_INSTRUCTION_CASING, LEGACY_KEY_VALUE_FORMAT, MAINTAINER_DEPRECATED,
    NO_EMPTY_CONTINUATION,
};
use super::{Edit, Linter};
use crate::error::Span;
use crate::instruction::{Instruction, Kind, Pairs};

/// Where authors are named since MAINTAINER is out of use.
const AUTHORS: &str = "org.opencontainers.image.authors";

pub(super) fn check(linter: &mut Linter<'_>) {
    keywords(linter);
    for instruction in linter.instructions {
        empty_lines(linter, instruction);
        match &instruction.kind {
            Kind::Env(pairs) | Kind::Label(pairs) if pairs.is_legacy => {
                legacy_pairs(linter, instruction, pairs);
            }
            Kind::Maintainer(name) => maintainer(linter, instruction, name),
            _ => {}
        }
    }
}

fn keywords(linter: &mut Linter<'_>) {
    let lower = |one: &&Instruction| !one.keyword.chars().any(char::is_uppercase);
    let upper = |one: &&Instruction| !one.keyword.chars().any(char::is_lowercase);
    let lowers = linter.instructions.iter().filter(lower).count();
    let uppers = linter.instructions.iter().filter(upper).count();
    let small = lowers > uppers;
    for one in linter.instructions.iter().filter(|one| !if small { lower(one) } else { upper(one) })
    {
        let keyword = &one.keyword;
        let (word, wanted) = match small {
            true => ("lowercase", keyword.to_lowercase()),
            false => ("uppercase", keyword.to_uppercase()),
        };
        let message =
            format!("Command '{keyword}' should match the case of the command majority ({word})");
        let place = linter.source.keyword(one.span, keyword);
        let found = linter.find(&CONSISTENT_INSTRUCTION_CASING, one.span, message);
        found.hint(format!("write {wanted}")).replace(place, wanted);
    }
}

fn empty_lines(linter: &mut Linter<'_>, instruction: &Instruction) {
    let lines = &instruction.empty_lines;
    if lines.is_empty() {
        return;
    }
    // BuildKit names the line at which the instruction was complete.
    let last = instruction.span.last;
    let edits = lines.iter().map(|line| Edit {
        range: linter.source.lines(Span::new(*line, *line)),
        text: String::new(),
    });
    let edits = edits.collect();
    let found =
        linter.find(&NO_EMPTY_CONTINUATION, Span::new(last, last), "Empty continuation line");
    found.hint("delete the empty line, or put a # on it").edits = edits;
}

fn legacy_pairs(linter: &mut Linter<'_>, instruction: &Instruction, pairs: &Pairs) {
    let keyword = &instruction.keyword;
    let name = keyword.to_uppercase();
    let message = format!(
        "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
    );
    let place = linter.source.arguments(instruction.span, keyword);
    let found = linter.find(&LEGACY_KEY_VALUE_FORMAT, instruction.span, message);
    found.hint("put an equals sign between name and value, and quotes around a value with spaces");
    if let [(key, value)] = pairs.pairs.as_slice() {
        let plain = |text: &str| !text.contains(['"', '\'', '\\', '`', ' ', '\t']);
        let value = match plain(value) {
            true => value.clone(),
            // Quotes and escapes of the old form mean what they mean in the new one only if there
            // are none.
            false if !value.contains(['"', '\'', '\\', '`']) => format!("\"{value}\""),
            false => return,
        };
        found.replace(place, format!("{key}={value}"));
    }
}

fn maintainer(linter: &mut Linter<'_>, instruction: &Instruction, name: &str) {
    let message = "Maintainer instruction is deprecated in favor of using label";
    let source = &linter.source;
    let keyword = source.keyword(instruction.span, &instruction.keyword);
    let name_at = source.arguments(instruction.span, &instruction.keyword);
    let place = keyword.zip(name_at).map(|(keyword, name)| keyword.start..name.end);
    let found = linter.find(&MAINTAINER_DEPRECATED, instruction.span, message);
    let name = name.trim_matches(['"', '\'']);
    let label = format!("LABEL {AUTHORS}=\"{name}\"");
    found.hint(format!("write {label}"));
    if !name.contains(['"', '\\', '$']) {
        found.replace(place, label);
    }
}
