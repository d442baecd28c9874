//! The two ends of a monitor's socket: what is said on it, and the side that asks.

mod connection;
mod console;
mod exec;
mod foreground;
mod wire;

pub use connection::{Connection, SOCKET_FILE};
pub use console::{Console, News, RawMode};
pub use exec::{ExecOutcome, Streams, run_exec};
pub use foreground::{Foreground, Outcome, run_foreground};
pub use wire::*;
