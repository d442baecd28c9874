//! `demo`: an image's whole life with the release binary, in a root of its own, and a container's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, build, packages, process};

/// Builds mica and shows each command with its output; anything unexpected is an error.
pub(crate) fn run() -> Result {
    let binary = build::release()?;
    if find_busybox().is_err() {
        packages::setup_for_tests();
    }
    let folder = std::env::temp_dir().join(format!("mica-demo-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let demo = Demo { binary, folder };
    let outcome = demo.show();
    let outcome = outcome.and(demo.mica(&["system", "unmount"]).map(drop));
    let removed = std::fs::remove_dir_all(&demo.folder);
    outcome?;
    removed?;
    println!("\nThe demo ended as it should.");
    Ok(())
}

struct Demo {
    binary: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn show(&self) -> Result {
        let root = self.folder.join("root.tar");
        let archive = self.folder.join("demo.tar");
        let (root, archive) = (root.to_string_lossy(), archive.to_string_lossy());
        make_root(&self.folder, &root)?;

        self.mica(&["import", "--change", "CMD [\"/bin/sh\"]", &root, "demo:1"])?;
        let before = self.mica(&["image", "inspect", "--format", "{{.Id}}", "demo:1"])?;
        self.mica(&["image", "inspect", "demo:1"])?;
        self.mica(&["image", "history", "demo:1"])?;
        if process::is_root() {
            self.show_mount()?;
        } else {
            println!("\n(not root: mounting is left out)");
        }
        self.mica(&["save", "--output", &archive, "demo:1"])?;
        self.mica(&["rmi", "demo:1"])?;
        expect("no image is left", self.mica(&["images", "--quiet"])?.trim().is_empty())?;
        self.mica(&["load", "--input", &archive])?;
        let listed = self.mica(&["images"])?;
        expect("the image is listed again", listed.contains("demo"))?;
        let after = self.mica(&["image", "inspect", "--format", "{{.Id}}", "demo:1"])?;
        expect("the image kept its ID on the way", before == after)?;
        match process::is_root() {
            true => self.show_container(),
            false => {
                println!("\n(not root: containers are left out)");
                Ok(())
            }
        }
    }

    /// Runs a container, looks at what it changed, keeps that as an image and runs it.
    fn show_container(&self) -> Result {
        let write = "echo Hello from a container. >/etc/motd";
        let run = ["run", "--network", "none"];
        self.mica(&[&run[..], &["--name", "first", "demo:1", "sh", "-c", write]].concat())?;
        let listed = self.mica(&["ps", "--all"])?;
        expect("the container is listed", listed.contains("Exited (0)"))?;
        let changes = self.mica(&["diff", "first"])?;
        expect("diff names what changed and no more", changes == "C /etc\nC /etc/motd\n")?;
        self.mica(&["commit", "--message", "another greeting", "first", "demo:2"])?;
        let said = self.mica(&[&run[..], &["--rm", "demo:2", "cat", "/etc/motd"]].concat())?;
        expect("the new image has the change", said == "Hello from a container.\n")?;
        let files = self.mica(&["image", "diff", "demo:1", "demo:2"])?;
        expect("the images differ in that file", files.contains("/etc/motd"))?;
        self.mica(&["rm", "first"]).map(drop)
    }

    /// Reads the image's files through the kernel, where the tree is one and read-only.
    fn show_mount(&self) -> Result {
        let mounted = self.mica(&["image", "mount", "demo:1"])?;
        let outcome = self.look_through(Path::new(mounted.trim()));
        // What is mounted must be unmounted even when the look went wrong.
        let unmounted = self.mica(&["image", "unmount", "demo:1"]);
        outcome.and(unmounted.map(drop))
    }

    fn look_through(&self, tree: &Path) -> Result {
        say(Command::new("ls").arg("-l").arg(tree))?;
        let motd = say(Command::new("cat").arg(tree.join("etc/motd")))?;
        expect("a file reads as it was written", motd == "Hello from a layer.\n")?;
        let refused = std::fs::write(tree.join("new"), "");
        let read_only =
            |error: &std::io::Error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
        expect("writing is refused", refused.err().as_ref().is_some_and(read_only))
    }

    fn mica(&self, arguments: &[&str]) -> Result<String> {
        println!(
            "\n$ mica {}",
            process::shown(Command::new("").args(arguments)).trim_start_matches("'' ")
        );
        let mut command = Command::new(&self.binary);
        command.arg("--data-root").arg(self.folder.join("data"));
        command.arg("--run-root").arg(self.folder.join("run"));
        let output = process::capture(command.args(arguments))?;
        print!("{output}");
        Ok(output)
    }
}

fn say(command: &mut Command) -> Result<String> {
    println!("\n$ {}", process::shown(command));
    let output = process::capture(command)?;
    print!("{output}");
    Ok(output)
}

fn expect(what: &str, holds: bool) -> Result {
    if holds { Ok(()) } else { Err(format!("the demo is off: {what}: no").into()) }
}

/// A root file system of one static program and a few files, as a tar.
fn make_root(folder: &Path, archive: &str) -> Result {
    let root = folder.join("root");
    for place in ["bin", "etc", "root", "tmp"] {
        std::fs::create_dir_all(root.join(place))?;
    }
    std::fs::copy(find_busybox()?, root.join("bin/busybox"))?;
    for name in ["sh", "ls", "cat"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    std::fs::write(root.join("etc/motd"), "Hello from a layer.\n")?;
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    process::run_quietly(
        Command::new("tar")
            .args(["--owner=0", "--group=0", "-cf", archive, "-C"])
            .arg(&root)
            .arg("."),
    )
}

fn find_busybox() -> Result<PathBuf> {
    process::find("busybox").ok_or_else(|| "there is no busybox: run `cargo xtask setup`".into())
}
