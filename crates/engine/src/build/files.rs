//! The files of what was built, as a folder or a tar.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use image::folder::Marks;
use image::merged::Change;
use image::pack::LayerWriter;
use image::stream::pour;
use spec::ChainId;
use sys::fs::FileType;

use super::assemble::Image;
use super::beside::Beside;
use super::layers;
use super::output::FilesTarget;
use crate::Engine;
use crate::container::extract;
use crate::error::{EngineError, Result};
use crate::whole::{WholeFile, check_place};

/// How much is on its way between the tar's writer and its reader.
const BUFFER_BYTES: usize = 256 << 10;

/// An image and the files that tell of it.
pub(super) type Told<'a> = (&'a Image, Vec<Beside>);

/// Writes the files of images. With `split` those of each platform are in a folder of its name.
pub(super) fn write(
    engine: &Engine,
    images: &[Told<'_>],
    target: &FilesTarget,
    split: bool,
) -> Result<()> {
    match target {
        FilesTarget::Stream(file) => tar(engine, images, split, &mut &*file),
        FilesTarget::Tar(path) => {
            check_place(path)?;
            let whole = WholeFile::create(path, 0o666).map_err(EngineError::Write)?;
            tar(engine, images, split, &mut whole.file())?;
            whole.finish().map_err(EngineError::Write)
        }
        FilesTarget::Folder(path) => folder(engine, images, split, path),
        FilesTarget::Mirror(path) => {
            let folder = folder_without_links(path)?;
            clear(engine, images, split, (path, &folder))?;
            unpack_into(&folder, |out| tar(engine, images, split, out))
        }
    }
}

fn tar(engine: &Engine, images: &[Told<'_>], split: bool, out: &mut dyn Write) -> Result<()> {
    let out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut writer = LayerWriter::new(out, Marks::Trusted, None);
    for (image, beside) in images {
        let view = layers::view(engine.store(), image.top)?;
        // A detached mount can be read once its top was opened.
        let top = sys::fs::folder_beneath(&view, ".");
        let top = top.map_err(EngineError::io("open", "the built files"))?;
        let time = image.config.created.map_or(0, |time| time.unix_seconds().max(0));
        if !split {
            writer.add_folder(&top, false).map_err(EngineError::Write)?;
            for Beside { name, bytes } in beside {
                writer.add_file(name, time, bytes).map_err(EngineError::Write)?;
            }
            continue;
        }
        let prefix = platform_folder(image);
        let names = sys::fs::names(&top).map_err(EngineError::io("list", "the built files"))?;
        let mut names: Vec<Vec<u8>> = names.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        for name in names {
            let path = [prefix.as_bytes(), b"/", &name].concat();
            writer.add_tree(&top, &name, &path).map_err(EngineError::Write)?;
        }
        for Beside { name, bytes } in beside {
            let path = format!("{prefix}/{name}");
            writer.add_file(&path, time, bytes).map_err(EngineError::Write)?;
        }
    }
    let (mut out, _) = writer.finish().map_err(EngineError::Write)?;
    out.flush().map_err(EngineError::Write)
}

/// Makes and opens a folder whose path has no links. What was asked before the build whether all else
/// in it may go must be the same folder now, and an output may have put links there since.
fn folder_without_links(path: &Path) -> Result<OwnedFd> {
    let path = std::path::absolute(path).map_err(EngineError::io("open", path))?;
    let mut folder = sys::fs::open_folder(Path::new("/")).map_err(EngineError::io("open", "/"))?;
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => {
                let words = format!("{} leads upwards: write where it leads", path.display());
                return Err(EngineError::Input(words));
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        folder = inner_folder(&folder, name).map_err(EngineError::io("open", &path))?;
    }
    Ok(folder)
}

fn inner_folder(folder: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match sys::fs::folder_beneath(folder, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match sys::fs::make_folder(folder, name, 0o777) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => sys::fs::folder_beneath(folder, name),
            }
        }
        opened => opened,
    }
}

/// Removes what a folder has and images have not, or have as another kind of file.
fn clear(
    engine: &Engine,
    images: &[Told<'_>],
    split: bool,
    (path, folder): (&Path, &OwnedFd),
) -> Result<()> {
    let view = |(image, _): &Told<'_>| {
        let view = layers::view(engine.store(), image.top)?;
        let top = sys::fs::folder_beneath(&view, ".");
        Ok((platform_folder(image), top.map_err(EngineError::io("open", "the built files"))?))
    };
    let views = images.iter().map(view).collect::<Result<Vec<_>>>()?;
    let cleared = match split {
        false => clear_below(folder, &views.iter().map(|(_, view)| view).collect::<Vec<_>>()),
        true => clear_names(folder, |name| {
            let of = views.iter().filter(|(prefix, _)| prefix.as_bytes() == name);
            of.map(|(_, view)| view.try_clone().map(Kept::Folder)).collect()
        }),
    };
    cleared.map_err(EngineError::io("remove files in", path))
}

/// What is to be in a folder under a name.
enum Kept {
    Folder(OwnedFd),
    Other,
}

/// Removes what one folder has and none of the others.
fn clear_below(folder: &OwnedFd, sources: &[&OwnedFd]) -> io::Result<()> {
    let mut kinds = Vec::with_capacity(sources.len());
    for source in sources {
        let names = sys::fs::names(source)?.into_iter();
        kinds.push((source, names.collect::<HashMap<_, _>>()));
    }
    clear_names(folder, |name| {
        let mut kept = Vec::new();
        for (source, kinds) in &kinds {
            match kinds.get(name) {
                None => {}
                Some(FileType::Directory) => kept
                    .push(Kept::Folder(sys::fs::folder_beneath(source, OsStr::from_bytes(name))?)),
                Some(_) => kept.push(Kept::Other),
            }
        }
        Ok(kept)
    })
}

/// Removes each name of which nothing is kept, and all of a kind that is not.
fn clear_names(folder: &OwnedFd, kept: impl Fn(&[u8]) -> io::Result<Vec<Kept>>) -> io::Result<()> {
    for (name, kind) in sys::fs::names(folder)? {
        let (kept, path) = (kept(&name)?, OsStr::from_bytes(&name));
        let folders = kept.iter().filter_map(|one| match one {
            Kept::Folder(folder) => Some(folder),
            Kept::Other => None,
        });
        let folders: Vec<&OwnedFd> = folders.collect();
        let is_folder = kind == FileType::Directory;
        match (is_folder, kept.is_empty(), folders.is_empty()) {
            (true, false, false) => {
                clear_below(&sys::fs::folder_beneath(folder, path)?, &folders)?;
            }
            (false, false, true) => {}
            _ => sys::fs::remove_tree(folder, path)?,
        }
    }
    Ok(())
}

/// What the folder of an image's platform is called.
fn platform_folder(image: &Image) -> String {
    image.platform().to_string().replace('/', "_")
}

/// Writes what a stack has otherwise than the one that it stands on; what it has not any more is
/// left out.
pub(super) fn write_changes(
    engine: &Engine,
    below: Option<ChainId>,
    top: ChainId,
    path: &Path,
) -> Result<()> {
    let mut altered = engine.altered(below, Some(top))?;
    altered.retain(|one| one.change != Change::Deleted);
    let view = layers::view(engine.store(), Some(top))?;
    unpack(path, |out| {
        let top = sys::fs::folder_beneath(&view, ".");
        let top = top.map_err(EngineError::io("open", "the step's files"))?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None);
        writer.add_altered(&top, &altered).map_err(EngineError::Write)?;
        writer.finish().map(drop).map_err(EngineError::Write)
    })
}

fn folder(engine: &Engine, images: &[Told<'_>], split: bool, path: &Path) -> Result<()> {
    unpack(path, |out| tar(engine, images, split, out))
}

/// Unpacks a tar while it is written. Files belong to whoever asked for them, as buildx has it.
fn unpack(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()> + Send) -> Result<()> {
    fs::create_dir_all(path).map_err(EngineError::io("create", path))?;
    let folder = sys::fs::open_folder(path).map_err(EngineError::io("open", path))?;
    unpack_into(&folder, write)
}

/// The same into a folder that is open.
fn unpack_into(
    folder: &OwnedFd,
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
) -> Result<()> {
    let (mut out, reader) = pour();
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            write(&mut out)?;
            out.flush().map_err(EngineError::Write)
        });
        let extracted = extract(reader, folder, false);
        match (writing.join().expect("a writer of tars does not panic"), extracted) {
            // That nobody reads says only that the reader had a reason.
            (Err(EngineError::Write(_)), Err(error)) => Err(error),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
            (Ok(()), Ok(_)) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_to_empty_are_reached_by_no_link() {
        let at = tempfile::tempdir().unwrap();
        let root = at.path().canonicalize().unwrap();
        fs::create_dir(root.join("own")).unwrap();
        std::os::unix::fs::symlink("own", root.join("link")).unwrap();
        assert!(folder_without_links(&root.join("own/new/deep")).is_ok());
        assert!(root.join("own/new/deep").is_dir());
        for path in ["link", "link/new", "own/../own"] {
            assert!(folder_without_links(&root.join(path)).is_err(), "{path}");
        }
    }
}
