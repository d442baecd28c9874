//! What must hold for any input at all. The fuzz targets and a test of the workspace call these.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor, Read};

use image::archive::{ArchiveError, Bundle, Part, read_bundle};
use image::codec::expand;
use image::tar::{Limits, TarReader, TarWriter};
use image::tree::clean;
use spec::{ArchiveManifest, Digest, Document, ImageConfig, Platform, Reference};

/// Nothing that is unpacked may grow beyond this, whatever it says of itself.
const UNPACKED_BYTES: u64 = 8 << 20;

/// A digest is written as it was read.
pub fn digest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(text.ends_with(&digest.hex()) && digest.hex().starts_with(&digest.short()));
    }
}

/// Any text is instructions or an error that shows its place; what is read is printed, checked and
/// put right without becoming something that cannot be read. Ignore files likewise.
pub fn dockerfile(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let document = build::syntax::parse(text);
    if let Ok(document) = &document {
        let printed = document.to_string();
        let again = build::syntax::parse(&printed).expect("what was printed can be read");
        assert_eq!(again.to_string(), printed, "{text:?}");
    }
    match document.and_then(|document| build::instruction::read(&document)) {
        Err(error) => drop(error.excerpt("Dockerfile", text)),
        Ok(_) => check(text),
    }
    if let Ok(ignore) = build::ignore::Ignore::parse(text) {
        ignore.skips_folder(text);
    }
}

fn check(text: &str) {
    let linux = Platform::new("linux", "amd64", None);
    let inputs = build::scope::Inputs {
        arguments: BTreeMap::new(),
        target_platform: linux.clone(),
        build_platform: linux,
        target: None,
    };
    let bases = BTreeMap::new();
    let (ignore, has_context) = (None, true);
    let around = build::lint::Surroundings { inputs: &inputs, ignore, has_context, bases: &bases };
    if let Ok((fixed, _)) = build::lint::fix(text, &around) {
        let read = build::syntax::parse(&fixed).and_then(|file| build::instruction::read(&file));
        assert!(read.is_ok(), "{text:?} became {fixed:?}");
    }
    let _ = build::call::outline(text, &inputs);
    let _ = build::call::targets(text);
}

/// Any text is a plan or an error, in all three languages of bake files.
pub fn bake(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for name in ["docker-bake.hcl", "docker-bake.json", "compose.yaml"] {
        let file = build::bake::File::at_top(name, text.to_owned());
        if let Ok(plan) = build::bake::plan(&[file], &build::bake::Given::default()) {
            assert_eq!(plan.in_order().len(), plan.targets.len(), "{text:?}");
            let _ = plan.document();
        }
    }
}

/// A name means the same however it is written.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(name) = Reference::parse(text) {
        // Docker's short form has two holes, and so has ours: `docker.io/a.b/c` is shown as `a.b/c`,
        // which names another host, and a name may be shown as what looks like an image id.
        let familiar = Reference::parse(&name.familiar());
        let first = name.path().split('/').next().unwrap_or_default();
        let like_host =
            name.path().contains('/') && (first.contains(['.', ':']) || first == "localhost");
        let like_id = matches!(familiar, Err(spec::ReferenceError::LooksLikeId(_)));
        if !like_host && !like_id {
            assert_eq!(familiar.as_ref(), Ok(&name), "{text:?}");
        }
        assert_eq!(Reference::parse(&name.to_string()).as_ref(), Ok(&name), "{text:?}");
        let full = name.clone().with_default_tag();
        assert!(full.tag().is_some() || full.digest().is_some());
        assert_eq!(full.name(), name.name());
    }
    if let Ok(platform) = Platform::parse(text) {
        assert_eq!(Platform::parse(&platform.to_string()).as_ref(), Ok(&platform), "{text:?}");
    }
}

/// A document that is written again is the same document.
pub fn manifest(input: &[u8]) {
    if let Ok(document) = Document::parse(input) {
        let again = Document::parse(&document.to_bytes()).expect("what was read can be written");
        assert_eq!(again, document);
        assert_eq!(again.to_bytes(), document.to_bytes());
    }
    if let Ok(config) = ImageConfig::parse(input) {
        let again = ImageConfig::parse(&config.to_bytes()).expect("what was read can be written");
        assert_eq!(again.to_bytes(), config.to_bytes());
        // Whatever the history claims, it must not lead beyond the layers.
        let layers = config.rootfs.diff_ids.len();
        for (_, layer) in config.history_with_layers() {
            let _ = layer.and_then(|layer| config.rootfs.diff_ids.get(layer));
        }
        assert_eq!(layers, again.rootfs.diff_ids.len());
    }
    let _ = serde_json::from_slice::<Vec<ArchiveManifest>>(input);
}

/// Any bytes are read to their end or refused; what was read can be written, and is then the same.
pub fn tar(input: &[u8]) {
    let Ok((_, plain)) = expand(Cursor::new(input.to_vec())) else { return };
    let mut tar = TarReader::new(BufReader::new(plain.take(UNPACKED_BYTES)), Limits::default());
    let mut written = Vec::new();
    while let Ok(Some(entry)) = tar.next() {
        for part in clean(&entry.path) {
            assert!(!part.is_empty() && part != b"." && part != b".." && !part.contains(&b'/'));
        }
        // A hole takes no room in the input: what comes out is not bounded by it.
        let mut data = Vec::new();
        if tar.data().take(UNPACKED_BYTES).read_to_end(&mut data).is_err() {
            break;
        }
        if entry.size == data.len() as u64 && written.len() as u64 + entry.size < UNPACKED_BYTES {
            rewrite(&entry, &data, &mut written);
        }
    }
}

fn rewrite(entry: &image::tar::Entry, data: &[u8], written: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    let mut writer = TarWriter::new(&mut bytes);
    if writer.append(entry, &mut &*data).is_err() {
        return;
    }
    let mut tar = TarReader::new(bytes.as_slice(), Limits::default());
    let again = tar.next().expect("what was written can be read").expect("it is not empty");
    assert_eq!((&again.path, &again.kind, again.size), (&entry.path, &entry.kind, entry.size));
    assert_eq!((again.mode, again.uid, again.gid), (entry.mode, entry.uid, entry.gid));
    written.extend(bytes);
}

/// Any archive gives images whose parts were checked, or an error.
pub fn archive(input: &[u8]) {
    let Ok((_, plain)) = expand(Cursor::new(input.to_vec())) else { return };
    let mut tar = TarReader::new(BufReader::new(plain.take(UNPACKED_BYTES)), Limits::default());
    let mut parts = BTreeMap::new();
    while let Ok(Some(entry)) = tar.next() {
        let mut data = Vec::new();
        if tar.data().take(UNPACKED_BYTES).read_to_end(&mut data).is_err() {
            break;
        }
        parts.insert(clean(&entry.path).join(&b'/'), data);
    }
    for image in read_bundle(&Parts(parts)).unwrap_or_default() {
        assert_eq!(image.layers.len(), image.config.rootfs.diff_ids.len());
        assert_eq!(image.id().0, Digest::of(&image.config_bytes));
    }
}

struct Parts(BTreeMap<Vec<u8>, Vec<u8>>);

impl Bundle for Parts {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        let bytes = self.0.get(&clean(name.as_bytes()).join(&b'/'));
        Ok(bytes.map(|bytes| Part {
            reader: Box::new(Cursor::new(bytes.clone())),
            bytes: bytes.len() as u64,
        }))
    }
}
