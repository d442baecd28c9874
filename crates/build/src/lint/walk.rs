//! Checks that need to know what came before: variables, working folders, shells, repetitions.

use std::collections::{BTreeMap, BTreeSet};

use spec::expand_word;

use super::rules::{
    COPY_IGNORED_FILE, EXPOSE_INVALID_FORMAT, EXPOSE_PROTO_CASING, JSON_ARGS_RECOMMENDED,
    MULTIPLE_INSTRUCTIONS_DISALLOWED, UNDEFINED_VAR, WORKDIR_RELATIVE_PATH,
};
use super::secrets::secret;
use super::shell::plain_words;
use super::{Linter, Rule};
use crate::error::{Span, nearest};
use crate::instruction::{Command, Instruction, Kind, Source};
use crate::scope::Scope;
use crate::variables::{uses, uses_in_document};

/// What is known at one place of a stage.
#[derive(Clone, Default)]
struct State {
    scope: Scope,
    /// All that is declared, with a value or without.
    declared: BTreeSet<String>,
    workdir_is_set: bool,
    shell_is_set: bool,
    /// Whether the variables of the base are known.
    base_is_known: bool,
}

pub(super) fn check(linter: &mut Linter<'_>) {
    let mut global = Scope::global(linter.around.inputs);
    for instruction in linter.instructions {
        let Kind::Arg(list) = &instruction.kind else { break };
        for argument in list {
            let place = (instruction.span, linter.escape);
            let _ = global.declare(argument, (linter.around.inputs, None), place);
            secret(linter, instruction, &argument.0, None);
        }
    }
    let mut ends: BTreeMap<String, State> = BTreeMap::new();
    for (number, stage) in linter.stages() {
        let Kind::From { base, name, .. } = &stage[0].kind else { continue };
        let lookup = |name: &str| global.get(name).map(str::to_owned);
        let base = expand_word(base, linter.escape, &lookup).unwrap_or_default();
        let state = ends.get(&base.to_lowercase()).cloned();
        let state = state.unwrap_or_else(|| State::of_image(linter, &base));
        let mut walk = Walk { number, state, global: &global, once: BTreeMap::new() };
        stage[1..].iter().for_each(|instruction| walk.instruction(linter, instruction));
        if let Some(name) = name {
            ends.insert(name.clone(), walk.state);
        }
    }
}

impl State {
    fn of_image(linter: &Linter<'_>, base: &str) -> State {
        let known = linter.around.bases.get(base);
        let mut state =
            State { base_is_known: known.is_some() || base == "scratch", ..State::default() };
        // Every image has it, by default if it says nothing of it.
        state.declared.insert("PATH".to_owned());
        if let Some(config) = known.and_then(|known| known.config.as_ref()) {
            for (name, value) in config.env.iter().filter_map(|pair| pair.split_once('=')) {
                state.scope.set_env(name, value);
                state.declared.insert(name.to_owned());
            }
            state.shell_is_set = config.shell.as_ref().is_some_and(|shell| !shell.is_empty());
        }
        state
    }
}

struct Walk<'a> {
    number: usize,
    state: State,
    global: &'a Scope,
    /// Where the one CMD, ENTRYPOINT and HEALTHCHECK stood last.
    once: BTreeMap<&'static str, Span>,
}

impl Walk<'_> {
    fn instruction(&mut self, linter: &mut Linter<'_>, one: &Instruction) {
        self.variables(linter, one);
        match &one.kind {
            Kind::Arg(list) => self.arguments(linter, one, list),
            Kind::Env(pairs) => self.environment(linter, one, &pairs.pairs),
            Kind::Cmd(command) => {
                self.once(linter, one, "CMD");
                self.shell_form(linter, one, "CMD", command);
            }
            Kind::Entrypoint(command) => {
                self.once(linter, one, "ENTRYPOINT");
                self.shell_form(linter, one, "ENTRYPOINT", command);
            }
            Kind::Healthcheck(_) => self.once(linter, one, "HEALTHCHECK"),
            Kind::Shell(_) => self.state.shell_is_set = true,
            Kind::Workdir(path) => self.workdir(linter, one, path),
            Kind::Expose(ports) => self.ports(linter, one, ports),
            Kind::Copy { flags, sources, .. } if flags.from.is_none() => {
                self.ignored(linter, one, "Copy", sources);
            }
            Kind::Add { sources, .. } => self.ignored(linter, one, "Add", sources),
            _ => {}
        }
    }

    fn find<'l>(
        &self,
        linter: &'l mut Linter<'_>,
        rule: &'static Rule,
        one: &Instruction,
        message: String,
    ) -> &'l mut super::Finding {
        linter.find(rule, one.span, message).in_stage(self.number)
    }

    fn expand(&self, linter: &Linter<'_>, word: &str) -> Option<String> {
        let lookup = |name: &str| self.state.scope.get(name).map(str::to_owned);
        expand_word(word, linter.escape, &lookup).ok()
    }

    fn variables(&self, linter: &mut Linter<'_>, one: &Instruction) {
        let mut said: Vec<String> = Vec::new();
        let escape = linter.escape;
        let words = expanded_words(one).into_iter().flat_map(|word| uses(word, escape));
        let documents = expanded_documents(one).into_iter().flat_map(uses_in_document);
        for used in words.chain(documents).filter(|used| !used.has_fallback) {
            if !self.state.declared.contains(&used.name) && !said.contains(&used.name) {
                self.undefined(linter, one, &used.name);
                said.push(used.name);
            }
        }
    }

    fn undefined(&self, linter: &mut Linter<'_>, one: &Instruction, name: &str) {
        let meant = nearest(name, self.state.declared.iter().map(String::as_str));
        let suggestion =
            meant.map(|meant| format!(" (did you mean ${meant}?)")).unwrap_or_default();
        let message = format!("Usage of undefined variable '${name}'{suggestion}");
        let declare = format!("declare it in this stage: ARG {name}, or ENV {name}=VALUE");
        let hint = match self.state.base_is_known {
            true => declare,
            false => format!("{declare}; if the base image sets it, pull that first"),
        };
        self.find(linter, &UNDEFINED_VAR, one, message).hint(hint);
    }

    fn arguments(
        &mut self,
        linter: &mut Linter<'_>,
        one: &Instruction,
        list: &[(String, Option<String>)],
    ) {
        for argument in list {
            secret(linter, one, &argument.0, Some(self.number));
            let sources = (linter.around.inputs, Some(self.global));
            let _ = self.state.scope.declare(argument, sources, (one.span, linter.escape));
            self.state.declared.insert(argument.0.clone());
        }
    }

    fn environment(
        &mut self,
        linter: &mut Linter<'_>,
        one: &Instruction,
        pairs: &[(String, String)],
    ) {
        // All values of one instruction see what was known before it.
        let expand = |(name, value): &(String, String)| {
            Some((self.expand(linter, name)?, self.expand(linter, value)?))
        };
        let pairs: Vec<_> = pairs.iter().filter_map(expand).collect();
        for (name, value) in pairs {
            secret(linter, one, &name, Some(self.number));
            self.state.scope.set_env(&name, &value);
            self.state.declared.insert(name);
        }
    }

    fn once(&mut self, linter: &mut Linter<'_>, one: &Instruction, name: &'static str) {
        // The earlier one is without effect, so that is the place.
        if let Some(earlier) = self.once.insert(name, one.span) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only \
                 the last one will be used"
            );
            let found = linter.find(&MULTIPLE_INSTRUCTIONS_DISALLOWED, earlier, message);
            found.in_stage(self.number).hint(format!("delete all {name} but the last"));
        }
    }

    fn shell_form(
        &self,
        linter: &mut Linter<'_>,
        one: &Instruction,
        name: &str,
        command: &Command,
    ) {
        let Command::Shell(text) = command else { return };
        // Who sets a shell wants it.
        if self.state.shell_is_set {
            return;
        }
        let message = format!(
            "JSON arguments recommended for {name} to prevent unintended behavior related to OS \
             signals"
        );
        let place = linter.source.arguments(one.span, &one.keyword);
        let words = plain_words(text);
        let found = self.find(linter, &JSON_ARGS_RECOMMENDED, one, message);
        match words.and_then(|words| serde_json::to_string(&words).ok()) {
            Some(list) => {
                let list = list.replace("\",\"", "\", \"");
                found.hint(format!("write {name} {list}")).replace(place, list);
            }
            None => {
                found.hint(format!(
                    "write {name} as a JSON list; if the shell is needed, begin its text with exec, \
                     or set it with SHELL"
                ));
            }
        }
    }

    fn workdir(&mut self, linter: &mut Linter<'_>, one: &Instruction, path: &str) {
        let Some(path) = self.expand(linter, path) else { return };
        if path.starts_with('/') {
            self.state.workdir_is_set = true;
        } else if !self.state.workdir_is_set {
            let message = format!(
                "Relative workdir {path:?} can have unexpected results if the base image changes"
            );
            let found = self.find(linter, &WORKDIR_RELATIVE_PATH, one, message);
            found.hint(format!("write the whole path, perhaps /{}", path.trim_start_matches("./")));
        }
    }

    fn ports(&self, linter: &mut Linter<'_>, one: &Instruction, ports: &[String]) {
        for written in ports {
            let Some(port) = self.expand(linter, written) else { continue };
            let is_plain = port == *written;
            let lines = linter.source.lines(one.span);
            let place = linter.source.word(lines, written).filter(|_| is_plain);
            let (numbers, protocol) = port.split_once('/').unwrap_or((&port, ""));
            if protocol != protocol.to_lowercase() {
                let message =
                    format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
                let wanted = format!("{numbers}/{}", protocol.to_lowercase());
                let found = self.find(linter, &EXPOSE_PROTO_CASING, one, message);
                found.hint(format!("write {wanted}")).replace(place, wanted);
            } else if let Some((_, inner)) = numbers.rsplit_once(':') {
                let message = format!(
                    "EXPOSE instruction should not define an IP address or host-port mapping, \
                     found '{port}'"
                );
                let wanted = match protocol {
                    "" => inner.to_owned(),
                    protocol => format!("{inner}/{protocol}"),
                };
                let found = self.find(linter, &EXPOSE_INVALID_FORMAT, one, message);
                found.hint(format!("write {wanted}")).replace(place, wanted);
            }
        }
    }

    fn ignored(&self, linter: &mut Linter<'_>, one: &Instruction, verb: &str, sources: &[Source]) {
        let Some(ignore) = linter.around.ignore else { return };
        for source in sources {
            let Source::Path(written) = source else { continue };
            let Some(path) = self.expand(linter, written) else { continue };
            // Patterns and addresses name no file of the context.
            if path.contains(['*', '?', '[']) || path.contains("://") || path.starts_with("git@") {
                continue;
            }
            let inside = path.split('/').filter(|part| !part.is_empty() && *part != ".");
            let inside = inside.collect::<Vec<_>>().join("/");
            if !inside.is_empty() && ignore.skips_folder(&inside) {
                let message =
                    format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
                let found = self.find(linter, &COPY_IGNORED_FILE, one, message);
                found.hint(format!("take it back at the end of the ignore file: !{inside}"));
            }
        }
    }
}

/// The words of an instruction in which variables are expanded before it is carried out. A command
/// is expanded by its shell.
fn expanded_words(one: &Instruction) -> Vec<&str> {
    match &one.kind {
        Kind::Arg(list) => list.iter().filter_map(|(_, value)| value.as_deref()).collect(),
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.pairs.iter().flat_map(|(name, value)| [name.as_str(), value]).collect()
        }
        Kind::Copy { flags, sources, target } | Kind::Add { flags, sources, target } => {
            let paths = sources.iter().filter_map(|source| match source {
                Source::Path(path) => Some(path.as_str()),
                Source::Inline(_) => None,
            });
            let flags = [&flags.chown, &flags.chmod, &flags.checksum].into_iter().flatten();
            flags.map(String::as_str).chain(paths).chain([target.as_str()]).collect()
        }
        Kind::Expose(words) | Kind::Volume(words) => words.iter().map(String::as_str).collect(),
        Kind::StopSignal(word) | Kind::User(word) | Kind::Workdir(word) => vec![word],
        _ => Vec::new(),
    }
}

/// The documents of an instruction in which variables are expanded: files that it writes, unless
/// their word was quoted.
fn expanded_documents(one: &Instruction) -> Vec<&str> {
    let (Kind::Copy { sources, .. } | Kind::Add { sources, .. }) = &one.kind else {
        return Vec::new();
    };
    let documents = sources.iter().filter_map(|source| match source {
        Source::Inline(here) if here.expand => Some(here.content.as_str()),
        _ => None,
    });
    documents.collect()
}
