//! Who may do what.

use std::net::SocketAddr;

use crate::http::Head;
use crate::names::RepositoryName;
use crate::problem::Problem;

/// What is done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// Who may do what.
pub(crate) enum Access {
    /// Everybody may do everything.
    Open,
}

impl Access {
    /// Whether nobody is kept from anything.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Access::Open)
    }

    /// Lets a request pass and says who makes it, or says why it may not.
    pub(crate) fn check(
        &self,
        _head: &Head,
        _peer: SocketAddr,
        _needs: &[Need],
    ) -> Result<Option<String>, Problem> {
        match self {
            Access::Open => Ok(None),
        }
    }

    /// Whether whoever makes this request may read another repository too.
    pub(crate) fn may_read(&self, head: &Head, peer: SocketAddr, name: &RepositoryName) -> bool {
        self.check(head, peer, &[Need::Repository(name.clone(), Action::Pull)]).is_ok()
    }
}
