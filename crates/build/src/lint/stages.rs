//! Checks on `FROM`: names of stages, bases, platforms.

use std::collections::BTreeSet;

use spec::{Platform, Reference, expand_word};

use super::rules::{
    DUPLICATE_STAGE_NAME, FROM_AS_CASING, FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    INVALID_BASE_IMAGE_PLATFORM, INVALID_DEFAULT_ARG_IN_FROM, INVALID_DEFINITION_DESCRIPTION,
    REDUNDANT_TARGET_PLATFORM, RESERVED_STAGE_NAME, STAGE_NAME_CASING, UNDEFINED_ARG_IN_FROM,
};
use super::{Linter, Surroundings};
use crate::error::nearest;
use crate::instruction::{Instruction, Kind};
use crate::scope::{Inputs, Scope};
use crate::variables::uses;

/// Names that mean something else to `FROM` and `--from`.
const RESERVED: &[&str] = &["context", "scratch"];

/// One `FROM`.
struct From<'a> {
    at: &'a Instruction,
    base: &'a str,
    name: Option<&'a str>,
    platform: Option<&'a str>,
    words: &'a [String],
}

pub(super) fn check(linter: &mut Linter<'_>) {
    let head = Head::read(linter);
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (_, stage) in linter.stages() {
        let Kind::From { base, name, platform, words } = &stage[0].kind else { continue };
        let (name, platform) = (name.as_deref(), platform.as_deref());
        let from = From { at: &stage[0], base, name, platform, words };
        names_of(linter, &from);
        if let Some(name) = name.filter(|name| names.contains(*name)) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            let found = linter.find(&DUPLICATE_STAGE_NAME, from.at.span, message);
            found.hint("give one of the stages another name");
        }
        arguments(linter, &from, &head);
        platform_flag(linter, &from, &head);
        base_platform(linter, &from, &head, &names);
        names.extend(name.map(str::to_owned));
    }
    descriptions(linter);
}

fn names_of(linter: &mut Linter<'_>, from: &From<'_>) {
    let Some(name) = from.name else { return };
    let (span, keyword) = (from.at.span, &from.at.keyword);
    let written = from.words.last().expect("a name is the last of three words");
    let lines = linter.source.lines(span);
    let place = linter.source.word(lines.clone(), written);
    if written != name {
        let message = format!("Stage name '{written}' should be lowercase");
        let found = linter.find(&STAGE_NAME_CASING, span, message);
        found.hint(format!("write {name}")).replace(place.clone(), name);
    }
    if RESERVED.contains(&name) {
        let message = format!("Stage name should not use the same name as reserved stage {name:?}");
        linter.find(&RESERVED_STAGE_NAME, span, message).hint("give the stage another name");
    }
    let word = &from.words[1];
    let wanted = match keyword {
        word if *word == word.to_uppercase() => "AS",
        word if *word == word.to_lowercase() => "as",
        _ => return,
    };
    if word != wanted {
        let message = format!("'{word}' and '{keyword}' keywords' casing do not match");
        let place = linter.source.word(lines, word);
        let found = linter.find(&FROM_AS_CASING, span, message);
        found.hint(format!("write {wanted}")).replace(place, wanted);
    }
}

/// What the lines above the first `FROM` declare.
struct Head {
    /// With what the user gives.
    given: Scope,
    /// With defaults alone.
    defaults: Scope,
    declared: Vec<String>,
}

impl Head {
    fn read(linter: &Linter<'_>) -> Head {
        let Surroundings { inputs, .. } = linter.around;
        let alone = Inputs { arguments: Default::default(), ..(*inputs).clone() };
        let mut head = Head {
            given: Scope::global(inputs),
            defaults: Scope::global(&alone),
            declared: Vec::new(),
        };
        head.declared.extend(head.given.arguments().into_keys().map(str::to_owned));
        for instruction in linter.instructions {
            let Kind::Arg(list) = &instruction.kind else { break };
            for argument in list {
                let place = (instruction.span, linter.escape);
                // A default that cannot be expanded is the graph's to refuse.
                let _ = head.given.declare(argument, (inputs, None), place);
                let _ = head.defaults.declare(argument, (&alone, None), place);
                head.declared.push(argument.0.clone());
            }
        }
        head
    }

    fn expand(scope: &Scope, word: &str, escape: char) -> Option<String> {
        expand_word(word, escape, &|name| scope.get(name).map(str::to_owned)).ok()
    }
}

fn arguments(linter: &mut Linter<'_>, from: &From<'_>, head: &Head) {
    let words = [Some(from.base), from.platform];
    let used = words.into_iter().flatten().flat_map(|word| uses(word, linter.escape));
    let mut missing: Vec<String> = Vec::new();
    for used in used.filter(|used| !used.has_fallback) {
        if !head.declared.contains(&used.name) && !missing.contains(&used.name) {
            missing.push(used.name);
        }
    }
    for name in missing {
        let meant = nearest(&name, head.declared.iter().map(String::as_str));
        let suggestion = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
        let message = format!("FROM argument '{name}' is not declared{suggestion}");
        let found = linter.find(&UNDEFINED_ARG_IN_FROM, from.at.span, message);
        found.hint(format!("declare it above the first FROM: ARG {name}=VALUE"));
    }
    let valid = Head::expand(&head.defaults, from.base, linter.escape)
        .is_none_or(|base| Reference::parse(&base).is_ok());
    // A base without variables that is no reference is refused by the build itself.
    if !valid && !uses(from.base, linter.escape).is_empty() {
        let base = from.base;
        let message =
            format!("Default value for ARG {base} results in empty or invalid base image name");
        let found = linter.find(&INVALID_DEFAULT_ARG_IN_FROM, from.at.span, message);
        found.hint(
            "give the argument a default: ARG NAME=VALUE, or ${NAME:-VALUE} where it is used",
        );
    }
}

fn platform_flag(linter: &mut Linter<'_>, from: &From<'_>, head: &Head) {
    let Some(flag) = from.platform else { return };
    let used = uses(flag, linter.escape);
    let names = |name: &str| used.len() == 1 && used[0].name == name && !used[0].has_fallback;
    let value = Head::expand(&head.given, flag, linter.escape);
    if names("TARGETPLATFORM") && value.as_deref() == head.given.get("TARGETPLATFORM") {
        let message = format!(
            "Setting platform to predefined {flag} in FROM is redundant as this is the default \
             behavior"
        );
        let lines = linter.source.lines(from.at.span);
        let place = linter.source.word(lines, &format!("--platform={flag}"));
        let found = linter.find(&REDUNDANT_TARGET_PLATFORM, from.at.span, message);
        // The space after it goes too.
        let place = place.map(|place| place.start..place.end + 1);
        found.hint(format!("leave out --platform={flag}")).replace(place, "");
    }
    if used.is_empty() && !is_named_after(from.name, flag) {
        let message = format!("FROM --platform flag should not use constant value {flag:?}");
        let found = linter.find(&FROM_PLATFORM_FLAG_CONST_DISALLOWED, from.at.span, message);
        found.hint("leave it out, or use --platform=$BUILDPLATFORM for what runs during the build");
    }
}

/// Stages for one platform each, named after it, are how a file supports several.
fn is_named_after(name: Option<&str>, platform: &str) -> bool {
    let platform = Platform::parse(platform).ok();
    name.zip(platform).is_some_and(|(name, platform)| {
        name.contains(&platform.os) || name.contains(&platform.architecture)
    })
}

fn base_platform(linter: &mut Linter<'_>, from: &From<'_>, head: &Head, stages: &BTreeSet<String>) {
    let Some(base) = Head::expand(&head.given, from.base, linter.escape) else { return };
    let Some(config) = linter.around.bases.get(&base).filter(|_| !stages.contains(&base)) else {
        return;
    };
    let flag = from.platform.and_then(|flag| Head::expand(&head.given, flag, linter.escape));
    let wanted = flag.filter(|flag| !flag.is_empty()).and_then(|flag| Platform::parse(&flag).ok());
    let wanted = wanted.unwrap_or_else(|| linter.around.inputs.target_platform.clone());
    let actual = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
    if !actual.matches(&wanted) && !config.os.is_empty() {
        let message = format!(
            "Base image {base} was pulled with platform \"{actual}\", expected \"{wanted}\" for \
             current build"
        );
        let found = linter.find(&INVALID_BASE_IMAGE_PLATFORM, from.at.span, message);
        found.hint(format!("pull the base for {wanted}, or build with --platform {actual}"));
    }
}

/// Comments directly above that look like descriptions and are none.
fn descriptions(linter: &mut Linter<'_>) {
    for instruction in linter.instructions {
        let Some(comment) = instruction.comments.last() else { continue };
        let (word, name) = match &instruction.kind {
            Kind::From { name: Some(name), .. } => ("FROM", name.clone()),
            Kind::Arg(list) => ("ARG", list[0].0.clone()),
            _ => continue,
        };
        let described = |comment: &String| {
            comment.split_whitespace().next().is_some_and(|first| first.eq_ignore_ascii_case(&name))
        };
        let is_directive = comment.starts_with("check=");
        if comment.is_empty() || is_directive || instruction.comments.iter().any(described) {
            continue;
        }
        let message =
            format!("Comment for {word} should follow the format: `# {name} <description>`");
        let found = linter.find(&INVALID_DEFINITION_DESCRIPTION, instruction.span, message);
        found.hint("begin the comment with the name, or put an empty line below it");
    }
}
