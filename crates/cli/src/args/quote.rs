//! Text in quotes as docker's messages show it, with what cannot be seen written out.

/// `text` between double quotes.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    text.chars().for_each(|letter| push(&mut quoted, letter, '"'));
    quoted.push('"');
    quoted
}

/// One letter between single quotes.
pub(super) fn quote_char(letter: char) -> String {
    let mut quoted = String::from("'");
    push(&mut quoted, letter, '\'');
    quoted.push('\'');
    quoted
}

/// `text` between double quotes with all but ASCII as bytes: time spans are quoted so.
pub(super) fn quote_bytes(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..0x80 => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// Adds `letter`, escaped if it is `mark`, a backslash or invisible.
fn push(quoted: &mut String, letter: char, mark: char) {
    match letter {
        '\u{7}' => quoted.push_str("\\a"),
        '\u{8}' => quoted.push_str("\\b"),
        '\u{c}' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\u{b}' => quoted.push_str("\\v"),
        _ if letter == mark || letter == '\\' => quoted.extend(['\\', letter]),
        _ if is_visible(letter) => quoted.push(letter),
        _ => quoted.push_str(&escape(letter)),
    }
}

/// The shortest of `\x7f`, `\u00a0` and `\U000e0001`.
fn escape(letter: char) -> String {
    match u32::from(letter) {
        code @ ..0x80 => format!("\\x{code:02x}"),
        code @ ..0x10000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether a terminal shows something for `letter`; marks on a letter count as shown.
fn is_visible(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    // A mark is escaped at the start of a text only, so one plain letter goes before it.
    format!("a{letter}").escape_debug().nth(1) == Some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_out_what_cannot_be_seen() {
        assert_eq!(quote("a\"\né\\\u{1}"), "\"a\\\"\\né\\\\\\x01\"");
        assert_eq!(
            quote("\u{2028}\u{a0}\u{200b}😀\u{301}\u{feff}\u{7f}\u{ad}"),
            "\"\\u2028\\u00a0\\u200b😀\u{301}\\ufeff\\x7f\\u00ad\""
        );
        assert_eq!(quote("\u{e0001}\t"), "\"\\U000e0001\\t\"");
    }

    #[test]
    fn quotes_letters_and_bytes() {
        assert_eq!(quote_char('z'), "'z'");
        assert_eq!(quote_char('\''), "'\\''");
        assert_eq!(quote_char('"'), "'\"'");
        assert_eq!(quote_bytes("5é\"\\\n"), "\"5\\xc3\\xa9\\\"\\\\\\x0a\"");
    }
}
