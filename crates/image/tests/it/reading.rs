//! Reading a layer: every byte passes once, and whose fault an error is stays known.

use std::io::{self, Read};

use image::codec::Codec;
use image::folder::{FolderSink, Marks, Ownership};
use image::layer::{LayerError, LayerLimits, Taps, read_layer};
use image::stream::Tap;
use image::tree::Bottom;
use testkit::oracle::apply;
use testkit::{Layer, Mounted, Tree, random};

use crate::Silent;

/// Keeps what passes, up to a number of bytes; then the disk is full.
struct Disk {
    kept: Vec<u8>,
    room: usize,
}

impl Tap for Disk {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.kept.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.kept.extend(bytes);
        Ok(())
    }
}

/// A stream that breaks after so many bytes.
struct Breaks<'a>(&'a [u8], usize);

impl Read for Breaks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.1.min(buffer.len()).min(self.0.len()).min(4000);
        if bytes == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        buffer[..bytes].copy_from_slice(&self.0[..bytes]);
        (self.0, self.1) = (&self.0[bytes..], self.1 - bytes);
        Ok(bytes)
    }
}

fn sample() -> (Layer, Vec<u8>) {
    let layer = random::layer(21, 200).file("large", random_bytes(900_000));
    let tar = layer.tar();
    (layer, tar)
}

fn random_bytes(count: usize) -> Vec<u8> {
    testkit::Random::new(9).bytes(count)
}

#[test]
fn both_forms_pass_whole() {
    let (layer, tar) = sample();
    for program in ["gzip", "zstd", "bzip2", "xz"] {
        let Some(mut bytes) = layer.compressed(program) else { continue };
        if program == "zstd" {
            // A frame to skip belongs to the blob, though not to the tar.
            bytes.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        let disk = || Disk { kept: Vec::new(), room: usize::MAX };
        let (mut stored, mut plain) = (disk(), disk());
        let taps = Taps { stored: &mut stored, plain: &mut plain };
        let codec = Codec::detect(&bytes);
        read_layer(&mut &bytes[..], codec, taps, None, &LayerLimits::default()).unwrap();
        assert!(stored.kept == bytes, "{program}");
        assert!(plain.kept == tar, "{program}");
    }
    let (mut stored, mut plain) =
        (Disk { kept: Vec::new(), room: usize::MAX }, Disk { kept: Vec::new(), room: 0 });
    let trailing = [&tar[..], &[9; 3000]].concat();
    let taps = Taps { stored: &mut stored, plain: &mut plain };
    read_layer(&mut &trailing[..], Codec::None, taps, None, &LayerLimits::default()).unwrap();
    assert!(stored.kept == trailing, "what follows the archive belongs to the layer");
}

#[test]
fn a_broken_stream_and_a_full_disk_are_told_apart() {
    let (layer, tar) = sample();
    let gzip = layer.compressed("gzip").unwrap_or_else(|| tar.clone());
    for bytes in [&tar, &gzip] {
        for at in [0, 1, 600, 5000, bytes.len() / 2, bytes.len() - 10] {
            let read = |source: &mut (dyn Read + Send), room: [usize; 2], files: bool| {
                let place = Mounted::folder();
                let root = sys::fs::open_folder(place.path()).unwrap();
                let mut sink = FolderSink::new(root, Some(Marks::Trusted), Ownership::Same);
                let mut disks = room.map(|room| Disk { kept: Vec::new(), room });
                let [stored, plain] = &mut disks;
                let taps = Taps { stored, plain };
                let files = files.then_some(&mut sink as _);
                read_layer(source, Codec::detect(bytes), taps, files, &LayerLimits::default()).err()
            };
            let whole = [usize::MAX; 2];
            for files in [false, testkit::is_root()] {
                let broken = read(&mut Breaks(bytes, at), whole, files);
                assert!(matches!(broken, Some(LayerError::Read(_))), "{at}: {broken:?}");
                let full = read(&mut &bytes[..], [at, usize::MAX], files);
                assert!(matches!(full, Some(LayerError::Write(_))), "{at}: {full:?}");
                if bytes == &gzip && bytes != &tar {
                    let full = read(&mut &bytes[..], [usize::MAX, at], files);
                    assert!(matches!(full, Some(LayerError::Write(_))), "{at}: {full:?}");
                }
            }
        }
    }
}

#[test]
fn a_full_disk_behind_the_compressed_data_is_noticed() {
    let (layer, _) = sample();
    let Some(mut bytes) = layer.compressed("gzip") else {
        return testkit::skip("there is no gzip program");
    };
    let room = bytes.len() + 100;
    // Zeros may follow a gzip stream, and are part of the blob.
    bytes.extend(vec![0; 2 << 20]);
    let mut stored = Disk { kept: Vec::new(), room };
    let taps = Taps { stored: &mut stored, plain: &mut Silent };
    let result = read_layer(&mut &bytes[..], Codec::Gzip, taps, None, &LayerLimits::default());
    assert!(matches!(result.err(), Some(LayerError::Write(_) | LayerError::Decompress(_))));
}

#[test]
fn bombs_end_at_their_limit() {
    let (_, tar) = sample();
    let limits = LayerLimits { tar_bytes: 100_000, ..LayerLimits::default() };
    for bytes in
        [tar.clone(), Layer::new().file("z", vec![0; 5 << 20]).compressed("gzip").unwrap_or(tar)]
    {
        let taps = Taps { stored: &mut Silent, plain: &mut Silent };
        let result = read_layer(&mut &bytes[..], Codec::detect(&bytes), taps, None, &limits);
        assert!(matches!(result.err(), Some(LayerError::Decompress(_))));
    }
}

#[test]
fn files_arrive_in_a_folder() {
    testkit::need_root!();
    for seed in 0..40 {
        let layer = random::layer(seed, 60);
        let place = Mounted::folder();
        let root = sys::fs::open_folder(place.path()).unwrap();
        let mut sink = FolderSink::new(root, Some(Marks::Trusted), Ownership::Same);
        let taps = Taps { stored: &mut Silent, plain: &mut Silent };
        let tar = layer.tar();
        let limits = LayerLimits::default();
        let mut tree =
            read_layer(&mut &tar[..], Codec::None, taps, Some(&mut sink), &limits).unwrap();
        tree.settle(&mut Bottom).unwrap();
        sink.finish(&tree).unwrap();
        Tree::read(place.path()).unwrap().must_equal(&apply(&[layer]), &format!("seed {seed}"));
    }
}

#[test]
fn owners_are_mapped_or_refused() {
    testkit::need_root!();
    let layer = Layer::new().folder("d").owner(5, 6).file("d/f", "").owner(0, 7);
    let unpack = |owners: Ownership| {
        let place = Mounted::folder();
        let root = sys::fs::open_folder(place.path()).unwrap();
        let mut sink = FolderSink::new(root, Some(Marks::User), owners);
        let taps = Taps { stored: &mut Silent, plain: &mut Silent };
        let limits = LayerLimits::default();
        let tar = layer.tar();
        let mut tree = read_layer(&mut &tar[..], Codec::None, taps, Some(&mut sink), &limits)?;
        tree.settle(&mut Bottom).unwrap();
        sink.finish(&tree).map_err(LayerError::Write)?;
        let tree = Tree::read(place.path()).unwrap();
        Ok::<_, LayerError>(["", "d", "d/f"].map(|path| {
            let node = tree.get(path).unwrap();
            (node.uid, node.gid)
        }))
    };
    assert_eq!(unpack(Ownership::Same).unwrap(), [(0, 0), (5, 6), (0, 7)]);
    assert_eq!(unpack(Ownership::Single { uid: 3, gid: 4 }).unwrap(), [(3, 4); 3]);
    let ranges = |count| {
        let users = vec![(0, 1000, 1), (1, 100_000, count)];
        Ownership::Ranges { users: users.clone(), groups: users }
    };
    let mapped = [(1000, 1000), (100_004, 100_005), (1000, 100_006)];
    assert_eq!(unpack(ranges(65_535)).unwrap(), mapped);
    assert!(matches!(unpack(ranges(3)).err(), Some(LayerError::Write(_))));
}
