//! Blobs: end-1, end-2, end-10.

use spec::Digest;

use super::need;
use crate::client::Answer;
use crate::server::Registry;

super::conform!(
    says_that_it_is_a_registry,
    gives_blobs_and_their_lengths,
    gives_parts_of_blobs,
    knows_what_the_client_has,
    gives_a_part_only_of_what_the_client_has,
    misses_what_is_not_there,
    deletes_blobs,
    keeps_repositories_apart,
    refuses_names_and_methods,
);

fn says_that_it_is_a_registry(registry: &Registry) {
    let answer = registry.get("/v2/").is(200);
    assert_eq!(answer.must("docker-distribution-api-version"), "registry/2.0");
}

fn gives_blobs_and_their_lengths(registry: &Registry) {
    let large = vec![7; 3 << 20];
    for bytes in [&b""[..], b"hello", &large] {
        let digest = registry.push("a/b", bytes);
        let path = format!("/v2/a/b/blobs/{digest}");
        let head = registry.head(&*path).is(200);
        assert_eq!(head.must("content-length"), bytes.len().to_string());
        assert_eq!(head.digest(), digest);
        let got = registry.get(path).is(200);
        assert!(got.body == bytes && got.digest() == digest);
    }
}

fn gives_parts_of_blobs(registry: &Registry) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let digest = registry.push("parts", &bytes);
    let part = |range: &str| {
        registry.ask("GET", format!("/v2/parts/blobs/{digest}")).header("Range", range).send()
    };
    let check = |range: &str, from: usize, to: usize| {
        let answer = part(range).is(206);
        assert_eq!(answer.body, bytes[from..to], "{range}");
        let said = format!("bytes {from}-{}/{}", to - 1, bytes.len());
        assert_eq!(answer.must("content-range"), said);
    };
    check("bytes=0-0", 0, 1);
    check("bytes=5-9", 5, 10);
    check("bytes=100000-", 100_000, 200_000);
    check("bytes=-7", 199_993, 200_000);
    check("bytes=199999-300000", 199_999, 200_000);
    // Several come in one answer, in the order in which they are asked for.
    let asked = "bytes=100-104,0-1,-3,150000-180000";
    let answer = part(asked).is(206);
    let (kind, boundary) = answer.must("content-type").split_once("; boundary=").unwrap();
    assert_eq!(kind, "multipart/byteranges");
    let found = parts_of(&answer.body, boundary);
    let wanted = [(100, 105), (0, 2), (199_997, 200_000), (150_000, 180_001)];
    let wanted = wanted
        .map(|(from, to)| (format!("bytes {from}-{}/200000", to - 1), bytes[from..to].to_vec()));
    assert!(found == wanted, "{:?}", found.iter().map(|(range, _)| range).collect::<Vec<_>>());
    need!(registry, RefusedRanges);
    assert_eq!(part("bytes=200000-").is(416).must("content-range"), "bytes */200000");
    assert_eq!(part("nonsense").is(200).body, bytes);
}

/// The ranges and the bytes of an answer's parts.
fn parts_of(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let find = |bytes: &[u8], text: &str| {
        bytes.windows(text.len()).position(|part| part == text.as_bytes())
    };
    let (between, mut rest) = (format!("--{boundary}"), body);
    let mut parts = Vec::new();
    while let Some(at) = find(rest, &between) {
        rest = &rest[at + between.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        let head = find(rest, "\r\n\r\n").unwrap();
        let lines = String::from_utf8_lossy(&rest[..head]).into_owned();
        let range = lines.lines().find_map(|line| line.strip_prefix("Content-Range: ")).unwrap();
        rest = &rest[head + 4..];
        let end = find(rest, &format!("\r\n{between}")).unwrap();
        parts.push((range.to_owned(), rest[..end].to_vec()));
    }
    parts
}

fn knows_what_the_client_has(registry: &Registry) {
    let digest = registry.push("etag", b"hello");
    let path = format!("/v2/etag/blobs/{digest}");
    let tag = registry.get(&*path).is(200).must("etag").to_owned();
    let again = registry.ask("GET", &*path).header("If-None-Match", tag).send().is(304);
    assert!(again.body.is_empty());
}

fn gives_a_part_only_of_what_the_client_has(registry: &Registry) {
    let digest = registry.push("if", b"hello");
    let path = format!("/v2/if/blobs/{digest}");
    let (own, other) = (format!("\"{digest}\""), format!("\"{}\"", Digest::of(b"other")));
    let part = |tag: &str| {
        let ask = registry.ask("GET", &*path).header("Range", "bytes=1-2");
        ask.header("If-Range", tag).send()
    };
    assert_eq!(part(&own).is(206).body, b"el");
    assert_eq!(part(&other).is(200).body, b"hello");
    // A weak tag says nothing of bytes, and no time is known.
    assert_eq!(part(&format!("W/{own}")).is(200).body, b"hello");
    assert_eq!(part("Sun, 06 Nov 1994 08:49:37 GMT").is(200).body, b"hello");
    let matching = |tags: &str| registry.ask("GET", &*path).header("If-Match", tags).send();
    assert_eq!(matching(&own).is(200).body, b"hello");
    assert_eq!(matching(&format!("{other}, {own}")).is(200).body, b"hello");
    assert_eq!(matching("*").is(200).body, b"hello");
    need!(registry, RefusedRanges);
    matching(&other).is(412);
    matching(&format!("W/{own}")).is(412);
}

fn misses_what_is_not_there(registry: &Registry) {
    registry.push("misses", b"one");
    let path = format!("/v2/misses/blobs/{}", Digest::of(b"two"));
    registry.get(&*path).is(404).says("BLOB_UNKNOWN");
    registry.head(&*path).is(404);
    registry.delete(&*path).is(404).says("BLOB_UNKNOWN");
    let nowhere = format!("/v2/nowhere/blobs/{}", Digest::of(b"one"));
    registry.get(nowhere).is(404).fails();
    for wrong in ["sha256:abc", "sha256", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        registry.get(format!("/v2/misses/blobs/{wrong}")).either(&[400, 404]);
    }
}

fn deletes_blobs(registry: &Registry) {
    let digest = registry.push("deletes", b"hello");
    registry.push("others", b"hello");
    let path = format!("/v2/deletes/blobs/{digest}");
    registry.delete(&*path).is(202);
    registry.get(&*path).is(404).says("BLOB_UNKNOWN");
    registry.delete(&*path).is(404).says("BLOB_UNKNOWN");
    registry.get(format!("/v2/others/blobs/{digest}")).is(200);
    // It can come back.
    registry.push("deletes", b"hello");
    assert_eq!(registry.get(&*path).is(200).body, b"hello");
}

fn keeps_repositories_apart(registry: &Registry) {
    let digest = registry.push("mine", b"secret");
    registry.push("yours", b"other");
    registry.get(format!("/v2/yours/blobs/{digest}")).is(404).says("BLOB_UNKNOWN");
}

fn refuses_names_and_methods(registry: &Registry) {
    let digest = Digest::of(b"");
    for name in ["A", "a//b", "-a", "a..b"] {
        registry.get(format!("/v2/{name}/blobs/{digest}")).either(&[301, 400, 404]);
    }
    registry.ask("PATCH", format!("/v2/a/blobs/{digest}")).body("x").send().is(405);
    registry.ask("BREW", "/v2/a/tags/list").send().is(405);
    registry.get("/v2/a/nothing").is(404);
}

impl Answer {
    /// Any error of the specification's form.
    #[track_caller]
    fn fails(self) {
        assert!(self.json()["errors"][0]["code"].is_string(), "{self:?}");
    }
}
