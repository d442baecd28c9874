//! Cache mounts by their ids: what commands keep for themselves from one build to the next.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::build::instruction::Sharing;
use image::codec::expand;
use image::folder::Marks;
use image::pack::LayerWriter;
use sys::lock::{Mode, try_lock};

use super::fresh::SEEN;
use super::mounts::{held_cache, make_private};
use super::prune::entries;
use crate::Engine;
use crate::container::extract;
use crate::error::{EngineError, Result};

/// What begins where no mount sets another mode.
const MODE: u32 = 0o755;

/// A cache mount.
#[derive(Clone, Debug)]
pub struct CacheMount {
    /// Its id as the Dockerfile has it, or where it is mounted if that has none; after the namespace,
    /// if it has one.
    pub id: String,
    /// What its folder is called.
    pub name: String,
    /// The size of its files.
    pub bytes: u64,
    /// When it was last of use.
    pub used: SystemTime,
}

/// A mount's folder with its lock.
struct Kept {
    id: String,
    name: String,
    folder: PathBuf,
}

impl Engine {
    /// All cache mounts that have files.
    pub fn cache_mounts(&self) -> Result<Vec<CacheMount>> {
        let mut mounts = Vec::new();
        for Kept { id, name, folder } in self.kept_mounts()? {
            let used = fs::metadata(folder.join("lock")).and_then(|meta| meta.modified());
            // One that was emptied has only its lock.
            let files = sys::fs::open_folder(&folder.join("files"));
            let (Ok(used), Ok(files)) = (used, files) else { continue };
            let bytes = image::upper::usage(&files).map_or(0, |(bytes, _)| bytes);
            mounts.push(CacheMount { id, name, bytes, used });
        }
        Ok(mounts)
    }

    /// Removes a cache mount that no command uses now.
    pub fn remove_cache_mount(&self, id: &str) -> Result<()> {
        let kept = self.find_mount(id)?;
        match empty(&kept.folder)? {
            true => Ok(()),
            false => Err(busy(&kept.id)),
        }
    }

    /// The same, if that can be; else it stays.
    pub(super) fn let_go_of_mount(&self, name: &str) -> Result<()> {
        empty(&self.mounts_folder().join(name)).map(drop)
    }

    /// Writes the files of a cache mount as a tar.
    pub fn export_cache_mount(&self, id: &str, out: &mut dyn Write) -> Result<()> {
        let kept = self.find_mount(id)?;
        // Nobody changes it meanwhile but commands that share it.
        let _lock = take(&kept, Mode::Shared)?;
        let path = kept.folder.join("files");
        let files = sys::fs::open_folder(&path).map_err(EngineError::io("open", &path))?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None).one_mount();
        writer.add_folder(&files, false).map_err(EngineError::Write)?;
        writer.finish().map_err(EngineError::Write)?;
        Ok(())
    }

    /// Begins a cache mount with the files of a tar, compressed or not. What it has already is
    /// replaced only with `force`.
    pub fn seed_cache_mount(
        &self,
        id: &str,
        tar: &mut (dyn Read + Send),
        force: bool,
    ) -> Result<()> {
        let kept = self.find_mount(id).ok();
        // Without a namespace, as mounts of a build without one are called.
        let inner = kept.as_ref().map_or_else(|| format!("/{id}"), |kept| kept.written());
        if let Some(kept) = &kept {
            drop(take(kept, Mode::Exclusive)?);
        }
        let (folder, _lock) = held_cache(&self.mounts_folder(), &inner, Sharing::Locked)?;
        let files = folder.join("files");
        let has_files = fs::read_dir(&files).is_ok_and(|mut list| list.next().is_some());
        if has_files && !force {
            let words = format!("cache mount {id} has files already: replace them with --force");
            return Err(EngineError::Refused(words));
        }
        let aside = folder.join("files.new");
        let _ = fs::remove_dir_all(&aside);
        make_private(&aside)?;
        let open = sys::fs::open_folder(&aside).map_err(EngineError::io("open", &aside))?;
        let (_, plain) = expand(tar).map_err(EngineError::Read)?;
        extract(BufReader::new(plain), &open, true)?;
        let replace = || {
            fs::set_permissions(&aside, PermissionsExt::from_mode(MODE))?;
            match fs::remove_dir_all(&files) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => fs::rename(&aside, &files),
            }
        };
        // What steps had seen was something else.
        let _ = fs::remove_dir_all(folder.join(SEEN));
        replace().map_err(EngineError::io("fill", &files))
    }

    fn mounts_folder(&self) -> PathBuf {
        self.store().build_folder().join("mounts")
    }

    fn kept_mounts(&self) -> Result<Vec<Kept>> {
        let kept = |folder: PathBuf| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = fs::read_to_string(folder.join("id")).unwrap_or_default();
            Kept { id: id.strip_prefix('/').map_or(id.clone(), str::to_owned), name, folder }
        };
        Ok(entries(&self.mounts_folder())?.into_iter().map(kept).collect())
    }

    /// A mount by its id, or by the beginning of its folder's name.
    fn find_mount(&self, text: &str) -> Result<Kept> {
        let mut all = self.kept_mounts()?;
        all.retain(|kept| kept.folder.join("files").is_dir());
        let exact = all.iter().position(|kept| kept.id == text);
        let is_hex = text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_name = || all.iter().position(|kept| is_hex && kept.name.starts_with(text));
        match exact.or_else(by_name) {
            Some(at) => Ok(all.swap_remove(at)),
            None => Err(EngineError::NoCacheMount(text.to_owned())),
        }
    }
}

impl Kept {
    /// Its id as it is written down: after a namespace that may be empty.
    fn written(&self) -> String {
        fs::read_to_string(self.folder.join("id")).unwrap_or_default()
    }
}

fn busy(id: &str) -> EngineError {
    EngineError::Busy(format!("cache mount {id} is in use: wait for the build that uses it"))
}

/// Holds a mount, or says that somebody else does.
fn take(kept: &Kept, mode: Mode) -> Result<File> {
    let lock = kept.folder.join("lock");
    let file = File::open(&lock).map_err(EngineError::io("open", &lock))?;
    match try_lock(&file, mode).map_err(EngineError::io("lock", &lock))? {
        true => Ok(file),
        false => Err(busy(&kept.id)),
    }
}

/// Removes the files of a mount, unless a command uses them now.
fn empty(folder: &Path) -> Result<bool> {
    let lock = folder.join("lock");
    let file = File::open(&lock).map_err(EngineError::io("open", &lock))?;
    if !try_lock(&file, Mode::Exclusive).map_err(EngineError::io("lock", &lock))? {
        return Ok(false);
    }
    // The lock stays: whoever waits for it finds no files, and begins anew.
    fs::remove_dir_all(folder.join("files")).map_err(EngineError::io("remove", folder))?;
    Ok(true)
}
