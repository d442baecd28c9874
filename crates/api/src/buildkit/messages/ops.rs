//! `pb`: the graph of a build, as BuildKit's clients send it.

use std::collections::HashMap;

use prost::Message;

use super::Nothing;
use crate::wire::Status;

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
    /// What the operation needs its builder to know.
    #[prost(map = "string, bool", tag = "5")]
    pub(crate) capabilities: HashMap<String, bool>,
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

impl Platform {
    /// The platform, if it is one.
    pub(crate) fn read(&self) -> Result<Option<spec::Platform>, Status> {
        if self.architecture.is_empty() {
            return Ok(None);
        }
        let parts = [&self.os, &self.architecture, &self.variant];
        let parts = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty());
        let parsed = spec::Platform::parse(&parts.collect::<Vec<_>>().join("/"));
        parsed.map(Some).map_err(|error| Status::invalid(error.to_string()))
    }
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Op {
    /// What it works on.
    #[prost(message, repeated, tag = "1")]
    pub(crate) inputs: Vec<Input>,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7")]
    pub(crate) kind: Option<Kind>,
    #[prost(message, optional, tag = "10")]
    pub(crate) platform: Option<Platform>,
}

/// A result of another operation.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Input {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    /// Which of its results.
    #[prost(int64, tag = "2")]
    pub(crate) index: i64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(message, tag = "2")]
    Exec(Box<Exec>),
    #[prost(message, tag = "3")]
    Source(SourceOp),
    #[prost(message, tag = "4")]
    File(FileOp),
    #[prost(message, tag = "5")]
    Build(BuildOp),
    #[prost(message, tag = "6")]
    Merge(Merge),
    #[prost(message, tag = "7")]
    Diff(Diff),
}

/// Another graph, which one of the inputs has in a file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BuildOp {
    /// -1: the graph is built as it is.
    #[prost(int64, tag = "1")]
    pub(crate) builder: i64,
    #[prost(map = "string, message", tag = "2")]
    pub(crate) inputs: HashMap<String, OneInput>,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) attributes: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourceOp {
    #[prost(string, tag = "1")]
    pub(crate) identifier: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attributes: HashMap<String, String>,
}

/// Runs a command.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exec {
    #[prost(message, optional, tag = "1")]
    pub(crate) meta: Option<Meta>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) mounts: Vec<Mount>,
    /// 0 the usual one, 1 the host's, 2 none.
    #[prost(int32, tag = "3")]
    pub(crate) network: i32,
    /// 1: it may do all that the machine's root may.
    #[prost(int32, tag = "4")]
    pub(crate) security: i32,
    #[prost(message, repeated, tag = "5")]
    pub(crate) secrets: Vec<SecretVariable>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) devices: Vec<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Meta {
    #[prost(string, repeated, tag = "1")]
    pub(crate) words: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) env: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) folder: String,
    #[prost(string, tag = "4")]
    pub(crate) user: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) proxies: Option<Proxies>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) hosts: Vec<HostAddress>,
    #[prost(string, tag = "7")]
    pub(crate) hostname: String,
    #[prost(message, repeated, tag = "9")]
    pub(crate) limits: Vec<Limit>,
    #[prost(string, tag = "10")]
    pub(crate) cgroup_parent: String,
    #[prost(int32, repeated, tag = "12")]
    pub(crate) good_codes: Vec<i32>,
}

/// How the web is reached.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Proxies {
    #[prost(string, tag = "1")]
    pub(crate) http: String,
    #[prost(string, tag = "2")]
    pub(crate) https: String,
    #[prost(string, tag = "3")]
    pub(crate) ftp: String,
    /// Hosts that are reached without.
    #[prost(string, tag = "4")]
    pub(crate) none: String,
    #[prost(string, tag = "5")]
    pub(crate) all: String,
}

/// A name of a host.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HostAddress {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) address: String,
}

/// A limit of processes.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Limit {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "2")]
    pub(crate) soft: i64,
    #[prost(int64, tag = "3")]
    pub(crate) hard: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SecretVariable {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(bool, tag = "3")]
    pub(crate) optional: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Mount {
    /// Which of the operation's inputs; -1: nothing.
    #[prost(int64, tag = "1")]
    pub(crate) input: i64,
    /// A path in it.
    #[prost(string, tag = "2")]
    pub(crate) selector: String,
    #[prost(string, tag = "3")]
    pub(crate) target: String,
    /// Which result of the operation its contents are; -1: none.
    #[prost(int64, tag = "4")]
    pub(crate) output: i64,
    #[prost(bool, tag = "5")]
    pub(crate) read_only: bool,
    #[prost(enumeration = "MountType", tag = "6")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "19")]
    pub(crate) memory: Option<Size>,
    #[prost(message, optional, tag = "20")]
    pub(crate) cache: Option<Cache>,
    #[prost(message, optional, tag = "21")]
    pub(crate) secret: Option<Secret>,
    #[prost(message, optional, tag = "22")]
    pub(crate) agent: Option<Secret>,
    /// Of containers: the result that is mounted.
    #[prost(string, tag = "23")]
    pub(crate) result: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MountType {
    Bind = 0,
    Secret = 1,
    Agent = 2,
    Cache = 3,
    Memory = 4,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Size {
    #[prost(int64, tag = "1")]
    pub(crate) bytes: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Cache {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// 0 shared, 1 private, 2 locked.
    #[prost(int32, tag = "2")]
    pub(crate) sharing: i32,
}

/// A secret, or an agent, which has the same fields.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Secret {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(uint32, tag = "2")]
    pub(crate) uid: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) gid: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) mode: u32,
    #[prost(bool, tag = "5")]
    pub(crate) optional: bool,
}

/// Changes files, action by action.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileOp {
    #[prost(message, repeated, tag = "2")]
    pub(crate) actions: Vec<FileAction>,
}

/// Inputs are those of the operation, and behind them what its actions give.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileAction {
    #[prost(int64, tag = "1")]
    pub(crate) input: i64,
    #[prost(int64, tag = "2")]
    pub(crate) second: i64,
    #[prost(int64, tag = "3")]
    pub(crate) output: i64,
    #[prost(oneof = "Action", tags = "4, 5, 6, 7, 8")]
    pub(crate) action: Option<Action>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Action {
    #[prost(message, tag = "4")]
    Copy(Copy),
    #[prost(message, tag = "5")]
    File(MakeFile),
    #[prost(message, tag = "6")]
    Folder(MakeFolder),
    #[prost(message, tag = "7")]
    Remove(Remove),
    #[prost(message, tag = "8")]
    Link(MakeLink),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Copy {
    #[prost(string, tag = "1")]
    pub(crate) source: String,
    #[prost(string, tag = "2")]
    pub(crate) target: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) owner: Option<Owner>,
    /// Permissions; -1: as they are.
    #[prost(int32, tag = "4")]
    pub(crate) mode: i32,
    #[prost(bool, tag = "5")]
    pub(crate) follows_link: bool,
    #[prost(bool, tag = "6")]
    pub(crate) contents: bool,
    #[prost(bool, tag = "7")]
    pub(crate) unpack: bool,
    #[prost(bool, tag = "9")]
    pub(crate) pattern: bool,
    #[prost(bool, tag = "10")]
    pub(crate) pattern_may_be_empty: bool,
    /// The time of what is copied, in nanoseconds; -1: the build's.
    #[prost(int64, tag = "11")]
    pub(crate) created: i64,
    #[prost(string, repeated, tag = "12")]
    pub(crate) include: Vec<String>,
    #[prost(string, repeated, tag = "13")]
    pub(crate) exclude: Vec<String>,
    #[prost(bool, tag = "14")]
    pub(crate) replaces: bool,
    #[prost(string, tag = "15")]
    pub(crate) mode_text: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeFile {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(int32, tag = "2")]
    pub(crate) mode: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) data: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub(crate) owner: Option<Owner>,
    #[prost(int64, tag = "5")]
    pub(crate) created: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeFolder {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(int32, tag = "2")]
    pub(crate) mode: i32,
    #[prost(bool, tag = "3")]
    pub(crate) parents: bool,
    #[prost(message, optional, tag = "4")]
    pub(crate) owner: Option<Owner>,
    #[prost(int64, tag = "5")]
    pub(crate) created: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MakeLink {
    #[prost(string, tag = "1")]
    pub(crate) target: String,
    #[prost(string, tag = "2")]
    pub(crate) path: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) owner: Option<Owner>,
    #[prost(int64, tag = "4")]
    pub(crate) created: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Remove {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(bool, tag = "2")]
    pub(crate) optional: bool,
    #[prost(bool, tag = "3")]
    pub(crate) pattern: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Owner {
    #[prost(message, optional, tag = "1")]
    pub(crate) user: Option<Who>,
    #[prost(message, optional, tag = "2")]
    pub(crate) group: Option<Who>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Who {
    #[prost(oneof = "WhoBy", tags = "1, 2")]
    pub(crate) by: Option<WhoBy>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum WhoBy {
    #[prost(message, tag = "1")]
    Name(Named),
    #[prost(uint32, tag = "2")]
    Id(u32),
}

/// A name, and the input in whose accounts it is looked up.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Named {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "2")]
    pub(crate) input: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Merge {
    #[prost(message, repeated, tag = "1")]
    pub(crate) inputs: Vec<OneInput>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct OneInput {
    #[prost(int64, tag = "1")]
    pub(crate) input: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Diff {
    #[prost(message, optional, tag = "1")]
    pub(crate) lower: Option<OneInput>,
    #[prost(message, optional, tag = "2")]
    pub(crate) upper: Option<OneInput>,
}
