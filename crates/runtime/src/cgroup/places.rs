//! The folder that trees of version 1 are shown in, with a place for each: it is the same in all
//! containers, so those that cannot write to it have one that is made once a boot.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode};
use spec::Digest;

use super::View;

/// Where such folders are kept.
#[derive(Clone, Copy)]
pub struct SharedPlaces<'a> {
    /// The folder in which they are mounted.
    pub folder: &'a Path,
    /// Called before something is mounted there.
    pub prepare: &'a dyn Fn() -> io::Result<()>,
}

/// The folder with places for these trees, a file system in memory that is mounted now if it is not;
/// nothing where there are no such trees, or it cannot be made.
pub(crate) fn places(kept: SharedPlaces<'_>, views: &[View]) -> Option<PathBuf> {
    let last = views.last().filter(|_| views.iter().all(|view| !view.name.is_empty()))?;
    let line = |view: &View| format!("{} {}\n", view.name, view.links.join(" "));
    let text: String = views.iter().map(line).collect();
    let folder = kept.folder.join(Digest::of(text.as_bytes()).short());
    // It is mounted when everything is in it.
    let last = folder.join(&last.name);
    let is_there = || rustix::fs::accessat(CWD, &last, Access::EXISTS, AtFlags::empty()).is_ok();
    let make = || (kept.prepare)().and_then(|()| make(&folder, views, is_there));
    (is_there() || make().is_ok()).then_some(folder)
}

fn make(folder: &Path, views: &[View], is_there: impl Fn() -> bool) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let below = File::open(folder)?;
    sys::lock::lock(&below, sys::lock::Mode::Exclusive)?;
    if is_there() {
        // Somebody else was faster.
        return Ok(());
    }
    let mode = Mode::from_raw_mode(0o755);
    let options = [("mode", Some("755"))];
    let made = sys::mount::create("tmpfs", Some("cgroup"), &options, sys::mount::INERT)?;
    for View { name, links, .. } in views {
        rustix::fs::mkdirat(&made, name, mode)?;
        // Whatever the process masks.
        rustix::fs::chmodat(&made, name, mode, AtFlags::empty())?;
        links.iter().try_for_each(|link| rustix::fs::symlinkat(name, &made, link))?;
    }
    sys::mount::make_read_only(&made)?;
    sys::mount::attach(&made, folder)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn view(name: &str, links: &[&str]) -> View {
        View {
            name: name.to_owned(),
            options: Vec::new(),
            folder: PathBuf::new(),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
        }
    }

    #[test]
    fn a_folder_has_a_place_for_each_tree_and_is_mounted_once() {
        testkit::need_root!();
        let run = tempfile::tempdir().unwrap();
        let views = [view("pids", &[]), view("cpu,cpuacct", &["cpu", "cpuacct"])];
        let prepared = Cell::new(0);
        let prepare = || {
            prepared.set(prepared.get() + 1);
            Ok(())
        };
        let kept = SharedPlaces { folder: run.path(), prepare: &prepare };
        let folder = places(kept, &views).unwrap();
        let again = places(kept, &views);
        let has_place = folder.join("pids").is_dir();
        let link = fs::read_link(folder.join("cpu"));
        let written = fs::create_dir(folder.join("other"));
        sys::mount::detach(&folder).unwrap();
        assert!(!folder.join("pids").exists(), "it was mounted more than once");
        assert_eq!((again, prepared.get()), (Some(folder), 1));
        assert!(has_place && link.unwrap() == Path::new("cpu,cpuacct"));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
    }

    #[test]
    fn what_is_shown_itself_needs_no_place() {
        let kept = SharedPlaces { folder: Path::new("/nowhere"), prepare: &|| Ok(()) };
        assert_eq!(places(kept, &[view("", &[])]), None, "a tree of version 2 alone");
        assert_eq!(places(kept, &[]), None);
        let refuses = || Err(io::ErrorKind::PermissionDenied.into());
        let kept = SharedPlaces { prepare: &refuses, ..kept };
        assert_eq!(places(kept, &[view("pids", &[])]), None, "nothing may be mounted there");
    }
}
