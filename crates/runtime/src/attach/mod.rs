//! The other end of a monitor's socket.
