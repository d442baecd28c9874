//! What made an image, layer by layer.

use spec::{ImageId, Platform, Timestamp};

use crate::Engine;
use crate::error::Result;
use crate::find::{about, find_for};

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// The image that it made, where that is known: the topmost row's is the image itself.
    pub id: Option<ImageId>,
    /// The names of that image.
    pub tags: Vec<String>,
    /// When.
    pub created: Option<Timestamp>,
    /// What was run.
    pub created_by: String,
    /// What was said about it.
    pub comment: String,
    /// The size of its layer, if it made one.
    pub size: u64,
}

impl Engine {
    /// An image's history, the newest first.
    pub fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<HistoryRow>> {
        let images = self.store.images_about(&about(name))?;
        let id = find_for(&images, name, platform)?.id;
        let config = self.config(id)?;
        let sizes = &images.images[&id].layers;
        let mut rows: Vec<HistoryRow> = config
            .history_with_layers()
            .into_iter()
            .map(|(row, layer)| HistoryRow {
                id: None,
                tags: Vec::new(),
                created: row.created,
                created_by: row.created_by.clone(),
                comment: row.comment.clone(),
                size: layer.and_then(|layer| sizes.get(layer).copied()).unwrap_or(0),
            })
            .collect();
        if rows.is_empty() {
            // An image without a history still has layers to show.
            rows.extend(sizes.iter().map(|size| HistoryRow {
                id: None,
                tags: Vec::new(),
                created: config.created,
                created_by: String::new(),
                comment: String::new(),
                size: *size,
            }));
        }
        rows.reverse();
        if let Some(top) = rows.first_mut() {
            top.id = Some(id);
            let familiar = |name: &str| spec::Reference::parse(name).map(|name| name.familiar());
            top.tags = images.names_of(id).filter_map(|name| familiar(name).ok()).collect();
        }
        Ok(rows)
    }
}
