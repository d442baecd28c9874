//! Blobs on their way in: hashed, checked, visible when whole.

use std::fs;
use std::io::Read;

use spec::{Algorithm, DiffId, Digest, Hasher};
use store::{DOCUMENT_BYTES, ErrorKind, Expected, StoreError};
use testkit::{Child, Layer, Random, Scratch, child, random};

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(bytes);
    hasher.finish()
}

fn read(scratch: &Scratch, digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    scratch.store.open_blob(digest).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn arrive_under_either_digest() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    for size in [0, 1, 511, 262_143, 262_144, 262_145, 1_000_000] {
        let bytes = Random::new(size as u64).bytes(size);
        for digest in [Digest::of(&bytes), sha512(&bytes)] {
            let put = |source: &mut dyn Read| {
                scratch.store.put_blob(&lease, &digest, Some(size as u64), source)
            };
            let arrived = put(&mut &bytes[..]).unwrap();
            assert_eq!((arrived.digest, arrived.bytes), (digest, size as u64));
            assert!(read(&scratch, &digest) == bytes);
        }
    }
}

#[test]
fn that_are_not_what_was_promised_leave_nothing() {
    let scratch = Scratch::new();
    let before = scratch.files().unwrap();
    let bytes = b"hello".as_slice();
    let digest = Digest::of(bytes);
    {
        let lease = scratch.store.lease().unwrap();
        let put = |digest: &Digest, size, mut source: &[u8]| {
            scratch.store.put_blob(&lease, digest, size, &mut source).unwrap_err()
        };
        let error = put(&digest, Some(4), bytes);
        assert!(matches!(error, StoreError::WrongSize { got: 5, expected: 4, .. }), "{error}");
        let error = put(&digest, Some(6), bytes);
        assert!(matches!(error, StoreError::WrongSize { got: 5, expected: 6, .. }), "{error}");
        let error = put(&digest, Some(5), b"hallo");
        assert!(
            matches!(error, StoreError::WrongBytes { .. }) && error.kind() == ErrorKind::Corrupt
        );
        put(&sha512(bytes), None, b"hallo");
        put(&digest, Some(u64::MAX), bytes);
        let mut broken = bytes.chain(Breaks);
        let error = scratch.store.put_blob(&lease, &digest, None, &mut broken).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }));
    }
    assert_eq!(scratch.files().unwrap(), before);
    let error = scratch.store.open_blob(&digest).unwrap_err();
    assert!(matches!(error, StoreError::NoBlob(_)) && error.kind() == ErrorKind::NotFound);
}

struct Breaks;

impl Read for Breaks {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn an_endless_source_is_cut_where_it_must_be() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    let digest = Digest::of(b"");
    let mut zeros = std::io::repeat(0);
    let error = scratch.store.put_blob(&lease, &digest, Some(10), &mut zeros).unwrap_err();
    assert!(matches!(error, StoreError::WrongSize { got: 11, .. }), "{error}");
    let expected = Expected { blob: Some(digest), blob_bytes: Some(5000), diff: None };
    let error = scratch.store.unpack_layer(&lease, &mut zeros, expected).err().unwrap();
    assert!(matches!(error, StoreError::WrongSize { expected: 5000, .. }), "{error}");
}

#[test]
fn documents_are_kept_once_and_checked_when_read() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    let digest = scratch.store.put_document(&lease, b"{}").unwrap();
    assert_eq!(scratch.store.put_document(&lease, b"{}").unwrap(), digest);
    assert_eq!(scratch.store.read_document(&digest).unwrap(), b"{}");
    fs::write(scratch.blob(&digest), "[]").unwrap();
    let error = scratch.store.read_document(&digest).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    // Kept once more, it is well again.
    scratch.store.put_document(&lease, b"{}").unwrap();
    assert_eq!(scratch.store.read_document(&digest).unwrap(), b"{}");
    let large = vec![b' '; DOCUMENT_BYTES as usize + 1];
    let error = scratch.store.put_document(&lease, &large).unwrap_err();
    assert!(matches!(error, StoreError::LargeDocument { .. }));
    fs::write(scratch.blob(&digest), &large).unwrap();
    let error = scratch.store.read_document(&digest).unwrap_err();
    assert!(matches!(error, StoreError::LargeDocument { .. }));
}

#[test]
fn layers_are_held_to_every_digest() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    let layer = random::layer(1, 50);
    let (tar, other) = (layer.tar(), Digest::of(b"other"));
    let unpack =
        |bytes: &[u8], expected| scratch.store.unpack_layer(&lease, &mut &bytes[..], expected);
    for blob in [Digest::of(&tar), sha512(&tar)] {
        for diff in [Digest::of(&tar), sha512(&tar)].map(DiffId) {
            let expected = Expected { blob: Some(blob), diff: Some(diff), ..Expected::default() };
            let unpacked = unpack(&tar, expected).unwrap();
            assert_eq!((unpacked.diff(), unpacked.stored().digest), (diff, blob));
            assert_eq!(unpacked.bytes(), tar.len() as u64);
            let wrong = Expected { blob: Some(other), ..expected };
            assert!(matches!(unpack(&tar, wrong).err(), Some(StoreError::WrongBytes { .. })));
            let wrong = Expected { blob: Some(sha512(b"other")), ..expected };
            assert!(matches!(unpack(&tar, wrong).err(), Some(StoreError::WrongBytes { .. })));
            let wrong = Expected { diff: Some(DiffId(other)), ..expected };
            assert!(matches!(unpack(&tar, wrong).err(), Some(StoreError::WrongBytes { .. })));
        }
    }
    let only_blob = Expected { blob: Some(sha512(b"other")), ..Expected::default() };
    assert!(matches!(unpack(&tar, only_blob).err(), Some(StoreError::WrongBytes { .. })));
    let Some(gzip) = layer.compressed("gzip") else { return };
    let right = Expected {
        blob: Some(sha512(&gzip)),
        blob_bytes: Some(gzip.len() as u64),
        diff: Some(DiffId(sha512(&tar))),
    };
    assert_eq!(unpack(&gzip, right).unwrap().stored().digest, sha512(&gzip));
    let wrong = Expected { diff: Some(DiffId(other)), ..right };
    assert!(matches!(unpack(&gzip, wrong).err(), Some(StoreError::WrongDiffId { .. })));
    let wrong = Expected { blob: Some(other), ..right };
    assert!(matches!(unpack(&gzip, wrong).err(), Some(StoreError::WrongBytes { .. })));
    let wrong = Expected { blob_bytes: Some(gzip.len() as u64 + 1), ..right };
    assert!(matches!(unpack(&gzip, wrong).err(), Some(StoreError::WrongSize { .. })));
    drop(lease);
    assert_eq!(scratch.store.present().unwrap().asides, Vec::<String>::new());
}

/// A source that waits in its middle until it is told to go on.
struct Slow<'a> {
    bytes: &'a [u8],
    go: std::sync::mpsc::Receiver<()>,
    told: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.len() < 5000 && !self.told {
            // Without a word its maker has gone.
            self.told = self.go.recv().is_ok();
            if !self.told {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
        }
        let some = buffer.len().min(1000);
        self.bytes.read(&mut buffer[..some])
    }
}

fn turn(scratch: &Scratch, digest: &Digest) -> std::path::PathBuf {
    scratch.store.paths().ingest().join(digest.to_string().replace(':', "-"))
}

/// Runs one who is stopped in the middle and one who comes then; gives what the second has read.
fn meet(
    scratch: &Scratch,
    digest: &Digest,
    finishes: bool,
    take: impl Fn(&store::Store, &mut (dyn Read + Send)) -> store::Result<()> + Sync,
    bytes: &[u8],
) -> u64 {
    let (tell, go) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let take = &take;
        let first =
            scope.spawn(move || take(&scratch.open_again(), &mut Slow { bytes, go, told: false }));
        while !turn(scratch, digest).exists() {
            std::thread::yield_now();
        }
        let second = scope.spawn(move || {
            let mut source = std::io::Cursor::new(bytes);
            take(&scratch.open_again(), &mut source).map(|()| source.position())
        });
        // It has a file of its own just before it asks for its turn.
        let asides = || fs::read_dir(scratch.store.paths().ingest()).unwrap().count();
        while asides() < 2 && !second.is_finished() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        // What is being written is nobody's to collect.
        scratch.open_again().collect().unwrap();
        assert!(turn(scratch, digest).exists());
        assert!(!second.is_finished(), "it did not wait");
        match finishes {
            true => tell.send(()).unwrap(),
            false => drop(tell),
        }
        assert_eq!(first.join().unwrap().is_ok(), finishes);
        second.join().unwrap().unwrap()
    })
}

#[test]
fn what_arrives_twice_at_once_is_written_once() {
    let bytes = Random::new(7).bytes(20_000);
    let digest = Digest::of(&bytes);
    for finishes in [true, false] {
        let scratch = Scratch::new();
        let put = |store: &store::Store, source: &mut (dyn Read + Send)| {
            store.put_blob(&store.lease()?, &digest, Some(20_000), &mut &mut *source).map(drop)
        };
        let read_bytes = meet(&scratch, &digest, finishes, put, &bytes);
        // Who waited in vain does the work.
        assert_eq!(read_bytes, if finishes { 0 } else { 20_000 });
        assert!(read(&scratch, &digest) == bytes);
        assert_eq!(scratch.store.present().unwrap().asides, [""; 0]);
    }
    let tar = Layer::new().file("f", bytes).tar();
    let digest = Digest::of(&tar);
    for finishes in [true, false] {
        let scratch = Scratch::new();
        let guard = scratch.store.lease().unwrap();
        guard.protect_blob(&digest).unwrap();
        let unpack = |store: &store::Store, source: &mut (dyn Read + Send)| {
            let expected = Expected { diff: Some(DiffId(digest)), ..Expected::default() };
            let unpacked = store.unpack_layer(&store.lease()?, source, expected)?;
            assert_eq!(unpacked.diff().0, digest);
            Ok(())
        };
        if scratch.store.driver().keeps_tar() {
            meet(&scratch, &digest, finishes, unpack, &tar);
            assert!(read(&scratch, &digest) == tar);
        }
    }
}

#[test]
fn one_who_stands_still_is_not_waited_for() {
    let scratch = Scratch::new();
    let digest = Digest::of(b"content");
    let lease = scratch.store.lease().unwrap();
    let file = fs::File::create(turn(&scratch, &digest)).unwrap();
    sys::lock::lock(&file, sys::lock::Mode::Exclusive).unwrap();
    let before = std::time::Instant::now();
    scratch.store.put_blob(&lease, &digest, None, &mut &b"content"[..]).unwrap();
    assert!(before.elapsed().as_secs() >= 4);
    assert_eq!(read(&scratch, &digest), b"content");
    // What the dead left is in nobody's way.
    drop(file);
    let before = std::time::Instant::now();
    scratch.store.put_blob(&lease, &digest, None, &mut &b"content"[..]).unwrap();
    assert!(before.elapsed().as_secs() < 4);
    assert_eq!(scratch.store.present().unwrap().asides, [""; 0]);
}

/// What comes twice at once, from threads and from processes, is there once and whole.
#[test]
fn the_same_layer_may_arrive_twice_at_once() {
    let layers: Vec<Vec<u8>> = random::stack(3, 3, 80).iter().map(Layer::tar).collect();
    if let Child::Role(role) = Child::this() {
        let scratch = role.split_once('|').unwrap();
        let mut settings = Scratch::new().settings().clone();
        (settings.root, settings.run) = (scratch.0.into(), scratch.1.into());
        let store = store::Store::open(settings).unwrap();
        load(&store, &layers);
        return;
    }
    let scratch = Scratch::new();
    let settings = scratch.settings();
    let role = format!("{}|{}", settings.root.display(), settings.run.display());
    let children: Vec<_> = (0..2)
        .map(|_| child("blobs::the_same_layer_may_arrive_twice_at_once", &role).spawn().unwrap())
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| load(&scratch.open_again(), &layers));
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (_, top) = scratch.add_image("all", &layers).unwrap();
    scratch.must_be_clean();
    scratch.tree(top).must_equal(&testkit::oracle::apply(&random::stack(3, 3, 80)), "all");
    let tables = scratch.store.tables().unwrap();
    assert_eq!(tables.layers.layers.len(), 3);
}

fn load(store: &store::Store, tars: &[Vec<u8>]) {
    let lease = store.lease().unwrap();
    let mut layers = store.tables().unwrap().layers;
    let mut parent = None;
    for tar in tars {
        let unpacked =
            store.unpack_layer(&lease, &mut tar.as_slice(), Expected::default()).unwrap();
        let (chain, record) = store.adopt_layer(&lease, unpacked, parent, &layers).unwrap();
        layers.layers.insert(chain, record);
        parent = Some(chain);
    }
    store
        .change::<_, StoreError>(|tables| {
            for (chain, record) in &layers.layers {
                tables.layers.layers.insert_new(*chain, || record.clone());
            }
            Ok(())
        })
        .unwrap();
}
