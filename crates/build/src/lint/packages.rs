//! Advice on package managers: questions nobody answers, lists that are stale, caches that stay.

use super::practice::Advisor;
use super::rules::{APT_NEEDS_YES, APT_UPDATE_ALONE, PACKAGE_CACHE_KEPT};
use super::shell::Simple;
use crate::instruction::{Instruction, MountKind, Run};

impl Advisor<'_, '_> {
    pub(super) fn apt(&mut self, one: &Instruction, commands: &[Simple]) {
        let is_apt = |simple: &&Simple| simple.calls("apt-get") || simple.calls("apt");
        let apt: Vec<&Simple> = commands.iter().filter(is_apt).collect();
        let verbs: Vec<&str> = apt.iter().filter_map(|simple| simple.verb()).collect();
        let installs = ["install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"];
        if verbs.contains(&"update") && !verbs.iter().any(|verb| installs.contains(verb)) {
            let hint = "write one RUN: apt-get update && apt-get install -y PACKAGE…";
            self.find(&APT_UPDATE_ALONE, one, "apt-get update stands apart from install")
                .hint(hint);
        }
        let yes = ["-y", "--yes", "--assume-yes", "-q=2"];
        let asks = |simple: &&&Simple| {
            simple.verb().is_some_and(|verb| installs.contains(&verb))
                && !simple.has_flag(&yes)
                && !simple.words.iter().any(|word| word == "-qq")
        };
        if let Some(verb) = apt.iter().find(asks).and_then(|simple| simple.verb()) {
            let message = format!("apt-get {verb} asks before it begins");
            let place = self.after_words(one, &["apt-get", verb]);
            let place = place.or_else(|| self.after_words(one, &["apt", verb]));
            let found = self.find(&APT_NEEDS_YES, one, message);
            found.hint(format!("write apt-get {verb} -y")).replace(place, " -y");
        }
    }

    /// The place directly after some words that follow each other on one line.
    fn after_words(&self, one: &Instruction, words: &[&str]) -> Option<std::ops::Range<usize>> {
        let lines = self.linter.source.lines(one.span);
        let text = self.linter.source.at(lines.clone());
        // Quotes would make it uncertain whether a command is meant; twice, which one.
        let joined = words.join(" ");
        let mut places = text.match_indices(&joined);
        let (at, _) = places.next().filter(|_| !text.contains(['"', '\'']))?;
        let end = lines.start + at + joined.len();
        let ends = text[at + joined.len()..].starts_with([' ', '\n', '\t']);
        (ends && places.next().is_none()).then_some(end..end)
    }

    pub(super) fn caches(&mut self, one: &Instruction, run: &Run, commands: &[Simple]) {
        // A mount keeps the cache out of the layer, which is better still.
        if run.mounts.iter().any(|mount| mount.kind == MountKind::Cache) {
            return;
        }
        let cleans = |what: &str| {
            let removes = |simple: &Simple| {
                let words = || simple.words.iter();
                simple.calls("rm") && words().any(|word| word.trim_end_matches(['/', '*']) == what)
            };
            commands.iter().any(removes)
        };
        let calls = |program: &str, verbs: &[&str]| {
            let is = |simple: &&Simple| {
                simple.calls(program) && simple.verb().is_some_and(|verb| verbs.contains(&verb))
            };
            commands.iter().find(is)
        };
        if calls("apt-get", &["update"]).is_some()
            && calls("apt-get", &["install"]).is_some()
            && !cleans("/var/lib/apt/lists")
        {
            let message = "Package lists of apt-get stay in the layer";
            let hint = "end the RUN with && rm -rf /var/lib/apt/lists/*, or use RUN \
                        --mount=type=cache,target=/var/lib/apt,sharing=locked";
            self.find(&PACKAGE_CACHE_KEPT, one, message).hint(hint);
        }
        for (program, verb, flag, folder) in [
            ("apk", "add", "--no-cache", "/var/cache/apk"),
            ("pip", "install", "--no-cache-dir", "/root/.cache/pip"),
            ("pip3", "install", "--no-cache-dir", "/root/.cache/pip"),
        ] {
            let keeps = calls(program, &[verb]).is_some_and(|simple| !simple.has_flag(&[flag]));
            if keeps && !cleans(folder) {
                let place = self.after_words(one, &[program, verb]);
                let message = format!("What {program} {verb} downloads stays in the layer");
                let found = self.find(&PACKAGE_CACHE_KEPT, one, message);
                let hint = format!(
                    "write {program} {verb} {flag}, or use RUN --mount=type=cache,target={folder}"
                );
                found.hint(hint).replace(place, format!(" {flag}"));
            }
        }
        for (program, cleaner) in [("dnf", "dnf"), ("yum", "yum"), ("microdnf", "microdnf")] {
            if calls(program, &["install"]).is_some() && calls(cleaner, &["clean"]).is_none() {
                let message = format!("What {program} install downloads stays in the layer");
                let hint = format!("end the RUN with && {program} clean all");
                self.find(&PACKAGE_CACHE_KEPT, one, message).hint(hint);
            }
        }
    }
}
