//! Gzip members one after another, as one stream.

use super::{Codec, CodecError};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// The members of a gzip stream, perhaps followed by the zeros some tools fill blocks with.
pub(super) enum Members<R> {
    /// Before a member. A decoder reads its header when made, so it is made late.
    Between(R),
    /// Inside a member.
    Within(Box<GzDecoder<R>>),
    /// After the last, or after an error.
    Ended,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Members<R> {
        Members::Between(reader)
    }

    /// Goes on to the next member or to the end, after a whole member.
    fn step(mut reader: R) -> io::Result<Members<R>> {
        match reader.fill_buf()?.first() {
            None => Ok(Members::Ended),
            Some(0) => skip_zeros(reader).map(|()| Members::Ended),
            Some(0x1f) => Ok(Members::Between(reader)),
            Some(_) => Err(CodecError::Trailing { codec: Codec::Gzip }.into()),
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            *self = match std::mem::replace(self, Members::Ended) {
                Members::Ended => return Ok(0),
                Members::Between(reader) => Members::Within(Box::new(GzDecoder::new(reader))),
                Members::Within(mut member) => match member.read(buffer)? {
                    0 => Members::step(member.into_inner())?,
                    count => {
                        *self = Members::Within(member);
                        return Ok(count);
                    }
                },
            }
        }
    }
}

/// Reads to the end of the stream, which must be zeros all the way.
fn skip_zeros<R: BufRead>(mut reader: R) -> io::Result<()> {
    loop {
        let available = reader.fill_buf()?;
        if available.iter().any(|&byte| byte != 0) {
            return Err(CodecError::Trailing { codec: Codec::Gzip }.into());
        }
        match available.len() {
            0 => return Ok(()),
            count => reader.consume(count),
        }
    }
}
