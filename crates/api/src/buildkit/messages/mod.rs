//! BuildKit's messages, written down by hand from their published definitions: nothing is generated
//! when mica is built. Fields that nobody here reads are left out; readers skip what they do not know.

pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod ops;
pub(crate) mod session;

use std::time::SystemTime;

use prost::Message;

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Moment {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl Moment {
    /// This moment.
    pub(crate) fn now() -> Moment {
        SystemTime::now().into()
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 }
    }
}

/// Bytes of a stream that is carried in messages.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct BytesMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
}

/// Nothing.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Nothing {}

/// How something ended.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// What a service of health says: 1 that all is well.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Health {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}
