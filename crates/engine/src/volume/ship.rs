//! A volume's files as a tar, out of one, and as another volume.

use std::io::{BufReader, Read, Write};

use image::folder::Marks;
use image::pack::LayerWriter;

use super::{CreateVolume, Volume};
use crate::Engine;
use crate::container::extract;
use crate::error::{EngineError, Result};

impl Engine {
    /// Writes a volume's files as a tar, in the order of their names.
    pub fn export_volume(&self, name: &str, out: &mut dyn Write) -> Result<()> {
        let volume = self.volume(name)?;
        let _used = self.use_volume(&volume)?;
        let folder = open(&volume)?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None).one_mount();
        writer.add_folder(&folder, false).map_err(EngineError::Write)?;
        writer.finish().map_err(EngineError::Write)?;
        Ok(())
    }

    /// Unpacks a tar into a volume, beside and over what it has; returns the bytes of files.
    pub fn import_volume(&self, name: &str, reader: Box<dyn Read + Send>) -> Result<u64> {
        let volume = self.volume(name)?;
        let _used = self.use_volume(&volume)?;
        extract(BufReader::with_capacity(256 << 10, reader), open(&volume)?, true)
    }

    /// Makes a volume with the files and labels of another one.
    pub fn clone_volume(&self, name: &str, new: &str) -> Result<Volume> {
        let volume = self.volume(name)?;
        if self.volume(new).is_ok() {
            return Err(EngineError::Refused(format!("create {new}: volume {new} already exists")));
        }
        let _used = self.use_volume(&volume)?;
        let request = CreateVolume {
            name: Some(new.to_owned()),
            labels: volume.labels.clone().unwrap_or_default(),
            ..CreateVolume::default()
        };
        let made = self.create_volume(request)?;
        let copied = image::copy::copy_tree(open(&volume)?, open(&made)?);
        if let Err(source) = copied {
            // Half a copy is none.
            let _ = self.remove_volume(new, true);
            return Err(EngineError::io("copy", &volume.mountpoint)(source));
        }
        Ok(made)
    }
}

fn open(volume: &Volume) -> Result<std::os::fd::OwnedFd> {
    let path = &volume.mountpoint;
    sys::fs::open_folder(path).map_err(EngineError::io("open", path))
}
