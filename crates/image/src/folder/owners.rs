//! Whose a layer's files are on disk, and what of them that user can have there.

use std::io;

const S_IFMT: u32 = 0o170_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;

/// What ids a layer's files get on disk.
///
/// As root a layer's ids are the disk's. Without root they are mapped into what the user may own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Ownership {
    /// As in the layer.
    #[default]
    Same,
    /// Everything belongs to one ordinary user and group, who may do no more with it than their
    /// own: devices and attributes that take root are left out, and the user can always read and
    /// write. What the layer says is still in its tar and its index.
    Single {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// As in the layer, in a namespace of users that has so many: one beyond is refused, and so are
    /// devices and the attributes that take the host's root.
    Within {
        /// Users.
        users: u32,
        /// Groups.
        groups: u32,
    },
    /// Ranges: first inside, first outside, count; an id in no range is refused.
    Ranges {
        /// For users.
        users: Vec<(u32, u32, u32)>,
        /// For groups.
        groups: Vec<(u32, u32, u32)>,
    },
}

impl Ownership {
    /// The ids on disk of a file that has these in the layer.
    pub fn on_disk(&self, uid: u32, gid: u32) -> io::Result<(u32, u32)> {
        let beyond = |id: u32| {
            let text = format!("id {id} is outside the ids that this user may give");
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        };
        let look = |ranges: &[(u32, u32, u32)], id: u32| {
            ranges
                .iter()
                .find(|(inside, _, count)| id >= *inside && id - inside < *count)
                .map(|(inside, outside, _)| outside + (id - inside))
                .ok_or_else(|| beyond(id))
        };
        match self {
            Ownership::Same => Ok((uid, gid)),
            Ownership::Single { uid, gid } => Ok((*uid, *gid)),
            Ownership::Within { users, groups } => match (uid < *users, gid < *groups) {
                (true, true) => Ok((uid, gid)),
                (false, _) => Err(beyond(uid)),
                (_, false) => Err(beyond(gid)),
            },
            Ownership::Ranges { users, groups } => Ok((look(users, uid)?, look(groups, gid)?)),
        }
    }

    /// The kind and permissions on disk of a file that has these in the layer.
    pub fn mode_on_disk(&self, mode: u32) -> u32 {
        match (self, mode & S_IFMT) {
            (Ownership::Single { .. }, S_IFDIR) => mode | 0o700,
            (Ownership::Single { .. }, S_IFREG) => mode | 0o600,
            _ => mode,
        }
    }

    /// Whether files of this kind can be on disk.
    pub fn can_have(&self, mode: u32) -> bool {
        let is_device = matches!(mode & S_IFMT, S_IFCHR | S_IFBLK);
        !is_device || self.is_of_root()
    }

    /// Whether an extended attribute can be on disk.
    pub fn can_have_xattr(&self, name: &[u8]) -> bool {
        let is_capability = name == b"security.capability";
        match self {
            Ownership::Single { .. } => name.starts_with(b"user."),
            // What a file may do more counts in this namespace alone.
            Ownership::Within { .. } => name.starts_with(b"user.") || is_capability,
            Ownership::Same | Ownership::Ranges { .. } => true,
        }
    }

    /// Whether it is the host's root who writes.
    pub fn is_of_root(&self) -> bool {
        matches!(self, Ownership::Same | Ownership::Ranges { .. })
    }
}
