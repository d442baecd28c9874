//! What the plan of a collection takes and what it spares.

use spec::{DiffId, ImageId, Platform};

use super::*;
use crate::sorted::SortedMap;
use crate::tables::{ImageRecord, Images, LayerBlob, LayerRecord};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Layers `a` and `b` on it, and an image on `b`.
fn tables() -> (Tables, ChainId, ChainId, ImageId) {
    let record = |parent, diff: &str| LayerRecord {
        parent,
        diff: DiffId(digest(diff)),
        bytes: 1,
        entries: 1,
        index: digest("index"),
        blob: None,
        unsynced: None,
    };
    let (a, b) = (ChainId(digest("a")), ChainId(digest("b")));
    let layers = SortedMap::from_iter([(a, record(None, "tar a")), (b, record(Some(a), "tar b"))]);
    let image = ImageId(digest("image"));
    let image_record = ImageRecord {
        top: Some(b),
        created: None,
        tagged: None,
        layers: vec![1, 1],
        platform: Platform::host().into(),
        manifest: None,
        repo_digests: BTreeSet::new(),
        parent: None,
    };
    let images =
        Images { images: SortedMap::from_iter([(image, image_record)]), ..Images::default() };
    (Tables { images, layers: Layers { layers, ..Layers::default() } }, a, b, image)
}

fn present(a: ChainId, b: ChainId, image: ImageId) -> Present {
    let blobs = [digest("tar a"), digest("tar b"), image.0, digest("stray")];
    Present {
        blobs: blobs.into_iter().map(|blob| (blob, 5)).collect(),
        indexes: vec![a, b],
        forms: vec![a, b],
        asides: vec!["living-0".to_owned(), "dead-0".to_owned()],
        ..Present::default()
    }
}

#[test]
fn what_is_named_stays_and_the_rest_goes() {
    let (tables, a, b, image) = tables();
    let protected =
        Protected { leases: BTreeSet::from(["living".to_owned()]), ..Protected::default() };
    let plan = plan(&tables, true, &BTreeSet::new(), &protected, &present(a, b, image));
    assert_eq!(plan.blobs, [(digest("stray"), 5)]);
    assert_eq!(plan.asides, ["dead-0"]);
    assert!(plan.records.is_empty() && plan.indexes.is_empty() && plan.forms.is_empty());
}

#[test]
fn other_drivers_forms_go_unless_a_lease_has_them_and_so_do_tars_that_nobody_mounts() {
    let (mut tables, a, b, image) = tables();
    let digest_of = |record: &LayerRecord| record.diff.0;
    let (tar_a, tar_b) =
        (digest_of(&tables.layers.layers[&a]), digest_of(&tables.layers.layers[&b]));
    let blob = LayerBlob { digest: digest("blob b"), bytes: 3 };
    tables.layers.layers.get_mut(&b).unwrap().blob = Some(blob);
    let foreign = vec![(DriverKind::Vfs, a), (DriverKind::Vfs, b), (DriverKind::Btrfs, a)];
    let present = Present {
        blobs: [tar_a, tar_b, digest("blob b")].map(|blob| (blob, 5)).to_vec(),
        foreign: foreign.clone(),
        ..present(a, b, image)
    };
    let free = plan(&tables, false, &BTreeSet::new(), &Protected::default(), &present);
    assert_eq!((free.foreign, free.blobs), (foreign, vec![(tar_b, 5)]));
    let leased = Protected { chains: BTreeSet::from([a]), ..Protected::default() };
    let held = plan(&tables, true, &BTreeSet::new(), &leased, &present);
    assert_eq!((held.foreign, held.blobs), (vec![(DriverKind::Vfs, b)], vec![]));
}

#[test]
fn without_its_image_a_stack_goes_unless_somebody_uses_a_part_of_it() {
    let (mut tables, a, b, image) = tables();
    tables.images = Images::default();
    let present = present(a, b, image);
    let all = plan(&tables, true, &BTreeSet::new(), &Protected::default(), &present);
    assert_eq!((all.records.len(), all.blobs.len(), all.indexes.len()), (2, 4, 2));
    let viewed = plan(&tables, true, &BTreeSet::from([a]), &Protected::default(), &present);
    assert_eq!(viewed.records, [b]);
    assert!(!viewed.blobs.contains(&(digest("tar a"), 5)));
    let leased = Protected { chains: BTreeSet::from([b]), ..Protected::default() };
    assert!(plan(&tables, true, &BTreeSet::new(), &leased, &present).records.is_empty());
}
