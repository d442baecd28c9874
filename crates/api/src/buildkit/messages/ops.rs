//! `pb`: the graph of a build, as BuildKit's clients send it.

use std::collections::HashMap;

use prost::Message;

use super::Nothing;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Definition {
    /// The operations, each as its own bytes, whose digest is its name. The last only points at the
    /// result.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) operations: Vec<Vec<u8>>,
    #[prost(map = "string, message", tag = "2")]
    pub(crate) metadata: HashMap<String, OpMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OpMetadata {
    #[prost(bool, tag = "1")]
    pub(crate) ignore_cache: bool,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) description: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Platform {
    #[prost(string, tag = "1")]
    pub(crate) architecture: String,
    #[prost(string, tag = "2")]
    pub(crate) os: String,
    #[prost(string, tag = "3")]
    pub(crate) variant: String,
}

/// One operation. Of those that are not done only what they are is read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Op {
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7")]
    pub(crate) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(message, tag = "2")]
    Exec(Nothing),
    #[prost(message, tag = "3")]
    Source(Nothing),
    #[prost(message, tag = "4")]
    File(Nothing),
    #[prost(message, tag = "5")]
    Build(Nothing),
    #[prost(message, tag = "6")]
    Merge(Nothing),
    #[prost(message, tag = "7")]
    Diff(Nothing),
}

impl Kind {
    /// What BuildKit calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Exec(_) => "ExecOp",
            Kind::Source(_) => "SourceOp",
            Kind::File(_) => "FileOp",
            Kind::Build(_) => "BuildOp",
            Kind::Merge(_) => "MergeOp",
            Kind::Diff(_) => "DiffOp",
        }
    }
}
