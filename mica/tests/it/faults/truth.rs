//! What a store must look like: before a command, after it, and when all is cleared away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use image::codec::expand;
use image::tar::{EntryKind, Limits, TarReader};
use serde_json::Value;
use spec::Digest;
use testkit::Tree;

use super::ground::Ground;

/// Images and names, without the times at which they got them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Named {
    /// What is known of each image.
    pub images: BTreeMap<String, Value>,
    /// What each name stands for.
    pub names: BTreeMap<String, Value>,
}

/// A store, to the byte.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whole {
    /// Images and names.
    pub named: Named,
    /// The records of layers.
    pub layers: Value,
    /// Every file with its size.
    pub files: BTreeMap<String, u64>,
}

/// Files whose sizes are a matter of when; what is in them is compared, or does not count.
const UNSIZED: [&str; 7] =
    ["images.json", "layers.json", "format.json", "events", "events.old", "lock", "reserve"];

impl Named {
    /// Reads them; a store that is not there has none.
    pub(super) fn read(root: &Path) -> Result<Named, String> {
        let document = read_document(&root.join("images.json"))?;
        let table = |name: &str| -> BTreeMap<String, Value> {
            let entries = document[name].as_object().cloned().unwrap_or_default();
            entries.into_iter().collect()
        };
        let (mut images, names) = (table("images"), table("names"));
        for record in images.values_mut().filter_map(Value::as_object_mut) {
            record.remove("tagged");
        }
        Ok(Named { images, names })
    }

    /// Whether every part of this is either as before or as after, and nothing is missing that is
    /// there in both.
    pub(super) fn is_between(&self, before: &Named, after: &Named) -> bool {
        let between = |here: &BTreeMap<String, Value>,
                       one: &BTreeMap<_, _>,
                       two: &BTreeMap<_, _>| {
            let keys: BTreeSet<&String> = here.keys().chain(one.keys()).chain(two.keys()).collect();
            keys.iter()
                .all(|key| here.get(*key) == one.get(*key) || here.get(*key) == two.get(*key))
        };
        between(&self.images, &before.images, &after.images)
            && between(&self.names, &before.names, &after.names)
    }
}

fn read_document(path: &Path) -> Result<Value, String> {
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}

impl Whole {
    /// Reads a store.
    pub(super) fn read(root: &Path) -> Result<Whole, String> {
        let mut files = BTreeMap::new();
        list(root, "", &mut files).map_err(|error| format!("{}: {error}", root.display()))?;
        for name in UNSIZED {
            files.remove(name);
        }
        let layers = read_document(&root.join("layers.json"))?;
        Ok(Whole { named: Named::read(root)?, layers, files })
    }

    /// How another store differs from this one, in a few words.
    pub(super) fn differences(&self, other: &Whole) -> Vec<String> {
        let mut found = Vec::new();
        let keys: BTreeSet<&String> = self.files.keys().chain(other.files.keys()).collect();
        for key in keys {
            match (self.files.get(key), other.files.get(key)) {
                (one, two) if one == two => {}
                (None, Some(bytes)) => found.push(format!("{key} ({bytes} bytes) is left over")),
                (Some(_), None) => found.push(format!("{key} is missing")),
                (one, two) => found.push(format!("{key} has {two:?} bytes instead of {one:?}")),
            }
        }
        if self.named != other.named {
            found.push(format!("images are {:?} instead of {:?}", other.named, self.named));
        }
        if self.layers != other.layers {
            found.push(format!("layers are {} instead of {}", other.layers, self.layers));
        }
        found
    }
}

/// Every file with its size, and every folder, below a folder.
fn list(folder: &Path, name: &str, files: &mut BTreeMap<String, u64>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let inner = match name {
            "" => entry.file_name().to_string_lossy().into_owned(),
            name => format!("{name}/{}", entry.file_name().to_string_lossy()),
        };
        if meta.is_dir() {
            list(&entry.path(), &inner, files)?;
        }
        files.insert(inner, if meta.is_dir() { 0 } else { meta.len() });
    }
    Ok(())
}

/// The images of an archive with the digests of their layers' plain tars, every byte checked
/// against the digest that names it.
pub(super) fn read_archive(path: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    let bad = |what: &str| format!("{}: {what}", path.display());
    let file = fs::File::open(path).map_err(|error| bad(&error.to_string()))?;
    let mut tar = TarReader::new(std::io::BufReader::new(file), Limits::default());
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    while let Some(entry) = tar.next().map_err(|error| bad(&error.to_string()))? {
        if entry.kind != EntryKind::File {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let mut bytes = Vec::new();
        tar.data().read_to_end(&mut bytes).map_err(|error| bad(&error.to_string()))?;
        if let Some(hex) = name.strip_prefix("blobs/sha256/")
            && Digest::of(&bytes).hex() != hex
        {
            return Err(bad(&format!("{name} is something else")));
        }
        parts.insert(name, bytes);
    }
    tar.finish().map_err(|error| bad(&error.to_string()))?;
    let part = |name: &Value| -> Result<&Vec<u8>, String> {
        let name = name.as_str().unwrap_or_default();
        parts.get(name).ok_or_else(|| bad(&format!("{name:?} is missing")))
    };
    let manifest = part(&Value::from("manifest.json"))?;
    let manifest: Vec<Value> =
        serde_json::from_slice(manifest).map_err(|error| bad(&error.to_string()))?;
    let mut images = BTreeMap::new();
    for image in &manifest {
        let config = part(&image["Config"])?;
        let mut diffs = Vec::new();
        for layer in image["Layers"].as_array().into_iter().flatten() {
            let mut plain = Vec::new();
            let (_, mut reader) =
                expand(part(layer)?.as_slice()).map_err(|e| bad(&e.to_string()))?;
            reader.read_to_end(&mut plain).map_err(|error| bad(&error.to_string()))?;
            diffs.push(Digest::of(&plain).to_string());
        }
        let document: Value =
            serde_json::from_slice(config).map_err(|error| bad(&error.to_string()))?;
        if document["rootfs"]["diff_ids"] != Value::from(diffs.clone()) {
            return Err(bad("an image's layers are not those of its configuration"));
        }
        images.insert(Digest::of(config).to_string(), diffs);
    }
    Ok(images)
}

/// How each image looks when it is mounted. They are unmounted again.
pub(super) fn trees(ground: &Ground) -> Result<BTreeMap<String, Tree>, String> {
    let named = Named::read(&ground.root)?;
    let mut trees = BTreeMap::new();
    let ids: Vec<&str> = named.images.keys().map(String::as_str).collect();
    if ids.is_empty() {
        return Ok(trees);
    }
    let told = ground.must(&[&["image", "mount"], ids.as_slice()].concat())?;
    for (id, line) in ids.iter().zip(told.lines()) {
        let path = line.split(' ').next_back().unwrap_or_default();
        let tree = Tree::read(Path::new(path)).map_err(|error| format!("{id}: {error}"))?;
        trees.insert((*id).to_owned(), tree);
    }
    ground.unmount();
    match trees.len() == ids.len() {
        true => Ok(trees),
        false => Err(format!("not all images were mounted: {told}")),
    }
}
