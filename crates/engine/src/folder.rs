//! Images in a folder: as an OCI layout, or as skopeo's `dir:`.
//!
//! Every file appears whole, and the one that names the others appears last. A layout that is there
//! already keeps its other images. Of one that cannot be finished, nothing new stays.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::archive::{ArchiveContent, ArchiveImage, ArchivePlan, Member, merge_index, plan_dir};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::outgoing::Outlet;
use crate::whole::WholeFile;

/// What a layout's other files hang on.
const INDEX: &str = "index.json";
/// What tells a `dir:` folder from others.
const DIR_VERSION: &str = "version";

impl Engine {
    /// Adds what an archive would hold to the layout in a folder.
    pub(crate) fn write_layout(
        &self,
        plan: &ArchivePlan,
        root: &Path,
        by_word: bool,
    ) -> Result<()> {
        let fresh = Fresh::begin(root)?;
        let _alone = take(root)?;
        // What must go goes while others are kept waiting.
        let mut fresh = fresh;
        let mut index = None;
        for member in plan {
            match (member.path.as_str(), &member.content) {
                (INDEX, ArchiveContent::Bytes(bytes)) => index = Some(bytes),
                // Docker's own files have no place in a layout.
                ("manifest.json" | "repositories", _) => {}
                _ => self.write_member(root, member, &mut fresh)?,
            }
        }
        let path = root.join(INDEX);
        let old = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(EngineError::io("read", &path))?),
        };
        if let Some(new) = index {
            let content = ArchiveContent::Bytes(merge_index(old.as_deref(), new, by_word)?);
            let member = Member { path: INDEX.to_owned(), content };
            self.write_member(root, &member, &mut fresh)?;
        }
        fresh.keep();
        Ok(())
    }

    /// Makes a folder hold one image in the form `dir:`, and nothing of one that was there before.
    pub(crate) fn write_dir(&self, image: &ArchiveImage, root: &Path) -> Result<()> {
        let fresh = Fresh::begin(root)?;
        let _alone = take(root)?;
        // What must go goes while others are kept waiting.
        let mut fresh = fresh;
        let before = names(root)?;
        if !before.is_empty() && !before.iter().any(|name| name == DIR_VERSION) {
            let text = format!("{} is neither empty nor an image in the form dir:", root.display());
            return Err(EngineError::Input(text));
        }
        let plan = plan_dir(image);
        for member in &plan {
            self.write_member(root, member, &mut fresh)?;
        }
        fresh.keep();
        for name in before {
            let kept = plan.iter().any(|member| member.path == name);
            if !kept && is_dir_part(&name) {
                let path = root.join(&name);
                fs::remove_file(&path).map_err(EngineError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn write_member(&self, root: &Path, member: &Member, fresh: &mut Fresh) -> Result<()> {
        let path = root.join(&member.path);
        let failed = |error| EngineError::io("write", &path)(error);
        fresh.note(&path);
        if member.content == ArchiveContent::Folder {
            return fs::create_dir_all(&path).map_err(failed);
        }
        if let ArchiveContent::Blob { bytes, .. } = &member.content
            && fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == *bytes)
        {
            // It is named by its digest: what is there whole is the same.
            return Ok(());
        }
        let whole = WholeFile::create(&path, 0o666).map_err(failed)?;
        let mut file = whole.file();
        match &member.content {
            ArchiveContent::Folder => {}
            ArchiveContent::Bytes(bytes) => file.write_all(bytes).map_err(failed)?,
            ArchiveContent::Blob { digest, bytes } => {
                let outlet = Outlet { file, is_plain: true };
                self.send_blob(digest, *bytes, outlet, failed)?;
            }
        }
        whole.finish().map_err(failed)
    }
}

/// What was not there before: gone when dropped, unless all of it is kept.
struct Fresh(Vec<PathBuf>);

impl Fresh {
    /// Begins with a folder, and those above it.
    fn begin(root: &Path) -> Result<Fresh> {
        let root = std::path::absolute(root).map_err(EngineError::io("find", root))?;
        let missing = root.ancestors().take_while(|path| !path.exists()).map(Path::to_owned);
        let mut missing: Vec<PathBuf> = missing.collect();
        missing.reverse();
        Ok(Fresh(missing))
    }

    /// Remembers what is about to be made.
    fn note(&mut self, path: &Path) {
        if fs::symlink_metadata(path).is_err() {
            self.0.push(path.to_owned());
        }
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A folder in which there is something else by now stays.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

/// Makes a folder if need be, and keeps other mica processes that write there waiting until the
/// file is dropped.
pub(crate) fn take(root: &Path) -> Result<File> {
    fs::create_dir_all(root).map_err(EngineError::io("create", root))?;
    let folder = File::open(root).map_err(EngineError::io("open", root))?;
    sys::lock::lock(&folder, sys::lock::Mode::Exclusive).map_err(EngineError::io("lock", root))?;
    Ok(folder)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| EngineError::io("read", folder)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Whether a file in a `dir:` folder belongs to its image: blobs, manifests, signatures.
fn is_dir_part(name: &str) -> bool {
    let name = name.strip_suffix(".manifest.json").unwrap_or(name);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with("signature-") || (matches!(name.len(), 64 | 128) && is_hex(name))
}
