//! Images as people think of them: one thing with several names, for several platforms.

use std::collections::BTreeSet;

use spec::{Digest, ImageId, Platform};
use store::Tables;

use crate::Engine;
use crate::error::Result;
use crate::list::{ImageList, ListImages};

/// An image under all names that stand for the same, with what there is of it for each platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its names as people write them; empty for an image without.
    pub names: Vec<String>,
    /// The digest of its index, or the id of the only image.
    pub id: Digest,
    /// An image for each platform, the one for this machine first.
    pub members: Vec<Member>,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its id.
    pub id: ImageId,
    /// What it runs on.
    pub platform: Platform,
    /// The sizes of its layers' plain tars.
    pub size: u64,
    /// The sizes of its layers as they came: compressed, if they are kept so.
    pub content: u64,
    /// Whether it is mounted.
    pub in_use: bool,
}

impl Engine {
    /// Lists images by what their names stand for, the newest first.
    pub fn families(&self, list: &ListImages) -> Result<Vec<Family>> {
        let listed = self.list(list)?;
        let tables = self.store.tables()?;
        let mut in_use: BTreeSet<ImageId> =
            self.store.views()?.into_iter().map(|view| view.image).collect();
        in_use.extend(self.containers().list()?.into_iter().map(|container| container.image));
        let mut families: Vec<(Vec<ImageId>, Family)> = Vec::new();
        for (at, row) in listed.rows().enumerate() {
            let ids = members_of(&listed, at);
            let name = row.name.map(|name| name.familiar().to_owned());
            match families.iter_mut().find(|(known, _)| *known == ids) {
                Some((_, family)) => {
                    let new = name.filter(|name| !family.names.contains(name));
                    family.names.extend(new);
                }
                None => {
                    let index = listed.name_record(at).and_then(|record| record.index.as_ref());
                    let id = index.map_or(row.id.0, |index| index.digest);
                    let member = |id: &ImageId| member(&tables, *id, in_use.contains(id));
                    let members = ids.iter().filter_map(member).collect();
                    let names = name.into_iter().collect();
                    families.push((ids, Family { names, id, members }));
                }
            }
        }
        Ok(families.into_iter().map(|(_, family)| family).collect())
    }
}

/// All images that the name of a row stands for.
fn members_of(listed: &ImageList, at: usize) -> Vec<ImageId> {
    match listed.name_record(at) {
        Some(record) => record.images().collect(),
        None => vec![listed.row(at).id],
    }
}

/// None for an image that was removed meanwhile.
fn member(tables: &Tables, id: ImageId, in_use: bool) -> Option<Member> {
    let record = tables.images.images.get(&id)?;
    let stack = tables.layers.stack(record.top).unwrap_or_default();
    let content = stack.iter().map(|(_, layer)| match &layer.blob {
        Some(blob) => blob.bytes,
        None => layer.bytes,
    });
    let (platform, content) = (record.platform.platform(), content.sum());
    Some(Member { id, platform, size: record.size(), content, in_use })
}
