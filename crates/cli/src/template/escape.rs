//! Text made safe for HTML, JavaScript and query strings.

use std::fmt::Write;

use super::MAX_OUTPUT_BYTES;
use super::quote::is_printable;

/// `text` with the five signs that mean something in HTML written as references.
pub(super) fn html(text: &str) -> Result<String, String> {
    escaped(text, |out, character| match character {
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\0' => out.push('\u{fffd}'),
        _ => out.push(character),
    })
}

/// `text` fit to stand between quotes in JavaScript, even inside of HTML.
pub(super) fn js(text: &str) -> Result<String, String> {
    escaped(text, |out, character| match character {
        '\\' | '\'' | '"' => {
            out.push('\\');
            out.push(character);
        }
        '<' | '>' | '&' | '=' => push_code(out, character),
        _ if character.is_ascii_control() && character != '\u{7f}' => push_code(out, character),
        _ if character.is_ascii() || is_printable(character) => out.push(character),
        _ => push_code(out, character),
    })
}

/// `text` as part of a URL's query.
pub(super) fn url_query(text: &str) -> Result<String, String> {
    escaped(text, |out, character| match character {
        ' ' => out.push('+'),
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(character),
        _ => {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    })
}

fn push_code(out: &mut String, character: char) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\u{:04X}", u32::from(character));
}

fn escaped(text: &str, push: impl Fn(&mut String, char)) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if out.len() > MAX_OUTPUT_BYTES {
            return Err("text too large".into());
        }
        push(&mut out, character);
    }
    Ok(out)
}
