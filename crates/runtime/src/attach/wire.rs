//! What is said between a monitor and those who ask it: frames of eight bytes and a body.
//!
//! ```text
//! version (1)  kind (1)  number of the request (2)  length of the body (4)  body
//! ```
//!
//! Numbers are little endian. Requests and answers are JSON, streams are bytes as they are. A
//! monitor may be older or newer than who asks: unknown fields are ignored, unknown requests are
//! refused with an error, and another version ends the connection.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::Timestamp;

use crate::failure::Failure;
use crate::state::State;
use spec::RestartPolicy;

/// The protocol's version.
pub const VERSION: u8 = 1;
/// No body is longer.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// The bytes before a body.
pub const HEAD_BYTES: usize = 8;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameKind {
    /// A [`Request`].
    Request = b'R',
    /// An [`Answer`].
    Answer = b'A',
    /// Bytes for standard input; none mean that there are no more.
    Stdin = b'I',
    /// Bytes of standard output.
    Stdout = b'O',
    /// Bytes of standard error.
    Stderr = b'E',
}

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it carries.
    pub kind: FrameKind,
    /// Which request it belongs to.
    pub number: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why what arrived is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The other side speaks another version.
    #[error("the other side speaks version {0} of the monitor's protocol, not {VERSION}")]
    Version(u8),
    /// There is no such kind.
    #[error("a frame of kind {0} means nothing")]
    Kind(u8),
    /// It is too long.
    #[error("a frame of {0} bytes is too long")]
    Long(usize),
}

/// Adds a frame.
pub fn encode(out: &mut Vec<u8>, kind: FrameKind, number: u16, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("bodies are shorter than 16 MiB");
    out.extend([VERSION, kind as u8]);
    out.extend(number.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend_from_slice(body);
}

/// Takes the frame at the begin of some bytes, if it is there whole, and how many bytes it has.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, WireError> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else { return Ok(None) };
    if head[0] != VERSION {
        return Err(WireError::Version(head[0]));
    }
    let kind = match head[1] {
        b'R' => FrameKind::Request,
        b'A' => FrameKind::Answer,
        b'I' => FrameKind::Stdin,
        b'O' => FrameKind::Stdout,
        b'E' => FrameKind::Stderr,
        other => return Err(WireError::Kind(other)),
    };
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if length > MAX_BODY_BYTES {
        return Err(WireError::Long(length));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let number = u16::from_le_bytes([head[2], head[3]]);
    Ok(Some((Frame { kind, number, body: body.to_vec() }, HEAD_BYTES + length)))
}

impl Request {
    /// Whether it is short enough to be sent.
    pub fn fits(&self) -> bool {
        serde_json::to_vec(self).is_ok_and(|body| body.len() <= MAX_BODY_BYTES)
    }
}

/// What a monitor can be asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// What whoever has just made the container and this monitor knows of it, in the engine's words:
    /// its first request, if it was said that there would be one. It has no answer.
    Made(Value),
    /// Start the container. Only who made the monitor asks so, once.
    Start,
    /// Give this connection the container's streams.
    Attach(AttachRequest),
    /// Change the size of the container's terminal, or of an exec session's.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
        /// The exec session; absent for the container.
        #[serde(default)]
        exec: Option<String>,
    },
    /// Send a signal to the first process.
    Kill {
        /// Its number.
        signal: i32,
    },
    /// Send a signal that a foreground client got: it is no wish to stop.
    Forward {
        /// Its number.
        signal: i32,
    },
    /// Freeze all processes.
    Pause,
    /// Let them go on.
    Unpause,
    /// Ask the container to end, and end it if it does not. Answered when it has ended.
    Stop(StopRequest),
    /// The same, and then start it anew. Answered when it runs again.
    Restart(StopRequest),
    /// Ask the container to end as when the machine goes down: whoever comes up next may start it
    /// again. Answered when it has ended.
    ShutDown,
    /// Start a further process.
    Exec(ExecRequest),
    /// Answer when something has happened.
    Wait(WaitFor),
    /// Use another policy from now on.
    Update {
        /// When it is started again.
        restart: RestartPolicy,
    },
    /// Tell the state.
    State,
    /// Put the log aside and begin a new one.
    RotateLog,
    /// Something that only the engine understands.
    Tell(Value),
}

/// Which streams a client wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachRequest {
    /// What it sends is the container's standard input.
    pub stdin: bool,
    /// It gets standard output.
    pub stdout: bool,
    /// It gets standard error.
    pub stderr: bool,
    /// The container waits for it for as long as it takes; others are dropped when they are slow.
    pub patient: bool,
}

/// How to end a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StopRequest {
    /// The signal that asks; absent for the container's own.
    pub signal: Option<i32>,
    /// Seconds until it is killed; absent for the container's own, negative for never.
    pub timeout: Option<i64>,
    /// It is to be removed: it is killed once, and nobody is told of a stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub for_good: bool,
}

/// A further process.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The session's id, which the engine chose.
    pub id: String,
    /// What to run, in the engine's and the launcher's words.
    pub process: Value,
    /// Whether it has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Whether it has a standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Whether the client takes its streams. Without, what it prints is nobody's.
    #[serde(default)]
    pub attach: bool,
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// It does not run, and nothing will start it again.
    NotRunning,
    /// The run that is going on, or the next one, has ended.
    NextExit,
    /// It was removed. A monitor can only say so of a container that is removed when it ends.
    Removed,
    /// An exec session has ended.
    Exec(String),
}

/// What a monitor answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// It could not be done.
    Failed(Failure),
    /// The streams follow.
    Attached {
        /// Whether they are a terminal's.
        tty: bool,
        /// What arrived up to this time is in the log and will not follow.
        logged_until: Timestamp,
    },
    /// It runs.
    Started {
        /// Its process.
        pid: i32,
    },
    /// It has ended.
    Exited(Exit),
    /// How it is.
    State(Box<State>),
    /// What the engine answers.
    Told(Value),
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code.
    pub code: i32,
    /// Whether it ran out of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// What went wrong besides; empty if nothing did.
    #[serde(default)]
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_whole_or_not_there() {
        let mut bytes = Vec::new();
        encode(&mut bytes, FrameKind::Stdin, 7, b"abc");
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Ok(None));
        }
        let frame = Frame { kind: FrameKind::Stdin, number: 7, body: b"abc".to_vec() };
        assert_eq!(decode(&bytes), Ok(Some((frame, 11))));
        assert_eq!(decode(&[2; 8]), Err(WireError::Version(2)));
        assert_eq!(decode(&[1; 8]), Err(WireError::Kind(1)));
        assert!(matches!(decode(&[1, b'I', 0, 0, 0, 0, 0, 2]), Err(WireError::Long(_))));
    }

    #[test]
    fn requests_have_words_that_stay() {
        for (request, text) in [
            (Request::Start, r#""start""#),
            (Request::Kill { signal: 9 }, r#"{"kill":{"signal":9}}"#),
            (Request::Wait(WaitFor::Exec("x".into())), r#"{"wait":{"exec":"x"}}"#),
            (Request::Stop(StopRequest::default()), r#"{"stop":{"signal":null,"timeout":null}}"#),
            (
                Request::Update { restart: "on-failure:2".parse().unwrap() },
                r#"{"update":{"restart":{"Name":"on-failure","MaximumRetryCount":2}}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        let newer = r#"{"attach":{"stdin":true,"of_tomorrow":1}}"#;
        assert!(serde_json::from_str::<Request>(newer).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_handled(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
        }
    }
}
