//! Where steps may have been remembered, and where they are to be: in registries, in images, in
//! buckets, at GitHub, in the client's own folders.

use std::collections::{BTreeMap, HashMap};

use engine::{CacheAttributes, CachePlace, CacheTarget, Packing};

use super::asked::{Asked, compress, reference, truth};
use super::messages::control::{CacheEntry, CacheOptions};
use crate::wire::Status;

impl Asked {
    /// Where steps may have been remembered, as all kinds of clients say it.
    fn imported(&self) -> Result<Vec<CacheEntry>, Status> {
        let mut entries = self.imports.clone();
        if let Some(text) = self.text("cache-imports") {
            let read: Vec<ImportEntry> = serde_json::from_str(text)
                .map_err(|error| Status::invalid(format!("cache-imports: {error}")))?;
            let entry =
                |entry: ImportEntry| CacheEntry { kind: entry.kind, attributes: entry.attrs };
            for entry in read.into_iter().map(entry) {
                // Clients say it in both places.
                if !entries.contains(&entry) {
                    entries.push(entry);
                }
            }
        }
        let names = self.text("cache-from").unwrap_or_default().split(',');
        for name in names.filter(|name| !name.is_empty()) {
            entries.push(registry_entry(name, HashMap::new()));
        }
        Ok(entries)
    }

    pub(super) fn cache_from(&self) -> Result<Vec<CachePlace>, Status> {
        let entries = self.imported()?;
        let mut places = Vec::new();
        for entry in entries.iter().filter(|entry| entry.kind != LOCAL) {
            let place = cache_place(entry, "import")?;
            // Clients say the same in several ways.
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    pub(super) fn cache_to(&self) -> Result<Vec<CacheTarget>, Status> {
        let mut targets = Vec::new();
        for entry in self.exports.iter().filter(|entry| entry.kind != LOCAL) {
            if entry.kind == "inline" {
                targets.push(CacheTarget::Inline);
                continue;
            }
            let place = cache_place(entry, "export")?;
            let LocalCache { all, packing, ignore_error, .. } = LocalCache::to_write(entry)?;
            targets.push(CacheTarget::Place { place, all, packing, ignore_error });
        }
        Ok(targets)
    }

    /// Folders of the client in which steps may have been remembered.
    pub(super) fn local_imports(&self) -> Vec<LocalCache> {
        // What is wrong with them was told before.
        let entries = self.imported().unwrap_or_default();
        entries.iter().filter(|entry| entry.kind == LOCAL).map(LocalCache::to_read).collect()
    }

    /// Folders of the client in which steps are to be remembered.
    pub(super) fn local_exports(&self) -> Result<Vec<LocalCache>, Status> {
        let local = self.exports.iter().filter(|entry| entry.kind == LOCAL);
        local.map(LocalCache::to_write).collect()
    }
}

/// The kind of a cache that is one of the client's folders.
const LOCAL: &str = "local";

/// An entry of `cache-imports`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportEntry {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    attrs: HashMap<String, String>,
}

/// A cache in one of the client's folders.
pub(super) struct LocalCache {
    /// What the client calls the folder.
    pub(super) folder: String,
    /// The cache's manifest, where there is one already.
    pub(super) digest: String,
    /// All steps, not only those whose layers the images have.
    pub(super) all: bool,
    pub(super) packing: Packing,
    pub(super) ignore_error: bool,
}

impl LocalCache {
    /// One that is read: how it would be written is of no interest.
    fn to_read(entry: &CacheEntry) -> LocalCache {
        let text = |name: &str| entry.attributes.get(name).cloned().unwrap_or_default();
        let folder = ["src", "dest"].map(text).into_iter().find(|text| !text.is_empty());
        LocalCache {
            folder: folder.unwrap_or_default(),
            digest: text("digest"),
            all: text("mode") == "max",
            packing: Packing::default(),
            ignore_error: false,
        }
    }

    /// One that is written.
    fn to_write(entry: &CacheEntry) -> Result<LocalCache, Status> {
        let text = |name: &str| entry.attributes.get(name).cloned().unwrap_or_default();
        // A cache is always an image's manifest in OCI's words.
        for key in ["image-manifest", "oci-mediatypes"] {
            if spec::parse_go_bool(&text(key)) == Some(false) {
                return Err(Status::unsupported(format!(
                    "a cache with {key}=false is not written"
                )));
            }
        }
        let mut packing = Packing::default();
        compress(&entry.attributes, &mut packing)?;
        let ignore_error = entry.attributes.get("ignore-error").map(String::as_str);
        let ignore_error = truth("ignore-error", ignore_error)?;
        Ok(LocalCache { packing, ignore_error, ..LocalCache::to_read(entry) })
    }
}

/// Caches, those that older clients ask for in older words among them.
pub(super) fn caches(options: CacheOptions) -> (Vec<CacheEntry>, Vec<CacheEntry>) {
    let CacheOptions { export_reference, import_references, export_attributes, .. } = options;
    let (mut imports, mut exports) = (options.imports, options.exports);
    if !export_reference.is_empty() {
        exports.push(registry_entry(&export_reference, export_attributes));
    }
    imports.extend(import_references.iter().map(|name| registry_entry(name, HashMap::new())));
    (imports, exports)
}

fn registry_entry(name: &str, mut attributes: HashMap<String, String>) -> CacheEntry {
    attributes.insert("ref".to_owned(), name.to_owned());
    CacheEntry { kind: "registry".to_owned(), attributes }
}

fn cache_place(entry: &CacheEntry, doing: &str) -> Result<CachePlace, Status> {
    if entry.kind == "registry" {
        let text = entry.attributes.get("ref").map_or("", String::as_str);
        return Ok(CachePlace::Registry(reference(text)?));
    }
    let mut left: BTreeMap<_, _> = entry.attributes.clone().into_iter().collect();
    // What a server's own environment knows is not its clients' to use: they say all of it.
    let of = CacheAttributes { left: &mut left, environment: &BTreeMap::new() };
    let place = CachePlace::by_attributes(&entry.kind, of).ok_or_else(|| {
        let words = format!(
            "cache {doing} of type {:?} is not there: types are registry, local, inline, s3, azblob and gha",
            entry.kind
        );
        Status::unsupported(words)
    })?;
    place.map_err(|why| Status::invalid(format!("{}: {why}", entry.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_cache_that_are_not_written_are_refused() {
        let read = |key: &str, value: &str| {
            let attributes = [(key.to_owned(), value.to_owned())].into();
            LocalCache::to_write(&CacheEntry { kind: "registry".to_owned(), attributes })
        };
        for key in ["image-manifest", "oci-mediatypes"] {
            assert!(read(key, "true").is_ok() && read(key, "").is_ok());
            assert!(read(key, "false").is_err() && read(key, "0").is_err());
        }
    }

    #[test]
    fn how_a_cache_was_written_is_nothing_to_who_reads_it() {
        let pairs = [("src", "c"), ("image-manifest", "false"), ("compression", "x")];
        let attributes = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let entry = CacheEntry { kind: LOCAL.to_owned(), attributes };
        assert_eq!(LocalCache::to_read(&entry).folder, "c");
        assert!(LocalCache::to_write(&entry).is_err());
    }
}
