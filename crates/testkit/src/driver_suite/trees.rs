//! Whole trees, against the oracle and against other drivers.

use store::{DriverKind, Expected};

use super::open;
use crate::layer::Layer;
use crate::oracle::apply;
use crate::random::stack;
use crate::scratch::Scratch;
use crate::tree::Tree;

/// Stacks of one to twelve random layers look as the rules of layers say.
pub fn random_stacks(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    for seed in 0..60 {
        let (layers, entries) = (1 + seed as usize % 12, 10 + seed as usize * 3 % 80);
        let stack = stack(seed, layers, entries);
        scratch.tree_of(&stack).must_equal(&apply(&stack), &format!("{driver}, seed {seed}"));
    }
    scratch.must_be_clean_but_for_stacks();
}

/// A stack looks the same in every driver that works here, also read from its indexes alone.
pub fn same_tree_in_all_drivers(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let others: Vec<(DriverKind, Scratch)> = DriverKind::ALL
        .into_iter()
        .filter(|kind| kind.as_str() != driver)
        .filter_map(|kind| Some((kind, Scratch::with_driver(kind).ok()?)))
        .collect();
    for seed in 1000..1012 {
        let tars: Vec<_> = stack(seed, 4, 60).iter().map(Layer::tar).collect();
        let top = scratch.add_tars(&tars).expect("well-formed layers are taken");
        let mine = scratch.tree(top);
        for (kind, other) in &others {
            let top = other.add_tars(&tars).expect("well-formed layers are taken");
            other.tree(top).must_equal(&mine, &format!("{kind} against {driver}, seed {seed}"));
        }
    }
}

/// A layer gives the same tree and the same diff id however it was compressed, and only what an
/// image can name is kept compressed.
pub fn compressed_forms(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let layer = crate::random::layer(5, 200);
    let tree = apply(std::slice::from_ref(&layer));
    let plain = spec::Digest::of(&layer.tar());
    for (program, describable) in [("gzip", true), ("zstd", true), ("bzip2", false), ("xz", false)]
    {
        let Some(bytes) = layer.compressed(program) else { continue };
        let scratch =
            Scratch::with_driver(scratch.store.driver().kind()).expect("it worked before");
        let top =
            scratch.add_tars(std::slice::from_ref(&bytes)).expect("a compressed layer is taken");
        let record = scratch.record(top.expect("there is one layer"));
        assert_eq!(record.diff.0, plain, "{program}");
        let kept = record.blob.as_ref().map(|blob| (blob.digest, blob.bytes));
        let came = (spec::Digest::of(&bytes), bytes.len() as u64);
        assert_eq!(kept, describable.then_some(came), "{program}");
        let tar_kept = scratch.store.has_blob(&plain);
        assert_eq!(tar_kept, scratch.store.driver().keeps_tar() || !describable, "{program}");
        scratch.tree(top).must_equal(&tree, program);
    }
    // A stream that says what it should be is held to it.
    let lease = scratch.store.lease().expect("a lease can be taken");
    let expected = Expected { blob_bytes: Some(3), ..Expected::default() };
    let bytes = layer.tar();
    assert!(scratch.store.unpack_layer(&lease, &mut bytes.as_slice(), expected).is_err());
}

impl Scratch {
    /// Fails if a check finds anything but stacks that no image stands on.
    #[track_caller]
    pub fn must_be_clean_but_for_stacks(&self) {
        self.store.collect().expect("what nothing needs can be collected");
        self.must_be_clean();
        assert_eq!(self.store.present().expect("it can be listed"), store::Present::default());
    }
}

/// The tree of layers brought in and mounted, without what this file system cannot keep.
pub(crate) fn loaded(scratch: &Scratch, layers: &[Layer]) -> Tree {
    scratch.tree_of(layers)
}
