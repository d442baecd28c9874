//! Connections that travel in the messages of a call.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::messages::BytesMessage;
use crate::wire::Exchange;

/// So much of a connection goes in one message.
const PART_BYTES: usize = 32 << 10;

/// Carries bytes between a call and a connection until one of them ends.
pub(super) fn carry(exchange: Exchange, stream: UnixStream) -> io::Result<()> {
    let Exchange { mut incoming, outgoing } = exchange;
    let (mut reader, mut writer) = (stream.try_clone()?, stream);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut part = vec![0; PART_BYTES];
            while let Ok(count) = reader.read(&mut part) {
                let message = BytesMessage { data: part[..count].to_vec() };
                if count == 0 || outgoing.send(&message).is_err() {
                    return;
                }
            }
        });
        for message in incoming.all::<BytesMessage>() {
            let Ok(message) = message else { break };
            if writer.write_all(&message.data).is_err() {
                break;
            }
        }
        // Whoever holds the other end sees that it is over.
        let _ = writer.shutdown(Shutdown::Both);
    });
    Ok(())
}
