//! Documents of all kinds, for tests.

use proptest::prelude::*;
use spec::{ChainId, Digest, ImageId, MediaType, Platform};

use super::written::time_of;
use super::{ImageRecord, Images, ManifestRef, NameRecord};

fn digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        9 => any::<[u8; 32]>().prop_map(Digest::Sha256),
        1 => any::<u8>().prop_map(|byte| Digest::Sha512([byte; 64])),
    ]
}

fn manifest() -> impl Strategy<Value = Option<Box<ManifestRef>>> {
    let manifest = (digest(), any::<u64>()).prop_map(|(digest, size)| {
        Box::new(ManifestRef { digest, media_type: MediaType::OciManifest, size })
    });
    prop::option::weighted(0.3, manifest)
}

fn image() -> impl Strategy<Value = ImageRecord> {
    let time = || prop::option::of(any::<i64>().prop_map(time_of));
    let layers = prop::collection::vec(prop_oneof![any::<u64>(), Just(0)], 0..4);
    let platform = prop_oneof![Just("amd64"), Just("mips"), Just("odd \"\\\n")];
    let rare = (manifest(), prop::option::of(digest()), prop::bool::weighted(0.3));
    (prop::option::of(digest()), time(), time(), layers, platform, rare).prop_map(
        |(top, created, tagged, layers, platform, (manifest, parent, known))| ImageRecord {
            top: top.map(ChainId),
            created,
            tagged,
            layers,
            platform: Platform::new("linux", platform, None).into(),
            manifest,
            repo_digests: known.then(|| "a@sha256:b".to_owned()).into_iter().collect(),
            parent: parent.map(ImageId),
        },
    )
}

fn name() -> impl Strategy<Value = NameRecord> {
    let some = || prop::collection::vec(digest(), 0..2);
    (digest(), some(), manifest(), manifest(), some()).prop_map(
        |(image, others, index, manifest, attached)| NameRecord {
            image: ImageId(image),
            others: others.into_iter().map(ImageId).collect(),
            index,
            manifest,
            attached,
        },
    )
}

/// Documents with all that may be in them. Some names stand for images that are in them.
pub(super) fn images() -> impl Strategy<Value = Images> {
    let images = prop::collection::vec((digest().prop_map(ImageId), image()), 0..9);
    let names = prop::collection::vec(("[a-z/0-9]{1,9}:[a-z]{1,2}", name()), 0..9);
    (images, names, any::<u64>()).prop_map(|(images, mut names, mut picks)| {
        for record in names.iter_mut().filter(|_| !images.is_empty()).map(|(_, record)| record) {
            let mut pick = || {
                picks = picks.rotate_right(7);
                images[picks as usize % images.len()].0
            };
            record.image = pick();
            record.others.iter_mut().for_each(|other| *other = pick());
        }
        Images { images: images.into_iter().collect(), names: names.into_iter().collect() }
    })
}
