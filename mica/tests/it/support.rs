//! The real binary in a root of its own, images to give it, and what it said.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use spec::Digest;
use testkit::{Layer, Mounted};

/// A mica whose data, run root and home are folders of one test, gone when the test is.
pub(crate) struct Mica {
    place: Mounted,
    variables: Vec<(String, String)>,
    /// The program, where somebody runs it who may not look for it.
    for_nobody: Option<File>,
}

/// The ids of an ordinary user and group.
const NOBODY: u32 = 65534;

impl Mica {
    /// One in memory, with the driver that it chooses there.
    pub(crate) fn new() -> Mica {
        Mica::at(Mounted::folder())
    }

    /// One on disk, where more drivers work than in memory.
    pub(crate) fn on_disk() -> Mica {
        Mica::at(Mounted::on_disk())
    }

    /// One in this place.
    pub(crate) fn at(place: Mounted) -> Mica {
        for folder in ["work", "home"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        // What was made three days ago still was three days ago when the test ends.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let epoch = (now - 3 * 86400 - 3600).to_string();
        let mica = Mica { place, variables: Vec::new(), for_nobody: None };
        mica.with("SOURCE_DATE_EPOCH", &epoch)
    }

    /// A variable that commands see.
    pub(crate) fn variable(&self, name: &str) -> String {
        let known = self.variables.iter().find(|(key, _)| key == name);
        known.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The same, run by an ordinary user to whom its folders belong. Takes root.
    pub(crate) fn by_nobody(mut self) -> Mica {
        let place = self.place.path();
        for folder in [place, &place.join("work"), &place.join("home")] {
            std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        self.for_nobody = Some(File::open(env!("CARGO_BIN_EXE_mica")).unwrap());
        self
    }

    /// The same with a variable of the environment set.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Mica {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a storage driver of the test's choice.
    pub(crate) fn with_driver(self, driver: &str) -> Mica {
        self.with("MICA_STORAGE_DRIVER", driver)
    }

    /// The folder that commands run in.
    pub(crate) fn work(&self) -> PathBuf {
        self.place.path().join("work")
    }

    /// A path in the folder that commands run in.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.work().join(name)
    }

    /// The data root.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    /// Writes a file into the folder that commands run in.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A command of any program in that folder, with nothing of the test's own environment that
    /// could change what it does.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).env_clear().stdin(Stdio::null());
        for name in ["PATH", "LLVM_PROFILE_FILE", "RUST_BACKTRACE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.place.path().join("home")).env("TZ", "UTC");
        command.env("LC_ALL", "C.UTF-8").env("MICA_ROOT", self.root());
        command.env("MICA_RUN_ROOT", self.place.path().join("run"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// mica, with the words of this line; single quotes keep blanks.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = match &self.for_nobody {
            None => self.program(env!("CARGO_BIN_EXE_mica")),
            Some(program) => {
                let mut command = self.program(format!("/proc/self/fd/{}", program.as_raw_fd()));
                command.uid(NOBODY).gid(NOBODY);
                command
            }
        };
        command.args(words(line));
        command
    }

    /// Runs it and says what came of it.
    pub(crate) fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line).output().unwrap())
    }

    /// Runs it with these bytes on standard input, through a pipe.
    pub(crate) fn run_with(&self, line: &str, input: &[u8]) -> Run {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A command that does not read all of it is no failure of the test.
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output().unwrap()
        });
        Run::of(line, output)
    }

    /// Runs what must work without a complaint, and gives what it printed, less the last line end.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert!(run.code == 0 && run.err.is_empty(), "{run}");
        run.out.strip_suffix('\n').unwrap_or(&run.out).to_owned()
    }

    /// All events so far, to the last one; `line` says which, and how they are shown.
    #[track_caller]
    pub(crate) fn events(&self, line: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        self.ok(&format!("events --since 1h --until {until} {line}"))
    }

    /// What a command that must work printed, read as JSON.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Runs it on a terminal of so many columns, and gives what a person sees, line ends as a
    /// terminal has them; nothing where `script` is missing.
    pub(crate) fn on_terminal(&self, columns: u32, line: &str) -> Option<(String, i32)> {
        let program = env!("CARGO_BIN_EXE_mica");
        let quoted = words(line).iter().map(|word| format!(" '{word}'")).collect::<String>();
        let shell = format!("stty cols {columns} rows 40; exec {program}{quoted}");
        let mut command = self.program("script");
        command.args(["-q", "-e", "-c", &shell, "/dev/null"]).env("TERM", "xterm");
        let output = command.output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        Some((text, output.status.code().unwrap_or(-1)))
    }

    /// Imports a small file system under a name, and gives the image's id.
    #[track_caller]
    pub(crate) fn import(&self, name: &str) -> String {
        self.file("small.tar", small().tar());
        self.ok(&format!("import small.tar {name}"))
    }

    /// Loads an image, and gives its id.
    #[track_caller]
    pub(crate) fn load(&self, image: &Image) -> String {
        self.file("fixture.tar", image.archive());
        self.ok("load -q -i fixture.tar");
        image.id()
    }

    /// Fails unless the store is whole.
    #[track_caller]
    pub(crate) fn must_be_whole(&self) {
        let run = self.run("system check");
        assert!(run.code == 0 && run.out.ends_with(": all is well\n"), "{run}");
    }

    /// Fails if anything at all is in the store once it was pruned.
    #[track_caller]
    pub(crate) fn must_be_empty(&self) {
        self.ok("system prune -f");
        let info = self.json("info -f json");
        assert_eq!((&info["Images"], &info["Layers"]), (&json!(0), &json!(0)));
        let blobs = testkit_files(&self.root().join("blobs"));
        assert!(blobs.is_empty(), "left behind: {blobs:?}");
    }
}

/// The words of a line; single quotes keep blanks together.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Every file below a folder.
fn testkit_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(testkit_files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    line: String,
    /// Standard output as it was.
    pub(crate) bytes: Vec<u8>,
    /// Standard output as text.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// The exit code.
    pub(crate) code: i32,
}

impl Run {
    /// What a program's output means.
    pub(crate) fn of(line: &str, output: Output) -> Run {
        Run {
            line: line.to_owned(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// It must have worked, whatever it said.
    #[track_caller]
    pub(crate) fn works(&self) {
        assert_eq!(self.code, 0, "{self}");
    }

    /// Fails unless it printed exactly this and ended well.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        assert_eq!((self.out.as_str(), self.err.as_str(), self.code), (expected, "", 0), "{self}");
    }

    /// Fails unless it said exactly this on standard error, nothing else, and ended so.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, expected: &str) {
        let err = without_hints(&self.err);
        assert_eq!((self.out.as_str(), err.as_str(), self.code), ("", expected, code), "{self}");
    }

    /// Fails unless it ended with this code and said this somewhere on standard error.
    #[track_caller]
    pub(crate) fn complains(&self, code: i32, part: &str) {
        assert!(self.code == code && self.err.contains(part), "{self}\nwanted: {part}");
    }
}

/// Advice is mica's own, and no tool matches it.
fn without_hints(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("hint: ")).collect()
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { line, out, err, code, .. } = self;
        write!(f, "mica {line}\nended with {code}\n--- stdout\n{out}--- stderr\n{err}---")
    }
}

/// The file system that `Mica::import` imports.
pub(crate) fn small() -> Layer {
    Layer::new()
        .folder("etc")
        .file("etc/motd", "hello\n")
        .link("etc/link", "motd")
        .folder("bin")
        .file("bin/sh", "#!")
        .mode(0o755)
}

/// An image to be loaded, made without anything of mica's but the bytes of a tar.
#[derive(Clone, Default)]
pub(crate) struct Image {
    names: Vec<String>,
    layers: Vec<Layer>,
    config: Value,
    history: Vec<Value>,
}

impl Image {
    /// One with these names and no layers yet.
    pub(crate) fn new(names: &[&str]) -> Image {
        let names = names.iter().map(ToString::to_string).collect();
        Image { names, config: json!({}), ..Image::default() }
    }

    /// Puts a layer on top, and what made it into the history.
    pub(crate) fn layer(mut self, layer: Layer, made_by: &str) -> Image {
        self.layers.push(layer);
        self.history.push(json!({ "created": CREATED, "created_by": made_by }));
        self
    }

    /// Adds a line of history that made no layer.
    pub(crate) fn step(mut self, made_by: &str) -> Image {
        self.history
            .push(json!({ "created": CREATED, "created_by": made_by, "empty_layer": true }));
        self
    }

    /// Sets a field of what containers are started with.
    pub(crate) fn config(mut self, key: &str, value: Value) -> Image {
        self.config[key] = value;
        self
    }

    /// Its layers, bottom first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The digests of its layers.
    pub(crate) fn diff_ids(&self) -> Vec<String> {
        self.layers.iter().map(|layer| Digest::of(&layer.tar()).to_string()).collect()
    }

    /// Its configuration.
    pub(crate) fn document(&self) -> Vec<u8> {
        let platform = spec::Platform::host();
        let mut document = json!({
            "architecture": platform.architecture, "os": "linux", "created": CREATED,
            "config": self.config, "history": self.history,
            "rootfs": { "type": "layers", "diff_ids": self.diff_ids() },
        });
        if let Some(variant) = platform.variant {
            document["variant"] = json!(variant);
        }
        serde_json::to_vec(&document).unwrap()
    }

    /// Its id.
    pub(crate) fn id(&self) -> String {
        Digest::of(&self.document()).to_string()
    }

    /// A docker archive of it alone.
    pub(crate) fn archive(&self) -> Vec<u8> {
        archive(&[self])
    }
}

/// When the images of tests were made.
pub(crate) const CREATED: &str = "2020-02-03T04:05:06.7Z";

/// A docker archive of these images, as old dockers wrote it: a folder for each layer.
pub(crate) fn archive(images: &[&Image]) -> Vec<u8> {
    let (mut parts, mut manifest) = (Layer::new(), Vec::new());
    for image in images {
        let config = format!("{}.json", image.id().replace("sha256:", ""));
        parts = parts.file(&config, image.document());
        let mut paths = Vec::new();
        for layer in &image.layers {
            let path = format!("{}/layer.tar", Digest::of(&layer.tar()).hex());
            let known = parts.items.iter().any(|item| item.entry.path == path.as_bytes());
            if !known {
                parts = parts.file(&path, layer.tar());
            }
            paths.push(path);
        }
        let names = if image.names.is_empty() { Value::Null } else { json!(image.names) };
        manifest.push(json!({ "Config": config, "RepoTags": names, "Layers": paths }));
    }
    parts.file("manifest.json", serde_json::to_vec(&manifest).unwrap()).tar()
}

/// The first twelve digits of an id.
pub(crate) fn short(id: &str) -> &str {
    &id.strip_prefix("sha256:").unwrap_or(id)[..12]
}

/// Whether a program of the system is there; a test that lacks it says so and ends.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Leaves the test, counted as skipped, unless these programs are there.
#[macro_export]
macro_rules! need_programs {
    ($($program:expr),+) => {
        $(if !$crate::support::has($program) {
            return testkit::skip(format!("{} is not installed", $program));
        })+
    };
}
