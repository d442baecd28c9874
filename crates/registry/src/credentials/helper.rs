//! A program that keeps credentials: `docker-credential-NAME`, told what to do by one word.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::call::printable;
use crate::error::CredentialError;
use crate::secret::{Credential, Secret};

/// The name with which a helper says that its secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What helpers say when they know nobody.
const UNKNOWN: &str = "credentials not found in native keychain";

/// A helper.
pub(super) struct Helper {
    /// What comes behind `docker-credential-`.
    pub(super) name: String,
    path: Option<String>,
}

impl Helper {
    pub(super) fn new(name: &str, path: &Option<String>) -> Helper {
        Helper { name: name.to_owned(), path: path.clone() }
    }

    pub(super) fn get(&self, server: &str) -> Result<Option<Credential>, CredentialError> {
        let out = match self.run("get", "getting", server) {
            Err(CredentialError::Helper { out, .. }) if out.contains(UNKNOWN) => return Ok(None),
            other => other?,
        };
        let document: Value = serde_json::from_str(out.expose())
            .map_err(|_| self.strange("getting", "its answer is no JSON"))?;
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        let (user, secret) = (text("Username"), Secret::new(text("Secret")));
        Ok(match (user.as_str(), secret.expose().is_empty()) {
            (_, true) => None,
            (TOKEN_USER, _) => Some(Credential::IdentityToken { user, token: secret }),
            _ => Some(Credential::Password { user, password: secret }),
        })
    }

    pub(super) fn store(
        &self,
        server: &str,
        credential: &Credential,
    ) -> Result<(), CredentialError> {
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::IdentityToken { token, .. } | Credential::RegistryToken(token) => {
                (TOKEN_USER, token)
            }
        };
        let document = json!({ "ServerURL": server, "Username": user, "Secret": secret.expose() });
        let document = Secret::new(document.to_string());
        self.run("store", "storing", document.expose()).map(|_| ())
    }

    pub(super) fn erase(&self, server: &str) -> Result<(), CredentialError> {
        match self.run("erase", "erasing", server) {
            Err(CredentialError::Helper { out, .. }) if out.contains(UNKNOWN) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<(String, String)>, CredentialError> {
        let out = self.run("list", "listing", "")?;
        let document: serde_json::Map<String, Value> = serde_json::from_str(out.expose())
            .map_err(|_| self.strange("listing", "its list is no JSON"))?;
        let rows = document.into_iter();
        Ok(rows
            .map(|(server, user)| (server, user.as_str().unwrap_or_default().to_owned()))
            .collect())
    }

    fn strange(&self, doing: &'static str, why: &str) -> CredentialError {
        let why = format!("{}: {why}", self.program());
        CredentialError::Helper { doing, why, out: String::new() }
    }

    fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// Runs it with a text on its standard input.
    fn run(&self, verb: &str, doing: &'static str, input: &str) -> Result<Secret, CredentialError> {
        // A name with a slash would be a path, and no program of the system.
        if self.name.contains('/') {
            return Err(self.strange(doing, "it is no name of a helper"));
        }
        let program = self.program();
        let failed = |why: String| CredentialError::Helper { doing, why, out: String::new() };
        let mut command = Command::new(&program);
        command.envs(self.path.iter().map(|path| ("PATH", path)));
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failed(format!("exec: {program:?}: executable file not found in $PATH"))
            }
            _ => failed(format!("exec: {program:?}: {error}")),
        })?;
        let stdin = child.stdin.take();
        // One that does not read is not wrong for that: `list` needs nothing.
        let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(Secret::new(out)),
            false => {
                let out = printable(out.trim(), 1024);
                Err(CredentialError::Helper { doing, why: ended(output.status), out })
            }
        }
    }
}

/// Go's words for how a process ended.
fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}
