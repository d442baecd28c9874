//! Platforms: the operating system and processor an image is made for, as containerd names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_is_default};
use serving::serving;

mod serving;

/// An operating system and a processor. Fields are as found; [`Platform::normalized`] unifies them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Platform {
    /// The processor in Go's words: `amd64`, `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system in Go's words: `linux`.
    #[serde(default)]
    pub os: String,
    /// The version of the system, which Windows images need.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the system must offer.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_default"
    )]
    pub os_features: Vec<String>,
    /// The generation of the processor: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Wildcards are not understood.
    #[error("{0:?}: wildcards not yet supported: invalid argument")]
    Wildcard(String),
    /// A part holds what no part may hold.
    #[error("{part:?} is an invalid component of {text:?}: invalid argument")]
    Component {
        /// The part between two slashes.
        part: String,
        /// The whole text.
        text: String,
    },
    /// A single word is neither a known system nor a known processor.
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    /// There are too many parts.
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    TooManyParts(String),
}

const KNOWN_OS: &str = "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd \
                        openbsd plan9 solaris windows zos";

const KNOWN_ARCH: &str = "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mips64 mips64le \
                          mips64p32 mips64p32le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x \
                          sparc sparc64 wasm";

impl Platform {
    /// Makes a platform of a system and a processor, normalised.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let platform = Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..Platform::default()
        };
        platform.normalized()
    }

    /// The platform this program was built for.
    pub fn host() -> Platform {
        Platform::new(std::env::consts::OS, host_architecture(), None)
    }

    /// Reads `os`, `arch`, `os/arch` or `os/arch/variant`, where `os` may be `os(version+feature)`,
    /// and normalises it. What is left out is the host's.
    pub fn parse(text: &str) -> Result<Platform, PlatformError> {
        if text.contains('*') {
            return Err(PlatformError::Wildcard(text.to_owned()));
        }
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let component =
            |part: &str| PlatformError::Component { part: part.to_owned(), text: text.to_owned() };
        let mut platform = parse_os(parts[0]).ok_or_else(|| component(parts[0]))?;
        if let Some(part) = parts[1..].iter().find(|part| !is_component(part)) {
            return Err(component(part));
        }
        match parts[1..] {
            [] => return parse_single(platform, text),
            [architecture] => platform.architecture = architecture.to_owned(),
            [architecture, variant] => {
                platform.architecture = architecture.to_owned();
                platform.variant = Some(variant.to_owned());
            }
            _ => return Err(PlatformError::TooManyParts(text.to_owned())),
        }
        Ok(platform.normalized())
    }

    /// The same platform in the words everybody agrees on: `aarch64` is `arm64`, `arm64/v8` is
    /// `arm64`, `arm` is `arm/v7`, `amd64/v1` is `amd64`.
    pub fn normalized(&self) -> Platform {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "" => normal_os(std::env::consts::OS).to_owned(),
            os => normal_os(os).to_owned(),
        };
        let variant = self.variant.as_deref().unwrap_or_default();
        let (architecture, variant) = normal_architecture(&self.architecture, variant);
        let variant = Some(variant).filter(|variant| !variant.is_empty());
        let os_version = self.os_version.clone().filter(|version| !version.is_empty());
        let os_features = self.os_features.clone();
        Platform { os, architecture, variant, os_version, os_features }
    }

    /// Whether an image for this platform can serve where `wanted` is asked for.
    pub fn matches(&self, wanted: &Platform) -> bool {
        self.rank(wanted).is_some()
    }

    /// How well an image for this platform serves where `wanted` is asked for: 0 is exact, more is
    /// worse, nothing is not at all. An older generation of a processor serves a newer one, and so
    /// do, last of all, 32-bit images on the 64-bit processors that run them.
    pub fn rank(&self, wanted: &Platform) -> Option<u32> {
        let (offered, wanted) = (self.normalized(), wanted.normalized());
        if offered.os != wanted.os || !serves_version(&offered, &wanted) {
            return None;
        }
        let variant = offered.variant.as_deref().unwrap_or_default();
        let serving = serving(&wanted.architecture, wanted.variant.as_deref().unwrap_or_default());
        let fits = |(architecture, generation): &(&str, String)| {
            *architecture == offered.architecture && generation == variant
        };
        serving.iter().position(fits).and_then(|place| u32::try_from(place).ok())
    }

    /// The platform without the version of its system: `linux/arm/v7`.
    pub fn short(&self) -> String {
        if self.os.is_empty() {
            return "unknown".to_owned();
        }
        let variant = self.variant.as_deref().unwrap_or_default();
        let parts = [self.os.as_str(), &self.architecture, variant];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("/")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.short();
        let version = self.os_version.as_deref().unwrap_or_default();
        if self.os.is_empty() || (version.is_empty() && self.os_features.is_empty()) {
            return f.pad(&short);
        }
        let features: String = self.os_features.iter().map(|name| format!("+{name}")).collect();
        let rest = &short[self.os.len()..];
        f.pad(&format!("{}({version}{features}){rest}", self.os))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        Platform::parse(text)
    }
}

/// A single word names a system, or else a processor.
fn parse_single(mut platform: Platform, text: &str) -> Result<Platform, PlatformError> {
    let os = platform.os.to_ascii_lowercase();
    if is_listed(KNOWN_OS, normal_os(&os)) {
        platform.architecture = host_architecture().to_owned();
        return Ok(platform.normalized());
    }
    let (architecture, _) = normal_architecture(text, "");
    if !is_listed(KNOWN_ARCH, &architecture) {
        return Err(PlatformError::Unknown(text.to_owned()));
    }
    Ok(Platform::new(std::env::consts::OS, text, None))
}

/// Reads `os` or `os(version+feature+feature)`.
fn parse_os(text: &str) -> Option<Platform> {
    let (os, rest) = text.split_once('(').map_or((text, None), |(os, rest)| (os, Some(rest)));
    let is_os = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    if os.is_empty() || !os.bytes().all(is_os) {
        return None;
    }
    let mut platform = Platform { os: os.to_owned(), ..Platform::default() };
    if let Some(rest) = rest {
        let mut parts = rest.strip_suffix(')')?.split('+');
        let version = parts.next().filter(|version| !version.is_empty());
        platform.os_version = version.map(str::to_owned);
        platform.os_features = parts.map(str::to_owned).collect();
        let features_fit = platform.os_features.iter().all(|feature| is_component(feature));
        if !features_fit || !version.is_none_or(is_component) {
            return None;
        }
    }
    Some(platform)
}

fn is_listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

fn is_component(part: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    !part.is_empty() && part.bytes().all(fits)
}

fn normal_os(os: &str) -> &str {
    match os {
        "macos" => "darwin",
        os => os,
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        pair => pair,
    };
    (architecture.to_owned(), variant.to_owned())
}

/// Go's word for the processor this program was built for.
fn host_architecture() -> &'static str {
    let little = cfg!(target_endian = "little");
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        "powerpc" => "ppc",
        "powerpc64" if little => "ppc64le",
        "powerpc64" => "ppc64",
        "mips" if little => "mipsle",
        "mips64" if little => "mips64le",
        "wasm32" | "wasm64" => "wasm",
        same => same,
    }
}

/// Windows images run only on their own build of the system; elsewhere the version says nothing.
fn serves_version(offered: &Platform, wanted: &Platform) -> bool {
    let build = |version: &str| version.splitn(4, '.').take(3).collect::<Vec<_>>().join(".");
    match (&offered.os_version, &wanted.os_version) {
        (Some(offered), Some(wanted)) => build(offered) == build(wanted),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
