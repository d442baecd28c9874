//! `compare-builds`: Dockerfiles built by mica and by buildah, and what came out compared entry by
//! entry. A difference that is not listed as meant makes the task fail.

mod cases;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, build, process};
use cases::{CASES, CONTEXT, Case};

const USAGE: &str = "\
Usage: cargo xtask compare-builds [--mica PATH] [CASE…]

Builds a table of Dockerfiles with mica and with buildah, and compares files (kind,
mode, owner, size, content, link target, extended attributes) and configurations.
CASE is a part of a case's name. Takes root, buildah and a static busybox.";

/// What both tell of an image, field by field.
const FIELDS: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "OnBuild",
    "Healthcheck",
    "Shell",
];

/// What differs everywhere, and why.
const DIFFERS: &[(&str, &str)] = &[
    ("/dev", "buildah leaves the folders that it mounts on"),
    ("/proc", "buildah leaves the folders that it mounts on"),
    ("/sys", "buildah leaves the folders that it mounts on"),
    ("/run", "buildah leaves the folders that it mounts on"),
    ("/etc/hostname", "buildah leaves the files that it mounts on"),
    ("/etc/hosts", "buildah leaves the files that it mounts on"),
    ("/etc/resolv.conf", "buildah leaves the files that it mounts on"),
];

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result {
    let (mut mica, mut wanted) = (None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--mica" => mica = Some(PathBuf::from(rest.next().ok_or("--mica wants a path")?)),
            name => wanted.push(name.to_owned()),
        }
    }
    if !process::is_root() {
        return Err("builds of others are mounted, which takes root".into());
    }
    for program in ["buildah", "busybox", "tar"] {
        if !process::exists(program) {
            return Err(format!("{program} is not installed").into());
        }
    }
    let mica = match mica {
        Some(path) => fs::canonicalize(path)?,
        None => build::release()?,
    };
    let lab = Lab::new(mica)?;
    let chosen: Vec<&Case> = CASES
        .iter()
        .filter(|case| {
            wanted.is_empty() || wanted.iter().any(|part| case.name.contains(part.as_str()))
        })
        .collect();
    let mut failed = 0;
    for case in &chosen {
        let differences = lab.compare(case)?;
        match differences.is_empty() {
            true => println!("same     {}", case.name),
            false => {
                failed += 1;
                println!("DIFFERS  {}", case.name);
                differences.iter().for_each(|line| println!("         {line}"));
            }
        }
    }
    println!("{} builds compared, {failed} differ", chosen.len());
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} builds differ in what they should not").into()),
    }
}

/// A folder with a store for each builder, gone when it is dropped.
struct Lab {
    folder: PathBuf,
    mica: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Mounts of ours go first; a failure leaves a folder in the temporary one.
        let _ = process::run_quietly(&mut self.mica(&["image", "umount", "ours"]));
        let _ = process::run_quietly(&mut self.buildah(&["umount", "--all"]));
        let mounted = fs::read_dir(self.folder.join("mica/run")).into_iter().flatten().flatten();
        for entry in mounted {
            let _ = process::run_quietly(Command::new("umount").arg("-R").arg(entry.path()));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Lab {
    fn new(mica: PathBuf) -> Result<Lab> {
        let folder = std::env::temp_dir().join(format!("mica-compare-{}", std::process::id()));
        fs::create_dir_all(folder.join("context"))?;
        let lab = Lab { folder, mica };
        lab.write_context()?;
        lab.load_base()?;
        Ok(lab)
    }

    fn mica(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.mica);
        command.env("MICA_ROOT", self.folder.join("mica/root"));
        command.env("MICA_RUN_ROOT", self.folder.join("mica/run"));
        command.args(words).current_dir(self.folder.join("context"));
        command
    }

    fn buildah(&self, words: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.folder.join("buildah/root"));
        command.arg("--runroot").arg(self.folder.join("buildah/run"));
        command.args(["--storage-driver", "vfs"]);
        command.args(words).current_dir(self.folder.join("context"));
        command
    }

    fn write_context(&self) -> Result {
        let top = self.folder.join("context");
        for (path, what) in CONTEXT {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&top))?;
            match (path.to_string_lossy().ends_with('/'), what.strip_prefix("-> ")) {
                (true, _) => fs::create_dir_all(&path)?,
                (_, Some(target)) => std::os::unix::fs::symlink(target, &path)?,
                _ => write(&path, what)?,
            }
        }
        let tar = |name: &str, flag: &str| {
            let folder = top.join("dir");
            let mut command = Command::new("tar");
            command.args([flag, name, "--owner=3", "--group=4", "-C"]).arg(folder).arg(".");
            process::run_quietly(command.current_dir(&top))
        };
        tar("tree.tar", "-cf")?;
        tar("tree.tar.gz", "-czf")
    }

    /// Gives both the same image: busybox, and two users.
    fn load_base(&self) -> Result {
        let base = self.folder.join("base");
        for folder in ["bin", "etc", "filled", "tmp"] {
            fs::create_dir_all(base.join(folder))?;
        }
        let busybox = process::find("busybox").ok_or("busybox is not installed")?;
        fs::copy(&busybox, base.join("bin/busybox"))?;
        for name in process::capture(Command::new(&busybox).arg("--list"))?.lines() {
            if name != "busybox" {
                std::os::unix::fs::symlink("busybox", base.join("bin").join(name))?;
            }
        }
        let users = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n";
        write(&base.join("etc/passwd"), users)?;
        write(&base.join("etc/group"), "root:x:0:\nbob:x:1001:\nstaff:x:50:bob\n")?;
        write(&base.join("filled/from-image"), "filled\n")?;
        let tar = self.folder.join("base.tar").display().to_string();
        let mut pack = Command::new("tar");
        pack.args(["-cf", &tar, "--owner=0", "--group=0", "-C"]).arg(&base).arg(".");
        process::run_quietly(&mut pack)?;
        let change = ["-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin", "-c", "CMD [\"sh\"]"];
        process::run_quietly(&mut self.mica(&[&["import"][..], &change, &[&tar, "bb"]].concat()))?;
        let saved = self.folder.join("bb.tar").display().to_string();
        process::run_quietly(&mut self.mica(&["save", "-o", &saved, "bb"]))?;
        let archive = format!("docker-archive:{saved}");
        process::run_quietly(&mut self.buildah(&["pull", "--policy", "always", &archive]))?;
        let image = process::capture(&mut self.buildah(&["images", "--quiet"]))?;
        process::run_quietly(&mut self.buildah(&["tag", image.trim(), "docker.io/library/bb"]))
    }

    /// Builds a case with both, and says how the results differ where they should not.
    fn compare(&self, case: &Case) -> Result<Vec<String>> {
        fs::write(self.folder.join("context/Dockerfile"), case.file)?;
        let own = [&["build", "--quiet", "--network", "none", "-t", "ours"], case.options, &["."]];
        let theirs = [
            &["build", "--quiet", "--format", "docker", "--isolation", "chroot"],
            &["--pull-never", "--layers=false", "-t", "theirs"][..],
            case.options,
            &["."],
        ];
        let built = [
            process::run_quietly(&mut self.mica(&own.concat())),
            process::run_quietly(&mut self.buildah(&theirs.concat())),
        ];
        let failed: Vec<String> = ["mica", "buildah"]
            .iter()
            .zip(built)
            .filter_map(|(who, built)| {
                let words = built.err()?.to_string();
                Some(format!("{who} failed: {}", words.lines().last().unwrap_or_default()))
            })
            .collect();
        if !failed.is_empty() {
            return Ok(failed);
        }
        let mut found = self.compare_configs()?;
        found.extend(self.compare_files()?);
        let is_meant = |line: &&String| {
            let place = |place: &str| {
                line.strip_prefix(place).is_some_and(|rest| rest.starts_with([':', '/', ' ']))
            };
            DIFFERS.iter().chain(case.differs).any(|(at, _)| place(at))
        };
        Ok(found.iter().filter(|line| !is_meant(line)).cloned().collect())
    }

    /// Both configurations are read by mica: buildah's in what it pushes.
    fn compare_configs(&self) -> Result<Vec<String>> {
        let archive = self.folder.join("theirs.tar").display().to_string();
        let _ = fs::remove_file(&archive);
        let place = format!("docker-archive:{archive}:theirs:latest");
        process::run_quietly(&mut self.buildah(&["push", "--quiet", "theirs", &place]))?;
        process::run_quietly(&mut self.mica(&["load", "--quiet", "--input", &archive]))?;
        let field = |field: &&str| format!("{{{{json .Config.{field}}}}}");
        let template = FIELDS.iter().map(field).collect::<Vec<_>>().join("\n");
        let told = |name| process::capture(&mut self.mica(&["inspect", "-f", &template, name]));
        let (own, theirs) = (told("ours")?, told("theirs")?);
        let plain = |text: &str| match text {
            "null" | "[]" | "{}" | "\"\"" | "<no value>" => String::new(),
            // The label by which buildah signs.
            text => without_signature(text),
        };
        let lines = own.lines().zip(theirs.lines()).zip(FIELDS);
        let differs = lines.filter_map(|((one, two), field)| {
            let (one, two) = (plain(one), plain(two));
            (one != two).then(|| format!("config {field}: {one} with mica, {two} with buildah"))
        });
        Ok(differs.collect())
    }

    fn compare_files(&self) -> Result<Vec<String>> {
        let own = process::capture(&mut self.mica(&["image", "mount", "ours"]))?;
        let container = process::capture(&mut self.buildah(&["from", "--pull-never", "theirs"]))?;
        let theirs = process::capture(&mut self.buildah(&["mount", container.trim()]))?;
        let found = tree::compare(Path::new(own.trim()), Path::new(theirs.trim()));
        process::run_quietly(&mut self.mica(&["image", "umount", "ours"]))?;
        process::run_quietly(&mut self.buildah(&["rm", container.trim()]))?;
        found
    }
}

/// Labels without the one by which buildah signs what it builds.
fn without_signature(labels: &str) -> String {
    let Some(at) = labels.find("\"io.buildah.version\"") else { return labels.to_owned() };
    let (before, rest) = labels.split_at(at);
    let rest = rest.find([',', '}']).map_or("", |end| &rest[end..]);
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    let before = if rest.starts_with('}') { before.trim_end_matches(',') } else { before };
    let left = format!("{before}{rest}");
    if left == "{}" { String::new() } else { left }
}

fn write(path: &Path, what: &str) -> Result {
    use std::os::unix::fs::PermissionsExt;
    let (text, mode) = match what.strip_prefix("+x ") {
        Some(text) => (text, 0o755),
        None => (what, 0o644),
    };
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_own_and_enough() {
        let mut names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
        assert!(names.len() >= 60);
    }

    #[test]
    fn the_signature_is_left_out() {
        let check = |text: &str, wanted: &str| assert_eq!(without_signature(text), wanted);
        check(r#"{"a":"1"}"#, r#"{"a":"1"}"#);
        check(r#"{"io.buildah.version":"1"}"#, "");
        check(r#"{"a":"1","io.buildah.version":"1"}"#, r#"{"a":"1"}"#);
        check(r#"{"a":"1","io.buildah.version":"1","z":"2"}"#, r#"{"a":"1","z":"2"}"#);
    }
}
