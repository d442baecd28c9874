//! `RUN --mount`: what is visible only while a command runs.

use spec::parse_binary_size;

use crate::error::{BuildError, Span, nearest};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Mount {
    pub kind: MountKind,
    pub target: Option<String>,
    pub source: Option<String>,
    /// A stage, an image or a named context.
    pub from: Option<String>,
    pub read_only: bool,
    pub id: Option<String>,
    pub sharing: Sharing,
    pub required: bool,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// The most a `tmpfs` may hold.
    pub size_bytes: Option<u64>,
    /// The variable that holds a secret, in place of a file.
    pub env: Option<String>,
    /// Whether what is written to it is a result of its own.
    pub is_result: bool,
    /// As it is written.
    pub text: String,
}

/// What sort of mount it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum MountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Each writer has its own.
    Private,
    /// One after the other.
    Locked,
}

const FIELDS: &[&str] = &[
    "type",
    "target",
    "source",
    "from",
    "readonly",
    "readwrite",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "size",
    "env",
];

impl Mount {
    /// Reads `type=cache,target=/x`, a line of comma-separated values.
    pub fn parse(text: &str) -> Result<Mount, String> {
        let mut mount = Mount { text: text.to_owned(), ..Mount::default() };
        let mut read_only = None;
        let fields = csv(text)?;
        let mut kind = "bind".to_owned();
        for field in &fields {
            let (name, value) = match field.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (field.as_str(), None),
            };
            let name = name.to_ascii_lowercase();
            let flag = || flag(&name, value);
            let needed =
                || value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"));
            match name.as_str() {
                "type" => kind = needed()?.to_ascii_lowercase(),
                "target" | "dst" | "destination" => mount.target = Some(needed()?.to_owned()),
                "source" | "src" => mount.source = Some(needed()?.to_owned()),
                "from" => mount.from = Some(without_variables(needed()?)?),
                "readonly" | "ro" => read_only = Some(flag()?),
                "readwrite" | "rw" => read_only = Some(!flag()?),
                "required" => mount.required = flag()?,
                "id" => mount.id = Some(needed()?.to_owned()),
                "sharing" if needed()?.contains('$') => {}
                "sharing" => mount.sharing = sharing(needed()?)?,
                "mode" => mount.mode = number(&name, needed()?, 8)?,
                "uid" => mount.uid = number(&name, needed()?, 10)?,
                "gid" => mount.gid = number(&name, needed()?, 10)?,
                "env" => mount.env = Some(needed()?.to_owned()),
                "size" if needed()?.contains('$') => {}
                "size" => mount.size_bytes = Some(size(needed()?)?),
                _ => return Err(unknown("unexpected key", &name, FIELDS)),
            }
        }
        mount.kind = kind_of(&kind)?;
        let default = matches!(mount.kind, MountKind::Bind | MountKind::Secret | MountKind::Ssh);
        mount.read_only = read_only.unwrap_or(default);
        mount.checked(&fields)
    }

    /// The mount with what its variables hold in place of their names.
    pub fn expanded(
        &self,
        at: Span,
        expand: &dyn Fn(&str) -> Result<String, BuildError>,
    ) -> Result<Mount, BuildError> {
        if !self.text.contains('$') {
            return Ok(self.clone());
        }
        let wrong = |message: String| BuildError::refused(at, message);
        let mut fields = csv(&self.text).map_err(wrong)?;
        for field in &mut fields {
            if let Some((name, value)) = field.split_once('=') {
                *field = format!("{name}={}", expand(value)?);
            }
        }
        Mount::parse(&written(&fields)).map_err(wrong)
    }

    fn checked(self, fields: &[String]) -> Result<Mount, String> {
        let kind = self.kind.as_str();
        let name_of = |field: &String| field.split('=').next().map(str::to_ascii_lowercase);
        let has = |name: &str| fields.iter().any(|field| name_of(field).as_deref() == Some(name));
        let only = |name: &str, kinds: &[MountKind]| match has(name) && !kinds.contains(&self.kind)
        {
            true => Err(format!("unexpected key '{name}' for mount type '{kind}'")),
            false => Ok(()),
        };
        if has("sharing") && self.kind != MountKind::Cache {
            return Err(format!("invalid cache sharing set for {kind} mount"));
        }
        for name in ["mode", "uid", "gid"] {
            if has(name)
                && !matches!(self.kind, MountKind::Cache | MountKind::Secret | MountKind::Ssh)
            {
                return Err(format!("{name} not allowed for {kind:?} type mounts"));
            }
        }
        only("size", &[MountKind::Tmpfs])?;
        only("env", &[MountKind::Secret])?;
        only("required", &[MountKind::Secret, MountKind::Ssh])?;
        let needs_source = matches!(self.kind, MountKind::Secret);
        if has("from") && matches!(self.kind, MountKind::Secret | MountKind::Ssh) {
            return Err(format!("{kind} mount should not have a from"));
        }
        if needs_source && self.id.is_none() && self.source.is_none() && self.target.is_none() {
            return Err("invalid secret mount. one of source, target required".to_owned());
        }
        Ok(self)
    }
}

impl MountKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            MountKind::Bind => "bind",
            MountKind::Cache => "cache",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Secret => "secret",
            MountKind::Ssh => "ssh",
        }
    }
}

fn kind_of(text: &str) -> Result<MountKind, String> {
    Ok(match text {
        "bind" => MountKind::Bind,
        "cache" => MountKind::Cache,
        "tmpfs" => MountKind::Tmpfs,
        "secret" => MountKind::Secret,
        "ssh" => MountKind::Ssh,
        _ => {
            let known = ["bind", "cache", "tmpfs", "secret", "ssh"];
            return Err(unknown("unsupported mount type", text, &known));
        }
    })
}

/// Which stage is needed must be known before any variable is.
fn without_variables(stage: &str) -> Result<String, String> {
    match stage.find('$').is_some_and(|at| at + 1 < stage.len()) {
        true => {
            Err("'from' doesn't support variable expansion, define alias stage instead".to_owned())
        }
        false => Ok(stage.to_owned()),
    }
}

fn sharing(text: &str) -> Result<Sharing, String> {
    match text.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(format!("unsupported sharing value {text:?}")),
    }
}

fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let meant = nearest(word, known.iter().copied());
    let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    format!("{what} '{word}'{meant}")
}

pub(super) fn flag(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        // A variable is known only later, and then checked.
        Some(value) if value.contains('$') => Ok(false),
        None | Some("true" | "1" | "t") => Ok(true),
        Some("false" | "0" | "f") => Ok(false),
        Some(value) => Err(format!("invalid value for {name}: {value}")),
    }
}

fn number(name: &str, value: &str, radix: u32) -> Result<Option<u32>, String> {
    // A variable is a number only once it is known.
    if value.contains('$') {
        return Ok(None);
    }
    let number = u32::from_str_radix(value, radix).ok();
    number.map(Some).ok_or_else(|| format!("invalid value {value} for {name}"))
}

/// `100m` and the like, in powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let bytes = parse_binary_size(text).ok().and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("invalid value for size: {text}"))
}

/// Fields as one text, which reads as they are.
pub(super) fn written(fields: &[String]) -> String {
    let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
    fields.iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// Fields between commas; one in double quotes may hold commas.
pub(super) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => {
                fields.last_mut().expect("there is always one field").push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("there is always one field").push(letter),
        }
    }
    if quoted {
        Err("failed to parse csv mounts: a quote is not closed".to_owned())
    } else {
        Ok(fields)
    }
}
