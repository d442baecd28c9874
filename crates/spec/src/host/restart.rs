//! What happens when a container's process ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::null_is_default;

/// A restart policy: `no`, `always`, `unless-stopped`, `on-failure[:times]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Which one.
    #[serde(deserialize_with = "null_is_default")]
    pub name: RestartName,
    /// How often at most; 0 is no limit. Of `on-failure` alone.
    #[serde(deserialize_with = "null_is_default")]
    pub maximum_retry_count: i64,
}

/// The policies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartName {
    /// It stays ended.
    #[default]
    #[serde(alias = "")]
    No,
    /// It starts again, also after a reboot.
    Always,
    /// It starts again unless somebody stopped it.
    UnlessStopped,
    /// It starts again if it failed.
    OnFailure,
}

impl RestartName {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            RestartName::No => "no",
            RestartName::Always => "always",
            RestartName::UnlessStopped => "unless-stopped",
            RestartName::OnFailure => "on-failure",
        }
    }
}

/// Why a text is no restart policy, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// There is no such policy.
    #[error(
        "invalid restart policy: unknown policy '{0}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown(String),
    /// More than one colon, or nothing before it.
    #[error("invalid restart policy format: {0}")]
    Format(&'static str),
    /// The number is below nothing.
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    Negative,
    /// Only `on-failure` counts.
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    Count,
}

impl FromStr for RestartPolicy {
    type Err = RestartError;

    fn from_str(text: &str) -> Result<RestartPolicy, RestartError> {
        if text.is_empty() {
            return Ok(RestartPolicy::default());
        }
        let (name, count) = match text.split_once(':') {
            None => (text, None),
            Some(("", _)) => {
                return Err(RestartError::Format("no policy provided before colon"));
            }
            Some((name, count)) => (name, Some(count)),
        };
        let count: i64 = match count.map(str::parse) {
            None => 0,
            Some(Ok(count)) => count,
            Some(Err(_)) => {
                return Err(RestartError::Format("maximum retry count must be an integer"));
            }
        };
        let name = match name {
            "no" => RestartName::No,
            "always" => RestartName::Always,
            "unless-stopped" => RestartName::UnlessStopped,
            "on-failure" => RestartName::OnFailure,
            other => return Err(RestartError::Unknown(other.to_owned())),
        };
        if count < 0 {
            return Err(RestartError::Negative);
        }
        if count > 0 && name != RestartName::OnFailure {
            return Err(RestartError::Count);
        }
        Ok(RestartPolicy { name, maximum_retry_count: count })
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        match self.maximum_retry_count {
            0 => Ok(()),
            count => write!(f, ":{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        assert_eq!("".parse(), Ok(RestartPolicy::default()));
        assert_eq!("always:0".parse::<RestartPolicy>().unwrap().to_string(), "always");
    }

    #[test]
    fn what_is_none_is_refused_in_dockers_words() {
        let check = |text: &str, words: &str| {
            let error = text.parse::<RestartPolicy>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        };
        check("sometimes", "unknown policy 'sometimes'");
        check("always:3", "can only be used with 'on-failure'");
        for text in ["on-failure:x", "on-failure:", "on-failure:1:2"] {
            check(text, "must be an integer");
        }
        check("on-failure:-1", "cannot be negative");
        check(":3", "no policy provided before colon");
    }

    #[test]
    fn the_document_is_dockers() {
        let policy: RestartPolicy = "on-failure:3".parse().unwrap();
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(json, r#"{"Name":"on-failure","MaximumRetryCount":3}"#);
        let empty: RestartPolicy = serde_json::from_str(r#"{"Name":""}"#).unwrap();
        assert_eq!(empty, RestartPolicy::default());
    }
}
