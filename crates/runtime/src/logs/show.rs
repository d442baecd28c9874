//! An entry as `logs` prints it.

use std::fmt::Write as _;

use super::Entry;

/// What is printed besides the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The time.
    pub timestamps: bool,
    /// Labels, variables, the tag.
    pub details: bool,
}

/// Adds an entry as it is printed, docker's way.
pub fn show(entry: &Entry, shown: Shown, out: &mut Vec<u8>) {
    let mut head = String::new();
    if shown.timestamps {
        let time = entry.time.to_string();
        let seconds = time.get(..19).unwrap_or(&time);
        let _ = write!(head, "{seconds}.{:09}Z ", entry.time.nanos());
    }
    if shown.details {
        for (place, (name, value)) in entry.attributes.iter().enumerate() {
            head.push_str(if place > 0 { "," } else { "" });
            escape(&mut head, name);
            head.push('=');
            escape(&mut head, value);
        }
        head.push(' ');
    }
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&entry.line);
}

/// As in the query of a URL.
fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ if byte.is_ascii_alphanumeric() => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;
    use spec::Timestamp;

    #[test]
    fn times_have_nine_digits_and_details_are_escaped() {
        let entry = Entry {
            time: Timestamp::from_unix(1_136_214_245, 120_000_000),
            stream: Stream::Stdout,
            line: b"hi\n".to_vec(),
            attributes: [("b", "x y/z"), ("a", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let text = |timestamps, details| {
            let mut out = Vec::new();
            show(&entry, Shown { timestamps, details }, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(false, false), "hi\n");
        assert_eq!(text(true, false), "2006-01-02T15:04:05.120000000Z hi\n");
        assert_eq!(text(false, true), "a=1,b=x+y%2Fz hi\n");
    }
}
