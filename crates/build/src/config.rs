//! What instructions make of an image's configuration, and how its history tells them.

use std::sync::Arc;

use spec::{ContainerConfig, exposed_ports, parse_signal, port_mappings};

use crate::environment::Environment;
use crate::error::{BuildError, Span};
use crate::instruction::{Command, Kind, Pairs, Run};
use crate::scope::{PROXY_ARGUMENTS, Scope};
use crate::shared::Shared;

/// What the history says about who wrote it. Tools look for exactly this.
pub const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// Where programs are looked for in what begins with nothing.
pub const SCRATCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A configuration on its way through a stage. Each step has one of its own; what a file can have a
/// thousand of is shared between them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Configured {
    /// All but what follows.
    settings: Arc<ContainerConfig>,
    env: Environment,
    labels: Shared<Arc<str>>,
    ports: Shared<()>,
    volumes: Shared<()>,
    /// Whether this stage has set `CMD`: an `ENTRYPOINT` drops one that is only inherited.
    pub cmd_is_set: bool,
}

/// An instruction's surroundings: its variables, its place, what joins lines.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The variables it sees.
    pub scope: &'a Scope,
    /// Where it stands.
    pub at: Span,
    /// What protects letters.
    pub escape: char,
}

impl Around<'_> {
    fn expand(&self, word: &str) -> Result<String, BuildError> {
        self.scope.expand(word, self.at, self.escape)
    }

    fn pairs(&self, pairs: &Pairs) -> Result<Vec<(String, String)>, BuildError> {
        let pair = |(name, value): &(String, String)| Ok((self.expand(name)?, self.expand(value)?));
        pairs.pairs.iter().map(pair).collect()
    }
}

impl Configured {
    /// What `FROM scratch` begins with, as BuildKit has it.
    pub fn scratch() -> Configured {
        let config = ContainerConfig {
            env: vec![format!("PATH={SCRATCH_PATH}")],
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        };
        Configured::new(config)
    }

    /// What `FROM` an image begins with: as the image says, and with a `PATH` where it says none.
    pub fn from_image(mut config: ContainerConfig) -> Configured {
        config.on_build.clear();
        if !config.env.iter().any(|pair| pair.starts_with("PATH=")) {
            config.env.push(format!("PATH={SCRATCH_PATH}"));
        }
        Configured::new(config)
    }

    /// What begins with this configuration.
    pub fn new(mut config: ContainerConfig) -> Configured {
        let env = Environment::new(std::mem::take(&mut config.env));
        let mut configured = Configured { env, ..Configured::default() };
        for (name, value) in std::mem::take(&mut config.labels) {
            configured.labels.set(&name, value.into());
        }
        for port in std::mem::take(&mut config.exposed_ports) {
            configured.ports.set(&port, ());
        }
        for path in std::mem::take(&mut config.volumes) {
            configured.volumes.set(&path, ());
        }
        configured.settings = Arc::new(config);
        configured
    }

    /// All of it, as an image has it.
    pub fn config(&self) -> ContainerConfig {
        let mut config = (*self.settings).clone();
        config.env = self.env.list();
        let labels = self.labels.entries().into_iter();
        config.labels.extend(labels.map(|(name, value)| (name.to_owned(), value.to_string())));
        config.exposed_ports.extend(self.ports.entries().into_keys().map(str::to_owned));
        config.volumes.extend(self.volumes.entries().into_keys().map(str::to_owned));
        config
    }

    /// Its variables.
    pub fn env(&self) -> &Environment {
        &self.env
    }

    /// The folder that is entered.
    pub fn working_dir(&self) -> &str {
        &self.settings.working_dir
    }

    /// Whose programs they are.
    pub fn user(&self) -> &str {
        &self.settings.user
    }

    /// What reads commands, if that was said.
    pub fn shell(&self) -> Option<&[String]> {
        self.settings.shell.as_deref()
    }

    /// What a stage begins with that stands on this one: a `CMD` is an inherited one there, and
    /// triggers have been carried out.
    pub fn handed_down(mut self) -> Configured {
        if !self.settings.on_build.is_empty() {
            self.change().on_build.clear();
        }
        self.cmd_is_set = false;
        self
    }

    /// Carries out an instruction that changes nothing but the configuration, and says what the
    /// history tells of it.
    pub fn apply(&mut self, kind: &Kind, around: Around<'_>) -> Result<String, BuildError> {
        Ok(match kind {
            Kind::Env(env) => {
                let pairs = around.pairs(env)?;
                pairs.iter().for_each(|(name, value)| self.env.set(name, value));
                told("ENV", &pairs)
            }
            Kind::Label(labels) => {
                let pairs = around.pairs(labels)?;
                for (name, value) in &pairs {
                    self.labels.set(name, value.as_str().into());
                }
                told("LABEL", &pairs)
            }
            Kind::Arg(list) => list.iter().fold("ARG".to_owned(), |text, (name, value)| {
                let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
                format!("{text} {name}{value}")
            }),
            Kind::Cmd(command) => {
                self.cmd_is_set = true;
                let words = words(self.shell(), command);
                let text = format!("CMD {}", quoted(&words));
                self.change().cmd = Some(words).filter(|words| !words.is_empty());
                text
            }
            Kind::Entrypoint(command) => {
                let words = words(self.shell(), command);
                let text = format!("ENTRYPOINT {}", quoted(&words));
                self.change().entrypoint = Some(words).filter(|words| !words.is_empty());
                if !self.cmd_is_set {
                    self.change().cmd = None;
                }
                text
            }
            Kind::Expose(list) => {
                let ports = exposed(list, around)?;
                ports.iter().for_each(|port| self.ports.set(port, ()));
                let told: Vec<String> = ports.iter().map(|port| format!("{port}:{{}}")).collect();
                format!("EXPOSE map[{}]", told.join(" "))
            }
            Kind::Healthcheck(check) => {
                self.change().healthcheck = Some(check.clone());
                format!("HEALTHCHECK {}", quoted(&check.test))
            }
            Kind::Maintainer(name) => format!("MAINTAINER {name}"),
            Kind::OnBuild { text, .. } => {
                self.change().on_build.push(text.clone());
                format!("ONBUILD {text}")
            }
            Kind::Shell(list) => {
                self.change().shell = Some(list.clone());
                format!("SHELL [{}]", list.join(" "))
            }
            Kind::StopSignal(word) => {
                let signal = around.expand(word)?;
                if parse_signal(&signal).is_none() {
                    return Err(BuildError::refused(
                        around.at,
                        format!("invalid signal: {signal}"),
                    ));
                }
                self.change().stop_signal.clone_from(&signal);
                format!("STOPSIGNAL {signal}")
            }
            Kind::User(word) => {
                let user = around.expand(word)?;
                self.change().user.clone_from(&user);
                format!("USER {user}")
            }
            Kind::Volume(list) => {
                let list: Vec<String> =
                    list.iter().map(|path| around.expand(path)).collect::<Result<_, _>>()?;
                if list.iter().any(|path| path.is_empty()) {
                    let words = "VOLUME specified can not be an empty string";
                    return Err(BuildError::refused(around.at, words));
                }
                list.iter().for_each(|path| self.volumes.set(path, ()));
                format!("VOLUME [{}]", list.join(" "))
            }
            // These work on files, and the graph has steps of their own for them.
            Kind::Add { .. }
            | Kind::Copy { .. }
            | Kind::From { .. }
            | Kind::Run(_)
            | Kind::Workdir(_) => String::new(),
        })
    }

    /// Enters a folder, from the one that was entered before.
    pub fn enter(&mut self, path: &str) -> String {
        let folder = absolute(self.working_dir(), path);
        self.change().working_dir.clone_from(&folder);
        format!("WORKDIR {folder}")
    }

    fn change(&mut self) -> &mut ContainerConfig {
        Arc::make_mut(&mut self.settings)
    }
}

/// A path from a folder, without empty parts, `.` and `..`.
pub fn absolute(folder: &str, path: &str) -> String {
    let from = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What a command is made of: in shell form, the shell's words before its own.
pub fn words(shell: Option<&[String]>, command: &Command) -> Vec<String> {
    match command {
        Command::Exec(list) => list.clone(),
        Command::Shell(text) if text.is_empty() => Vec::new(),
        Command::Shell(text) => with_shell(shell, text),
    }
}

fn with_shell(shell: Option<&[String]>, text: &str) -> Vec<String> {
    let own = shell.filter(|shell| !shell.is_empty()).map(<[String]>::to_vec);
    let mut words = own.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    words.push(text.to_owned());
    words
}

/// What a `RUN` starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// A script with an interpreter of its own, by its name in [`SCRIPTS`].
    pub script: Option<(String, String)>,
}

/// Where scripts of heredocs with an interpreter of their own are seen.
pub const SCRIPTS: &str = "/dev/pipes";

/// What a `RUN` starts: a lone heredoc is a script, others are for the shell to read.
pub fn started(shell: Option<&[String]>, run: &Run) -> Started {
    let text = match &run.command {
        Command::Exec(list) => return Started { words: list.clone(), script: None },
        Command::Shell(text) => text,
    };
    let alone = matches!(run.heredocs.as_slice(), [only]
        if text.trim_start().starts_with("<<") && text.split_whitespace().count() == 1
            && text.contains(&only.name));
    match run.heredocs.as_slice() {
        [script] if alone && script.content.starts_with("#!") => {
            let path = format!("{SCRIPTS}/{}", script.name);
            let script = (script.name.clone(), script.content.clone());
            Started { words: with_shell(shell, &path), script: Some(script) }
        }
        [script] if alone => Started { words: with_shell(shell, &script.content), script: None },
        heredocs => {
            let whole = heredocs.iter().fold(text.clone(), |whole, heredoc| {
                format!("{whole}\n{}{}", heredoc.content, heredoc.name)
            });
            Started { words: with_shell(shell, &whole), script: None }
        }
    }
}

/// The arguments that a `RUN` sees as variables: those that no variable of the image hides.
pub fn visible_arguments(scope: &Scope) -> Vec<(String, String)> {
    let mut seen = scope.arguments();
    seen.retain(|name, _| !scope.has_env(name));
    seen.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// How the history tells of a `RUN`, with the arguments that were declared before it.
pub fn run_history(words: &[String], scope: &Scope) -> String {
    let told: Vec<String> = scope
        .declared()
        .into_iter()
        .filter(|(name, _)| !PROXY_ARGUMENTS.contains(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let count = (!told.is_empty()).then(|| format!("|{}", told.len()));
    let all: Vec<&str> = count.iter().chain(&told).chain(words).map(String::as_str).collect();
    format!("RUN {} # buildkit", all.join(" "))
}

/// The ports of an `EXPOSE`, sorted.
fn exposed(list: &[String], around: Around<'_>) -> Result<Vec<String>, BuildError> {
    let mut ports = Vec::new();
    for word in list {
        for text in around.scope.expand_all(word, around.at, around.escape)? {
            // What stands before the container's ports says where to publish them, which no image
            // can: BuildKit passes over it, and a check warns.
            let known = match text.contains(':') {
                true => port_mappings(&text)
                    .map(|list| list.into_iter().map(|own| own.container).collect()),
                false => exposed_ports(&text),
            };
            let known = known.map_err(|error| BuildError::refused(around.at, error.to_string()))?;
            ports.extend(known.iter().map(ToString::to_string));
        }
    }
    ports.sort();
    ports.dedup();
    Ok(ports)
}

fn told(name: &str, pairs: &[(String, String)]) -> String {
    pairs.iter().fold(name.to_owned(), |text, (name, value)| format!("{text} {name}={value}"))
}

/// Words as histories show them: each in quotes, all in brackets.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction;
    use crate::syntax::parse;

    /// The configuration after these lines, and what the history tells of the last.
    fn applied(lines: &str) -> (ContainerConfig, String) {
        let document = parse(&format!("FROM scratch\n{lines}")).unwrap();
        let (mut configured, mut told) = (Configured::default(), String::new());
        for instruction in instruction::read(&document).unwrap() {
            let around = Around { scope: &Scope::default(), at: instruction.span, escape: '\\' };
            told = configured.apply(&instruction.kind, around).unwrap();
        }
        (configured.config(), told)
    }

    #[test]
    fn the_history_has_buildkits_words() {
        let told = |line: &str| applied(line).1;
        assert_eq!(told("ENV a=1 b=\"2 3\""), "ENV a=1 b=2 3");
        assert_eq!(told("CMD echo hi"), r#"CMD ["/bin/sh" "-c" "echo hi"]"#);
        assert_eq!(told("SHELL [\"/bin/ash\",\"-e\"]\nCMD x"), r#"CMD ["/bin/ash" "-e" "x"]"#);
        assert_eq!(told("EXPOSE 80 443/udp 80"), "EXPOSE map[443/udp:{} 80/tcp:{}]");
        assert_eq!(
            told("EXPOSE 80:81 127.0.0.1:1:82/udp 7-8:90-91"),
            "EXPOSE map[81/tcp:{} 82/udp:{} 90/tcp:{} 91/tcp:{}]"
        );
        assert_eq!(told("VOLUME /a /b"), "VOLUME [/a /b]");
        let platform = spec::Platform::host();
        let inputs = crate::scope::Inputs {
            arguments: [("A".to_owned(), "1".to_owned())].into(),
            target_platform: platform.clone(),
            build_platform: platform,
            target: None,
        };
        let mut scope = Scope::default();
        for name in ["Z", "http_proxy", "A", "B", "Z"] {
            let argument = (name.to_owned(), (name == "B").then(|| "2".to_owned()));
            scope.declare(&argument, (&inputs, None), (Span::new(1, 1), '\\')).unwrap();
        }
        scope.set_env("B", "3");
        let words = ["sh".to_owned(), "-c".into(), "y".into()];
        assert_eq!(run_history(&words, &scope), "RUN |3 Z= A=1 B=3 sh -c y # buildkit");
    }

    #[test]
    fn an_entry_point_drops_only_an_inherited_command() {
        let cmd = Some(vec!["old".into()]);
        let mut inherited = Configured::new(ContainerConfig { cmd, ..ContainerConfig::default() });
        let around = Around { scope: &Scope::default(), at: Span::new(1, 1), escape: '\\' };
        let exec = |word: &str| Command::Exec(vec![word.to_owned()]);
        inherited.apply(&Kind::Entrypoint(exec("e")), around).unwrap();
        assert_eq!(inherited.config().cmd, None);
        inherited.apply(&Kind::Cmd(exec("c")), around).unwrap();
        inherited.apply(&Kind::Entrypoint(exec("f")), around).unwrap();
        assert_eq!(inherited.config().cmd, Some(vec!["c".into()]));
    }

    #[test]
    fn what_is_handed_down_is_inherited() {
        let mut own = Configured { cmd_is_set: true, ..Configured::default() };
        own.change().cmd = Some(vec!["c".into()]);
        own.change().on_build = vec!["RUN x".into()];
        let own = own.handed_down();
        assert!(own.config().on_build.is_empty() && !own.cmd_is_set);
        assert_eq!(own.config().cmd, Some(vec!["c".into()]));
    }

    #[test]
    fn paths_are_taken_from_the_folder() {
        assert_eq!(absolute("", "app"), "/app");
        assert_eq!(absolute("/app", "../b/./c"), "/b/c");
        assert_eq!(absolute("/app", "/x/"), "/x");
        assert_eq!(absolute("/", ""), "/");
    }

    #[test]
    fn heredocs_become_scripts() {
        let run = |lines: &str| {
            let document = parse(&format!("FROM scratch\n{lines}")).unwrap();
            match instruction::read(&document).unwrap().pop().unwrap().kind {
                Kind::Run(run) => started(None, &run),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(run("RUN <<EOF\na\nb\nEOF").words[2], "a\nb\n");
        assert_eq!(run("RUN cat <<A >x\n1\nA\n").words[2], "cat <<A >x\n1\nA");
        let script = run("RUN <<E\n#!/bin/cat\nx\nE");
        assert_eq!(script.words[2], "/dev/pipes/E");
        assert_eq!(script.script, Some(("E".into(), "#!/bin/cat\nx\n".into())));
        assert_eq!(run("RUN [\"a\", \"b\"]").words, ["a", "b"]);
    }
}
