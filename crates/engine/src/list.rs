//! The images there are, filtered as docker filters them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};
use spec::{FullName, ImageConfig, ImageId, Platform, Timestamp};
use store::{ImageRecord, Images, NameRecord};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::filter::{ImageFilter, Patterns};

/// A request for a list.
#[derive(Clone, Debug, Default)]
pub struct ListImages {
    /// Intermediate images too.
    pub all: bool,
    /// A row for each digest that a repository has of an image, instead of one for all.
    pub digests: bool,
    /// Only images that match this name.
    pub pattern: Option<String>,
    /// Only images that match all of these.
    pub filters: Vec<ImageFilter>,
}

/// Images and their names as they were when they were listed, and which of them to show.
#[derive(Clone, Debug, Default)]
pub struct ImageList {
    images: Vec<(ImageId, ImageRecord)>,
    names: Vec<(String, NameRecord)>,
    rows: Vec<Place>,
}

/// Where a row's image and name stand.
#[derive(Clone, Copy, Debug)]
struct Place {
    image: usize,
    name: Option<usize>,
    /// Where among the image's own the digest is that the row shows, of those without a tag as its name.
    known: Option<usize>,
}

impl Place {
    fn new(image: usize, name: Option<usize>) -> Place {
        Place { image, name, known: None }
    }
}

impl ImageList {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row by its place, counted from the newest image's.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, at: usize) -> ImageRow<'_> {
        let place = self.rows[at];
        let (id, record) = &self.images[place.image];
        let name = place.name.map(|name| FullName::of(&self.names[name].0));
        let known = place.known.and_then(|at| record.repo_digests.iter().nth(at));
        ImageRow { id: *id, name, known: known.map(String::as_str), record }
    }

    /// All images there are, each once under the first of its names: those for other platforms too,
    /// which share a row in lists.
    pub(crate) fn each_once(self) -> ImageList {
        let ImageList { images, names, .. } = self;
        let mut name_of: BTreeMap<ImageId, usize> = BTreeMap::new();
        for (at, (_, record)) in names.iter().enumerate() {
            for id in record.images() {
                name_of.entry(id).or_insert(at);
            }
        }
        let place = |image: usize| Place::new(image, name_of.get(&images[image].0).copied());
        let mut rows: Vec<Place> = (0..images.len()).map(place).collect();
        rows.sort_by_key(|row| Reverse(images[row.image].1.created));
        ImageList { images, names, rows }
    }

    /// What the name of a row stands for.
    pub(crate) fn name_record(&self, at: usize) -> Option<&NameRecord> {
        Some(&self.names[self.rows[at].name?].1)
    }

    /// All rows, the newest image first.
    pub fn rows(&self) -> impl Iterator<Item = ImageRow<'_>> {
        (0..self.len()).map(|at| self.row(at))
    }
}

/// One image under one name.
#[derive(Clone, Copy, Debug)]
pub struct ImageRow<'a> {
    /// Its id.
    pub id: ImageId,
    /// The name; none for an image without.
    pub name: Option<FullName<'a>>,
    /// The name with the digest that is shown, where it is said which.
    known: Option<&'a str>,
    record: &'a ImageRecord,
}

impl<'a> ImageRow<'a> {
    /// The repository that it is shown under, as people write it.
    pub fn repository(&self) -> Option<&'a str> {
        match self.known.and_then(|known| known.split_once('@')) {
            Some((repository, _)) => Some(FullName::of(repository).familiar_name()),
            None => self.name.map(FullName::familiar_name),
        }
    }

    /// The digest that a registry knows it by under this name.
    pub fn digest(&self) -> Option<&'a str> {
        if let Some((_, digest)) = self.known.and_then(|known| known.split_once('@')) {
            return Some(digest);
        }
        let name = self.name?.name();
        let of_name = |full: &'a String| full.strip_prefix(name)?.strip_prefix('@');
        self.record.repo_digests.iter().find_map(of_name)
    }

    /// When it was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.record.created
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.record.size()
    }

    /// What it runs on.
    pub fn platform(&self) -> Platform {
        self.record.platform.platform()
    }
}

/// The repositories in which images have digests and no tags: for each image where among its digests
/// the first of a repository is, or all of them, and the repository.
fn bare<'a>(
    images: &'a [(ImageId, ImageRecord)],
    names: &'a [(String, NameRecord)],
    is_each: bool,
) -> BTreeMap<usize, Vec<(usize, &'a str)>> {
    let mut bare = BTreeMap::new();
    if images.iter().all(|(_, record)| record.repo_digests.is_empty()) {
        return bare;
    }
    let mut tagged: HashSet<(ImageId, &str)> = HashSet::new();
    for (name, record) in names {
        let repository = FullName::of(name).name();
        tagged.extend(record.images().map(|id| (id, repository)));
    }
    for (image, (id, record)) in images.iter().enumerate() {
        let mut own: Vec<(usize, &str)> = Vec::new();
        for (at, known) in record.repo_digests.iter().enumerate() {
            let Some((repository, _)) = known.split_once('@') else { continue };
            let is_new = is_each || own.last().is_none_or(|(_, last)| *last != repository);
            if is_new && !tagged.contains(&(*id, repository)) {
                own.push((at, repository));
            }
        }
        if !own.is_empty() {
            bare.insert(image, own);
        }
    }
    bare
}

/// Where among an image's digests those of a name's repository are.
fn digests_of(record: &ImageRecord, name: &str) -> Vec<usize> {
    let repository = FullName::of(name).name();
    let is_its =
        |known: &String| known.strip_prefix(repository).is_some_and(|rest| rest.starts_with('@'));
    let digests = record.repo_digests.iter().enumerate();
    digests.filter(|(_, known)| is_its(known)).map(|(at, _)| at).collect()
}

/// Docker's document about an image in a list.
fn summary(row: &ImageRow<'_>, labels: &BTreeMap<String, String>) -> Value {
    let parent = row.record.parent.map(|id| id.to_string()).unwrap_or_default();
    let digest = |full: &String| {
        let (name, digest) = full.split_once('@')?;
        Some(format!("{}@{digest}", FullName::of(name).familiar_name()))
    };
    let digests: Vec<String> = row.record.repo_digests.iter().filter_map(digest).collect();
    json!({
        "Containers": -1,
        "Created": row.created().map_or(0, |time| time.unix_seconds()),
        "Id": row.id.to_string(),
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "ParentId": parent,
        "RepoDigests": digests,
        "RepoTags": [],
        "SharedSize": -1,
        "Size": row.size(),
    })
}

impl Engine {
    /// Images as docker's API lists them: each once, with its names.
    pub fn image_summaries(&self, list: &ListImages) -> Result<Vec<Value>> {
        let list = self.list(list)?;
        let mut places: BTreeMap<ImageId, usize> = BTreeMap::new();
        let mut shown: Vec<Value> = Vec::new();
        for row in list.rows() {
            let place = match places.get(&row.id) {
                Some(place) => *place,
                None => {
                    let config = self.config(row.id)?.config.unwrap_or_default();
                    shown.push(summary(&row, &config.labels));
                    places.insert(row.id, shown.len() - 1);
                    shown.len() - 1
                }
            };
            if let (Some(name), Value::Array(tags)) = (row.name, &mut shown[place]["RepoTags"]) {
                tags.push(json!(name.familiar()));
            }
        }
        Ok(shown)
    }

    /// Lists images, the newest first, one row for each name.
    pub fn list(&self, list: &ListImages) -> Result<ImageList> {
        match list.filters.iter().any(|filter| matches!(filter, ImageFilter::NotLabel(..))) {
            true => Err(EngineError::Filter("label!".to_owned())),
            false => self.listed(list),
        }
    }

    /// The same, with the filters that only pruning knows.
    pub(crate) fn listed(&self, list: &ListImages) -> Result<ImageList> {
        let images = self.store.images()?;
        let conditions = self.conditions(&images, &list.filters)?;
        // As with docker, an empty pattern is none.
        let pattern = list.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let patterns = Patterns::of(&list.filters, pattern)?;
        let parents: BTreeSet<ImageId> =
            images.images.values().filter_map(|record| record.parent).collect();
        let Images { images, names } = images;
        let (images, names) = (images.into_entries(), names.into_entries());
        let place = |id: &ImageId| images.binary_search_by(|(own, _)| own.cmp(id)).ok();
        let mut is_named = vec![false; images.len()];
        for id in names.iter().flat_map(|(_, record)| record.others.iter()) {
            place(id).into_iter().for_each(|at| is_named[at] = true);
        }
        let places: Vec<Option<usize>> =
            names.iter().map(|(_, record)| place(&record.image)).collect();
        places.iter().flatten().for_each(|at| is_named[*at] = true);
        let (mut rows, mut is_wanted) = (Vec::with_capacity(names.len()), is_named.clone());
        let bare = bare(&images, &names, list.digests);
        for (image, (id, record)) in images.iter().enumerate() {
            let (is_named, is_known) = (is_named[image], bare.contains_key(&image));
            let is_shown = is_named || is_known || list.all || !parents.contains(id);
            // What a registry alone has a name for is both with a name and without.
            is_wanted[image] = is_shown
                && (self.passes(id, record, is_named, &conditions)?
                    || (is_known && self.passes(id, record, true, &conditions)?));
            if is_wanted[image] && !is_named && !is_known && patterns.is_empty() {
                rows.push(Place::new(image, None));
            }
        }
        // One row for a name, whatever platforms it stands for.
        for (name, image) in places.into_iter().enumerate() {
            let Some(image) = image.filter(|at| is_wanted[*at]) else { continue };
            if patterns.allow(FullName::of(&names[name].0)) {
                let row = Place::new(image, Some(name));
                let known = match list.digests {
                    true => digests_of(&images[image].1, &names[name].0),
                    false => Vec::new(),
                };
                match known.len() {
                    0 | 1 => rows.push(row),
                    _ => rows.extend(known.into_iter().map(|at| Place { known: Some(at), ..row })),
                }
            }
        }
        for (image, known) in bare.into_iter().filter(|(image, _)| is_wanted[*image]) {
            let allowed = known.into_iter().filter(|(_, name)| patterns.allow(FullName::of(name)));
            rows.extend(
                allowed.map(|(at, _)| Place { known: Some(at), ..Place::new(image, None) }),
            );
        }
        // Names are in order already.
        rows.sort_by_key(|row| Reverse(images[row.image].1.created));
        Ok(ImageList { images, names, rows })
    }

    /// An image's configuration.
    pub(crate) fn config(&self, id: ImageId) -> Result<ImageConfig> {
        let bytes = self.store.read_document(&id.0)?;
        ImageConfig::parse(&bytes).map_err(EngineError::Config)
    }
}
