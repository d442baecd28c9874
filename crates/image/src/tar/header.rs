//! The 512-byte header block: where its fields are and how its numbers are written.

use super::error::Fault;
use std::ffi::CStr;
use std::ops::Range;

/// Everything in an archive is a multiple of this.
pub(super) const BLOCK: usize = 512;

/// One block, as read or to be written.
pub(super) type Block = [u8; BLOCK];

/// A block of nothing; two of them end an archive.
pub(super) const ZEROS: Block = [0; BLOCK];

/// Where each field lies.
pub(super) mod field {
    use super::Range;

    pub(in super::super) const NAME: Range<usize> = 0..100;
    pub(in super::super) const MODE: Range<usize> = 100..108;
    pub(in super::super) const UID: Range<usize> = 108..116;
    pub(in super::super) const GID: Range<usize> = 116..124;
    pub(in super::super) const SIZE: Range<usize> = 124..136;
    pub(in super::super) const MTIME: Range<usize> = 136..148;
    pub(in super::super) const CHECKSUM: Range<usize> = 148..156;
    pub(in super::super) const TYPE: usize = 156;
    pub(in super::super) const LINK: Range<usize> = 157..257;
    pub(in super::super) const MAGIC: Range<usize> = 257..265;
    pub(in super::super) const UNAME: Range<usize> = 265..297;
    pub(in super::super) const GNAME: Range<usize> = 297..329;
    pub(in super::super) const MAJOR: Range<usize> = 329..337;
    pub(in super::super) const MINOR: Range<usize> = 337..345;
    pub(in super::super) const PREFIX: Range<usize> = 345..500;

    pub(in super::super) const GNU_ATIME: Range<usize> = 345..357;
    pub(in super::super) const GNU_CTIME: Range<usize> = 357..369;
    pub(in super::super) const GNU_SPARSE: Range<usize> = 386..482;
    pub(in super::super) const GNU_IS_EXTENDED: usize = 482;
    pub(in super::super) const GNU_REAL_SIZE: Range<usize> = 483..495;

    pub(in super::super) const STAR_PREFIX: Range<usize> = 345..476;
    pub(in super::super) const STAR_ATIME: Range<usize> = 476..488;
    pub(in super::super) const STAR_CTIME: Range<usize> = 488..500;
    pub(in super::super) const STAR_TRAILER: Range<usize> = 508..512;
}

/// Which of the header's later fields mean what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Nothing after the link name.
    V7,
    /// Owner names, devices, and the first part of a long path. Pax archives look like this too.
    Ustar,
    /// As ustar, with a shorter path part and two more times.
    Star,
    /// As ustar, with times and a sparse map where the path's first part would be.
    Gnu,
}

/// A header block, looked at.
#[derive(Clone, Copy)]
pub(super) struct Header<'a>(pub(super) &'a Block);

impl<'a> Header<'a> {
    /// Whether the block is a header at all. Some old writers summed signed bytes.
    pub(super) fn checksum_matches(self) -> bool {
        let Ok(stored) = self.number("checksum", field::CHECKSUM) else {
            return false;
        };
        stored == checksum(self.0) || stored == signed_checksum(self.0)
    }

    /// The byte that says what the entry is.
    pub(super) fn kind(self) -> u8 {
        self.0[field::TYPE]
    }

    /// Tells the dialects apart by their magic.
    pub(super) fn dialect(self) -> Dialect {
        match &self.0[field::MAGIC] {
            b"ustar  \0" => Dialect::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] if &self.0[field::STAR_TRAILER] == b"tar\0" => {
                Dialect::Star
            }
            [b'u', b's', b't', b'a', b'r', 0, ..] => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    /// The field's text, up to its first NUL.
    pub(super) fn text(self, at: Range<usize>) -> &'a [u8] {
        until_nul(&self.0[at])
    }

    /// The field's number; an empty field is 0.
    pub(super) fn number(self, name: &'static str, at: Range<usize>) -> Result<i64, Fault> {
        number(name, &self.0[at])
    }

    /// The field's number, which must not be negative.
    pub(super) fn size(self, name: &'static str, at: Range<usize>) -> Result<u64, Fault> {
        let value = self.number(name, at)?;
        u64::try_from(value).map_err(|_| Fault::range(name, value))
    }
}

/// The bytes before the first NUL, or all of them.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}

/// The sum of a header's bytes, with its checksum field taken as spaces.
pub(super) fn checksum(block: &Block) -> i64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    i64::from(sum(block) - sum(&block[field::CHECKSUM]) + 8 * u32::from(b' '))
}

fn signed_checksum(block: &Block) -> i64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| i64::from(byte as i8)).sum::<i64>();
    sum(block) - sum(&block[field::CHECKSUM]) + 8 * i64::from(b' ')
}

/// Reads a header number: octal text, or base 256 when the top bit is set.
pub(super) fn number(name: &'static str, field: &[u8]) -> Result<i64, Fault> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(name, field),
        _ => octal(name, field),
    }
}

/// Octal digits after any spaces and NULs, ended by a NUL, by spaces, or by the field's end.
fn octal(name: &'static str, field: &[u8]) -> Result<i64, Fault> {
    let start = field.iter().position(|&byte| byte != b' ' && byte != 0).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    if !until_nul(&digits[end..]).iter().all(|&byte| byte == b' ') {
        return Err(Fault::number(name, until_nul(digits)));
    }
    // Twelve digits are 36 bits: this cannot overflow.
    Ok(digits[..end].iter().fold(0, |value, digit| value << 3 | i64::from(digit - b'0')))
}

/// A two's complement number, high byte first, whose topmost bit only marks it as one.
fn base256(name: &'static str, field: &[u8]) -> Result<i64, Fault> {
    let negative = field[0] & 0x40 != 0;
    let first = i128::from(field[0] & 0x7f) - if negative { 0x80 } else { 0 };
    let value = field[1..].iter().fold(first, |value, &byte| value << 8 | i128::from(byte));
    i64::try_from(value).map_err(|_| Fault::range(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &[u8], expected: Option<i64>) {
        assert_eq!(number("size", field).ok(), expected, "{:?}", field.escape_ascii().to_string());
    }

    #[test]
    fn reads_octal_as_loosely_as_old_archives_need() {
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"644     ", Some(0o644));
        check(b"644\0junk", Some(0o644));
        check(b"\0\0\0\0\x00644", Some(0o644));
        check(b"77777777", Some(0o77777777));
        check(b"777777777777", Some(0o777777777777));
        check(b"\0\0\0\0", Some(0));
        check(b"        ", Some(0));
        check(b"", Some(0));
        check(b"0000648\0", None);
        check(b"-000644\0", None);
        check(b"644 644\0", None);
        check(b"0x1ff\0", None);
    }

    #[test]
    fn reads_base_256_with_either_sign() {
        check(b"\x80\0\0\0\0\0\0\x05", Some(5));
        check(b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30));
        check(&[0xff; 12], Some(-1));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2));
        check(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX));
        check(b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN));
        check(b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None);
        check(b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", None);
        check(&[0xbf; 12], None);
    }

    #[test]
    fn accepts_sums_of_signed_and_of_unsigned_bytes() {
        let mut block = ZEROS;
        block[..4].copy_from_slice(b"caf\xe9");
        for sum in [checksum(&block), signed_checksum(&block)] {
            block[field::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            assert!(Header(&block).checksum_matches());
        }
        block[0] ^= 1;
        assert!(!Header(&block).checksum_matches());
        block[field::CHECKSUM].copy_from_slice(b"nonsense");
        assert!(!Header(&block).checksum_matches());
    }
}
