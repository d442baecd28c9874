//! Small changes to a tree of files that no Dockerfile can ask for, but a graph of operations can.

use spec::Ulimit;

/// A moment: seconds since 1970, and nanoseconds.
pub type Moment = (i64, u32);

/// A change to a tree. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes a folder.
    Folder {
        /// Where.
        path: String,
        /// Its permissions.
        mode: u32,
        /// Whether folders above it are made too, and one that is there is as good.
        parents: bool,
        /// Its owner and group, as `--chown` has them.
        owner: Option<String>,
        /// Its time, and that of folders made above it; else they have the build's.
        created: Option<Moment>,
    },
    /// Writes a file.
    File {
        /// Where.
        path: String,
        /// Its permissions.
        mode: u32,
        /// What is in it.
        data: Vec<u8>,
        /// Its owner and group.
        owner: Option<String>,
        /// Its time.
        created: Option<Moment>,
    },
    /// Makes a symbolic link.
    Link {
        /// Where.
        path: String,
        /// What it leads to.
        target: String,
        /// Its owner and group.
        owner: Option<String>,
        /// Its time.
        created: Option<Moment>,
    },
    /// Removes a file, or a folder with all that is in it.
    Remove {
        /// Which.
        path: String,
        /// Whether it need not be there.
        is_optional: bool,
        /// Whether the path is a pattern.
        is_pattern: bool,
    },
}

impl Change {
    /// In one line, as it is shown.
    pub fn title(&self) -> String {
        match self {
            Change::Folder { path, .. } => format!("mkdir {path}"),
            Change::File { path, .. } => format!("mkfile {path}"),
            Change::Link { path, target, .. } => format!("symlink {target} -> {path}"),
            Change::Remove { path, .. } => format!("rm {path}"),
        }
    }
}

/// How files are copied where more can be said than by flags of `COPY`. Without it links in sources
/// are followed, patterns are allowed, and of a folder its contents are copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exact {
    /// Whether a folder itself is copied, not what is in it.
    pub whole_folder: bool,
    /// Whether a link that is the source is copied itself.
    pub keeps_link: bool,
    /// Whether signs of patterns mean themselves.
    pub is_literal: bool,
    /// Whether a pattern must mean something.
    pub must_match: bool,
    /// Patterns of what alone is copied, if there are any.
    pub include: Vec<String>,
    /// Whether what is there gives way to what is of another kind.
    pub replaces: bool,
    /// The time of all that is copied, and of folders made above it.
    pub created: Option<Moment>,
}

/// What a command finds where more can be said than by flags of `RUN`. What is not said is as it is
/// for all commands of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// What the host is called.
    pub hostname: Option<String>,
    /// Names of other hosts: `name:address`.
    pub hosts: Vec<String>,
    /// Limits of its processes.
    pub limits: Vec<Ulimit>,
    /// The control group that its own is in.
    pub cgroup_parent: Option<String>,
    /// Exit codes that are no failures, if 0 is not the only one.
    pub good_codes: Vec<i64>,
    /// Variables that say how the web is reached. What is found there does not depend on them.
    pub proxies: Vec<(String, String)>,
}
