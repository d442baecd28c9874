//! What must not be seen: passwords and tokens. They are wiped when dropped, and show nothing.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a text to itself.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text, for the one who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who somebody is to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password, or an access token in its place.
        password: Secret,
    },
    /// A refresh token that a registry gave out at login.
    IdentityToken {
        /// The name, where it is known.
        user: String,
        /// The token.
        token: Secret,
    },
    /// A bearer token to be sent as it is.
    RegistryToken(Secret),
}

/// Somebody who knows credentials.
pub trait Credentials: Send + Sync {
    /// Those for a server, as docker's configuration names it: `host[:port]`, or
    /// `https://index.docker.io/v1/` for the Hub.
    fn find(&self, server: &str) -> Result<Option<Credential>, crate::CredentialError>;

    /// A token, from somebody who gets it with credentials that they keep to themselves. Nothing from
    /// those who give the credentials.
    fn token(
        &self,
        wanted: &WantedToken<'_>,
    ) -> Result<Option<GivenToken>, crate::CredentialError> {
        let _ = wanted;
        Ok(None)
    }
}

/// What a token is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedToken<'a> {
    /// The server, as [`Credentials::find`] has it.
    pub server: &'a str,
    /// Where it comes from, as the server says.
    pub realm: &'a str,
    /// What the server is called there.
    pub service: &'a str,
    /// What it must allow.
    pub scopes: &'a [&'a str],
}

/// A token that somebody got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenToken {
    /// The token.
    pub token: Secret,
    /// How long it holds, if that is known.
    pub holds: Option<Duration>,
}

/// Nobody is known anywhere.
pub struct Anonymous;

impl Credentials for Anonymous {
    fn find(&self, _: &str) -> Result<Option<Credential>, crate::CredentialError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown() {
        let password = Secret::new("hunter2");
        let credential = Credential::Password { user: "me".to_owned(), password };
        let shown = format!("{credential:?}");
        assert!(shown.contains("me") && !shown.contains("hunter2"), "{shown}");
    }
}
