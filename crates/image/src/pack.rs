//! Writes a folder as a layer: the same files always give the same bytes.
//!
//! Names are sorted, headers are stable, times later than the clamp become the clamp. The folder
//! may be the upper part of an overlay: its marks become the whiteouts of a layer. Sockets are
//! left out, as everybody does: they mean nothing without the process that made them.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use spec::IdMaps;
use sys::fs::{FileType, Stat};

use crate::folder::Marks;
use crate::merged::Change;
use crate::tar::{Entry, EntryKind, TarWriter, Time};
use crate::upper::{self, Altered};

/// A layer on its way out.
pub struct LayerWriter<W: Write> {
    tar: TarWriter<W>,
    marks: Marks,
    clamp: Option<i64>,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    entries: u64,
    mounts: Mounts,
    /// Whether somebody may be taking files away meanwhile.
    lives: bool,
    /// Who the files' owners are in the layer, if not whom the folder shows.
    users: Option<IdMaps>,
}

/// What becomes of what is mounted somewhere in the folder.
enum Mounts {
    /// It is part of the folder.
    Followed,
    /// It is left out.
    LeftOut,
    /// Folders are left out, but for these mounts and those in them: in so many of them are we now.
    Only { numbers: Vec<u64>, within: usize },
}

/// What a name in a folder is to a layer.
enum Found {
    Entry(EntryKind),
    /// A mark that hides a name of the layers below.
    Whiteout,
    /// Nothing that a layer holds.
    Nothing,
}

/// Folders in folders are followed so deep.
const MAX_DEPTH: usize = 1024;

impl<W: Write> LayerWriter<W> {
    /// Starts a layer. No time in it will be later than `clamp` seconds.
    pub fn new(out: W, marks: Marks, clamp: Option<i64>) -> LayerWriter<W> {
        let (tar, names) = (TarWriter::new(out), HashMap::new());
        let mounts = Mounts::Followed;
        LayerWriter { tar, marks, clamp, names, entries: 0, mounts, lives: false, users: None }
    }

    /// The same without what is mounted somewhere in the folder: a mount is an empty folder or an
    /// empty file.
    pub fn one_mount(mut self) -> LayerWriter<W> {
        self.mounts = Mounts::LeftOut;
        self
    }

    /// The same of a root that a container lives in: of the folders that are mounted there only those
    /// that are these mounts are gone into, and what has gone when its turn comes is no error.
    pub fn of_a_living_root(mut self, numbers: Vec<u64>) -> LayerWriter<W> {
        (self.mounts, self.lives) = (Mounts::Only { numbers, within: 0 }, true);
        self
    }

    /// The same with owners as they are inside of these maps.
    pub fn inside(mut self, users: Option<IdMaps>) -> LayerWriter<W> {
        self.users = users;
        self
    }

    /// Adds everything below a folder, and with `root` the folder itself.
    pub fn add_folder(&mut self, folder: impl AsFd, root: bool) -> io::Result<()> {
        let folder = folder.as_fd();
        self.begin_in(folder)?;
        if root {
            let stat = sys::fs::stat(folder, ".")?;
            let xattrs = self.xattrs(sys::fs::xattrs(folder)?).1;
            let entry = self.entry(b"./".to_vec(), EntryKind::Directory, &stat, xattrs);
            self.append(&entry, &mut io::empty())?;
        }
        self.add_children(folder, &mut Vec::new(), 0)
    }

    /// Adds one name of a folder, with all below it, under another path.
    pub fn add_tree(&mut self, folder: impl AsFd, name: &[u8], path: &[u8]) -> io::Result<()> {
        let folder = folder.as_fd();
        self.begin_in(folder)?;
        // Whoever names a mount means what is in it.
        let is_meant = self.is_mount(folder, name)?;
        self.enter(is_meant, 1);
        let added = self.add(folder, name, &mut path.to_vec(), 0);
        self.enter(is_meant, -1);
        added
    }

    /// Adds what was changed in a whole tree: whatever is named, alone, and marks for what is gone.
    pub fn add_altered(&mut self, folder: impl AsFd, altered: &[Altered]) -> io::Result<()> {
        let folder = folder.as_fd();
        for Altered { path, change } in altered {
            let (above, name) = upper::split(path);
            let path = path.strip_prefix(b"/").unwrap_or(path).to_vec();
            if *change == Change::Deleted {
                self.hide(&path, name.len())?;
                continue;
            }
            let parent = sys::fs::folder_beneath(folder, above)?;
            self.add_one(&parent, name, &path)?;
        }
        Ok(())
    }

    /// Adds a file that is in no folder, for root alone.
    pub fn add_file(&mut self, path: &str, seconds: i64, content: &[u8]) -> io::Result<()> {
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind: EntryKind::File,
            mode: 0o600,
            mtime: Time { seconds, nanos: 0 },
            size: content.len() as u64,
            ..Entry::default()
        };
        self.append(&entry, &mut &*content)
    }

    /// Ends the layer and says how many entries it has.
    pub fn finish(self) -> io::Result<(W, u64)> {
        Ok((self.tar.finish()?, self.entries))
    }

    fn add_children(
        &mut self,
        folder: impl AsFd,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!("more than {MAX_DEPTH} folders deep")));
        }
        let folder = folder.as_fd();
        let Some(mut names) = self.unless_gone(sys::fs::names(folder))? else { return Ok(()) };
        names.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        for (name, _) in names {
            let before = path.len();
            path.extend(&name);
            self.add(folder, &name, path, depth)?;
            path.truncate(before);
        }
        Ok(())
    }

    fn add(
        &mut self,
        folder: impl AsFd,
        name: &[u8],
        path: &mut Vec<u8>,
        depth: usize,
    ) -> io::Result<()> {
        let folder = folder.as_fd();
        let added = self.add_one(folder, name, path);
        if self.unless_gone(added)? != Some(true) {
            return Ok(());
        }
        path.push(b'/');
        let inner = self.unless_gone(sys::fs::folder_beneath(folder, name))?;
        let enters = self.unless_gone(self.is_mount(folder, name))?;
        let (Some(inner), Some(enters)) = (inner, enters) else { return Ok(()) };
        self.enter(enters, 1);
        let added = self.add_children(&inner, path, depth + 1);
        self.enter(enters, -1);
        added
    }

    /// What came of looking at a file; nothing where it has gone meanwhile, which somebody may see to.
    fn unless_gone<T>(&self, looked: io::Result<T>) -> io::Result<Option<T>> {
        match looked {
            Err(error) if self.lives && error.kind() == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Finds out whether a folder lies in one of the mounts that are gone into.
    fn begin_in(&mut self, folder: BorrowedFd<'_>) -> io::Result<()> {
        if let Mounts::Only { numbers, within } = &mut self.mounts {
            *within = usize::from(is_in_mounts(folder, numbers)?);
        }
        Ok(())
    }

    /// Whether a name is a mount, where that makes a difference.
    fn is_mount(&self, folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
        let asked = matches!(self.mounts, Mounts::Only { .. }) && name != b".";
        Ok(asked && sys::fs::is_mount_root(folder, name)?)
    }

    /// Counts mounts that we are in.
    fn enter(&mut self, enters: bool, by: isize) {
        if let Mounts::Only { within, .. } = &mut self.mounts
            && enters
        {
            *within = within.saturating_add_signed(by);
        }
    }

    /// Whether a name is left out because something is mounted there.
    fn is_covered(&self, folder: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<bool> {
        match &self.mounts {
            Mounts::Followed => Ok(false),
            Mounts::LeftOut => sys::fs::is_mount_root(folder, name),
            Mounts::Only { within: 1.., .. } => Ok(false),
            Mounts::Only { numbers, .. } => {
                let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if !is_folder || !self.is_mount(folder, name)? {
                    return Ok(false);
                }
                let number = sys::fs::mount_number(sys::fs::open_path(folder, name)?)?;
                Ok(!numbers.contains(&number))
            }
        }
    }

    /// Adds one name without what is below it, and says whether it is a folder to go into.
    fn add_one(&mut self, folder: impl AsFd, name: &[u8], path: &[u8]) -> io::Result<bool> {
        let folder = folder.as_fd();
        let stat = sys::fs::stat(folder, name)?;
        let (opaque, xattrs) = self.xattrs(sys::fs::xattrs(sys::fs::open_path(folder, name)?)?);
        let kind = match self.kind(folder, name, &stat)? {
            Found::Entry(kind) => kind,
            Found::Whiteout => return self.hide(path, name.len()).map(|()| false),
            Found::Nothing => return Ok(false),
        };
        let covered = self.is_covered(folder, name, &stat)?;
        if kind == EntryKind::Directory {
            let path = [path, b"/"].concat();
            self.append(&self.entry(path.clone(), kind, &stat, xattrs), &mut io::empty())?;
            if opaque && !covered {
                let marker = [path.as_slice(), b".wh..wh..opq"].concat();
                let entry = self.entry(marker, EntryKind::File, &stat, Vec::new());
                self.append(&Entry { size: 0, mode: 0, ..entry }, &mut io::empty())?;
            }
            return Ok(!covered);
        }
        if covered {
            let entry = self.entry(path.to_vec(), EntryKind::File, &stat, Vec::new());
            self.append(&Entry { size: 0, ..entry }, &mut io::empty())?;
        } else if !self.add_name_of_known(path, &stat)? {
            let entry = self.entry(path.to_vec(), kind, &stat, xattrs);
            self.add_data(folder, name, &entry)?;
            // Not before: a file that has gone meanwhile is none that other names could stand for.
            self.remember(path, &stat);
        }
        Ok(false)
    }

    fn kind(&self, folder: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<Found> {
        let (major, minor) = device(stat);
        Ok(Found::Entry(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink(sys::fs::read_link(folder, name)?),
            FileType::CharacterDevice if (major, minor) == (0, 0) => return Ok(Found::Whiteout),
            FileType::CharacterDevice => EntryKind::Char { major, minor },
            FileType::BlockDevice => EntryKind::Block { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            FileType::RegularFile => EntryKind::File,
            _ => return Ok(Found::Nothing),
        }))
    }

    /// Adds a further name of a file that has been added, and says whether it is one.
    fn add_name_of_known(&mut self, path: &[u8], stat: &Stat) -> io::Result<bool> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino)) else { return Ok(false) };
        let kind = EntryKind::Hardlink(first.clone());
        let entry = self.entry(path.to_vec(), kind, stat, Vec::new());
        self.append(&Entry { size: 0, ..entry }, &mut io::empty())?;
        Ok(true)
    }

    /// Remembers the first name of a file that may have others.
    fn remember(&mut self, path: &[u8], stat: &Stat) {
        if stat.st_nlink > 1 {
            self.names.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
    }

    fn add_data(&mut self, folder: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> io::Result<()> {
        match entry.kind == EntryKind::File && entry.size > 0 {
            true => self.append(entry, &mut sys::fs::file_beneath(folder, name)?),
            false => self.append(entry, &mut io::empty()),
        }
    }

    /// A name that the layers below have and this one has not. It has no owner and no time: when
    /// something was deleted says nothing about what is left.
    fn hide(&mut self, path: &[u8], name_len: usize) -> io::Result<()> {
        let (folder, name) = path.split_at(path.len() - name_len);
        let path = [folder, b".wh.", name].concat();
        self.append(&Entry { path, kind: EntryKind::File, ..Entry::default() }, &mut io::empty())
    }

    fn entry(
        &self,
        path: Vec<u8>,
        kind: EntryKind,
        stat: &Stat,
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Entry {
        let time = Time { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 };
        let mtime = match self.clamp {
            Some(clamp) if time.seconds >= clamp => Time { seconds: clamp, nanos: 0 },
            _ => time,
        };
        let size = if kind == EntryKind::File { stat.st_size as u64 } else { 0 };
        let (uid, gid) = match &self.users {
            None => (stat.st_uid, stat.st_gid),
            Some(users) => users.inside(stat.st_uid, stat.st_gid),
        };
        let (uid, gid) = (u64::from(uid), u64::from(gid));
        Entry {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime,
            size,
            xattrs,
            ..Entry::default()
        }
    }

    /// Whether a folder covers those below it, and the attributes that are its own.
    fn xattrs(&self, all: Vec<(Vec<u8>, Vec<u8>)>) -> (bool, Vec<(Vec<u8>, Vec<u8>)>) {
        let opaque = all.iter().any(|(name, value)| name == self.marks.opaque() && value == b"y");
        let overlay = |name: &[u8]| {
            name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
        };
        // A label of the host's security module is not the image's.
        let own = |name: &[u8]| !overlay(name) && name != b"security.selinux";
        (opaque, all.into_iter().filter(|(name, _)| own(name)).collect())
    }

    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.entries += 1;
        self.tar.append(entry, data)
    }
}

/// Whether a folder lies in one of these mounts, or in what is mounted there.
fn is_in_mounts(folder: BorrowedFd<'_>, numbers: &[u64]) -> io::Result<bool> {
    let place = |folder: &OwnedFd| -> io::Result<(u64, u64)> {
        Ok((sys::fs::mount_number(folder)?, sys::fs::stat(folder, ".")?.st_ino))
    };
    let mut here = sys::fs::open_path(folder, ".")?;
    for _ in 0..MAX_DEPTH {
        let (number, inode) = place(&here)?;
        if numbers.contains(&number) {
            return Ok(true);
        }
        let above = sys::fs::open_path(&here, "..")?;
        if place(&above)? == (number, inode) {
            // Above the root is the root.
            return Ok(false);
        }
        here = above;
    }
    Ok(false)
}

fn device(stat: &Stat) -> (u32, u32) {
    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::tar::{Limits, TarReader};

    fn pack(folder: &Path, clamp: Option<i64>) -> Vec<u8> {
        let mut writer = LayerWriter::new(Vec::new(), Marks::Trusted, clamp);
        writer.add_folder(sys::fs::open_folder(folder).unwrap(), true).unwrap();
        writer.finish().unwrap().0
    }

    fn entries(tar: &[u8]) -> Vec<Entry> {
        let mut reader = TarReader::new(tar, Limits::default());
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    fn sample(folder: &Path) {
        for name in ["b", "a", "dir/z", "dir/é"] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
        }
        std::fs::set_permissions(folder.join("a"), PermissionsExt::from_mode(0o4755)).unwrap();
        std::fs::hard_link(folder.join("a"), folder.join("dir/a2")).unwrap();
        symlink("../b", folder.join("dir/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    }

    #[test]
    fn names_are_sorted_links_kept_and_sockets_left_out() {
        let folder = tempfile::tempdir().unwrap();
        sample(folder.path());
        let all = entries(&pack(folder.path(), None));
        let names: Vec<_> =
            all.iter().map(|e| String::from_utf8(e.path.clone()).unwrap()).collect();
        assert_eq!(names, ["./", "a", "b", "dir/", "dir/a2", "dir/link", "dir/z", "dir/é"]);
        assert_eq!(all[1].mode, 0o4755);
        assert_eq!(all[4].kind, EntryKind::Hardlink(b"a".to_vec()));
        assert_eq!(all[5].kind, EntryKind::Symlink(b"../b".to_vec()));
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sample(one.path());
        std::thread::sleep(std::time::Duration::from_millis(20));
        sample(two.path());
        assert_eq!(pack(one.path(), Some(1_000)), pack(two.path(), Some(1_000)));
        let times = entries(&pack(one.path(), Some(1_000)));
        assert!(times.iter().all(|entry| entry.mtime == Time { seconds: 1_000, nanos: 0 }));
        assert_ne!(pack(one.path(), None), pack(two.path(), None));
    }

    #[test]
    fn what_goes_from_a_living_root_breaks_nothing_off() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        std::fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        let open = |name: &str| sys::fs::open_folder(&folder.path().join(name)).unwrap();
        let (all, gone) = (open("."), open("gone"));
        std::fs::remove_dir(folder.path().join("gone")).unwrap();
        let new = || LayerWriter::new(Vec::new(), Marks::Trusted, None);
        assert_eq!(new().add_folder(&gone, false).unwrap_err().kind(), ErrorKind::NotFound);
        let mut writer = new().of_a_living_root(Vec::new());
        writer.add_folder(&gone, false).unwrap();
        // A name counts as one that others stand for when it is in the layer.
        let stat = sys::fs::stat(&all, "a").unwrap();
        assert!(!writer.add_name_of_known(b"a", &stat).unwrap());
        writer.add_tree(&all, b"b", b"b").unwrap();
        writer.add_tree(&all, b"a", b"a").unwrap();
        let all = entries(&writer.finish().unwrap().0);
        assert_eq!(all.len(), 2);
        assert_eq!((&all[0].kind, all[0].path.as_slice()), (&EntryKind::File, &b"b"[..]));
        assert_eq!(all[1].kind, EntryKind::Hardlink(b"b".to_vec()));
    }

    #[test]
    fn marks_of_an_overlay_become_whiteouts() {
        let folder = tempfile::tempdir().unwrap();
        let root = sys::fs::open_folder(folder.path()).unwrap();
        sys::fs::make_folder(&root, "covered", 0o755).unwrap();
        let covered = sys::fs::folder_beneath(&root, "covered").unwrap();
        let marked = sys::fs::make_node(&root, "gone", 0o020_000, (0, 0))
            .and_then(|()| sys::fs::set_xattr(&covered, b"trusted.overlay.opaque", b"y"));
        if let Err(error) = marked {
            println!("skipped: marks_of_an_overlay_become_whiteouts: {error}");
            return;
        }
        let names: Vec<_> =
            entries(&pack(folder.path(), None)).into_iter().map(|e| e.path).collect();
        let wanted: [&[u8]; 4] = [b"./", b"covered/", b"covered/.wh..wh..opq", b".wh.gone"];
        assert_eq!(names, wanted);
    }
}
