//! An image's platform as a record keeps it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use spec::Platform;

/// A platform as its text, `os/architecture/variant`. Every listing reads all of them and most look
/// at none, so the text is taken apart only when somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformName(Cow<'static, str>);

/// What nearly all images run on need not be kept for each of them.
const USUAL: [&str; 2] = ["linux/amd64", "linux/arm64"];

impl PlatformName {
    /// The platform.
    pub fn platform(&self) -> Platform {
        let text = &*self.0;
        match text.split_once('/') {
            // What we wrote is normal already; only what has more than names needs the whole grammar.
            Some((os, rest)) if !text.contains('(') => {
                let (architecture, variant) = match rest.split_once('/') {
                    Some((architecture, variant)) => (architecture, Some(variant.to_owned())),
                    None => (rest, None),
                };
                let (os, architecture) = (os.to_owned(), architecture.to_owned());
                Platform { os, architecture, variant, ..Platform::default() }
            }
            // An image may say of itself what it likes: such a one fits nowhere.
            _ => Platform::parse(text)
                .unwrap_or_else(|_| Platform { os: text.to_owned(), ..Platform::default() }),
        }
    }
}

impl PlatformName {
    /// The text itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Keeps a platform's text.
    pub(crate) fn of(text: &str) -> PlatformName {
        let usual = USUAL.iter().find(|usual| **usual == text);
        PlatformName(
            usual.map_or_else(|| Cow::Owned(text.to_owned()), |usual| Cow::Borrowed(*usual)),
        )
    }
}

impl<'de> Deserialize<'de> for PlatformName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlatformName, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = PlatformName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a platform")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PlatformName, E> {
                Ok(PlatformName::of(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl From<&Platform> for PlatformName {
    fn from(platform: &Platform) -> PlatformName {
        PlatformName::of(&platform.to_string())
    }
}

impl From<Platform> for PlatformName {
    fn from(platform: Platform) -> PlatformName {
        PlatformName::from(&platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_platforms() {
        let version = |text: &str| Some(text.to_owned());
        let cases = [
            Platform::new("linux", "amd64", None),
            Platform::new("linux", "arm", Some("v6")),
            Platform { os_version: version("10.0"), ..Platform::new("windows", "amd64", None) },
            Platform {
                os_features: vec!["win32k".into()],
                ..Platform::new("windows", "arm64", None)
            },
        ];
        for platform in cases {
            assert_eq!(PlatformName::from(&platform).platform(), platform);
        }
    }

    #[test]
    fn odd_ones_fit_nowhere() {
        for text in ["", "plan(9", "a*b"] {
            let platform = PlatformName::of(text).platform();
            assert_eq!(platform.os, text);
            assert!(text.is_empty() || !platform.matches(&Platform::host()), "{text}");
        }
    }
}
