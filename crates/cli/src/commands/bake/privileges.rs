//! What targets of a bake file ask for that a build is not allowed by itself: whoever calls must
//! grant it, since the file may be somebody else's.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use engine::{BakePlan, BakeTarget};
use spec::parse_go_bool;

use super::taken::{Taken, real};
use crate::commands::build::flags::DELETE;
use crate::context::Context;
use crate::failure::Failure;

/// What can be granted, and what it means.
const PRIVILEGES: &[(&str, &str)] = &[
    ("network.host", "Running build containers that can access host network"),
    ("security.insecure", "Running privileged containers that can make system changes"),
];

/// What else `--allow` may name. Files and agents need it where the definition is kept elsewhere;
/// images and devices are never asked about here.
const OTHERS: &[&str] =
    &["ssh", "fs", "fs.read", "fs.write", "image", "image.load", "image.push", "device", DELETE];

/// All folders, for `--allow fs=*`.
const ALL: &str = "/";

/// Something that is not granted: what grants it, and what it means.
type Missing = (String, String);

/// All that is granted: by flags, or by an answer. What is taken from this machine counts only where
/// the definition is somebody else's.
pub(super) fn granted(
    context: &Context,
    plan: &BakePlan,
    taken: Option<&Taken>,
) -> Result<Vec<String>, Failure> {
    let mut granted = context.matches().list("allow").to_vec();
    let names = || PRIVILEGES.iter().map(|(name, _)| *name).chain(OTHERS.iter().copied());
    let kind = |text: &String| text.split('=').next().unwrap_or_default().to_owned();
    if let Some(unknown) = granted.iter().map(kind).find(|kind| !names().any(|name| name == kind)) {
        return Err(Failure::new(format!("ERROR: unknown entitlement key {unknown:?}")));
    }
    let is_missing = |(name, _): &&(&str, &str)| {
        plan.targets.values().any(|target| asks(target, name))
            && !granted.iter().any(|it| it == name)
    };
    let own = |(name, means): &(&str, &str)| ((*name).to_owned(), (*means).to_owned());
    let missing: Vec<Missing> = PRIVILEGES.iter().filter(is_missing).map(own).collect();
    let files = taken.map(|taken| missing_files(context, taken)).transpose()?.unwrap_or_default();
    ask(context, &missing, &files)?;
    granted.extend(missing.into_iter().map(|(name, _)| name));
    Ok(granted)
}

/// Refuses to read what a question needs, unless that is granted.
pub(super) fn grant_files(context: &Context, taken: &Taken) -> Result<(), Failure> {
    ask(context, &[], &missing_files(context, taken)?)
}

/// Asks for what is missing, and refuses the build where nobody grants it.
fn ask(context: &Context, missing: &[Missing], files: &[Missing]) -> Result<(), Failure> {
    let all = || missing.iter().chain(files);
    if all().next().is_none() {
        return Ok(());
    }
    let flags: Vec<String> = all().map(|(name, _)| format!("--allow={name}")).collect();
    let flags = flags.join(" ");
    let mut told =
        "Your build is requesting privileges for following possibly insecure capabilities:\n\n"
            .to_owned();
    for (_, means) in all() {
        told.push_str(&format!(" - {means}\n"));
    }
    let is_asked = io::stdin().is_terminal();
    told.push_str(&match is_asked {
        true => format!("\nIn order to not see this message in the future pass {flags:?} to grant requested privileges.\n\n"),
        false => format!("\nPass {flags:?} to grant requested privileges.\n\n"),
    });
    if files.iter().any(|(name, _)| name.starts_with("fs")) {
        let words = format!("To disable filesystem entitlements checks, you can set {CHECKED}=0 .");
        told.push_str(&format!("{words}\n\n"));
    }
    context.ui.print_error(&told);
    let question = "Do you want to grant requested privileges and continue? [y/N] ";
    match is_asked && context.ui.confirm(question, true) {
        true => Ok(()),
        false => Err(Failure::new("ERROR: additional privileges requested")),
    }
}

/// The variables that say whether files are asked about at all: buildx's, and its older one.
const CHECKED: &str = "BUILDX_BAKE_ENTITLEMENTS_FS";
const UNCHECKED: &str = "BAKE_ALLOW_REMOTE_FS_ACCESS";

/// The files and agents that nobody has granted.
fn missing_files(context: &Context, taken: &Taken) -> Result<Vec<Missing>, Failure> {
    let said = |name: &str| context.variable(name).and_then(parse_go_bool);
    let is_checked = said(CHECKED).or(said(UNCHECKED).map(|is_free| !is_free)).unwrap_or(true);
    let here = real(Path::new("."))?;
    let mut folders = Folders::granted(context.matches().list("allow"), &here)?;
    if !is_checked {
        // Files are; the user's agent is asked about all the same.
        folders.read.push(PathBuf::from(ALL));
        folders.written.push(PathBuf::from(ALL));
    }
    if let Some((path, above)) = taken.moved().filter(|_| !folders.are_all()) {
        let (path, above) = (path.display(), above.display());
        let words = format!("ERROR: {path} lies in {above}, which the same definition fills");
        return Err(Failure::new(words).hint("--allow fs=* grants all files"));
    }
    Ok(folders.missing(taken, &here))
}

/// The folders that a definition may read and write, and whether it may use the agent.
struct Folders {
    read: Vec<PathBuf>,
    written: Vec<PathBuf>,
    agent: bool,
}

impl Folders {
    /// What flags grant, and what lies here.
    fn granted(allowed: &[String], here: &Path) -> Result<Folders, Failure> {
        let (read, written) = (vec![here.to_owned()], vec![here.to_owned()]);
        let mut folders = Folders { read, written, agent: false };
        for one in allowed {
            let (kind, path) = one.split_once('=').unwrap_or((one, ""));
            let path = || match path {
                "*" => Ok(PathBuf::from(ALL)),
                path => real(Path::new(path)),
            };
            if matches!(kind, "fs" | "fs.read") {
                folders.read.push(path()?);
            }
            if matches!(kind, "fs" | "fs.write") {
                folders.written.push(path()?);
            }
            folders.agent |= kind == "ssh";
        }
        Ok(folders)
    }

    fn are_all(&self) -> bool {
        [&self.read, &self.written].iter().all(|list| list.iter().any(|own| own == Path::new(ALL)))
    }

    fn missing(&self, taken: &Taken, here: &Path) -> Vec<Missing> {
        let is_in = |list: &[PathBuf], path: &Path| list.iter().any(|own| path.starts_with(own));
        let read = |path: &&PathBuf| !is_in(&self.read, path);
        let written = |path: &&PathBuf| !is_in(&self.written, path);
        let read: Vec<&PathBuf> = taken.read.keys().filter(read).collect();
        let (both, written): (Vec<&PathBuf>, Vec<&PathBuf>) =
            taken.written.keys().filter(written).partition(|path| read.contains(path));
        let read = read.into_iter().filter(|path| !both.contains(path));
        let told = |name: &str, means: &str, path: &Path| {
            let path = shown(path, here);
            (format!("{name}={path}"), format!("{means} access to path {path}"))
        };
        let agent = (taken.agent && !self.agent)
            .then(|| ("ssh".to_owned(), "Forwarding default SSH agent socket".to_owned()));
        let read = read.map(|path| told("fs.read", "Read", path));
        let written = written.iter().map(|path| told("fs.write", "Write", path));
        let both = both.iter().map(|path| told("fs", "Read and write", path));
        agent.into_iter().chain(both).chain(read).chain(written).collect()
    }
}

/// A path as buildx shows it: beside this folder from there, others whole.
fn shown(path: &Path, here: &Path) -> String {
    let beside = here.parent().filter(|above| *above != Path::new(ALL));
    match beside.and_then(|above| path.strip_prefix(above).ok()) {
        Some(beside) => Path::new("..").join(beside).display().to_string(),
        None => path.display().to_string(),
    }
}

/// Whether a target asks for a privilege; the host's network for all of it is one.
pub(super) fn asks(target: &BakeTarget, privilege: &str) -> bool {
    let is_host = privilege == "network.host" && target.text("network") == Some("host");
    is_host || target.list("entitlements").iter().any(|one| one == privilege)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_granted_by_where_they_are() {
        let all = |paths: &[&str]| {
            paths.iter().map(|path| (PathBuf::from(path), ["t".to_owned()].into())).collect()
        };
        let taken = Taken {
            read: all(&["/here/a", "/home/me/.ssh", "/srv/data/x", "/srv/database"]),
            written: all(&["/here/out", "/srv/data/x", "/beside"]),
            agent: true,
        };
        let here = Path::new("/here");
        let missing = |allowed: &[&str]| -> Vec<String> {
            let allowed: Vec<String> = allowed.iter().map(|one| (*one).to_owned()).collect();
            let folders = Folders::granted(&allowed, here).unwrap();
            folders.missing(&taken, here).into_iter().map(|(name, _)| name).collect()
        };
        let all = [
            "ssh",
            "fs=/srv/data/x",
            "fs.read=/home/me/.ssh",
            "fs.read=/srv/database",
            "fs.write=/beside",
        ];
        assert_eq!(missing(&[]), all);
        assert_eq!(missing(&["fs.write=/tmp", "image"]), all);
        let left = ["ssh", "fs.read=/home/me/.ssh", "fs.read=/srv/database", "fs.write=/beside"];
        assert_eq!(missing(&["fs=/srv/data"]), left);
        let left = ["ssh", "fs.write=/beside", "fs.write=/srv/data/x"];
        assert_eq!(missing(&["fs.read=*"]), left);
        assert_eq!(missing(&["ssh", "fs=*"]), [""; 0]);
    }

    #[test]
    fn paths_are_shown_from_here() {
        let check = |path: &str, wanted: &str| {
            assert_eq!(shown(Path::new(path), Path::new("/home/me/app")), wanted);
        };
        check("/home/me/.ssh", "../.ssh");
        check("/home/other", "/home/other");
        check("/etc", "/etc");
    }
}
