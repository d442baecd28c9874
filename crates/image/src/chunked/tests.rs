use std::io::Write;

use testkit::Layer;

use super::*;
use crate::codec::{Frames, encoder};

fn packed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(codec, None, Vec::new()).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn extents(layer: &[u8]) -> Option<Vec<Extent>> {
    let bytes = layer.len() as u64;
    let place = Place::find(&layer[layer.len() - FOOTER_BYTES as usize..], bytes)?;
    place.read(&layer[place.at as usize..(place.at + place.bytes) as usize])
}

fn shape(extents: &[Extent]) -> Vec<(u64, u64)> {
    extents.iter().map(|extent| (extent.at, extent.bytes)).collect()
}

fn chunked(table: &str) -> Vec<u8> {
    let table = packed(Codec::Zstd, table.as_bytes());
    let mut layer = vec![0; 100];
    layer.extend_from_slice(&table);
    for number in [100, table.len() as u64, 0, 1, 0, 0, 0] {
        layer.extend_from_slice(&u64::to_le_bytes(number));
    }
    layer.extend_from_slice(CHUNKED);
    layer
}

#[test]
fn contents_and_what_is_between_them_are_extents() {
    let table = |time: u32, last: &str| {
        chunked(&format!(
            r#"{{"version":1,"entries":[
                {{"type":"dir","name":"d/"}},
                {{"type":"reg","name":"a","digest":"one","offset":10,"endOffset":20}},
                {{"type":"reg","name":"b","mtime":{time},"chunkDigest":"two","offset":24,"endOffset":60}},
                {{"type":"chunk","name":"b","chunkDigest":"{last}","offset":60,"endOffset":80}}
            ]}}"#
        ))
    };
    let one = extents(&table(1, "three")).unwrap();
    assert_eq!(shape(&one), [(0, 10), (10, 10), (20, 4), (24, 36), (60, 20), (80, 20)]);
    // Another time changes the header alone, another content what comes behind it too.
    let same = |other: &[u8]| -> Vec<bool> {
        let other = extents(other).unwrap();
        one.iter().zip(&other).map(|(one, other)| one.key == other.key).collect()
    };
    assert_eq!(same(&table(1, "three")), [true; 6]);
    // The last one has the table's length in it.
    assert_eq!(same(&table(2, "three"))[..5], [true, true, false, true, true]);
    assert_eq!(same(&table(1, "four")), [true, true, true, true, false, false]);
}

#[test]
fn stargz_has_its_table_in_a_tar() {
    let json = br#"{"version":1,"entries":[
        {"type":"reg","name":"a","chunkDigest":"one","offset":10},
        {"type":"reg","name":"b","chunkDigest":"two","offset":40},
        {"type":"reg","name":"c","chunkDigest":"three","offset":40}]}"#;
    let mut tar = vec![0; 512];
    tar[..STARGZ_TABLE.len()].copy_from_slice(STARGZ_TABLE);
    tar[124..135].copy_from_slice(format!("{:011o}", json.len()).as_bytes());
    tar.extend_from_slice(json);
    let mut layer = vec![0; 90];
    layer.extend_from_slice(&packed(Codec::Gzip, &tar));
    layer.extend_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0, b'S', b'G', 22, 0]);
    layer.extend_from_slice(format!("{:016x}STARGZ", 90).as_bytes());
    layer.extend_from_slice(&[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(shape(&extents(&layer).unwrap()), [(0, 10), (10, 30), (40, 50)]);
}

#[test]
fn what_makes_no_sense_is_no_table() {
    let entry = |places: &str| {
        let entry = format!(r#"{{"type":"reg","digest":"x",{places}}}"#);
        chunked(&format!(r#"{{"entries":[{entry},{entry}]}}"#))
    };
    assert!(extents(&entry(r#""offset":20,"endOffset":10"#)).is_none());
    assert!(extents(&entry(r#""offset":20,"endOffset":200"#)).is_none());
    assert!(extents(&chunked("{}")).is_none());
    assert!(extents(&chunked("nonsense")).is_none());
    let mut layer = chunked("{}");
    let end = layer.len();
    layer[end - 64..end - 48].fill(0xff);
    assert!(extents(&layer).is_none());
    assert!(Place::find(&[0; 64], 1000).is_none() && Place::find(b"short", 5).is_none());
}

/// A layer as it is made here.
fn made(tar: &[u8]) -> (Vec<u8>, Annotations) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(tar).unwrap();
    let bytes = tar.len() as u64;
    let cuts = Cuts::of(&file, bytes).unwrap();
    let mut frames = Frames::new(None).unwrap();
    let (mut layer, mut at, mut packed) = (Vec::new(), 0, Vec::new());
    for part in cuts.parts() {
        let end = at + part.bytes as usize;
        let frame = frames.frame(&tar[at..end]).unwrap();
        packed.push(frame.len() as u64);
        layer.extend(frame);
        at = end;
    }
    assert_eq!(at, tar.len());
    let ending = Ending::of((&file, bytes), &cuts, &mut packed.into_iter()).unwrap();
    layer.extend(&ending.bytes);
    (layer, ending.annotations)
}

/// Bytes that are not the same anywhere else.
fn content(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(at) >> 9) as u8 ^ seed).collect()
}

fn rich() -> Layer {
    Layer::new()
        .folder("d/")
        .mode(0o1777)
        .file("d/empty", "")
        .file("d/small", "small")
        .xattr("user.a", [0, 1])
        .owner(3_000_000, 7)
        .mtime(-1, 500_000_000)
        .file(format!("d/{}", "long".repeat(60)), content(1, 1000))
        .hard_link("d/same", "d/small")
        .link("l", "d/small")
        .char_device("null", 1, 3)
        .fifo("p")
        .whiteout("gone")
        .file("large", content(2, 2_500_000))
        .file("last", content(3, 700))
}

#[test]
fn a_layer_made_here_is_what_its_tar_is() {
    let tar = rich().tar();
    let (layer, annotations) = made(&tar);
    let mut plain = Vec::new();
    decoder(Codec::Zstd, Cursor::new(&layer)).read_to_end(&mut plain).unwrap();
    assert!(plain == tar);
    assert_eq!((layer.clone(), annotations), made(&tar));
    // Four contents, one of them of three chunks, and what is before, between and behind them.
    let shape = shape(&extents(&layer).unwrap());
    assert_eq!(shape.len(), 4 + 2 + 5);
}

#[test]
fn others_read_what_is_made_here() {
    let tar = rich().tar();
    let (layer, annotations) = made(&tar);
    let told = zstd_chunked::MetadataReferences::from_oci(|key| annotations.get(key)).unwrap();
    let part = |range: &std::ops::Range<u64>| &layer[range.start as usize..range.end as usize];
    let table = part(&told.manifest.range);
    assert_eq!(told.manifest.digest.unwrap(), Digest::of(table).to_string());
    let split = part(&told.tarsplit.range);
    let expand = |bytes: &[u8]| {
        let mut plain = Vec::new();
        decoder(Codec::Zstd, Cursor::new(bytes)).read_to_end(&mut plain).unwrap();
        plain
    };
    assert_eq!(expand(table).len() as u64, told.manifest.uncompressed_size);
    assert_eq!(expand(split).len() as u64, told.tarsplit.uncompressed_size);
    let json: Value = serde_json::from_slice(&expand(table)).unwrap();
    assert_eq!(json["tarSplitDigest"], Digest::of(split).to_string());
    // The tar comes of the two documents and of the files that the first one names.
    let stream = zstd_chunked::Stream::new_from_frames(table, split).unwrap();
    let mut again = Vec::new();
    let fetch = |wanted: &zstd_chunked::ContentReference| {
        let content = expand(part(&wanted.range));
        assert_eq!(Digest::of(&content).to_string(), wanted.digest);
        Ok(content)
    };
    stream.write_to(&mut again, fetch).unwrap();
    assert!(again == tar);
}

#[test]
fn a_long_file_that_was_changed_at_its_end_is_the_same_before() {
    let layer = |last: u8| {
        let mut large = content(2, 2_500_000);
        large.push(last);
        Layer::new().file("a", "a").file("large", large).file("z", "z").tar()
    };
    let (one, other) = (made(&layer(1)).0, made(&layer(2)).0);
    let (one, other) = (extents(&one).unwrap(), extents(&other).unwrap());
    let same: Vec<bool> = one.iter().zip(&other).map(|(a, b)| a.key == b.key).collect();
    // The header, too, is known by the digest of the whole file.
    assert_eq!(same[..6], [true, true, false, true, true, false]);
}

#[test]
fn what_a_table_cannot_say_is_not_cut() {
    let cut = |tar: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(tar).unwrap();
        Cuts::of(&file, tar.len() as u64)
    };
    assert!(cut(&Layer::new().file("a", "a").tar()).is_some());
    assert!(cut(&Layer::new().file(b"\xff", "a").tar()).is_none());
    assert!(cut(&Layer::new().link("a", b"\xff").tar()).is_none());
    assert!(cut(b"no tar").is_none() && cut(b"").is_none());
}

#[test]
fn chunks_of_a_file_may_tell_its_end_first() {
    // As containers' own program writes it.
    let chunked = chunked(
        r#"{"version":1,"entries":[
            {"type":"reg","name":"a","digest":"whole","chunkDigest":"one","chunkSize":9,
             "offset":10,"endOffset":40},
            {"type":"chunk","name":"a","chunkDigest":"two","chunkOffset":9,"chunkSize":9,"offset":20},
            {"type":"chunk","name":"a","chunkDigest":"three","chunkOffset":18,"chunkSize":9,"offset":35},
            {"type":"dir","name":"d/"},
            {"type":"reg","name":"z","digest":"z","offset":50,"endOffset":60}]}"#,
    );
    let shape = shape(&extents(&chunked).unwrap());
    assert_eq!(shape, [(0, 10), (10, 10), (20, 15), (35, 5), (40, 10), (50, 10), (60, 40)]);
}
