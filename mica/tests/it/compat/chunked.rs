//! Layers that say where in them everything is: what is here already is not fetched, and nothing
//! becomes visible that is not what its digest says.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use image::codec::{Codec, encoder};
use serde_json::{Value, json};
use spec::Digest;
use testkit::Layer;

use super::hub::{Hub, settled_log};
use crate::support::Mica;

/// A layer as `zstd:chunked` has it: each file's content in a frame of its own, and the table.
struct Chunked {
    bytes: Vec<u8>,
    diff: Digest,
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(Codec::Zstd, None, Vec::new()).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A frame that decoders pass over.
fn skipped(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    [&[0x50, 0x2a, 0x4d, 0x18], &length[..], content].concat()
}

impl Chunked {
    /// Of a tar with files alone. `claims` says what the table calls the content of each.
    fn of(tar: &[u8], claims: &dyn Fn(&str, &[u8]) -> String) -> Chunked {
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        let (mut at, mut headers) = (0, 0);
        while tar[at] != 0 {
            let name = tar[at..at + 100].split(|byte| *byte == 0).next().unwrap();
            let name = String::from_utf8(name.to_vec()).unwrap();
            let size = std::str::from_utf8(&tar[at + 124..at + 135]).unwrap();
            let size = usize::from_str_radix(size.trim(), 8).unwrap();
            let content = &tar[at + 512..at + 512 + size];
            let mut entry = json!({ "type": "reg", "name": name, "size": size });
            if size > 0 {
                bytes.extend_from_slice(&frame(&tar[headers..at + 512]));
                let offset = bytes.len();
                bytes.extend_from_slice(&frame(content));
                entry["digest"] = json!(claims(&name, content));
                (entry["offset"], entry["endOffset"]) = (json!(offset), json!(bytes.len()));
                headers = at + 512 + size;
            }
            entries.push(entry);
            at += 512 + size.next_multiple_of(512);
        }
        bytes.extend_from_slice(&frame(&tar[headers..]));
        let table = json!({ "version": 1, "entries": entries }).to_string();
        let packed = frame(table.as_bytes());
        let place = bytes.len() + 8;
        bytes.extend_from_slice(&skipped(&packed));
        let numbers = [place, packed.len(), table.len(), 1, 0, 0, 0];
        let numbers = numbers.map(|number| (number as u64).to_le_bytes());
        bytes.extend_from_slice(&skipped(&[numbers.concat().as_slice(), b"GnUlInUx"].concat()));
        Chunked { bytes, diff: Digest::of(tar) }
    }

    fn honest(tar: &[u8]) -> Chunked {
        Chunked::of(tar, &|_, content| Digest::of(content).to_string())
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

fn send(hub: &Hub, method: &str, path: &str, kind: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(&hub.host).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

/// Pushes an image of one layer; gives its manifest's digest.
fn push(hub: &Hub, tag: &str, layer: &Chunked) -> Digest {
    let blob = |bytes: &[u8]| {
        let path = format!("/v2/app/blobs/uploads/?digest={}", Digest::of(bytes));
        send(hub, "POST", &path, "application/octet-stream", bytes);
    };
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [layer.diff] },
    })
    .to_string();
    blob(config.as_bytes());
    blob(&layer.bytes);
    let described = |kind: &str, bytes: &[u8]| {
        let kind = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let mut described_layer = described("layer.v1.tar+zstd", &layer.bytes);
    described_layer["annotations"] =
        json!({ "io.github.containers.zstd-chunked.manifest-checksum": "sha256:0" });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind,
        "config": described("config.v1+json", config.as_bytes()),
        "layers": [described_layer],
    })
    .to_string();
    send(hub, "PUT", &format!("/v2/app/manifests/{tag}"), kind, manifest.as_bytes());
    Digest::of(manifest.as_bytes())
}

/// How many bytes of a layer were sent, and in how many answers.
fn sent(mica: &Mica, layer: &Chunked) -> (u64, usize) {
    let log = settled_log(mica);
    let path = format!("/v2/app/blobs/{}", layer.digest());
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let sent: Vec<u64> = lines
        .filter(|line| line["path"] == json!(path) && line["method"] == json!("GET"))
        .map(|line| line["sent_bytes"].as_u64().unwrap())
        .collect();
    (sent.iter().sum(), sent.len())
}

/// The length of each file but one, which has none.
const FILE_BYTES: usize = 100_000;

/// Forty files that cannot be compressed, some of them changed.
fn files(changed: &[u32]) -> Vec<u8> {
    let mut layer = Layer::new();
    for number in 0..40 {
        let seed = if changed.contains(&number) { number + 1000 } else { number };
        let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let count = if number == 7 { 0 } else { FILE_BYTES / 8 };
        let content: Vec<u8> = words.take(count).flatten().collect();
        layer = layer.file(format!("f{number:02}"), content);
    }
    layer.tar()
}

#[test]
fn what_is_here_is_not_fetched() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (one, two) = (Chunked::honest(&files(&[])), Chunked::honest(&files(&[3, 20, 21])));
    push(&hub, "1", &one);
    let digest = push(&hub, "2", &two);
    mica.ok(&format!("pull -q {}", hub.name("app:1")));
    assert_eq!(sent(&mica, &one), (one.bytes.len() as u64, 1));
    mica.ok(&format!("pull -q {}", hub.name("app:2")));
    let (fetched, requests) = sent(&mica, &two);
    // Three files of a hundred kilobytes, two of them side by side, the table, and what says where
    // it is.
    assert!((300_000..330_000).contains(&fetched) && requests <= 6, "{fetched} {requests}");
    mica.must_be_whole();
    // It is all here, bit for bit.
    let pushed = mica.ok(&format!("push {}", hub.name("app:2")));
    assert!(pushed.contains(&digest.to_string()), "{pushed}");
    // Removed and pulled again, what the other has need not come.
    mica.ok(&format!("rmi -f {}", hub.name("app:1")));
    mica.ok(&format!("pull -q {}", hub.name("app:1")));
    assert!(sent(&mica, &one).0 < one.bytes.len() as u64 + 330_000);
    mica.must_be_whole();
}

/// How many bytes of blobs were sent.
fn all_sent(mica: &Mica) -> u64 {
    let log = settled_log(mica);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_blob = |line: &Value| line["path"].as_str().unwrap().contains("/blobs/sha256:");
    let sent = lines.filter(|line| line["method"] == json!("GET") && is_blob(line));
    sent.map(|line| line["sent_bytes"].as_u64().unwrap()).sum()
}

#[test]
fn what_is_pushed_chunked_is_fetched_in_parts() {
    let (mica, other) = (Mica::new(), Mica::new());
    let hub = Hub::start(&mica, &[]);
    let push = |name: &str, changed: &[u32]| {
        let path = mica.path("files.tar");
        fs::write(&path, files(changed)).unwrap();
        mica.ok(&format!("import {} {name}", path.display()));
        mica.ok(&format!("push --compression-format zstd:chunked {name}"))
    };
    let (one, two) = (hub.name("app:1"), hub.name("app:2"));
    push(&one, &[]);
    let pushed = push(&two, &[3, 20, 21]);
    other.ok(&format!("pull -q {one}"));
    let first = all_sent(&mica);
    other.ok(&format!("pull -q {two}"));
    let second = all_sent(&mica) - first;
    assert!(first > 3_900_000 && (300_000..340_000).contains(&second), "{first} {second}");
    other.must_be_whole();
    // It goes on as it came, and what was pushed need not be made again.
    let digest = pushed.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
    assert!(other.ok(&format!("push {two}")).contains(digest));
    assert!(mica.ok(&format!("push {two}")).contains(digest));
    // As gzip it is another manifest, and as before it is not known any more.
    let packed = mica.ok(&format!("push --compression-format gzip {two}"));
    assert!(!packed.contains(digest), "{packed}");
    let kept = other.ok(&format!("push --compression-format gzip {two}"));
    assert!(kept.contains(digest), "{kept}");
    let forced = other.ok(&format!("push --compression-format gzip --force-compression {two}"));
    assert!(!forced.contains(digest), "{forced}");
}

#[test]
fn a_table_that_lies_costs_a_fetch_and_nothing_else() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let truth = files(&[]);
    let wanted = Chunked::honest(&truth);
    // The same names and lengths, other contents, and in the table the digests of the wanted ones.
    let all: Vec<u32> = (0..40).collect();
    let liar = Chunked::of(&files(&all), &|name, _| {
        let before = (0..name[1..].parse::<usize>().unwrap())
            .map(|number| 512 + if number == 7 { 0 } else { FILE_BYTES.next_multiple_of(512) });
        let at = before.sum::<usize>() + 512;
        Digest::of(&truth[at..at + FILE_BYTES]).to_string()
    });
    push(&hub, "liar", &liar);
    let digest = push(&hub, "wanted", &wanted);
    mica.ok(&format!("pull -q {}", hub.name("app:liar")));
    mica.ok(&format!("pull -q {}", hub.name("app:wanted")));
    let (fetched, requests) = sent(&mica, &wanted);
    // It was tried, and then came whole.
    assert!(fetched > wanted.bytes.len() as u64 && requests > 2, "{fetched} {requests}");
    mica.must_be_whole();
    let pushed = mica.ok(&format!("push {}", hub.name("app:wanted")));
    assert!(pushed.contains(&digest.to_string()), "{pushed}");
}

#[test]
fn a_layer_without_a_table_comes_whole() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let tar = files(&[5]);
    let plain = Chunked { bytes: frame(&tar), diff: Digest::of(&tar) };
    push(&hub, "1", &Chunked::honest(&files(&[])));
    push(&hub, "2", &plain);
    mica.ok(&format!("pull -q {}", hub.name("app:1")));
    mica.ok(&format!("pull -q {}", hub.name("app:2")));
    assert_eq!(sent(&mica, &plain), (plain.bytes.len() as u64 + 64, 2));
    mica.must_be_whole();
}
