//! `demo`: build, run, commit and ship with the release binary, in a root of its own.

mod build;
mod container;
mod image;
mod ship;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Result, build as cargo_build, packages, process};

/// Builds mica and shows each command with its output; anything unexpected is an error.
pub(crate) fn run() -> Result {
    let binary = cargo_build::release()?;
    if process::find("busybox").is_none() {
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
        self.show_image()?;
        if !process::is_root() {
            println!("\n(not root: containers, builds and what follows are left out)");
            return Ok(());
        }
        self.show_container()?;
        self.show_build()?;
        self.show_shipping()
    }

    /// Runs a command of mica's, and returns what it printed.
    fn mica(&self, arguments: &[&str]) -> Result<String> {
        self.mica_with("", arguments)
    }

    /// The same, with something on its standard input.
    fn mica_with(&self, input: &str, arguments: &[&str]) -> Result<String> {
        println!("\n$ {}", shown(arguments));
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        // Who does not read it has ended, and says why.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{said}");
        match output.status.success() {
            true => Ok(said),
            false => Err(format!("`{}`: {}", shown(arguments), output.status).into()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("HOME", &self.folder);
        command.arg("--data-root").arg(self.folder.join("data"));
        command.arg("--run-root").arg(self.folder.join("run"));
        command.args(arguments);
        command
    }

    /// A path below the demo's folder.
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

/// A command line of mica's as a person would type it.
fn shown(arguments: &[&str]) -> String {
    process::shown(Command::new("mica").args(arguments))
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
