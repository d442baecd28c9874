//! A copy of a store to do harm to, with a run root of its own; nothing is left of it afterwards.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use testkit::Mounted;

/// The place that stores of one file system lie in.
pub(super) struct Place {
    /// What the report calls it.
    pub name: &'static str,
    /// Below which everything lies.
    pub folder: PathBuf,
    /// Goes last, with every mount below it.
    _mounted: Mounted,
}

impl Place {
    /// A file system in memory, where images cannot be mounted from files: layers are folders.
    pub(super) fn memory() -> Place {
        Place::within(Mounted::folder(), "memory")
    }

    /// A file system of its own in a file, where layers stay tars; or why there is none.
    pub(super) fn disk() -> Result<Place, String> {
        let mkfs = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0"];
        Ok(Place::within(Mounted::image(&mkfs, 512 << 20)?, "disk"))
    }

    /// A file system in memory of so many bytes.
    pub(super) fn tiny(bytes: u64) -> Place {
        Place::within(Mounted::tmpfs(bytes), "tiny")
    }

    fn within(mounted: Mounted, name: &'static str) -> Place {
        Place { name, folder: mounted.path().to_owned(), _mounted: mounted }
    }
}

/// One copy of a store, and the folder in which commands run on it.
pub(super) struct Ground {
    /// Holds the data root, the run root, and what commands write beside them.
    pub folder: PathBuf,
    /// The data root.
    pub root: PathBuf,
    run: PathBuf,
    inputs: PathBuf,
}

/// What a command said, and how it ended.
pub(super) struct Said {
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub error: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// No command of these tests works for so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

impl Ground {
    /// A folder without a store.
    pub(super) fn empty(folder: PathBuf, inputs: &Path) -> io::Result<Ground> {
        fs::create_dir_all(folder.join("said"))?;
        let (root, run) = (folder.join("root"), folder.join("run"));
        Ok(Ground { folder, root, run, inputs: inputs.to_owned() })
    }

    /// A copy of everything that is in another folder.
    pub(super) fn copy(from: &Path, folder: PathBuf, inputs: &Path) -> Result<Ground, String> {
        let ground = Ground::empty(folder, inputs).map_err(|error| error.to_string())?;
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"]).arg(from.join(".")).arg(&ground.folder);
        match copy.status() {
            Ok(status) if status.success() => Ok(ground),
            other => Err(format!("cp: {other:?}")),
        }
    }

    /// mica with these words; one that begins with `@` is a file among the inputs.
    pub(super) fn mica(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mica"));
        command.current_dir(&self.folder).env_clear().stdin(Stdio::null());
        command.env("MICA_ROOT", &self.root).env("MICA_RUN_ROOT", &self.run);
        command.env("SOURCE_DATE_EPOCH", "1700000000").env("HOME", &self.folder);
        for word in words {
            match word.strip_prefix('@') {
                Some(name) => command.arg(self.inputs.join(name)),
                None => command.arg(word),
            };
        }
        command
    }

    /// Opens one of the inputs.
    pub(super) fn input(&self, name: &str) -> io::Result<File> {
        File::open(self.inputs.join(name))
    }

    /// Where a command's words go, so that it never waits for a reader.
    pub(super) fn scribe(&self, who: &str) -> io::Result<(File, File)> {
        let file = |kind| File::create(self.folder.join("said").join(format!("{who}-{kind}")));
        Ok((file("out")?, file("error")?))
    }

    /// Lets what commands say go to another folder: it is not the store's disk that words need.
    pub(super) fn speak_into(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::remove_dir_all(self.folder.join("said"))?;
        std::os::unix::fs::symlink(folder, self.folder.join("said"))
    }

    /// What a command that has ended has said.
    pub(super) fn heard(&self, who: &str, status: ExitStatus) -> io::Result<Said> {
        let text = |kind| -> io::Result<String> {
            let bytes = fs::read(self.folder.join("said").join(format!("{who}-{kind}")))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        // What is said of a store is the same wherever it lies.
        let below = format!("{}/", self.folder.display());
        let error = text("error")?.replace(&below, "");
        Ok(Said { out: text("out")?, error, status })
    }

    /// Runs mica to its end, with an input through a pipe if it is to have one.
    pub(super) fn run(&self, words: &[&str], input: Option<&str>) -> Result<Said, String> {
        let run = || -> io::Result<Said> {
            let (out, error) = self.scribe("plain")?;
            let mut command = self.mica(words);
            command.stdout(out).stderr(error);
            if input.is_some() {
                command.stdin(Stdio::piped());
            }
            let mut child = command.spawn()?;
            let feeder = input.map(|name| self.feed(&mut child, name)).transpose()?;
            let status = wait(&mut child)?;
            drop(feeder.map(std::thread::JoinHandle::join));
            self.heard("plain", status)
        };
        run().map_err(|error| format!("mica {}: {error}", words.join(" ")))
    }

    /// Runs what must work.
    pub(super) fn must(&self, words: &[&str]) -> Result<String, String> {
        let said = self.run(words, None)?;
        match said.status.success() {
            true => Ok(said.out),
            false => Err(format!("mica {} {}", words.join(" "), said.told())),
        }
    }

    /// Writes one of the inputs into a program's standard input, on the side. A program that ends
    /// early leaves the rest.
    pub(super) fn feed(
        &self,
        child: &mut std::process::Child,
        name: &str,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        let (mut from, stdin) = (self.input(name)?, child.stdin.take());
        Ok(std::thread::spawn(move || {
            let copied = stdin.map(|mut stdin| io::copy(&mut from, &mut stdin));
            drop(copied);
        }))
    }

    /// Where something is mounted below the run root, relative to the store's own folder in it.
    pub(super) fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let targets = table.lines().filter_map(|line| line.split(' ').nth(4));
        let below = targets.filter_map(|target| Path::new(target).strip_prefix(&self.run).ok());
        let inner = |path: &Path| path.iter().skip(1).collect::<PathBuf>().display().to_string();
        // The run root is a mount of its own.
        below.map(inner).filter(|inner| !inner.is_empty()).collect()
    }

    /// Lets nobody write to the data root until it is thawed.
    pub(super) fn freeze(&self) -> io::Result<()> {
        let mount = sys::mount::clone(&self.root, false)?;
        sys::mount::make_read_only(&mount)?;
        sys::mount::attach(&mount, &self.root)
    }

    /// Takes that back.
    pub(super) fn thaw(&self) -> io::Result<()> {
        sys::mount::detach(&self.root)
    }

    /// Takes away everything that is mounted below the folder.
    pub(super) fn unmount(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let targets = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let ours: Vec<_> = targets.filter(|target| target.starts_with(&self.folder)).collect();
        for target in ours.iter().rev() {
            let _ = sys::mount::detach(target);
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.unmount();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Said {
    /// How it ended, in its own words.
    pub(super) fn told(&self) -> String {
        format!("ended with {}:\n{}{}", self.status, self.out, self.error)
    }
}

/// Waits for a program; one that takes too long is killed.
pub(super) fn wait(child: &mut std::process::Child) -> io::Result<ExitStatus> {
    if sys::trace::has_ended(child, PATIENCE)? {
        return child.wait();
    }
    child.kill()?;
    child.wait()?;
    Err(io::Error::new(io::ErrorKind::TimedOut, "it does not end"))
}
