//! Ports for servers that must be told theirs.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what Linux hands out by itself (32768 and up): neither another test that asks for any
/// port nor the near end of somebody's connection takes it between this call and its use.
const FIRST: u16 = 12_000;
const PORTS: u16 = 20_000;

/// A port of this host that nobody listens on with TCP.
///
/// Tests are processes of their own that run side by side, so each begins to look where its
/// process number says.
#[must_use]
pub fn free_port() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(37) % u32::from(PORTS);
    let start = u16::try_from(start).expect("less than a port");
    for _ in 0..PORTS {
        let step = ASKED.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = FIRST + (start + step) % PORTS;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("this host has no free port between {FIRST} and {}", FIRST + PORTS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_nor_while_it_is_taken() {
        let first = free_port();
        let _held = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let second = free_port();
        assert_ne!(first, second);
        assert!(second < 32_768);
    }
}
