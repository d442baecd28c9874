//! An image's life: import, inspect, mount, save, load.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Demo, expect, say};
use crate::{Result, process};

impl Demo {
    pub(super) fn show_image(&self) -> Result {
        let (root, archive) = (self.path("root.tar"), self.path("demo.tar"));
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
        expect("the image kept its ID on the way", before == after)
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
