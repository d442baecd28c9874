//! Whose users containers have: the host's, or ids that the host lends somebody.

use std::str::FromStr;

use runtime::rootless::Ids;
use spec::IdMaps;

use super::{SettingsError, Standing};
use crate::error::{EngineError, Result};

/// Who is lent the ids that containers have: docker's `userns-remap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRemap {
    user: String,
    group: String,
}

/// Whom docker's `default` means.
const DEFAULT: &str = "dockremap";

impl UserRemap {
    /// Reads `default`, `USER` or `USER:GROUP`, names or numbers. Nothing, and root, who is not mapped
    /// to himself, is nobody.
    pub fn read(
        text: &str,
        standing: Standing,
    ) -> std::result::Result<Option<UserRemap>, SettingsError> {
        match text {
            "" | "root" | "0" | "root:root" | "0:0" => Ok(None),
            // His containers are in a namespace of his own, and none is made below it.
            _ if standing.is_of_user() => {
                Err(SettingsError::Value("userns-remap takes root".to_owned()))
            }
            "default" => DEFAULT.parse().map(Some),
            text => text.parse().map(Some),
        }
    }

    /// The ids as they are lent now.
    pub fn maps(&self) -> Result<IdMaps> {
        let Ids { users, groups } = Ids::lent_to(&self.user, &self.group);
        for (lent, file) in [(&users, "/etc/subuid"), (&groups, "/etc/subgid")] {
            if lent.is_empty() {
                return Err(EngineError::NothingLent { user: self.user.clone(), file });
            }
        }
        IdMaps::new(users, groups).map_err(|error| EngineError::Refused(error.to_string()))
    }
}

impl FromStr for UserRemap {
    type Err = SettingsError;

    fn from_str(text: &str) -> std::result::Result<UserRemap, SettingsError> {
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        match user.is_empty() || group.is_empty() || group.contains(':') {
            true => Err(SettingsError::Value(format!(
                "invalid user/group specification in --userns-remap: {text:?}"
            ))),
            false => Ok(UserRemap { user: user.to_owned(), group: group.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_named_as_docker_names_them() {
        let read = |text| UserRemap::read(text, Standing::Root).map_err(|e| e.to_string());
        let of = |user: &str, group: &str| {
            Ok(Some(UserRemap { user: user.to_owned(), group: group.to_owned() }))
        };
        assert_eq!(read("default"), of("dockremap", "dockremap"));
        assert_eq!(read("ann"), of("ann", "ann"));
        assert_eq!(read("1000:staff"), of("1000", "staff"));
        assert_eq!((read(""), read("root")), (Ok(None), Ok(None)));
        for wrong in ["ann:", ":staff", "a:b:c"] {
            assert!(read(wrong).unwrap_err().contains("--userns-remap: "));
        }
        assert!(UserRemap::read("default", Standing::Ordinary).is_err());
        assert!(UserRemap::read("", Standing::Ordinary).is_ok());
    }

    #[test]
    fn who_is_lent_nothing_is_named() {
        let nobody = "nobody-of-this-name".parse::<UserRemap>().unwrap();
        let error = nobody.maps().unwrap_err();
        assert_eq!(error.to_string(), "no subuid ranges found for user \"nobody-of-this-name\"");
        assert!(error.hint().unwrap().contains("nobody-of-this-name:100000:65536"));
    }
}
