//! Streams of a process without a terminal, as docker sends both on one connection: pieces with
//! eight bytes before each that say whose it is and how long.

use std::io::{self, Read};

/// Whose a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Standard output; or input, which docker's engine never sends.
    Output,
    /// Standard error.
    Error,
    /// What went wrong with the stream itself.
    System,
}

/// Takes pieces apart as they arrive.
#[derive(Default)]
pub struct Frames {
    head: Vec<u8>,
    source: Option<Source>,
    left: usize,
}

const HEAD_BYTES: usize = 8;

impl Frames {
    /// Takes in bytes and gives on what is in them.
    pub fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut give: impl FnMut(Source, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let count = bytes.len().min(HEAD_BYTES - self.head.len());
                self.head.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if self.head.len() == HEAD_BYTES {
                    let length = [self.head[4], self.head[5], self.head[6], self.head[7]];
                    self.left = u32::from_be_bytes(length) as usize;
                    self.source = Some(match self.head[0] {
                        2 => Source::Error,
                        3 => Source::System,
                        _ => Source::Output,
                    });
                    self.head.clear();
                }
                continue;
            }
            let count = bytes.len().min(self.left);
            give(self.source.unwrap_or(Source::Output), &bytes[..count])?;
            self.left -= count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Takes all of a stream apart, to its end.
    pub fn copy(
        from: &mut dyn Read,
        mut give: impl FnMut(Source, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut frames, mut bytes) = (Frames::default(), vec![0; 32 << 10]);
        loop {
            match from.read(&mut bytes)? {
                0 => return Ok(()),
                count => frames.push(&bytes[..count], &mut give)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_same_however_they_arrive() {
        let stream = [
            &[1, 0, 0, 0, 0, 0, 0, 3][..],
            b"abc",
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 2],
            b"de",
        ]
        .concat();
        for size in 1..=stream.len() {
            let (mut frames, mut out, mut err) = (Frames::default(), Vec::new(), Vec::new());
            for part in stream.chunks(size) {
                let given = frames.push(part, |source, bytes| {
                    match source {
                        Source::Output => out.extend_from_slice(bytes),
                        _ => err.extend_from_slice(bytes),
                    }
                    Ok::<(), ()>(())
                });
                given.unwrap();
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"abc"[..], &b"de"[..]), "{size}");
        }
    }
}
