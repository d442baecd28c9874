//! The folder that trees of version 1 are shown in, with a place for each: it is the same in all
//! containers, so those that cannot write to it have one that is made once a boot. A process that was
//! given all rights in one of them (`exec --privileged`) can still change it: so it is read-only in
//! itself, it is made anew when a place is missing, and a container that cannot use it has one of its
//! own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode};
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
    if views.is_empty() || views.iter().any(|view| view.name.is_empty()) {
        return None;
    }
    let line = |view: &View| format!("{} {}\n", view.name, view.links.join(" "));
    let text: String = views.iter().map(line).collect();
    let folder = kept.folder.join(Digest::of(text.as_bytes()).short());
    // It is mounted when everything is in it. In memory a folder has two names and one for each
    // folder in it.
    let names = views.len() + 2;
    let is_there = || rustix::fs::stat(&folder).is_ok_and(|stat| stat.st_nlink as usize == names);
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
    while sys::mount::is_mounted(folder)? {
        // Containers that run keep what they have of it.
        sys::mount::detach(folder)?;
    }
    let mode = Mode::from_raw_mode(0o755);
    let options = [("mode", Some("755"))];
    let (made, context) =
        sys::mount::create_in_context("tmpfs", Some("cgroup"), &options, sys::mount::INERT)?;
    for View { name, links, .. } in views {
        rustix::fs::mkdirat(&made, name, mode)?;
        // Whatever the process masks.
        rustix::fs::chmodat(&made, name, mode, AtFlags::empty())?;
        links.iter().try_for_each(|link| rustix::fs::symlinkat(name, &made, link))?;
    }
    sys::mount::make_whole_read_only(&context)?;
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
    fn a_folder_without_all_its_places_is_made_anew() {
        testkit::need_root!();
        let run = tempfile::tempdir().unwrap();
        let views = [view("pids", &[]), view("cpu", &[]), view("memory", &[])];
        let kept = SharedPlaces { folder: run.path(), prepare: &|| Ok(()) };
        let folder = places(kept, &views).unwrap();
        let mount = |options: &str| {
            let program =
                std::process::Command::new("mount").args(["-o", options]).arg(&folder).status();
            program.unwrap().success()
        };
        // Not even who makes the mount writable writes to it.
        let bound = mount("remount,bind,rw");
        let refused = fs::remove_dir(folder.join("pids"));
        let whole = mount("remount,rw");
        let removed = fs::remove_dir(folder.join("pids"));
        let again = places(kept, &views);
        let has_place = folder.join("pids").is_dir();
        sys::mount::detach(&folder).unwrap();
        assert!(!folder.join("cpu").exists(), "the old one is still there");
        assert!(bound && whole && removed.is_ok());
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert!(again == Some(folder) && has_place);
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
