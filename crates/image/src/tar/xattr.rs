//! Extended attributes as libarchive writes them: names in percent escapes, values in base64.
//!
//! The usual form, `SCHILY.xattr.NAME`, holds both as they are. It cannot hold a name with `=` in
//! it, so such a name is written in this form.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The name behind its percent escapes; nothing if an escape is broken.
pub(super) fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            plain.push(hex(digits[0])? << 4 | hex(digits[1])?);
            rest = after;
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

/// The name with everything escaped that a record's key cannot hold.
pub(super) fn escape(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len() + 8);
    for &byte in name {
        match byte {
            b'!'..=b'~' if byte != b'=' && byte != b'%' => escaped.push(byte),
            _ => escaped.extend(format!("%{byte:02X}").bytes()),
        }
    }
    escaped
}

/// The bytes behind base64 text, padded or not; nothing if it is none.
pub(super) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for place in 0..4 {
            let digit = group.get(place).map_or(Some(0), |&digit| base64_value(digit))?;
            bits = bits << 6 | digit;
        }
        bytes.extend_from_slice(&u32::to_be_bytes(bits)[1..group.len()]);
    }
    Some(bytes)
}

/// The bytes as base64 text, without padding.
pub(super) fn encode_base64(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=group.len() {
            text.push(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]);
        }
    }
    text
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn base64_value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_published_examples() {
        for (plain, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v")] {
            assert_eq!(encode_base64(plain.as_bytes()), text.as_bytes());
            assert_eq!(decode_base64(text.as_bytes()).unwrap(), plain.as_bytes());
        }
        assert_eq!(decode_base64(b"Zg==").unwrap(), b"f");
        assert_eq!(decode_base64(b"Zm9vYmE=").unwrap(), b"fooba");
        assert_eq!(decode_base64(b"+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
        for broken in [&b"Z"[..], b"Zm9v!", b"Z===", b"=Zg="] {
            assert_eq!(decode_base64(broken), None);
        }
    }

    #[test]
    fn escapes_come_back() {
        let name: Vec<u8> = (0..=255).collect();
        let escaped = escape(&name);
        assert!(!escaped.contains(&b'='));
        assert_eq!(unescape(&escaped).unwrap(), name);
        assert_eq!(unescape(b"user.%41%2b").unwrap(), b"user.A+");
        assert_eq!(unescape(b"user.%4"), None);
        assert_eq!(unescape(b"user.%zz"), None);
    }
}
