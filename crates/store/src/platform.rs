//! An image's platform as a record keeps it.

use serde::{Deserialize, Serialize};
use spec::Platform;

/// A platform as its text, `os/architecture/variant`. Every listing reads all of them and most look
/// at none, so the text is taken apart only when somebody asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformName(Box<str>);

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

impl From<&Platform> for PlatformName {
    fn from(platform: &Platform) -> PlatformName {
        PlatformName(platform.to_string().into())
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
            let platform = PlatformName(text.into()).platform();
            assert_eq!(platform.os, text);
            assert!(text.is_empty() || !platform.matches(&Platform::host()), "{text}");
        }
    }
}
