//! Who the engine is on this machine: root, or an ordinary user, perhaps in a namespace of his own.

use std::collections::BTreeMap;

use image::folder::Ownership;

/// Says to this program that it was started again in its user's namespace: who the user is outside,
/// `UID:GID`, and perhaps the number of the descriptor that is its stay there.
pub const NAMESPACE_VARIABLE: &str = "MICA_NAMESPACE";

/// Who the engine is on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// Root.
    #[default]
    Root,
    /// An ordinary user, root among the users of a namespace of his own.
    Namespace {
        /// Who he is outside.
        user: u32,
        /// His group there.
        group: u32,
        /// How many users there are inside.
        users: u32,
        /// How many groups.
        groups: u32,
    },
    /// An ordinary user, who can do nothing but what any may: no containers.
    Ordinary,
}

impl Standing {
    /// What it is by this process's user and what the environment says.
    pub fn of(environment: &BTreeMap<String, String>) -> Standing {
        if !store::is_root() {
            return Standing::Ordinary;
        }
        let inside = || {
            let mut ids = environment.get(NAMESPACE_VARIABLE)?.split(':');
            let (user, group) = (ids.next()?.parse().ok()?, ids.next()?.parse().ok()?);
            let (users, groups) = store::ids_of_namespace()?;
            Some(Standing::Namespace { user, group, users, groups })
        };
        inside().unwrap_or(Standing::Root)
    }

    /// Whether it is an ordinary user's.
    pub fn is_of_user(self) -> bool {
        self != Standing::Root
    }

    /// Whether all files are one user's.
    pub fn is_single(self) -> bool {
        matches!(self, Standing::Namespace { users: 1, .. } | Standing::Namespace { groups: 1, .. })
    }

    /// Who the user is outside.
    pub(super) fn user(self) -> u32 {
        match self {
            Standing::Namespace { user, .. } => user,
            Standing::Root | Standing::Ordinary => store::user_id(),
        }
    }

    /// What ids files get on disk.
    pub(super) fn owners(self) -> Ownership {
        match self {
            Standing::Namespace { .. } if self.is_single() => Ownership::Single { uid: 0, gid: 0 },
            Standing::Namespace { users, groups, .. } => Ownership::Within { users, groups },
            Standing::Root | Standing::Ordinary => store::own_files(),
        }
    }

    /// What the environment of a process of ours says that is in the same namespace.
    pub(crate) fn variable(self) -> Option<String> {
        match self {
            Standing::Namespace { user, group, .. } => {
                Some(format!("{NAMESPACE_VARIABLE}={user}:{group}"))
            }
            Standing::Root | Standing::Ordinary => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_owned_as_the_namespace_allows() {
        let inside = |users, groups| Standing::Namespace { user: 5, group: 6, users, groups };
        assert_eq!(inside(1, 1).owners(), Ownership::Single { uid: 0, gid: 0 });
        assert_eq!(inside(9, 1).owners(), Ownership::Single { uid: 0, gid: 0 });
        assert_eq!(inside(9, 8).owners(), Ownership::Within { users: 9, groups: 8 });
        assert_eq!(inside(9, 8).variable().unwrap(), "MICA_NAMESPACE=5:6");
        assert!(inside(9, 8).is_of_user() && !Standing::Root.is_of_user());
    }
}
