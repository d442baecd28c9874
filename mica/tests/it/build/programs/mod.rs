//! Real programs on a real base: what people build every day, with the package managers at work in
//! `RUN` and caches that survive. The files are in the folders beside this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::need_root;

use super::done;
use crate::need_programs;
use crate::support::Mica;

/// Debian's smallest base. It takes most of a minute to make, so it is kept for the next time.
fn debian() -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let whole = kept.join("debian-bookworm.tar");
    if whole.exists() {
        return Ok(whole);
    }
    let making = tempfile::Builder::new().suffix(".tar").tempfile_in(kept).unwrap();
    let mut command = Command::new("timeout");
    command.args(["300", "mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"]);
    let made = command.args(["bookworm".as_ref(), making.path()]).output().unwrap();
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(format!("no base can be made: {}", said.trim()));
    }
    making.persist(&whole).unwrap();
    Ok(whole)
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = { (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name())) };
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Where npm's own program lies, which runs in a container too.
fn npm() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let link = std::env::split_paths(&path).map(|folder| folder.join("npm"));
    let program = link.filter_map(|link| link.canonicalize().ok()).next()?;
    Some(program.parent()?.parent()?.to_owned())
}

/// Takes a store's bridges from the host, also when the test fails.
struct Bridges<'a>(&'a Mica);

impl Drop for Bridges<'_> {
    fn drop(&mut self) {
        self.0.run("network prune -f");
    }
}

const BAKE: &str = "buildx bake --progress plain --allow network.host";

#[test]
fn c_rust_python_and_node() {
    need_root!();
    need_programs!("mmdebstrap", "npm");
    let base = match debian() {
        Ok(base) => base,
        Err(reason) => return testkit::skip(reason),
    };
    let mica = Mica::on_disk();
    let bridges = Bridges(&mica);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/build/programs"), &mica.work());
    copy(&npm().unwrap(), &mica.path("npm"));
    mica.file("token", "a secret");
    mica.ok(&format!("import {} debian:bookworm", base.display()));

    let run = mica.run(BAKE);
    run.works();
    // The base is made once for all four.
    let prepared = done(&run.err).iter().filter(|step| step.contains("docker-clean")).count();
    assert_eq!(prepared, 1, "{}", run.err);
    let prints = |name: &str| mica.ok(&format!("run --rm --network none program/{name}"));
    assert_eq!(prints("c"), "hello from C");
    assert_eq!(prints("rust"), "hello from Rust, nobody");
    assert_eq!(prints("python"), "hello from Python, world");
    assert_eq!(prints("node"), "hello from Node, world");

    // Only the program is in the last stage, and nothing of secrets or caches in any.
    let files = |name: &str| mica.ok(&format!("image files program/{name}"));
    assert!(files("c").lines().count() <= 2, "{}", files("c"));
    for name in ["rust", "python", "node"] {
        let files = files(name);
        let kept = |line: &&str| line.ends_with(".deb") || line.contains("run/secrets/");
        assert_eq!(files.lines().find(kept), None);
        assert!(!files.contains("npm-cli.js"), "what was bound is no part of {name}");
    }

    // A changed source: the tools are not installed again, and what cargo made before is there.
    let source = "fn main() { println!(\"changed\"); }\n";
    mica.file("rust/src/main.rs", source);
    let run = mica.run(&format!("{BAKE} rust"));
    run.works();
    let again = done(&run.err);
    assert!(!again.iter().any(|step| step.contains("apt-get")), "{again:?}");
    assert!(run.err.contains(" 2 builds were here"), "cargo's folder was empty: {}", run.err);
    assert_eq!(prints("rust"), "changed");

    // Nothing remembered: all packages are still in the cache.
    let run = mica.run(&format!("{BAKE} --no-cache c"));
    run.works();
    assert!(run.err.contains("Need to get 0 B/"), "{}", run.err);
    assert_eq!(prints("c"), "hello from C");
    drop(bridges);
    assert_eq!(mica.ok("network inspect bridge -f '{{len .Containers}}'"), "0");
    mica.must_be_whole();
}
