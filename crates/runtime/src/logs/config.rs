//! Which driver logs, and how: `--log-driver` and `--log-opt`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex_lite::Regex;

use super::syslog::SyslogConfig;
use super::{Format, LogError, tag};

/// What logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Driver {
    /// Files of JSON, as docker has them.
    JsonFile(FileLimits),
    /// Smaller files.
    Local(FileLimits),
    /// Nobody.
    None,
    /// A syslog daemon, here or elsewhere.
    Syslog(SyslogConfig),
    /// systemd's journal.
    Journald,
}

/// How large files may become, and how many there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileLimits {
    /// A file that is so large is put aside; never if there is no limit.
    pub max_bytes: Option<u64>,
    /// So many files are kept, the one that is written included.
    pub max_files: u32,
    /// Whether files that were put aside are compressed.
    pub compress: bool,
}

impl FileLimits {
    /// The defaults of `local`, and of the copies that other drivers keep.
    pub const LOCAL: FileLimits =
        FileLimits { max_bytes: Some(20_000_000), max_files: 5, compress: true };
    /// The defaults of `json-file`.
    pub const JSON: FileLimits = FileLimits { max_bytes: None, max_files: 1, compress: false };
}

/// What happens when a daemon takes lines more slowly than the container prints them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The container waits.
    Blocking,
    /// New lines are lost while so many bytes wait.
    NonBlocking(usize),
}

/// How a container's output is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// What logs.
    pub driver: Driver,
    /// What happens when that is slow.
    pub mode: Mode,
    /// Labels that are logged with each line.
    pub labels: Named,
    /// Variables likewise.
    pub env: Named,
    /// The template of the tag, if one was given.
    pub tag: Option<String>,
    /// The copy that `logs` reads where the driver cannot be read; absent if it was refused.
    pub copy: Option<FileLimits>,
}

/// What is told of, out of much that has names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// What has one of these names.
    pub names: Vec<String>,
    /// And what has a name that fits this expression; nothing if it is empty.
    pub expression: String,
}

impl Named {
    /// Reads `labels` and `labels-regex`, say.
    fn take(
        options: &mut Options,
        name: &'static str,
        expression: &'static str,
    ) -> Result<Named, LogError> {
        let text = options.take(name).unwrap_or_default();
        let names = text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let check = |text: &str| match Regex::new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let expression = options.read(expression, check)?.unwrap_or_default();
        Ok(Named { names, expression })
    }

    /// Those of `all` that are meant.
    fn of<'a>(
        &self,
        all: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> impl Iterator<Item = (String, String)> {
        let empty = self.expression.is_empty();
        let expression = Regex::new(&self.expression).ok().filter(|_| !empty);
        let is_meant = move |name: &str| {
            self.names.iter().any(|own| own == name)
                || expression.as_ref().is_some_and(|it| it.is_match(name))
        };
        all.filter(move |(name, _)| is_meant(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// What a log tells of its container.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogFacts {
    /// The file that is written; others of the log lie beside it.
    pub path: PathBuf,
    /// The container's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image it was made from, by the name that was asked for.
    pub image: String,
    /// That image's id.
    pub image_id: String,
    /// What it runs, with its arguments.
    pub command: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its environment, `NAME=value`.
    pub env: Vec<String>,
    /// The tag, after its template was carried out; empty if none was given.
    pub tag: String,
}

/// Drivers of docker's that mica does not have.
const ELSEWHERE: [&str; 6] = ["fluentd", "gelf", "splunk", "awslogs", "gcplogs", "etwlogs"];

impl LogConfig {
    /// Reads a driver's name and its options; an empty name means `json-file`.
    pub fn parse(name: &str, options: &BTreeMap<String, String>) -> Result<LogConfig, LogError> {
        let mut left = Options { driver: "", left: options.clone() };
        let driver = match name {
            "" | "json-file" => {
                left.driver = "json-file";
                Driver::JsonFile(file_limits(&mut left, FileLimits::JSON)?)
            }
            "local" => {
                left.driver = "local";
                Driver::Local(file_limits(&mut left, FileLimits::LOCAL)?)
            }
            // As with docker's engine, whatever else is said: nobody reads it.
            "none" => return Ok(LogConfig::none()),
            "syslog" => {
                left.driver = "syslog";
                Driver::Syslog(SyslogConfig::take(&mut left)?)
            }
            "journald" => {
                left.driver = "journald";
                Driver::Journald
            }
            other if ELSEWHERE.contains(&other) => {
                return Err(LogError::NotBuiltIn(other.to_owned()));
            }
            other => return Err(LogError::NoDriver(other.to_owned())),
        };
        let mode = mode(&mut left)?;
        // Docker reads these for every driver, and heeds them where there is no other copy.
        let copy = copy_limits(&mut left)?;
        let copy = copy.filter(|_| matches!(driver, Driver::Syslog(_) | Driver::Journald));
        let (mut labels, mut env, mut tag) = (Named::default(), Named::default(), None);
        if !matches!(driver, Driver::Local(_)) {
            labels = Named::take(&mut left, "labels", "labels-regex")?;
            env = Named::take(&mut left, "env", "env-regex")?;
            tag = left.take("tag");
        }
        left.finish()?;
        Ok(LogConfig { driver, mode, labels, env, tag, copy })
    }

    fn none() -> LogConfig {
        LogConfig {
            driver: Driver::None,
            mode: Mode::Blocking,
            labels: Named::default(),
            env: Named::default(),
            tag: None,
            copy: None,
        }
    }

    /// The same, where this machine believes the authorities in this file instead of those in the
    /// usual place.
    pub fn believing(mut self, authorities: Option<PathBuf>) -> LogConfig {
        if let Driver::Syslog(syslog) = &mut self.driver {
            syslog.tls.system = authorities;
        }
        self
    }

    /// The same facts with the tag that the template makes of them; a template with markers that
    /// nobody knows is refused.
    pub fn tagged(&self, facts: LogFacts) -> Result<LogFacts, LogError> {
        let tag = self.tag.as_ref().map(|template| tag::fill(template, &facts)).transpose()?;
        Ok(LogFacts { tag: tag.unwrap_or_default(), ..facts })
    }

    /// How the files are written that can be read again; `None` if there are none.
    pub fn readable(&self) -> Option<Format> {
        match self.driver {
            Driver::JsonFile(_) => Some(Format::Json),
            Driver::Local(_) => Some(Format::Local),
            Driver::None => None,
            Driver::Syslog(_) | Driver::Journald => self.copy.map(|_| Format::Local),
        }
    }

    /// What is logged with each line.
    pub fn attributes(&self, facts: &LogFacts) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let labels = facts.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        found.extend(self.labels.of(labels));
        // Of several values of a variable the last one counts, here as in the container.
        found.extend(self.env.of(facts.env.iter().filter_map(|line| line.split_once('='))));
        if self.tag.is_some() {
            found.insert("tag".to_owned(), facts.tag.clone());
        }
        found
    }
}

/// Options that nobody has asked for yet.
pub(super) struct Options {
    pub(super) driver: &'static str,
    left: BTreeMap<String, String>,
}

impl Options {
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, LogError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let bad = |why| LogError::BadOption { option: name, value: value.clone(), why };
        read(&value).map(Some).map_err(bad)
    }

    fn finish(self) -> Result<(), LogError> {
        match self.left.into_keys().next() {
            Some(option) => Err(LogError::UnknownOption { option, driver: self.driver }),
            None => Ok(()),
        }
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let size = spec::parse_binary_size(text).map_err(|error| error.to_string())?;
    match u64::try_from(size) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err("must be a positive number".to_owned()),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "must be a number".to_owned())
}

fn file_limits(options: &mut Options, default: FileLimits) -> Result<FileLimits, LogError> {
    let max_bytes = options.read("max-size", |text| match text {
        "-1" => Ok(None),
        text => bytes(text).map(Some),
    })?;
    let max_bytes = max_bytes.unwrap_or(default.max_bytes);
    let max_files = options.read("max-file", count)?.unwrap_or(default.max_files);
    if max_files < 1 {
        return Err(LogError::Together("max-file cannot be less than 1"));
    }
    let asked = options.read("compress", flag)?;
    let can = max_files >= 2 && max_bytes.is_some();
    if asked == Some(true) && !can {
        return Err(LogError::Together(
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ));
    }
    Ok(FileLimits { max_bytes, max_files, compress: asked.unwrap_or(default.compress) && can })
}

fn mode(options: &mut Options) -> Result<Mode, LogError> {
    let non_blocking = options.read("mode", |text| match text {
        "" | "blocking" => Ok(false),
        "non-blocking" => Ok(true),
        _ => Err("logger: logging mode not supported".to_owned()),
    })?;
    let size = options.read("max-buffer-size", bytes)?;
    match (non_blocking, size) {
        (Some(true), size) => {
            let size = size.unwrap_or(1 << 20);
            Ok(Mode::NonBlocking(usize::try_from(size).unwrap_or(usize::MAX)))
        }
        (_, None) => Ok(Mode::Blocking),
        (_, Some(_)) => Err(LogError::Together(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        )),
    }
}

fn copy_limits(options: &mut Options) -> Result<Option<FileLimits>, LogError> {
    let default = FileLimits::LOCAL;
    let disabled = options.read("cache-disabled", flag)?.unwrap_or(false);
    let max_bytes = options.read("cache-max-size", bytes)?.or(default.max_bytes);
    let max_files = options.read("cache-max-file", count)?.unwrap_or(default.max_files).max(1);
    let compress = options.read("cache-compress", flag)?.unwrap_or(true) && max_files > 1;
    Ok((!disabled).then_some(FileLimits { max_bytes, max_files, compress }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, options: &[(&str, &str)]) -> Result<LogConfig, LogError> {
        let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        LogConfig::parse(name, &options.collect())
    }

    #[test]
    fn options_are_read_as_docker_reads_them() {
        let config = parse("", &[]).unwrap();
        assert_eq!(config.driver, Driver::JsonFile(FileLimits::JSON));
        let config = parse(
            "json-file",
            &[("max-size", "10m"), ("max-file", "3"), ("compress", "true"), ("labels", "a,b,")],
        );
        let config = config.unwrap();
        let limits = FileLimits { max_bytes: Some(10 << 20), max_files: 3, compress: true };
        assert_eq!(config.driver, Driver::JsonFile(limits));
        assert_eq!(config.labels.names, ["a", "b"]);
        assert_eq!(parse("local", &[]).unwrap().driver, Driver::Local(FileLimits::LOCAL));
        let ignored = [("max-size", "x"), ("labels", "a"), ("env", "E"), ("mode", "odd")];
        assert_eq!(parse("none", &ignored).unwrap(), parse("none", &[]).unwrap());
        assert_eq!(parse("none", &[]).unwrap().readable(), None);
        assert_eq!(parse("journald", &[]).unwrap().readable(), Some(Format::Local));
        let bare = parse("journald", &[("cache-disabled", "true"), ("mode", "non-blocking")]);
        let bare = bare.unwrap();
        assert_eq!((bare.readable(), bare.mode), (None, Mode::NonBlocking(1 << 20)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (name, options, message) in [
            ("json-file", &[("foo", "x")][..], "unknown log opt 'foo' for json-file log driver"),
            ("json-file", &[("max-file", "0")], "max-file cannot be less than 1"),
            (
                "json-file",
                &[("compress", "true"), ("max-file", "3")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
            (
                "json-file",
                &[("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            ("json-file", &[("max-size", "x")], "invalid log opt max-size=x: invalid size: 'x'"),
            ("xyz", &[], "logger: no log driver named 'xyz' is registered"),
            ("gelf", &[], "log driver 'gelf' is not built into mica"),
            ("local", &[("labels", "a")], "unknown log opt 'labels' for log driver local"),
            (
                "journald",
                &[("compress", "1")],
                "unknown log opt 'compress' for journald log driver",
            ),
            (
                "syslog",
                &[("syslog-tls-key", "/x")],
                "syslog-tls-cert and syslog-tls-key belong together: one is missing",
            ),
        ] {
            let error = parse(name, options).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert!(parse("fluentd", &[]).unwrap_err().hint().is_some());
        let error = parse("json-file", &[("env-regex", "(")]).unwrap_err().to_string();
        assert!(error.starts_with("invalid log opt env-regex=(: "), "{error}");
    }

    #[test]
    fn attributes_come_from_what_was_named() {
        let config = parse("", &[("labels", "a,none"), ("env", "E,F"), ("tag", "{{.Name}}")]);
        let facts = LogFacts {
            labels: [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            env: ["E=x", "E=y=z", "G=1", "F"].map(str::to_owned).into(),
            tag: "box".to_owned(),
            ..LogFacts::default()
        };
        let found = config.unwrap().attributes(&facts);
        let found: Vec<_> = found.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        assert_eq!(found, ["E:y=z", "a:1", "tag:box"]);
        let by = [("labels-regex", "^(a|b)$"), ("env-regex", "G"), ("env", "E")];
        for driver in ["json-file", "syslog", "journald"] {
            let config = parse(driver, &by).unwrap();
            let found = config.attributes(&facts);
            let found: Vec<_> = found.iter().map(|(key, value)| format!("{key}:{value}")).collect();
            assert_eq!(found, ["E:y=z", "G:1", "a:1", "b:2"], "{driver}");
        }
    }
}
