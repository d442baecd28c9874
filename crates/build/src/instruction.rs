//! What each instruction says: all eighteen, with every flag, variables not yet expanded.

use spec::Healthcheck;

use crate::change::Circumstances;
use crate::error::{BuildError, Span};
use crate::syntax::{Document, Heredoc};

mod copy;
mod device;
mod flags;
mod mount;
mod read;

pub use copy::CopyFlags;
pub use device::Device;
pub use mount::{Mount, MountKind, Sharing};
pub use read::read_node;

/// One instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// The keyword as it is written.
    pub keyword: String,
    /// The whole instruction in one line.
    pub text: String,
    /// The comments directly above.
    pub comments: Vec<String>,
    /// Its lines.
    pub span: Span,
    /// The empty lines within it.
    pub empty_lines: Vec<usize>,
}

/// The eighteen instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Add { flags: CopyFlags, sources: Vec<Source>, target: String },
    Arg(Vec<(String, Option<String>)>),
    Cmd(Command),
    Copy { flags: CopyFlags, sources: Vec<Source>, target: String },
    Entrypoint(Command),
    Env(Pairs),
    Expose(Vec<String>),
    From { base: String, name: Option<String>, platform: Option<String>, words: Vec<String> },
    Healthcheck(Healthcheck),
    Label(Pairs),
    Maintainer(String),
    OnBuild { text: String, trigger: Box<Instruction> },
    Run(Run),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// Names and values of `ENV` and `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// In the order of the instruction, quotes and variables still in.
    pub pairs: Vec<(String, String)>,
    /// Written `name value` without an equals sign.
    pub is_legacy: bool,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell that `SHELL` sets.
    Shell(String),
    /// A program and its arguments.
    Exec(Vec<String>),
}

/// `RUN` with its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// The documents that follow it: alone a script, else files the command reads.
    pub heredocs: Vec<Heredoc>,
    /// What is visible only while it runs.
    pub mounts: Vec<Mount>,
    /// `default`, `none` or `host`.
    pub network: Option<String>,
    /// Whether it may do all that the machine's root may.
    pub insecure: bool,
    /// Devices of the host that it may use.
    pub devices: Vec<Device>,
    /// What no flag can say.
    pub circumstances: Option<Box<Circumstances>>,
}

/// Where `COPY` and `ADD` take something from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, a pattern, an address.
    Path(String),
    /// A document of the Dockerfile itself; its name is the file's.
    Inline(Heredoc),
}

/// Every keyword.
pub const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads all instructions of a file and checks that they stand in stages.
pub fn read(document: &Document) -> Result<Vec<Instruction>, BuildError> {
    let escape = document.directives.escape;
    let mut in_stage = false;
    let read = |node| {
        let instruction = read_node(node, escape)?;
        in_stage |= matches!(instruction.kind, Kind::From { .. });
        match instruction.kind {
            Kind::Arg(_) => Ok(instruction),
            _ if in_stage => Ok(instruction),
            _ => Err(BuildError::NoStage { at: instruction.span }),
        }
    };
    document.nodes.iter().map(read).collect()
}

#[cfg(test)]
mod tests;
