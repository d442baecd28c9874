//! What a descriptor in the loop belongs to, as the number that the kernel gives back.

use std::os::fd::RawFd;

use crate::logs::Stream;

/// What became ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// Somebody connects.
    Listener,
    /// A signal for the monitor: its own, or that a child has ended.
    Signals,
    /// One of its outputs.
    Output(Stream),
    /// Its input.
    Input,
    /// The log's daemon.
    LogDaemon,
    /// A client.
    Client(u32),
    /// An output of a further process that nobody takes.
    ExecOutput(u32, Stream),
    /// A descriptor of an extra.
    Extra(u16, RawFd),
}

impl Key {
    pub(super) fn number(self) -> u64 {
        let of =
            |kind: u64, high: u16, low: u32| kind << 56 | u64::from(high) << 32 | u64::from(low);
        match self {
            Key::Listener => of(0, 0, 0),
            Key::Signals => of(1, 0, 0),
            Key::Output(stream) => of(2, stream as u16, 0),
            Key::Input => of(3, 0, 0),
            Key::LogDaemon => of(4, 0, 0),
            Key::Client(number) => of(5, 0, number),
            Key::ExecOutput(number, stream) => of(6, stream as u16, number),
            Key::Extra(place, fd) => of(7, place, fd.unsigned_abs()),
        }
    }

    pub(super) fn of(number: u64) -> Option<Key> {
        let (high, low) = ((number >> 32) as u16, number as u32);
        let stream = if high == Stream::Stdout as u16 { Stream::Stdout } else { Stream::Stderr };
        Some(match number >> 56 {
            0 => Key::Listener,
            1 => Key::Signals,
            2 => Key::Output(stream),
            3 => Key::Input,
            4 => Key::LogDaemon,
            5 => Key::Client(low),
            6 => Key::ExecOutput(low, stream),
            7 => Key::Extra(high, RawFd::try_from(low).ok()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        for key in [
            Key::Listener,
            Key::Signals,
            Key::Output(Stream::Stdout),
            Key::Output(Stream::Stderr),
            Key::Input,
            Key::LogDaemon,
            Key::Client(u32::MAX),
            Key::ExecOutput(7, Stream::Stderr),
            Key::Extra(3, 1000),
        ] {
            assert_eq!(Key::of(key.number()), Some(key));
        }
    }
}
