//! Archives nobody meant to make: cut, changed, arbitrary, and in pieces of any size.

use super::*;
use proptest::prelude::*;
use std::io::{self, BufReader};

/// One of everything.
fn sample() -> Vec<u8> {
    let piece = "00000001743\x0000000000005\0";
    let old_sparse = Raw::new(b'S', "old", 5)
        .gnu()
        .text(field::GNU_SPARSE, piece)
        .byte(field::GNU_IS_EXTENDED, 1)
        .text(field::GNU_REAL_SIZE, "00000001750");
    let map = [b"1\n995\n5\n".to_vec(), vec![0; BLOCK - 8], b"hello".to_vec()].concat();
    archive(&[
        pax(b'g', &[("uname", b"wide"), ("mtime", b"1.5")]),
        Raw::new(b'5', "dir/", 0).alone(),
        Raw::new(b'L', "l", 150).gnu().with(&[b'l'; 150]),
        Raw::new(b'K', "k", 150).gnu().with(&[b'k'; 150]),
        Raw::new(b'2', "link", 0).gnu().alone(),
        pax(b'x', &[("path", b"some/path"), ("SCHILY.xattr.user.a", b"b"), ("size", b"600")]),
        Raw::new(b'0', "file", 0).with(&[b'x'; 600]),
        Raw::new(b'1', "hard", 600).text(field::LINK, "some/path").with(&[b'x'; 600]),
        old_sparse.with(&[vec![0; BLOCK], b"hello".to_vec()].concat()),
        pax(
            b'x',
            &[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.realsize", b"1000"),
            ],
        ),
        Raw::new(b'0', "new", map.len()).with(&map),
        pax(b'x', &[("GNU.sparse.map", b"0,2,5,3"), ("GNU.sparse.size", b"8")]),
        Raw::new(b'0', "middle", 5).with(b"hello"),
        Raw::new(b'3', "tty", 0).text(field::MAJOR, "0000005").alone(),
    ])
}

/// Makes the checksum of every block right, so that changes get past it.
fn forge(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(BLOCK) {
        let block: &mut Block = block.try_into().unwrap();
        if &block[field::MAGIC][..5] == b"ustar" {
            let sum = checksum(block);
            block[field::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// Reads with all holes filled, up to a size a test can afford.
fn expand(bytes: &[u8]) -> io::Result<u64> {
    let mut reader = TarReader::new(bytes, Limits::default());
    let mut total = 0;
    while let Some(entry) = reader.next()? {
        let mut content = reader.expanded(&entry).take(100_000);
        let count = io::copy(&mut content, &mut io::sink())?;
        assert_eq!(count, entry.size.min(100_000));
        total += count;
    }
    Ok(total)
}

#[test]
fn the_sample_is_whole() {
    let members = read_bytes(&sample()).unwrap();
    let paths: Vec<_> =
        members.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path[..3])).collect();
    assert_eq!(paths, ["dir", "lll", "som", "har", "old", "new", "mid", "tty"]);
    assert_eq!(expand(&sample()).unwrap(), 600 + 1000 + 1000 + 8);
}

#[test]
fn a_cut_archive_never_passes_with_data_missing() {
    let bytes = sample();
    let whole = read_bytes(&bytes).unwrap();
    for length in 0..bytes.len() {
        let mut reader = TarReader::new(&bytes[..length], Limits::default());
        let mut count = 0;
        let result = loop {
            match reader.next() {
                Ok(Some(entry)) => assert_eq!(entry, whole[count].0, "cut at {length}"),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            count += 1;
        };
        // Between entries, and in padding, an archive may end; anywhere else that is an error.
        if let Some((last, _)) = count.checked_sub(1).map(|last| &whole[last]) {
            let is_complete = last.data_offset + last.stored_size <= length as u64;
            assert!(is_complete || result.is_err(), "cut at {length}");
        }
        assert!(reader.offset() <= length as u64);
    }
}

#[test]
fn pieces_of_any_size_read_the_same() {
    let bytes = sample();
    let whole = read_bytes(&bytes).unwrap();
    for size in [1, 2, 7, 100, 511, 512, 513, 4096] {
        assert!(read_all(BufReader::with_capacity(size, &bytes[..])).unwrap() == whole, "{size}");
    }
}

#[test]
fn data_can_be_lent_and_left() {
    let bytes = sample();
    let mut reader = TarReader::new(BufReader::with_capacity(100, &bytes[..]), Limits::default());
    while let Some(entry) = reader.next().unwrap() {
        let mut data = reader.data();
        assert_eq!(data.remaining(), entry.stored_size);
        let lent = data.fill_buf().unwrap().len().min(3);
        data.consume(lent);
        assert_eq!(data.remaining(), entry.stored_size - lent as u64);
        assert_eq!(reader.offset(), entry.data_offset + lent as u64);
    }
    let file = Raw::new(b'0', "f", 5).with(b"hello");
    let mut reader = TarReader::new(&file[..BLOCK], Limits::default());
    reader.next().unwrap();
    assert_eq!(reader.data().fill_buf().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_was_read_is_missing_from_the_whole() {
    let bytes = archive(&[Raw::new(b'0', "f", 5).with(b"hello")]);
    let mut reader = TarReader::new(&bytes[..], Limits::default());
    let entry = reader.next().unwrap().unwrap();
    reader.data().consume(3);
    let error = io::read_to_string(reader.expanded(&entry)).unwrap_err();
    let expected = "`f` gave 2 bytes where 5 were promised";
    assert_eq!(TarError::inside(&error).unwrap().to_string(), expected);
}

/// A stream that is interrupted again and again, and at last fails.
struct Failing<'a>(&'a [u8], bool);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match self.1 {
            true => Err(io::ErrorKind::Interrupted.into()),
            false if self.0.is_empty() => Err(io::Error::other("gone")),
            false => self.0.read(buffer),
        }
    }
}

#[test]
fn a_failing_stream_is_no_end() {
    let bytes = sample();
    for length in [0, 100, 512, 700, 1024, 1536, 2000, 3000, bytes.len()] {
        let stream = BufReader::new(Failing(&bytes[..length], false));
        let error = read_all(stream).unwrap_err();
        let TarError::Read { source, .. } = &error else { panic!("{length}: {error:?}") };
        assert_eq!(source.to_string(), "gone");
        let carried = io::Error::from(error);
        assert!(matches!(TarError::inside(&carried), Some(TarError::Read { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_are_handled(mut bytes in proptest::collection::vec(any::<u8>(), 0..6000)) {
        let _ = read_bytes(&bytes);
        for block in bytes.chunks_exact_mut(BLOCK) {
            block[field::MAGIC][..5].copy_from_slice(b"ustar");
        }
        forge(&mut bytes);
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn changed_archives_are_handled(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            // Numbers get digits more often than not: only those lead any further.
            let at = at.index(bytes.len());
            bytes[at] = if byte & 1 == 0 { b'0' + byte % 8 } else { byte };
        }
        forge(&mut bytes);
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        let _ = read_bytes(&bytes);
        let _ = expand(&bytes);
    }
}
