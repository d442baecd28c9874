//! What targets of a bake read from this machine and write to it, found out from what is built in the
//! end: the definition may be somebody else's, and its words may say the same in many ways.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use engine::{
    BakePlan, BakeTarget, BuildRequest, CachePlace, CacheTarget, FilesTarget, Output, SaveTarget,
};

use super::targets::{agents, dockerfile_here};
use crate::commands::build::agents::own_paths;
use crate::commands::build::flags::{SecretPlace, secret_places};
use crate::commands::reason;
use crate::context::Context;
use crate::failure::Failure;

/// Files, by their real paths, and the targets that take them.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What is read.
    pub(super) read: BTreeMap<PathBuf, BTreeSet<String>>,
    /// What is written.
    pub(super) written: BTreeMap<PathBuf, BTreeSet<String>>,
    /// Whether the user's own agent or keys are used: asked for, or for a repository by ssh.
    pub(super) agent: bool,
}

impl Taken {
    /// All that a build takes.
    pub(super) fn by_build(
        context: &Context,
        plan: &BakePlan,
        requests: &BTreeMap<&str, BuildRequest>,
    ) -> Result<Taken, Failure> {
        let mut taken = Taken::by_question(plan)?;
        for (name, request) in requests {
            taken.add_keys(context, name, &plan.targets[*name])?;
            taken.add_places(name, request)?;
        }
        Ok(taken)
    }

    /// What a question takes that is asked in place of a build: contexts and Dockerfiles.
    pub(super) fn by_question(plan: &BakePlan) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        for (name, target) in &plan.targets {
            let place = target.text("context").unwrap_or(".");
            if place != "-" && !engine::is_remote_context(place) {
                taken.reads(name, Path::new(place))?;
            }
            let named = target.map("contexts").map(|(_, at)| at);
            taken.agent |= [place].into_iter().chain(named).any(is_by_ssh);
            for path in target.map("contexts").filter_map(|(_, at)| engine::local_context(at)) {
                taken.reads(name, &path)?;
            }
            if let Some(path) = dockerfile_here(target) {
                taken.reads(name, &path)?;
            }
        }
        Ok(taken)
    }

    /// Secrets and agents. A variable is no file, and definitions see variables anyway.
    fn add_keys(
        &mut self,
        context: &Context,
        name: &str,
        target: &BakeTarget,
    ) -> Result<(), Failure> {
        for place in secret_places(context, &target.rows("secret"))?.values() {
            if let SecretPlace::File(path) = place {
                self.reads(name, path)?;
            }
        }
        for agent in agents(target) {
            let paths = own_paths(&agent);
            self.agent |= paths.is_empty();
            paths.iter().try_for_each(|path| self.reads(name, Path::new(path)))?;
        }
        Ok(())
    }

    /// Caches and results.
    fn add_places(&mut self, name: &str, request: &BuildRequest) -> Result<(), Failure> {
        for place in &request.cache_from {
            if let CachePlace::Folder { folder, .. } = place {
                self.reads(name, folder)?;
            }
        }
        for target in &request.cache_to {
            if let CacheTarget::Place { place: CachePlace::Folder { folder, .. }, .. } = target {
                self.writes(name, folder)?;
            }
        }
        for output in &request.outputs {
            match output {
                Output::Archive {
                    target:
                        SaveTarget::File(path) | SaveTarget::Layout(path) | SaveTarget::Dir(path),
                    ..
                }
                | Output::Files {
                    target:
                        FilesTarget::Folder(path) | FilesTarget::Mirror(path) | FilesTarget::Tar(path),
                    ..
                } => self.writes(name, path)?,
                Output::Archive { target: SaveTarget::Stream(_), .. }
                | Output::Files { target: FilesTarget::Stream(_), .. }
                | Output::Image { .. }
                | Output::Nothing => {}
            }
        }
        Ok(())
    }

    fn reads(&mut self, target: &str, path: &Path) -> Result<(), Failure> {
        self.read.entry(real(path)?).or_default().insert(target.to_owned());
        Ok(())
    }

    fn writes(&mut self, target: &str, path: &Path) -> Result<(), Failure> {
        self.written.entry(real(path)?).or_default().insert(target.to_owned());
        Ok(())
    }

    /// Something that lies in a folder which the same bake fills, with that folder. Where it is cannot
    /// be said before: what is put there may be a link. A target has read all that it reads before it
    /// writes, so only what others read counts; it writes one thing after the other.
    pub(super) fn moved(&self) -> Option<(&Path, &Path)> {
        let above = |path: &'_ Path, is_moved: &dyn Fn(&BTreeSet<String>) -> bool| {
            let filled = |above: &&Path| self.written.get(*above).is_some_and(is_moved);
            path.ancestors().skip(1).find(filled).map(Path::to_owned)
        };
        let read = self.read.iter().find_map(|(path, readers)| {
            let is_moved = |writers: &BTreeSet<String>| {
                readers.len() > 1 || writers.len() > 1 || readers != writers
            };
            Some((path, above(path, &is_moved)?))
        });
        let written = || self.written.keys().find_map(|path| Some((path, above(path, &|_| true)?)));
        let (path, above) = read.or_else(written)?;
        Some((path, self.written.get_key_value(&above)?.0))
    }
}

/// Whether a repository is fetched by ssh, which takes the user's keys.
fn is_by_ssh(place: &str) -> bool {
    let is_web = |place: &str| place.contains("://") || place.starts_with("github.com/");
    engine::is_remote_context(place) && (place.starts_with("ssh://") || !is_web(place))
}

/// Links are followed so often.
const MAX_LINKS: usize = 40;

/// Where a path leads when all links in it are followed, those too that lead to what is not there yet.
pub(crate) fn real(path: &Path) -> Result<PathBuf, Failure> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let found = std::path::absolute(path).and_then(|path| followed(&path, MAX_LINKS));
    found.map_err(|error| {
        let why = reason(&error);
        Failure::new(format!("ERROR: failed to evaluate path {}: {why}", path.display()))
    })
}

fn followed(path: &Path, links_left: usize) -> io::Result<PathBuf> {
    let mut parts = path.components();
    let mut missing: Vec<OsString> = Vec::new();
    loop {
        let here = parts.as_path();
        let error = match here.canonicalize() {
            Ok(real) => return below(real, &missing),
            Err(error) => error,
        };
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            return Err(error);
        }
        if let Ok(to) = here.read_link() {
            let left = links_left.checked_sub(1).ok_or(error)?;
            let from = here.parent().unwrap_or(Path::new("/"));
            return followed(&below(from.join(to), &missing)?, left);
        }
        match parts.next_back() {
            Some(part) => missing.push(part.as_os_str().to_owned()),
            None => return Err(error),
        }
    }
}

/// A path with the names that follow it, the last of them first. None of them leads up: what is not
/// there yet may be a link when it is, and then up is somewhere else.
fn below(mut path: PathBuf, names: &[OsString]) -> io::Result<PathBuf> {
    for name in names.iter().rev() {
        if Path::new(name).components().next() == Some(Component::ParentDir) {
            let why = "it leads up from what is not there";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        path.push(name);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_are_where_they_lead() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("in/side")).unwrap();
        std::fs::write(top.join("in/file"), "").unwrap();
        symlink("..", top.join("in/up")).unwrap();
        symlink("../out/new", top.join("in/dangling")).unwrap();
        symlink("ring", top.join("ring")).unwrap();
        let check = |path: &str, wanted: &str| {
            assert_eq!(real(&top.join(path)).unwrap(), top.join(wanted), "{path}");
        };
        check("in/side/../file", "in/file");
        check("in/up/x/y", "x/y");
        check("in/file/x", "in/file/x");
        check("in/dangling", "out/new");
        check("in/dangling/x", "out/new/x");
        assert!(real(&top.join("ring/x")).is_err());
        for path in ["in/new/../../z", "in/new/.."] {
            assert!(real(&top.join(path)).is_err(), "{path} may be a link later");
        }
        assert_eq!(real(Path::new("")).unwrap(), real(Path::new(".")).unwrap());
    }

    #[test]
    fn repositories_by_ssh_take_the_users_keys() {
        for place in ["git@host.org:a/b.git", "ssh://host.org/a"] {
            assert!(is_by_ssh(place), "{place}");
        }
        for place in ["https://host.org/a.git", "github.com/a/b", "git://host.org/a", "."] {
            assert!(!is_by_ssh(place), "{place}");
        }
    }

    #[test]
    fn what_lies_in_what_is_written_is_found() {
        let all = |list: &[(&str, &str)]| {
            let mut all = BTreeMap::<PathBuf, BTreeSet<String>>::new();
            for (target, path) in list {
                all.entry(PathBuf::from(path)).or_default().insert((*target).to_owned());
            }
            all
        };
        let taken = |read: &[(&str, &str)], written: &[(&str, &str)]| Taken {
            read: all(read),
            written: all(written),
            agent: false,
        };
        assert_eq!(
            taken(&[("a", "/a"), ("a", "/out")], &[("b", "/out"), ("a", "/out2")]).moved(),
            None
        );
        let moved = taken(&[("a", "/out/l/x")], &[("b", "/out")]);
        assert_eq!(moved.moved(), Some((Path::new("/out/l/x"), Path::new("/out"))));
        // A Dockerfile below what its own target fills is read before.
        assert_eq!(taken(&[("a", "/out/Dockerfile")], &[("a", "/out")]).moved(), None);
        let both = [("a", "/out/Dockerfile"), ("b", "/out/Dockerfile")];
        assert!(taken(&both, &[("a", "/out")]).moved().is_some());
        assert!(taken(&[("a", "/out/f")], &[("a", "/out"), ("b", "/out")]).moved().is_some());
        // Two that write into one folder write side by side; one in the other's could be a link.
        assert_eq!(taken(&[], &[("a", "/out"), ("b", "/out")]).moved(), None);
        assert!(taken(&[], &[("a", "/out"), ("a", "/out/l")]).moved().is_some());
    }
}
