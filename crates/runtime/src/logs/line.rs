//! A stream of bytes cut into lines; long lines into pieces of 16 KiB, as docker does.

/// No piece is longer.
pub(super) const PIECE_BYTES: usize = 16 * 1024;

/// A line without its end, or a piece of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the line ends here.
    pub ends: bool,
}

/// Cuts a stream. What has no line end yet waits for more.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    waiting: Vec<u8>,
}

impl Splitter {
    /// Takes bytes in and gives the pieces that are complete.
    pub fn push(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.waiting.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            let end = window.iter().position(|byte| *byte == b'\n');
            let (piece, used, ends) = match end {
                Some(end) => (&bytes[..end], end + 1, true),
                None if bytes.len() >= room => (&bytes[..room], room, false),
                None => {
                    self.waiting.extend_from_slice(bytes);
                    return;
                }
            };
            if self.waiting.is_empty() {
                take(Piece { bytes: piece, ends });
            } else {
                self.waiting.extend_from_slice(piece);
                take(Piece { bytes: &self.waiting, ends });
                self.waiting.clear();
            }
            bytes = &bytes[used..];
        }
    }

    /// Gives what is left when the stream has ended: the begin of a line that has no end.
    pub fn finish(&mut self, take: &mut dyn FnMut(Piece<'_>)) {
        if !self.waiting.is_empty() {
            take(Piece { bytes: &self.waiting, ends: false });
        }
        self.waiting = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(parts: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut splitter, mut pieces) = (Splitter::default(), Vec::new());
        let mut take = |piece: Piece<'_>| pieces.push((piece.bytes.to_vec(), piece.ends));
        parts.iter().for_each(|part| splitter.push(part, &mut take));
        splitter.finish(&mut take);
        pieces
    }

    #[test]
    fn lines_are_cut_and_ends_wait() {
        let text = |text: &str, ends| (text.as_bytes().to_vec(), ends);
        assert_eq!(
            cut(&[b"a\n\nb", b"c\nd"]),
            [text("a", true), text("", true), text("bc", true), text("d", false)]
        );
        let long = vec![b'x'; 2 * PIECE_BYTES];
        let lengths = |parts: &[&[u8]]| -> Vec<(usize, bool)> {
            cut(parts).into_iter().map(|(bytes, ends)| (bytes.len(), ends)).collect()
        };
        assert_eq!(lengths(&[&long, b"y\n"]), [(16384, false), (16384, false), (1, true)]);
        // A line of exactly a piece is one line.
        assert_eq!(lengths(&[&[&long[..PIECE_BYTES], b"\n"].concat()]), [(16384, true)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_arrives(
            lines in proptest::collection::vec(0..40_000_usize, 0..5),
            step in 1..20_000_usize,
        ) {
            let text: Vec<u8> = lines.iter().flat_map(|length| {
                let mut line = vec![b'l'; *length];
                line.push(b'\n');
                line
            }).collect();
            let pieces = cut(&text.chunks(step).collect::<Vec<_>>());
            let again: Vec<u8> = pieces.iter().flat_map(|(bytes, ends)| {
                let mut bytes = bytes.clone();
                bytes.extend(ends.then_some(b'\n'));
                bytes
            }).collect();
            prop_assert_eq!(again, text);
            prop_assert!(pieces.iter().all(|(bytes, _)| bytes.len() <= PIECE_BYTES));
        }
    }
}
