//! Who may do what: who asks (a password or a token says it), and what rules allow them.

mod basic;
mod rules;
mod token;

pub use basic::{Passwords, PasswordsError};
pub use rules::{Rules, RulesError};
pub use token::{TokenKeys, TokenKeysError, Tokens};

use crate::http::{Head, Method};
use crate::names::RepositoryName;
use crate::problem::{Code, Problem};

/// What is done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
}

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Repository(RepositoryName, Action),
    /// The list of all repositories.
    Catalog,
    /// The counters.
    Metrics,
    /// To be somebody.
    Entry,
}

/// Who may do what.
#[derive(Default)]
pub struct Access {
    /// How clients say who they are; without it, nobody is asked.
    pub entry: Option<Entry>,
    /// What they may do; without it, whoever is let in may do everything.
    pub rules: Option<Rules>,
}

/// How clients say who they are.
pub enum Entry {
    /// By name and password.
    Passwords(Passwords),
    /// By a token that somebody else signed, who also says what it is good for.
    Tokens(Tokens),
}

impl Access {
    /// Whether nobody is kept from anything.
    pub(crate) fn is_open(&self) -> bool {
        self.entry.is_none() && self.rules.is_none()
    }

    /// Lets a request pass and says who makes it, or says why it may not.
    pub(crate) fn check(&self, head: &Head, need: &Need) -> Result<Option<String>, Problem> {
        let header = head.header("authorization");
        let (user, granted) = match (&self.entry, header) {
            (None, _) => (None, true),
            (Some(_), None) => (None, false),
            (Some(Entry::Passwords(passwords)), Some(header)) => {
                let user = passwords.user(header).ok_or_else(|| self.refusal(head, need, None))?;
                (Some(user), true)
            }
            (Some(Entry::Tokens(tokens)), Some(header)) => {
                let invalid = || self.refusal(head, need, Some("invalid_token"));
                let bearer = tokens.read(header).ok_or_else(invalid)?;
                // Another token may allow more, so the client is sent for one.
                if !bearer.allows(need) {
                    return Err(self.refusal(head, need, Some("insufficient_scope")));
                }
                (bearer.user().map(str::to_owned), true)
            }
        };
        if *need == Need::Entry && self.entry.is_some() && header.is_none() {
            // Here clients find out how to say who they are, also where anonymous ones may read.
            return Err(self.refusal(head, need, None));
        }
        let allowed = match &self.rules {
            Some(rules) => rules.allow(user.as_deref(), need),
            None => granted,
        };
        match allowed {
            true => Ok(user),
            // Who has not said who they are may be allowed when they do.
            false if self.entry.is_some() && header.is_none() => {
                Err(self.refusal(head, need, None))
            }
            false => Err(Code::Denied.into()),
        }
    }

    /// Asks a client to say who it is.
    fn refusal(&self, head: &Head, need: &Need, error: Option<&str>) -> Problem {
        let challenge = match &self.entry {
            Some(Entry::Tokens(tokens)) => tokens.challenge(need, mounted(head).as_ref(), error),
            _ => "Basic realm=\"mica registry\"".to_owned(),
        };
        Problem::from(Code::Unauthorized).header("WWW-Authenticate", challenge)
    }

    /// Whether whoever makes this request may read another repository too.
    pub(crate) fn may_read(&self, head: &Head, name: &RepositoryName) -> bool {
        self.check(head, &Need::Repository(name.clone(), Action::Pull)).is_ok()
    }
}

/// The repository that a request wants to take a blob over from.
fn mounted(head: &Head) -> Option<RepositoryName> {
    head.parameter("mount").filter(|_| head.method == Method::Post)?;
    RepositoryName::parse(head.parameter("from")?)
}
