//! `RUN --mount`: what is visible only while a command runs.

use crate::error::nearest;

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
        let mut mount = Mount::default();
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
                "from" => mount.from = Some(needed()?.to_owned()),
                "readonly" | "ro" => read_only = Some(flag()?),
                "readwrite" | "rw" => read_only = Some(!flag()?),
                "required" => mount.required = flag()?,
                "id" => mount.id = Some(needed()?.to_owned()),
                "sharing" => mount.sharing = sharing(needed()?)?,
                "mode" => mount.mode = number(&name, needed()?, 8)?,
                "uid" => mount.uid = number(&name, needed()?, 10)?,
                "gid" => mount.gid = number(&name, needed()?, 10)?,
                "env" => mount.env = Some(needed()?.to_owned()),
                "size" => mount.size_bytes = Some(size(needed()?)?),
                _ => return Err(unknown("unexpected key", &name, FIELDS)),
            }
        }
        mount.kind = kind_of(&kind)?;
        let default = matches!(mount.kind, MountKind::Bind | MountKind::Secret | MountKind::Ssh);
        mount.read_only = read_only.unwrap_or(default);
        mount.checked(&fields)
    }

    fn checked(self, fields: &[String]) -> Result<Mount, String> {
        let has = |name: &str| fields.iter().any(|field| field.split('=').next() == Some(name));
        let only = |name: &str, kind: MountKind| match has(name) && self.kind != kind {
            true => Err(format!("unexpected key '{name}' for mount type '{}'", self.kind.as_str())),
            false => Ok(()),
        };
        only("sharing", MountKind::Cache)?;
        only("size", MountKind::Tmpfs)?;
        only("env", MountKind::Secret)?;
        let needs_source = matches!(self.kind, MountKind::Secret);
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

fn flag(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value.map(str::to_ascii_lowercase).as_deref() {
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
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match digits.char_indices().last() {
        Some((at, unit @ ('k' | 'm' | 'g' | 't'))) => (
            &digits[..at],
            match unit {
                'k' => 10,
                'm' => 20,
                'g' => 30,
                _ => 40,
            },
        ),
        _ => (digits, 0),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("invalid value for size: {text}"))
}

/// Fields between commas; one in double quotes may hold commas.
fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
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
