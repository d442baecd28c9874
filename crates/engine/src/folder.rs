//! Images in a folder: as an OCI layout, or as skopeo's `dir:`.
//!
//! Every file appears whole, and the one that names the others appears last. A layout that is there
//! already keeps its other images.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use image::archive::{ArchiveContent, ArchiveImage, ArchivePlan, Member, merge_index, plan_dir};

use crate::Engine;
use crate::error::{EngineError, Result};
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
        let _alone = take(root)?;
        let mut index = None;
        for member in plan {
            match (member.path.as_str(), &member.content) {
                (INDEX, ArchiveContent::Bytes(bytes)) => index = Some(bytes),
                // Docker's own files have no place in a layout.
                ("manifest.json" | "repositories", _) => {}
                _ => self.write_member(root, member)?,
            }
        }
        let path = root.join(INDEX);
        let old = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(EngineError::io("read", &path))?),
        };
        let Some(new) = index else { return Ok(()) };
        let bytes = merge_index(old.as_deref(), new, by_word)?;
        let content = ArchiveContent::Bytes(bytes);
        self.write_member(root, &Member { path: INDEX.to_owned(), content })
    }

    /// Makes a folder hold one image in the form `dir:`, and nothing of one that was there before.
    pub(crate) fn write_dir(&self, image: &ArchiveImage, root: &Path) -> Result<()> {
        let _alone = take(root)?;
        let before = names(root)?;
        if !before.is_empty() && !before.iter().any(|name| name == DIR_VERSION) {
            let text = format!("{} is neither empty nor an image in the form dir:", root.display());
            return Err(EngineError::Input(text));
        }
        let plan = plan_dir(image);
        for member in &plan {
            self.write_member(root, member)?;
        }
        for name in before {
            let kept = plan.iter().any(|member| member.path == name);
            if !kept && is_dir_part(&name) {
                let path = root.join(&name);
                fs::remove_file(&path).map_err(EngineError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn write_member(&self, root: &Path, member: &Member) -> Result<()> {
        let path = root.join(&member.path);
        let failed = |error| EngineError::io("write", &path)(error);
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
                let blob = self.store.open_blob(digest)?;
                let copied = store::send(&blob, file, *bytes, true).map_err(failed)?;
                if copied != *bytes {
                    return Err(super::save::short_blob(digest, copied, *bytes));
                }
            }
        }
        whole.finish().map_err(failed)
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
