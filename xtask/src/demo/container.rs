//! A container's life: run, diff, commit.

use super::{Demo, expect};
use crate::Result;

impl Demo {
    /// Runs a container, looks at what it changed, keeps that as an image and runs it.
    pub(super) fn show_container(&self) -> Result {
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
}
