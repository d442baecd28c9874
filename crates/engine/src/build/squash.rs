//! `--squash`: all that a build changed, in one layer on its base.

use image::folder::Marks;
use image::merged::Change;
use image::pack::LayerWriter;
use image::upper::Altered;
use spec::{ChainId, DiffId, History, Timestamp};

use super::assemble::Image;
use super::layers;
use super::session::BuildSession;
use crate::error::{EngineError, Result};

/// What the history says of the layer.
const COMMENT: &str = "squashed by mica";

/// Makes one layer of those that the build put on its base. Times of files are kept.
pub(super) fn squash(session: &BuildSession<'_>, image: &mut Image) -> Result<()> {
    let diffs = &image.config.rootfs.diff_ids;
    if diffs.len() <= image.base_layers + 1 {
        return Ok(());
    }
    let (store, lease) = (session.engine.store(), &session.lease);
    let below: Vec<DiffId> = diffs[..image.base_layers].to_vec();
    let base = ChainId::of(&below);
    let altered = alone(session.engine.altered(base, image.top)?);
    let view = layers::view(store, image.top)?;
    let unpacked = layers::written(store, lease, |out| {
        let top = sys::fs::folder_beneath(&view, ".");
        let top = top.map_err(EngineError::io("open", "the built files"))?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None);
        writer.add_altered(&top, &altered).map_err(EngineError::Write)?;
        writer.finish().map(drop).map_err(EngineError::Write)
    })?;
    let (top, layer) = layers::adopt(store, lease, unpacked, base)?;
    image.put_one_layer(top, layer);
    Ok(())
}

/// What has to be said: of a folder that went, all below it went too.
fn alone(altered: Vec<Altered>) -> Vec<Altered> {
    let mut said: Vec<Altered> = Vec::new();
    let mut gone: Option<Vec<u8>> = None;
    for one in altered {
        let below = gone.as_ref().is_some_and(|gone| one.path.starts_with(gone));
        if one.change == Change::Deleted {
            if below {
                continue;
            }
            gone = Some([&one.path[..], b"/"].concat());
        }
        said.push(one);
    }
    said
}

impl Image {
    /// Its history stays, and says that its steps have no layers of their own any more.
    fn put_one_layer(&mut self, top: ChainId, layer: store::StepLayer) {
        let rootfs = &mut self.config.rootfs;
        rootfs.diff_ids.truncate(self.base_layers);
        rootfs.diff_ids.push(layer.diff);
        let mut layers = 0;
        for row in &mut self.config.history {
            layers += usize::from(!row.empty_layer);
            row.empty_layer |= layers > self.base_layers;
        }
        let created: Option<Timestamp> = self.config.created;
        self.config.history.push(History {
            created,
            comment: COMMENT.to_owned(),
            ..History::default()
        });
        self.top = Some(top);
        self.sizes.truncate(self.base_layers);
        self.sizes.push(layer.bytes);
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_went_says_it_for_all_in_it() {
        let altered = |list: &[(&str, Change)]| -> Vec<Altered> {
            let one = |(path, change): &(&str, Change)| Altered {
                path: path.as_bytes().to_vec(),
                change: *change,
            };
            list.iter().map(one).collect()
        };
        use Change::{Added, Changed, Deleted};
        let all = [
            ("/a", Deleted),
            ("/a/b", Deleted),
            ("/a/b/c", Deleted),
            ("/ab", Deleted),
            ("/d", Changed),
            ("/d/e", Added),
        ];
        let said = alone(altered(&all));
        assert_eq!(said, altered(&[all[0], all[3], all[4], all[5]]));
    }
}
