//! The little of RFC 6455 that attaching by a web socket takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What a server proves with that it speaks the protocol.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// No message of a client is longer.
const MAX_BYTES: usize = 1 << 20;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The answer to a client's key.
pub(super) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}{GUID}").as_bytes()))
}

/// Bytes as a message.
pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
    encode(BINARY, bytes)
}

/// The last message.
pub(super) fn close() -> Vec<u8> {
    encode(CLOSE, &[])
}

fn encode(kind: u8, bytes: &[u8]) -> Vec<u8> {
    const WHOLE: u8 = 0x80;
    let mut out = vec![WHOLE | kind];
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(length @ ..126), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((bytes.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
    out
}

/// What a client said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// Bytes for the container.
    Bytes(Vec<u8>),
    /// Something that is to be answered with this.
    Answer(Vec<u8>),
    /// It leaves, or does not keep to the protocol.
    Close,
}

/// A client's messages, taken out of what arrives.
#[derive(Default)]
pub(crate) struct Messages {
    received: Vec<u8>,
}

impl Messages {
    /// Takes in what has arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// The next message that is here whole.
    pub(crate) fn next(&mut self) -> Option<Said> {
        let bytes = &self.received;
        let (kind, short) = (*bytes.first()? & 0x0f, *bytes.get(1)?);
        // Every client masks what it sends; one that does not speaks something else.
        if short & 0x80 == 0 {
            return Some(Said::Close);
        }
        let (length, at) = match short & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            length => (u64::from(length), 2),
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX_BYTES)
        else {
            return Some(Said::Close);
        };
        let mask: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        let payload = bytes.get(at + 4..at + 4 + length)?;
        let plain = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let plain: Vec<u8> = plain.collect();
        self.received.drain(..at + 4 + length);
        Some(match kind {
            // What goes on is bytes too: a terminal has no messages.
            0 | TEXT | BINARY => Said::Bytes(plain),
            PING => Said::Answer(encode(PONG, &plain)),
            PONG => Said::Bytes(Vec::new()),
            _ => Said::Close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(kind: u8, text: &[u8]) -> Vec<u8> {
        let mask = [7, 8, 9, 10];
        let mut bytes = encode(kind, text);
        let head = bytes.len() - text.len();
        bytes[1] |= 0x80;
        let body: Vec<u8> =
            bytes.split_off(head).iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
        [bytes, mask.to_vec(), body].concat()
    }

    #[test]
    fn the_key_is_answered_as_the_standard_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn messages_come_in_any_pieces() {
        let long = vec![b'x'; 70_000];
        let all =
            [masked(TEXT, b"abc"), masked(PING, b"p"), masked(BINARY, &long), masked(CLOSE, b"")];
        let mut messages = Messages::default();
        let mut said = Vec::new();
        for byte in all.concat() {
            messages.push(&[byte]);
            said.extend(messages.next());
        }
        let answer = Said::Answer(encode(PONG, b"p"));
        let wanted = [Said::Bytes(b"abc".to_vec()), answer, Said::Bytes(long), Said::Close];
        assert_eq!(said, wanted);
        messages.push(&encode(TEXT, b"bare"));
        assert_eq!(messages.next(), Some(Said::Close));
    }
}
