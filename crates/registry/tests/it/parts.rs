//! Several parts of a blob at once: from registries that give them, that do not, and that lie.

use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use registry::Access;
use spec::Digest;

use crate::server::{Asked, Deed, Server, answer, blob, client};

const BYTES: usize = 100_000;
const PARTS: [Range<u64>; 4] = [0..10, 500..70_000, 70_001..70_002, 99_990..100_000];

/// The ranges that a request asks for.
fn ranges(asked: &Asked) -> Vec<Range<usize>> {
    let text = asked.header("range").unwrap().strip_prefix("bytes=").unwrap();
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
    };
    text.split(',').map(range).collect()
}

/// Answers as the specification of HTTP shows it, whatever the ranges are.
fn together(ranges: &[Range<usize>], bytes: &[u8]) -> Vec<u8> {
    let mut body = b"who knows nothing of this sees this line\r\n".to_vec();
    for range in ranges {
        let (first, last, all) = (range.start, range.end - 1, bytes.len());
        let head = format!(
            "\r\n--THIS\r\nContent-Type: x/y\r\ncontent-range: bytes {first}-{last}/{all}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&bytes[range.clone()]);
    }
    body.extend_from_slice(b"\r\n--THIS--\r\n");
    body
}

fn several(body: Vec<u8>) -> Deed {
    let kind = "multipart/byteranges; boundary=THIS".to_owned();
    Deed::Answer(206, vec![("Content-Type", kind)], body)
}

fn single(asked: &Asked, bytes: &[u8]) -> Deed {
    let range = ranges(asked).remove(0);
    let said = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
    Deed::Answer(206, vec![("Content-Range", said)], bytes[range].to_vec())
}

/// Reads parts from a server; gives how many requests it took.
#[track_caller]
fn check(server: &Server, digest: Digest, bytes: &[u8], parts: &[Range<u64>]) -> usize {
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let mut found = Vec::new();
    repository.blob_parts(digest, parts).read_to_end(&mut found).unwrap();
    let part = |part: &Range<u64>| bytes[part.start as usize..part.end as usize].to_vec();
    assert!(found == parts.iter().map(part).collect::<Vec<_>>().concat());
    server.asked().len()
}

#[test]
fn they_come_by_one_request() {
    let (bytes, digest) = blob(BYTES);
    let whole = bytes.clone();
    let server = Server::new(move |asked, _| match ranges(asked).as_slice() {
        [_] => single(asked, &whole),
        ranges => several(together(ranges, &whole)),
    });
    assert_eq!(check(&server, digest, &bytes, &PARTS), 1);
    // What is more than some registries read comes by two, and a single one as ever.
    let many: Vec<Range<u64>> = (0..200).map(|at| at * 3..at * 3 + 2).collect();
    assert_eq!(check(&server, digest, &bytes, &many), 3);
    assert_eq!(check(&server, digest, &bytes, &PARTS[2..3]), 4);
    assert_eq!(check(&server, digest, &bytes, &[]), 4);
}

#[test]
fn a_registry_that_gives_one_part_is_asked_for_each() {
    let (bytes, digest) = blob(BYTES);
    for status in [200, 206] {
        let whole = bytes.clone();
        let server = Server::new(move |asked, _| match (ranges(asked).len(), status) {
            (1, _) | (_, 206) => single(asked, &whole),
            _ => answer(200, &whole),
        });
        assert_eq!(check(&server, digest, &bytes, &PARTS), 1 + PARTS.len(), "{status}");
    }
}

#[test]
fn what_is_missing_of_a_bad_answer_comes_one_by_one() {
    let (bytes, digest) = blob(BYTES);
    let whole = bytes.clone();
    let check = |deed: fn(&[Range<usize>], &[u8]) -> Deed, wanted: usize| {
        let whole = whole.clone();
        let server = Server::new(move |asked, _| match ranges(asked).as_slice() {
            [_] => single(asked, &whole),
            ranges => deed(ranges, &whole),
        });
        assert_eq!(check(&server, digest, &bytes, &PARTS), wanted);
    };
    // Cut within the second part, of which what came counts.
    let cut = |ranges: &[Range<usize>], whole: &[u8]| {
        let body = together(ranges, whole);
        let head = format!(
            "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=THIS\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        Deed::Raw(vec![head.into_bytes(), body[..30_000].to_vec()], Duration::ZERO)
    };
    check(cut, 1 + 3);
    // In another order, less of them, and lines without an end.
    check(
        |ranges, whole| {
            let mut other = ranges.to_vec();
            other.swap(1, 2);
            several(together(&other, whole))
        },
        1 + 3,
    );
    check(|ranges, whole| several(together(&ranges[..2], whole)), 1 + 2);
    check(|_, _| several(vec![b'x'; 1 << 20]), 1 + 4);
}
