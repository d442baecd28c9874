//! What is sent where its length was said before: neither less nor more than that may come.

use std::io::{self, Read};

/// So many bytes, in memory.
pub(crate) fn take(from: &mut dyn Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(bytes as usize);
    match from.take(bytes).read_to_end(&mut part)? as u64 == bytes {
        true => Ok(part),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Refuses what goes on: what was sent of it would be taken for all of it.
pub(crate) fn at_end(from: &mut dyn Read) -> io::Result<()> {
    match from.take(1).read_to_end(&mut Vec::new())? {
        0 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than was said")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_less_nor_more_is_taken() {
        let mut from = &b"abc"[..];
        assert_eq!(take(&mut from, 2).unwrap(), b"ab");
        assert!(at_end(&mut from).is_err());
        assert!(take(&mut &b"abc"[..], 4).is_err());
        at_end(&mut &b""[..]).unwrap();
    }
}
