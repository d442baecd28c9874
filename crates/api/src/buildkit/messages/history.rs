//! Builds that were, of `moby.buildkit.v1.Control`.

use std::collections::HashMap;

use prost::Message;

use super::control::Exporter;
use super::{Moment, RpcStatus};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BuildHistoryRequest {
    #[prost(bool, tag = "1")]
    pub(crate) active_only: bool,
    #[prost(string, tag = "2")]
    pub(crate) reference: String,
    #[prost(bool, tag = "3")]
    pub(crate) early_exit: bool,
    #[prost(string, repeated, tag = "4")]
    pub(crate) filter: Vec<String>,
    #[prost(int32, tag = "5")]
    pub(crate) limit: i32,
}

/// Kinds of events.
pub(crate) const STARTED: i32 = 0;
pub(crate) const COMPLETE: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BuildHistoryEvent {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) record: Option<BuildHistoryRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BuildHistoryRecord {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(string, tag = "2")]
    pub(crate) frontend: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) frontend_attributes: HashMap<String, String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) exporters: Vec<Exporter>,
    #[prost(message, optional, tag = "5")]
    pub(crate) error: Option<RpcStatus>,
    #[prost(message, optional, tag = "6")]
    pub(crate) created_at: Option<Moment>,
    #[prost(message, optional, tag = "7")]
    pub(crate) completed_at: Option<Moment>,
    #[prost(int32, tag = "15")]
    pub(crate) cached_steps: i32,
    #[prost(int32, tag = "16")]
    pub(crate) total_steps: i32,
    #[prost(int32, tag = "17")]
    pub(crate) completed_steps: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UpdateBuildHistoryRequest {
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    #[prost(bool, tag = "2")]
    pub(crate) pinned: bool,
    #[prost(bool, tag = "3")]
    pub(crate) delete: bool,
    #[prost(bool, tag = "4")]
    pub(crate) finalize: bool,
}
