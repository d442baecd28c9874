//! How ssh writes numbers and texts: in keys, and to agents.

const CUT: &str = "it is cut off";

/// What is still to be read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// Four bytes.
    pub(super) fn number(&mut self) -> Result<u32, &'static str> {
        let (bytes, rest) = self.0.split_first_chunk::<4>().ok_or(CUT)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// A length, and so many bytes.
    pub(super) fn text(&mut self) -> Result<&'a [u8], &'static str> {
        let length = usize::try_from(self.number()?).map_err(|_| CUT)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(text)
    }

    /// A number of any length that is not below zero, without the zero that says so.
    pub(super) fn unsigned(&mut self) -> Result<&'a [u8], &'static str> {
        let bytes = self.text()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok(&bytes[zeros..])
    }
}

/// Writes a length, and so many bytes.
pub(super) fn put(out: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).expect("what is written here is short");
    out.extend(length.to_be_bytes());
    out.extend(text);
}

/// Writes a number of any length that is not below zero.
pub(super) fn put_number(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    match number.first() {
        Some(first) if first & 0x80 != 0 => put(out, &[&[0], number].concat()),
        _ => put(out, number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts() {
        let mut out = Vec::new();
        put(&mut out, b"ab");
        put_number(&mut out, &[0, 0, 0x80, 1]);
        put_number(&mut out, &[0, 0x7f]);
        assert_eq!(out, b"\0\0\0\x02ab\0\0\0\x03\0\x80\x01\0\0\0\x01\x7f");
        let mut fields = Fields(&out);
        assert_eq!(fields.text(), Ok(&b"ab"[..]));
        assert_eq!(fields.unsigned(), Ok(&[0x80, 1][..]));
        assert_eq!(fields.number(), Ok(1));
        assert_eq!(fields.text(), Err(CUT));
    }
}
