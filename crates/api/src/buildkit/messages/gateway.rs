//! `moby.buildkit.v1.frontend.LLBBridge`: what a build that is steered by its client asks for.

use std::collections::HashMap;

use prost::Message;

use super::control::{CacheEntry, WorkerRecord};
use super::files::Stat;
use super::ops::{Definition, HostAddress, Meta, Mount, Platform, SecretVariable};
use super::{Nothing, RpcStatus};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SolveRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) definition: Option<Definition>,
    #[prost(string, tag = "2")]
    pub(crate) frontend: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) frontend_options: HashMap<String, String>,
    #[prost(bool, tag = "5")]
    pub(crate) allow_result_return: bool,
    #[prost(bool, tag = "6")]
    pub(crate) allow_result_array: bool,
    #[prost(message, repeated, tag = "12")]
    pub(crate) cache_imports: Vec<CacheEntry>,
    #[prost(map = "string, message", tag = "13")]
    pub(crate) frontend_inputs: HashMap<String, Definition>,
    #[prost(bool, tag = "14")]
    pub(crate) evaluate: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SolveResponse {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) result: Option<SolveResult>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SolveResult {
    #[prost(oneof = "Results", tags = "1, 2, 3, 4")]
    pub(crate) results: Option<Results>,
    #[prost(map = "string, bytes", tag = "10")]
    pub(crate) metadata: HashMap<String, Vec<u8>>,
}

/// One result, or one for each platform; in two spellings, of which the first is the older.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Results {
    #[prost(string, tag = "1")]
    OneByName(String),
    #[prost(message, tag = "2")]
    ManyByName(NameMap),
    #[prost(message, tag = "3")]
    One(ResultRef),
    #[prost(message, tag = "4")]
    Many(ResultMap),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NameMap {
    #[prost(map = "string, string", tag = "1")]
    pub(crate) references: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResultRef {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) definition: Option<Definition>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResultMap {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) references: HashMap<String, ResultRef>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReturnRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) result: Option<SolveResult>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RpcStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InputsResponse {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) definitions: HashMap<String, Definition>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct EvaluateRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResolveRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) platform: Option<Platform>,
    /// `pull`, `local`, or whatever is the default.
    #[prost(string, tag = "3")]
    pub(crate) mode: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResolveResponse {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) config: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadFileRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(string, tag = "2")]
    pub(crate) path: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) range: Option<Range>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Range {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "2")]
    pub(crate) length: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ReadFileResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ReadFolderRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(string, tag = "2")]
    pub(crate) path: String,
    /// Of the names, if it is there.
    #[prost(string, tag = "3")]
    pub(crate) pattern: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadFolderResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<Stat>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct StatRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(string, tag = "2")]
    pub(crate) path: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) stat: Option<Stat>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PongResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) frontend_capabilities: Vec<Capability>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) llb_capabilities: Vec<Capability>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) workers: Vec<WorkerRecord>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Capability {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "2")]
    pub(crate) enabled: bool,
}

/// A container for commands of the client's.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NewContainerRequest {
    #[prost(string, tag = "1")]
    pub(crate) container: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) mounts: Vec<Mount>,
    /// 0 the usual network, 1 the host's, 2 none.
    #[prost(int32, tag = "3")]
    pub(crate) network: i32,
    #[prost(message, repeated, tag = "6")]
    pub(crate) hosts: Vec<HostAddress>,
    #[prost(string, tag = "7")]
    pub(crate) hostname: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ReleaseContainerRequest {
    #[prost(string, tag = "1")]
    pub(crate) container: String,
}

/// What a client and a process say to each other.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecMessage {
    #[prost(string, tag = "1")]
    pub(crate) process: String,
    #[prost(oneof = "Said", tags = "2, 3, 4, 5, 6, 7, 8")]
    pub(crate) said: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Said {
    /// By the client: the process is to be started.
    #[prost(message, tag = "2")]
    Init(Box<InitMessage>),
    /// By both: a piece of a stream.
    #[prost(message, tag = "3")]
    File(FileMessage),
    /// By the client: the terminal has another size.
    #[prost(message, tag = "4")]
    Resize(ResizeMessage),
    /// By the process: it runs.
    #[prost(message, tag = "5")]
    Started(Nothing),
    /// By the process: it has ended.
    #[prost(message, tag = "6")]
    Exit(ExitMessage),
    /// By the process: that was all.
    #[prost(message, tag = "7")]
    Done(Nothing),
    /// By the client.
    #[prost(message, tag = "8")]
    Signal(SignalMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InitMessage {
    #[prost(string, tag = "1")]
    pub(crate) container: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) meta: Option<Meta>,
    /// The streams that the client has an end of.
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) streams: Vec<u32>,
    #[prost(bool, tag = "4")]
    pub(crate) terminal: bool,
    /// 1: it may do all that the machine's root may.
    #[prost(int32, tag = "5")]
    pub(crate) security: i32,
    #[prost(message, repeated, tag = "6")]
    pub(crate) secrets: Vec<SecretVariable>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FileMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) stream: u32,
    #[prost(bool, tag = "2")]
    pub(crate) is_end: bool,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ResizeMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) rows: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) columns: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExitMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    /// Why it was not started.
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RpcStatus>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SignalMessage {
    /// As `INT`.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}
