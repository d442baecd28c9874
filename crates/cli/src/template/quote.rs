//! Go's quoted literals, written and read.

use std::fmt::Write;

/// `text` as a Go string literal, with what cannot be shown escaped.
pub(crate) fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// Like [`quote`], with everything beyond ASCII escaped as well.
pub(super) fn quote_ascii(text: &str) -> String {
    quote_with(text, '"', true)
}

/// `character` as a Go character literal.
pub(super) fn quote_char(character: char, ascii: bool) -> String {
    quote_with(character.encode_utf8(&mut [0; 4]), '\'', ascii)
}

fn quote_with(text: &str, mark: char, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(mark);
    for character in text.chars() {
        push_escaped(&mut quoted, character, mark, ascii);
    }
    quoted.push(mark);
    quoted
}

fn push_escaped(out: &mut String, character: char, mark: char, ascii: bool) {
    let code = u32::from(character);
    let escape = match character {
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        '\\' => "\\\\",
        _ if character == mark => {
            out.push('\\');
            out.push(character);
            return;
        }
        _ if is_printable(character) && (!ascii || character.is_ascii()) => {
            out.push(character);
            return;
        }
        _ => {
            // Writing to a string cannot fail.
            let _ = match code {
                0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
                0x80..0x10000 => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
            return;
        }
    };
    out.push_str(escape);
}

/// Whether a character shows as itself: letters, marks, numbers, symbols and the plain blank.
pub(super) fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    // The standard library knows the table, but tells it only by how it writes text for debugging.
    // The letter before it keeps a combining mark from being escaped for standing first.
    let mut text = String::from("a");
    text.push(character);
    !text.escape_debug().any(|escaped| escaped == '\\')
}

/// `U+0040 '@'`, as Go names a character.
pub(super) fn name_of_char(character: char) -> String {
    let code = u32::from(character);
    if is_printable(character) {
        format!("U+{code:04X} '{character}'")
    } else {
        format!("U+{code:04X}")
    }
}

/// What a quoted literal (`"…"`, `` `…` `` or `'…'`) stands for; `None` if it is malformed.
pub(super) fn unquote(literal: &str) -> Option<String> {
    let mark = literal.chars().next()?;
    let inner = literal.get(1..)?.strip_suffix(mark)?;
    if mark == '`' {
        return (!inner.contains('`')).then(|| inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(character) = rest.next() {
        match character {
            '\n' => return None,
            '\\' => unescape(&mut rest, mark, &mut bytes)?,
            _ if character == mark => return None,
            _ => push_char(&mut bytes, character),
        }
    }
    // Escapes can spell bytes that are no text; what is shown must be text.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn unescape(rest: &mut std::str::Chars<'_>, mark: char, bytes: &mut Vec<u8>) -> Option<()> {
    let letter = rest.next()?;
    let plain = match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' | '"' if letter == mark => letter as u8,
        'x' => return push_byte(bytes, digits(rest, 2, 16, 0)?, mark),
        'u' | 'U' => {
            let count = if letter == 'u' { 4 } else { 8 };
            push_char(bytes, char::from_u32(digits(rest, count, 16, 0)?)?);
            return Some(());
        }
        '0'..='7' => {
            return push_byte(bytes, digits(rest, 2, 8, letter.to_digit(8)?)?, mark);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32) -> Option<u32> {
    let mut number = first;
    for _ in 0..count {
        number = number.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?)?;
    }
    Some(number)
}

/// A byte of text; between single quotes the same escape means the character of that number.
fn push_byte(bytes: &mut Vec<u8>, number: u32, mark: char) -> Option<()> {
    let byte = u8::try_from(number).ok()?;
    if mark == '\'' {
        push_char(bytes, char::from(byte));
    } else {
        bytes.push(byte);
    }
    Some(())
}

fn push_char(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(
            quote("a\"b\\\n\u{1}é\u{a0}\u{301}\u{e000}"),
            "\"a\\\"b\\\\\\n\\x01é\\u00a0\u{301}\\ue000\""
        );
        assert_eq!(quote_ascii("é😀"), "\"\\u00e9\\U0001f600\"");
        assert_eq!(quote_char('\'', false), "'\\''");
        assert_eq!(quote_char('"', false), "'\"'");
        assert_eq!(name_of_char('@'), "U+0040 '@'");
        assert_eq!(name_of_char('\u{1}'), "U+0001");
    }

    #[test]
    fn reads_what_is_quoted() {
        let check = |literal: &str, meant: Option<&str>| {
            assert_eq!(unquote(literal).as_deref(), meant, "{literal}");
        };
        check(r#""a\tb\x41\101\u00e9\U0001F600\"""#, Some("a\tbAAé😀\""));
        check("`a\\n\r`", Some("a\\n"));
        check(r"'\''", Some("'"));
        check(r"'\xe9'", Some("é"));
        check(r#""\xc3\xa9""#, Some("é"));
        check(r#""\'""#, None);
        check(r#""\q""#, None);
        check(r#""\400""#, None);
        check(r#""\ud800""#, None);
        check(r#""\x4""#, None);
        check("\"", None);
        check("", None);
    }
}
