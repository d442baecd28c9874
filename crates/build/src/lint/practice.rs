//! Advice of our own: what makes images large, builds slow, and results differ.

use spec::Reference;

use super::rules::{
    ADD_FOR_LOCAL_FILE, COMBINE_RUNS, COPY_BEFORE_INSTALL, MISSING_IGNORE_FILE, PIPE_HIDES_FAILURE,
    SECRET_VALUE, SHELL_STATE_LOST, UNPINNED_BASE,
};
use super::secrets::secret_kind;
use super::shell::{Simple, commands};
use super::{Finding, Linter, Rule};
use crate::instruction::{Command, CopyFlags, Instruction, Kind, Run, Source};

pub(super) fn check(linter: &mut Linter<'_>) {
    let mut names: Vec<&str> = Vec::new();
    for (number, stage) in linter.stages() {
        let mut advisor = Advisor { linter, number, pipefail: false };
        advisor.base(&stage[0], &names);
        stage.iter().for_each(|one| advisor.instruction(one));
        advisor.runs_in_a_row(&stage[1..]);
        advisor.order(&stage[1..]);
        if let Kind::From { name: Some(name), .. } = &stage[0].kind {
            names.push(name);
        }
    }
    missing_ignore_file(linter);
}

pub(super) struct Advisor<'l, 'a> {
    pub(super) linter: &'l mut Linter<'a>,
    number: usize,
    /// Whether a `SHELL` above says that a pipe fails with any of its commands.
    pipefail: bool,
}

impl Advisor<'_, '_> {
    pub(super) fn find(
        &mut self,
        rule: &'static Rule,
        one: &Instruction,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.linter.find(rule, one.span, message).in_stage(self.number)
    }

    fn base(&mut self, one: &Instruction, stages: &[&str]) {
        let Kind::From { base, .. } = &one.kind else { return };
        let lower = base.to_lowercase();
        if base.contains('$') || base == "scratch" || stages.contains(&lower.as_str()) {
            return;
        }
        let Ok(name) = Reference::parse(base) else { return };
        if name.digest().is_none() && matches!(name.tag(), None | Some("latest")) {
            let message = format!("Base image {base} names no version");
            let bare = name.familiar_name();
            let hint = format!("name one: FROM {bare}:VERSION, or a digest: FROM {bare}@sha256:…");
            self.find(&UNPINNED_BASE, one, message).hint(hint);
        }
    }

    fn instruction(&mut self, one: &Instruction) {
        match &one.kind {
            Kind::Run(run) => {
                let commands = script(run).map(|text| commands(&text)).unwrap_or_default();
                self.apt(one, &commands);
                self.caches(one, run, &commands);
                self.lost_state(one, &commands);
                self.pipes(one, &commands);
            }
            Kind::Env(pairs) => {
                pairs.pairs.iter().for_each(|(name, value)| self.secret(one, name, value));
            }
            Kind::Arg(list) => list.iter().for_each(|(name, value)| {
                self.secret(one, name, value.as_deref().unwrap_or_default());
            }),
            Kind::Add { flags, sources, .. } => self.add(one, flags, sources),
            Kind::Shell(words) => {
                self.pipefail = words.iter().any(|word| word.contains("pipefail"));
            }
            _ => {}
        }
    }

    fn lost_state(&mut self, one: &Instruction, commands: &[Simple]) {
        let [only] = commands else { return };
        if only.calls("cd") && only.words.len() == 2 {
            let folder = only.words[1].clone();
            let place = self.linter.source.lines(one.span);
            let text = self.linter.source.at(place.clone()).trim_end();
            let place = (folder.starts_with('/') && text == format!("{} cd {folder}", one.keyword))
                .then(|| place.start..place.start + text.len());
            let found = self.find(&SHELL_STATE_LOST, one, "cd has no effect on what follows");
            found
                .hint(format!("write WORKDIR {folder}"))
                .replace(place, format!("WORKDIR {folder}"));
        } else if only.calls("export") {
            let found = self.find(&SHELL_STATE_LOST, one, "export has no effect on what follows");
            found.hint("write ENV NAME=VALUE");
        }
    }

    fn pipes(&mut self, one: &Instruction, commands: &[Simple]) {
        let guards = |simple: &Simple| {
            simple.calls("set") && simple.words.iter().any(|word| word == "pipefail")
        };
        let fetches = |simple: &Simple| simple.calls("curl") || simple.calls("wget");
        let pair = |pair: &[Simple]| fetches(&pair[0]) && pair[1].is_piped;
        if commands.windows(2).any(pair) && !commands.iter().any(guards) && !self.pipefail {
            let hint = "set it above: SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"], or download \
                        to a file first";
            self.find(&PIPE_HIDES_FAILURE, one, "A download goes into a pipe unchecked").hint(hint);
        }
    }

    fn secret(&mut self, one: &Instruction, name: &str, value: &str) {
        if let Some(what) = secret_kind(value.trim_matches(['"', '\''])) {
            let message = format!("The value of {name} looks like {what}");
            let hint = "take it back where it was issued, and give a new one to the build as a secret: \
                        RUN --mount=type=secret,id=NAME";
            self.find(&SECRET_VALUE, one, message).hint(hint);
        }
    }

    fn add(&mut self, one: &Instruction, flags: &CopyFlags, sources: &[Source]) {
        let archives =
            [".tar", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".zst", ".lzma", ".Z"];
        let is_plain = |source: &Source| match source {
            Source::Inline(_) => true,
            Source::Path(path) => {
                let is_remote = path.contains("://") || path.starts_with("git@");
                let may_be_archive = archives.iter().any(|end| path.ends_with(end));
                !is_remote && !may_be_archive && !path.contains(['*', '?', '[', '$'])
            }
        };
        let own =
            flags.unpack.is_some() || flags.checksum.is_some() || flags.keep_git_dir.is_some();
        if !own && sources.iter().all(is_plain) {
            let place = self.linter.source.keyword(one.span, &one.keyword);
            let is_upper = one.keyword.chars().all(char::is_uppercase);
            let copy = if is_upper { "COPY" } else { "copy" };
            let found = self.find(&ADD_FOR_LOCAL_FILE, one, "ADD is used where COPY would do");
            found.hint("write COPY").replace(place, copy);
        }
    }

    /// `RUN` after `RUN`: nothing between them needs a layer of its own.
    fn runs_in_a_row(&mut self, stage: &[Instruction]) {
        let joinable = |one: &Instruction| match &one.kind {
            Kind::Run(run) => {
                let is_plain = run.mounts.is_empty() && run.network.is_none() && !run.insecure;
                is_plain && run.heredocs.is_empty() && matches!(run.command, Command::Shell(_))
            }
            _ => false,
        };
        for row in stage.chunk_by(|one, next| joinable(one) && joinable(next)) {
            if row.len() > 1 {
                let message =
                    format!("{} RUN instructions in a row make as many layers", row.len());
                let saved = row.len() - 1;
                let hint = format!("join them with && or in a heredoc, which saves {saved} layers");
                let hint = if saved == 1 { hint.replace("1 layers", "a layer") } else { hint };
                self.find(&COMBINE_RUNS, &row[0], message).hint(hint);
            }
        }
    }

    /// Everything copied before dependencies are installed.
    fn order(&mut self, stage: &[Instruction]) {
        let mut whole: Option<&Instruction> = None;
        for one in stage {
            match &one.kind {
                Kind::Copy { flags, sources, .. } | Kind::Add { flags, sources, .. }
                    if flags.from.is_none() && sources.iter().any(is_whole_context) =>
                {
                    whole = whole.or(Some(one));
                }
                Kind::Run(run) => {
                    let text = script(run).unwrap_or_default();
                    let installs = commands(&text).iter().find_map(dependencies_of);
                    if let Some((copy, (what, files))) =
                        whole.take_if(|_| installs.is_some()).zip(installs)
                    {
                        let message = format!("Everything is copied before {what}");
                        let hint = format!("COPY {files} first, then {what}, then COPY the rest");
                        self.find(&COPY_BEFORE_INSTALL, copy, message).hint(hint);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_whole_context(source: &Source) -> bool {
    matches!(source, Source::Path(path) if matches!(path.as_str(), "." | "./" | "/" | "./." | "*"))
}

/// What installs dependencies that a file names, and that file.
fn dependencies_of(simple: &Simple) -> Option<(String, &'static str)> {
    let program = simple.program()?;
    let verb = simple.verb().unwrap_or_default();
    let files = match (program, verb) {
        ("npm", "install" | "ci") => "package*.json",
        ("yarn", "install" | "") => "package.json yarn.lock",
        ("pnpm", "install") => "package.json pnpm-lock.yaml",
        ("pip" | "pip3", "install") if simple.has_flag(&["-r", "--requirement"]) => {
            "requirements.txt"
        }
        ("bundle", "install") => "Gemfile Gemfile.lock",
        ("composer", "install") => "composer.json composer.lock",
        ("go", "mod") => "go.mod go.sum",
        ("poetry", "install") => "pyproject.toml poetry.lock",
        _ => return None,
    };
    Some((format!("{program} {verb}").trim_end().to_owned(), files))
}

/// The text a `RUN` gives to its shell; nothing if there is none, or another program reads it.
fn script(run: &Run) -> Option<String> {
    match (&run.command, run.heredocs.as_slice()) {
        (Command::Exec(_), _) => None,
        (Command::Shell(text), []) => Some(text.clone()),
        (Command::Shell(text), [only]) if text.trim().starts_with("<<") => {
            (!only.content.starts_with("#!")).then(|| only.content.clone())
        }
        (Command::Shell(text), _) => Some(text.clone()),
    }
}

fn missing_ignore_file(linter: &mut Linter<'_>) {
    if linter.around.ignore.is_some() || !linter.around.has_context {
        return;
    }
    let copies_all = |one: &&Instruction| match &one.kind {
        Kind::Copy { flags, sources, .. } | Kind::Add { flags, sources, .. } => {
            flags.from.is_none() && sources.iter().any(is_whole_context)
        }
        _ => false,
    };
    if let Some(span) = linter.instructions.iter().find(copies_all).map(|one| one.span) {
        let found = linter.find(
            &MISSING_IGNORE_FILE,
            span,
            "The whole context is copied, and there is no .dockerignore",
        );
        found.hint("create .dockerignore with what the image does not need, such as .git");
    }
}
