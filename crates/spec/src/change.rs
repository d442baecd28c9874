//! Changes to a configuration as `docker import -c` and `docker commit -c` take them.
//!
//! A change is a line of a Dockerfile. Only instructions that set something are allowed; they need
//! no container and no context.

use crate::config::ContainerConfig;
use crate::duration::DurationError;
use crate::json::is_default;
use crate::signal::parse_signal;
use crate::word::{WordError, expand_word, expand_words};
use health::healthcheck;
use line::{Arguments, Line};

mod health;
mod line;

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The instruction is not one that only sets something; docker's words.
    #[error("{0} is not a valid change command")]
    NotAllowed(String),
    /// The instruction is not written as it must be.
    #[error("{0}")]
    Syntax(String),
    /// A word's quotes or variables are wrong.
    #[error("failed to process {word:?}: {source}")]
    Word {
        /// The word as it was given.
        word: String,
        /// What is wrong with it.
        source: WordError,
    },
    /// A flag's duration is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
}

/// Escapes in changes are always backslashes.
const ESCAPE: char = '\\';

/// Makes changes in order, or none at all: `CMD ["sh"]`, `ENV a=b`. A text of several lines is several
/// changes. A new `ENTRYPOINT` drops the inherited `CMD` unless one
/// of the changes before it set another.
pub fn apply_changes<'a>(
    config: &mut ContainerConfig,
    changes: impl IntoIterator<Item = &'a str>,
) -> Result<(), ChangeError> {
    let text = changes.into_iter().collect::<Vec<_>>().join("\n");
    let lines: Vec<Line> = line::logical_lines(&text).iter().map(|text| Line::new(text)).collect();
    if let Some(line) = lines.iter().find(|line| !ALLOWED.contains(&line.name().as_str())) {
        return Err(ChangeError::NotAllowed(line.instruction.clone()));
    }
    let mut changed = config.clone();
    let mut changes = Changes { config: &mut changed, cmd_is_set: false };
    lines.iter().try_for_each(|line| changes.apply(line))?;
    *config = changed;
    Ok(())
}

const ALLOWED: &[&str] = &[
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

struct Changes<'a> {
    config: &'a mut ContainerConfig,
    cmd_is_set: bool,
}

impl Changes<'_> {
    fn apply(&mut self, line: &Line) -> Result<(), ChangeError> {
        let name = line.name();
        if let Some(flag) = line.flags.first().filter(|_| name != "HEALTHCHECK") {
            let flag = flag.split('=').next().unwrap_or_default();
            return Err(syntax(format!("unknown flag: {flag}")));
        }
        let rest = line.rest.as_str();
        match name.as_str() {
            "CMD" => self.cmd(rest)?,
            "ENTRYPOINT" => self.entrypoint(rest)?,
            "ENV" => self.env(rest)?,
            "EXPOSE" => self.expose(rest)?,
            "HEALTHCHECK" => self.config.healthcheck = Some(healthcheck(line)?),
            "LABEL" => {
                let labels = self.pairs("LABEL", rest)?;
                self.config.labels.extend(labels);
            }
            "ONBUILD" => self.on_build(rest)?,
            "SHELL" => self.shell(rest)?,
            "STOPSIGNAL" => self.stop_signal(rest)?,
            "USER" => self.config.user = self.single("USER", rest)?,
            "VOLUME" => self.volume(rest)?,
            _ => self.working_dir(rest)?,
        }
        Ok(())
    }

    fn cmd(&mut self, rest: &str) -> Result<(), ChangeError> {
        self.config.cmd = self.command(rest)?;
        self.cmd_is_set = true;
        Ok(())
    }

    fn entrypoint(&mut self, rest: &str) -> Result<(), ChangeError> {
        self.config.entrypoint = self.command(rest)?;
        if !self.cmd_is_set {
            self.config.cmd = None;
        }
        Ok(())
    }

    /// A command as a JSON list, or as text for the shell. An empty one sets nothing.
    fn command(&self, rest: &str) -> Result<Option<Vec<String>>, ChangeError> {
        let command = match line::arguments(rest)? {
            Arguments::List(list) => list,
            Arguments::Text("") => Vec::new(),
            Arguments::Text(text) => {
                let shell = self.config.shell.clone().filter(|shell| !is_default(shell));
                let mut command =
                    shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                command.push(text.to_owned());
                command
            }
        };
        Ok(Some(command).filter(|command| !is_default(command)))
    }

    fn env(&mut self, rest: &str) -> Result<(), ChangeError> {
        for (name, value) in self.pairs("ENV", rest)? {
            let pair = format!("{name}={value}");
            let is_same = |old: &&mut String| old.split('=').next() == Some(name.as_str());
            match self.config.env.iter_mut().find(is_same) {
                Some(old) => *old = pair,
                None => self.config.env.push(pair),
            }
        }
        Ok(())
    }

    /// Names and values, all expanded with the environment as it was before the instruction.
    fn pairs(&self, name: &str, rest: &str) -> Result<Vec<(String, String)>, ChangeError> {
        let pairs = line::pairs(name, rest)?;
        let expand = |(key, value): &(String, String)| Ok((self.expand(key)?, self.expand(value)?));
        pairs.iter().map(expand).collect()
    }

    fn expose(&mut self, rest: &str) -> Result<(), ChangeError> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        at_least_one("EXPOSE", &words)?;
        for word in words {
            let specs = expand_words(word, ESCAPE, &|name| self.value(name));
            for spec in specs.map_err(|source| in_word(word, source))? {
                self.config.exposed_ports.extend(ports(&spec)?);
            }
        }
        Ok(())
    }

    fn on_build(&mut self, rest: &str) -> Result<(), ChangeError> {
        let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match trigger.as_str() {
            "" => Err(syntax("ONBUILD requires at least one argument")),
            "ONBUILD" => Err(syntax("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
            "FROM" | "MAINTAINER" => {
                Err(syntax(format!("{trigger} isn't allowed as an ONBUILD trigger")))
            }
            _ => {
                self.config.on_build.push(rest.to_owned());
                Ok(())
            }
        }
    }

    fn shell(&mut self, rest: &str) -> Result<(), ChangeError> {
        match line::arguments(rest)? {
            Arguments::List(list) if list.is_empty() => {
                Err(syntax("SHELL requires at least one argument"))
            }
            Arguments::List(list) => {
                self.config.shell = Some(list);
                Ok(())
            }
            Arguments::Text(_) => Err(syntax("SHELL requires the arguments to be in JSON form")),
        }
    }

    fn stop_signal(&mut self, rest: &str) -> Result<(), ChangeError> {
        let signal = self.single("STOPSIGNAL", rest)?;
        if parse_signal(&signal).is_none() {
            return Err(syntax(format!("invalid signal: {signal}")));
        }
        self.config.stop_signal = signal;
        Ok(())
    }

    fn volume(&mut self, rest: &str) -> Result<(), ChangeError> {
        let paths = match line::arguments(rest)? {
            Arguments::List(list) => list,
            Arguments::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        };
        at_least_one("VOLUME", &paths)?;
        for path in paths {
            let path = self.expand(&path)?.trim().to_owned();
            if path.is_empty() {
                return Err(syntax("VOLUME specified can not be an empty string"));
            }
            self.config.volumes.insert(path);
        }
        Ok(())
    }

    /// A relative folder starts where the last one ended.
    fn working_dir(&mut self, rest: &str) -> Result<(), ChangeError> {
        let wanted = self.single("WORKDIR", rest)?;
        if wanted.is_empty() {
            return Err(syntax("cannot normalize nothing"));
        }
        let base = if wanted.starts_with('/') { "" } else { self.config.working_dir.as_str() };
        self.config.working_dir = clean_path(&format!("{base}/{wanted}"));
        Ok(())
    }

    fn single(&self, name: &str, rest: &str) -> Result<String, ChangeError> {
        if rest.is_empty() {
            return Err(syntax(format!("{name} requires exactly one argument")));
        }
        self.expand(rest)
    }

    fn expand(&self, word: &str) -> Result<String, ChangeError> {
        let expanded = expand_word(word, ESCAPE, &|name| self.value(name));
        expanded.map_err(|source| in_word(word, source))
    }

    fn value(&self, name: &str) -> Option<String> {
        let mut pairs = self.config.env.iter().filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    }
}

/// `80`, `80/udp` or `7000-7002`, each port by itself. Docker takes `ip:host:container` as well and
/// keeps only the container's side, since an image cannot say where its ports are published.
fn ports(spec: &str) -> Result<Vec<String>, ChangeError> {
    let (range, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol }.to_ascii_lowercase();
    let range = range.rsplit(':').next().unwrap_or_default();
    if range.is_empty() {
        return Err(syntax(format!("no port specified: {spec}<empty>")));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(syntax(format!("invalid proto: {protocol}")));
    }
    let wrong = || syntax(format!("invalid containerPort: {range}"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| {
        let digits = text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).ok_or_else(wrong)
    };
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// An absolute path without empty parts, `.` and `..`.
fn clean_path(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn at_least_one<T>(name: &str, list: &[T]) -> Result<(), ChangeError> {
    match list {
        [] => Err(syntax(format!("{name} requires at least one argument"))),
        _ => Ok(()),
    }
}

fn in_word(word: &str, source: WordError) -> ChangeError {
    ChangeError::Word { word: word.to_owned(), source }
}

fn syntax(words: impl Into<String>) -> ChangeError {
    ChangeError::Syntax(words.into())
}

#[cfg(test)]
mod tests;
