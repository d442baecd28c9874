//! Docker's `json-file` lines, written and read by hand because there may be many in a second.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Deserialize;
use spec::Timestamp;

use super::{Decoded, Entry, MAX_ENTRY_BYTES, Piece, Stream};

/// Adds a line: `{"log":"…\n","stream":"stdout","time":"…"}`. `attributes` is an object of JSON or
/// nothing.
pub(super) fn encode(
    out: &mut Vec<u8>,
    stream: Stream,
    time: Timestamp,
    piece: Piece<'_>,
    attributes: &str,
) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, piece.bytes);
    if piece.ends {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    if !attributes.is_empty() {
        out.extend_from_slice(b"\",\"attrs\":");
        out.extend_from_slice(attributes.as_bytes());
        out.extend_from_slice(b",\"time\":\"");
    } else {
        out.extend_from_slice(b"\",\"time\":\"");
    }
    write!(out, "{time}").expect("memory takes all that is written");
    out.extend_from_slice(b"\"}\n");
}

/// Attributes as an object of JSON; nothing if there are none.
pub(super) fn attributes(attributes: &BTreeMap<String, String>) -> String {
    match attributes.is_empty() {
        true => String::new(),
        false => serde_json::to_string(attributes).expect("a map of strings is JSON"),
    }
}

/// Adds text as the inside of a JSON string, with Go's escapes; bytes that are not UTF-8 become
/// U+FFFD.
fn escape(out: &mut Vec<u8>, mut bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    loop {
        // Runs of plain letters are copied whole.
        let plain = bytes.iter().position(|byte| !is_plain(*byte)).unwrap_or(bytes.len());
        out.extend_from_slice(&bytes[..plain]);
        bytes = &bytes[plain..];
        let Some(byte) = bytes.first() else { return };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            ..=0x7f => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => {
                bytes = &bytes[escape_wide(out, bytes)..];
                continue;
            }
        }
        bytes = &bytes[1..];
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7f) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// Adds one letter of several bytes, or U+FFFD for a byte that begins none; says what it used.
fn escape_wide(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let window = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&window[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        None => {
            out.extend_from_slice(b"\\ufffd");
            1
        }
        // Line ends of JavaScript's, which Go escapes.
        Some('\u{2028}') => {
            out.extend_from_slice(b"\\u2028");
            3
        }
        Some('\u{2029}') => {
            out.extend_from_slice(b"\\u2029");
            3
        }
        Some(letter) => {
            out.extend_from_slice(&window[..letter.len_utf8()]);
            letter.len_utf8()
        }
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: Timestamp,
}

/// Reads the line at the begin of some bytes. One that is damaged is skipped.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() > MAX_ENTRY_BYTES {
            Decoded::Skip(bytes.len())
        } else {
            Decoded::More
        };
    };
    let Ok(line) = serde_json::from_slice::<Line>(&bytes[..end]) else {
        return Decoded::Skip(end + 1);
    };
    let stream = if line.stream == "stderr" { Stream::Stderr } else { Stream::Stdout };
    let entry =
        Entry { time: line.time, stream, line: line.log.into_bytes(), attributes: line.attrs };
    Decoded::Entry(entry, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(bytes: &[u8], ends: bool, attributes: &str) -> String {
        let mut out = Vec::new();
        let time = Timestamp::from_unix(1_136_214_245, 120_000_000);
        encode(&mut out, Stream::Stdout, time, Piece { bytes, ends }, attributes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_dockers() {
        assert_eq!(
            line(b"hello", true, ""),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2006-01-02T15:04:05.12Z\"}\n"
        );
        assert_eq!(
            line(b"a", false, "{\"k\":\"v\"}"),
            "{\"log\":\"a\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"},\"time\":\"2006-01-02T15:04:05.12Z\"}\n"
        );
    }

    #[test]
    fn letters_are_escaped_as_go_does() {
        for (text, escaped) in [
            (&b"\"\\\r\t\x1b<>&\x7f"[..], "\\\"\\\\\\r\\u0009\\u001b\\u003c\\u003e\\u0026\x7f"),
            ("é€😀".as_bytes(), "é€😀"),
            (b"\xff\xc3", "\\ufffd\\ufffd"),
            ("\u{2028}\u{2029}x".as_bytes(), "\\u2028\\u2029x"),
            (b"\xe2\x82", "\\ufffd\\ufffd"),
        ] {
            let mut out = Vec::new();
            escape(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), escaped);
        }
    }

    #[test]
    fn damage_is_skipped() {
        assert!(matches!(decode(b"{\"log\":"), Decoded::More));
        assert!(matches!(decode(b"{\"log\":\nx"), Decoded::Skip(8)));
        assert!(matches!(decode(&vec![b'x'; MAX_ENTRY_BYTES + 1]), Decoded::Skip(_)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in ".*", ends: bool) {
            let text = text.replace('\n', "");
            let line = line(text.as_bytes(), ends, "");
            let Decoded::Entry(entry, used) = decode(line.as_bytes()) else { panic!("{line}") };
            prop_assert_eq!(used, line.len());
            let expected = if ends { text + "\n" } else { text };
            prop_assert_eq!(String::from_utf8(entry.line).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_handled(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode(&bytes);
            serde_json::from_str::<Line>(&line(&bytes, true, "")).unwrap();
        }
    }
}
