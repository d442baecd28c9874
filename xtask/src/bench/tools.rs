//! The tools that are compared, each started so that it keeps to a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, process};

/// All that can take part.
pub(crate) const TOOLS: [&str; 11] = [
    "mica",
    "command",
    "podman",
    "buildah",
    "skopeo",
    "docker-registry",
    "umoci",
    "tar",
    "copy",
    "crun",
    "runc",
];

/// A command line that can be run again and again.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    may_fail: bool,
}

impl Step {
    /// A program with its arguments.
    pub(crate) fn new(program: &str, arguments: &[&str]) -> Step {
        Step {
            program: program.to_string(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            may_fail: false,
        }
    }

    /// A line for the shell, in which `$1`, `$2`, … are the arguments.
    pub(crate) fn shell(line: &str, arguments: &[&str]) -> Step {
        let mut all = vec!["-euc", line, "sh"];
        all.extend(arguments);
        Step::new("sh", &all)
    }

    /// The same step, whose failure is no failure: it only clears the way.
    pub(crate) fn or_not(mut self) -> Step {
        self.may_fail = true;
        self
    }

    /// A script for the shell in which `"$@"` is this step.
    pub(crate) fn in_script(self, script: &str) -> Step {
        let line = ["-euc".to_string(), script.to_string(), "sh".to_string(), self.program];
        let arguments = line.into_iter().chain(self.arguments).collect();
        Step { program: "sh".to_string(), arguments, ..self }
    }

    /// This step as the words and the environment of another command.
    pub(crate) fn appended_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg(&self.program).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    fn with(mut self, name: &str, value: &Path) -> Step {
        self.environment.push((name.to_string(), text(value)));
        self
    }

    /// The step as a command that is ready to start.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the step untimed.
    pub(crate) fn run(&self) -> Result {
        let outcome = process::run_quietly(&mut self.command());
        if self.may_fail { Ok(()) } else { outcome }
    }
}

/// The folders of one contest of measurements, and how each tool is called in it.
pub(crate) struct Lab {
    folder: PathBuf,
    fixtures: PathBuf,
    mica: Option<PathBuf>,
}

impl Lab {
    /// Prepares the settings of the tools below `folder`.
    pub(crate) fn prepare(folder: &Path, fixtures: &Path, mica: Option<PathBuf>) -> Result<Lab> {
        fs::create_dir_all(folder)?;
        let lab = Lab { folder: folder.to_path_buf(), fixtures: fixtures.to_path_buf(), mica };
        fs::write(lab.folder.join("containers.conf"), podman_settings(folder)?)?;
        fs::create_dir_all(folder.join("bundle"))?;
        fs::write(folder.join("bundle/config.json"), include_str!("bundle.json"))?;
        fs::write(
            lab.folder.join("policy.json"),
            r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
        )?;
        Ok(lab)
    }

    /// Where mica's binary lies, if it takes part.
    pub(crate) fn mica_binary(&self) -> Option<&Path> {
        self.mica.as_deref()
    }

    /// A path below the contest's folder.
    pub(crate) fn path(&self, name: &str) -> String {
        text(&self.folder.join(name))
    }

    /// A path below the fixtures' folder.
    pub(crate) fn fixture(&self, name: &str) -> String {
        text(&self.fixtures.join(name))
    }

    /// mica on the store called `store`.
    pub(crate) fn mica(&self, store: &str, arguments: &[&str]) -> Step {
        let binary = self.mica.as_deref().map_or_else(|| "mica".to_string(), text);
        let data = self.path(&format!("mica-{store}/data"));
        let run = self.path(&format!("mica-{store}/run"));
        let mut all = vec!["--data-root", &data, "--run-root", &run];
        all.extend(arguments);
        Step::new(&binary, &all)
    }

    /// podman on the store called `store`.
    pub(crate) fn podman(&self, store: &str, arguments: &[&str]) -> Step {
        self.on_storage(store, Step::new("podman", arguments))
    }

    /// buildah on podman's store called `store`.
    pub(crate) fn buildah(&self, store: &str, arguments: &[&str]) -> Step {
        self.on_storage(store, Step::new("buildah", arguments))
    }

    /// skopeo, whose `containers-storage:` is podman's store of that name.
    pub(crate) fn skopeo(&self, store: &str, arguments: &[&str]) -> Step {
        let policy = self.path("policy.json");
        let mut all = vec!["--policy", policy.as_str()];
        all.extend(arguments);
        self.on_storage(store, Step::new("skopeo", &all))
    }

    /// One hashed sequential copy of a file, by this program.
    pub(crate) fn hashed_copy(&self, from: &str, to: &str) -> Step {
        Step::new(&own(), &["hashed-copy", from, to])
    }

    /// Requests to docker's API.
    pub(crate) fn ask_api(&self, arguments: &[&str]) -> Step {
        Step::new(&own(), &[&["ask-api"], arguments].concat())
    }

    /// Many requests to a registry, by this program: see [`super::ask_often`].
    pub(crate) fn ask_often(&self, arguments: &[&str]) -> Step {
        Step::new(&own(), &[&["ask-often"], arguments].concat())
    }

    /// The program that writes an index and does nothing else, and how it is built.
    pub(crate) fn index_writer(&self) -> (String, Step) {
        let target = crate::build::target_folder().unwrap_or_else(|_| self.folder.clone());
        let cargo = crate::cargo().to_string_lossy().into_owned();
        let manifest = text(&crate::workspace().join("Cargo.toml"));
        let build = ["build", "--quiet", "--release", "--package", "image", "--example", "index"];
        let place = ["--manifest-path", &manifest, "--target-dir", &text(&target)];
        let program = text(&target.join("release/examples/index"));
        (program, Step::new(&cargo, &[&build[..], &place[..]].concat()))
    }

    /// Empties podman's and skopeo's store of that name.
    pub(crate) fn empty_storage(&self, store: &str) -> Step {
        self.podman(store, &["rmi", "--all", "--force"]).or_not()
    }

    /// Deletes a folder of the contest.
    pub(crate) fn delete(&self, name: &str) -> Step {
        Step::new("rm", &["-rf", &self.path(name)])
    }

    /// Writes the settings of a store of podman's and skopeo's.
    pub(crate) fn write_storage(&self, store: &str) -> Result {
        let folder = self.folder.join(format!("storage-{store}"));
        fs::create_dir_all(&folder)?;
        let settings = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            text(&folder)
        );
        Ok(fs::write(folder.join("storage.conf"), settings)?)
    }

    fn on_storage(&self, store: &str, step: Step) -> Step {
        let settings = self.folder.join(format!("storage-{store}/storage.conf"));
        step.with("CONTAINERS_STORAGE_CONF", &settings)
            .with("CONTAINERS_CONF", &self.folder.join("containers.conf"))
    }
}

/// This program.
fn own() -> String {
    std::env::current_exe().map_or_else(|_| "xtask".to_string(), |path| text(&path))
}

/// podman's settings: nothing outside the folder, and no limits above what this process may set.
fn podman_settings(folder: &Path) -> Result<String> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = files.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("1024");
    let processes = fs::read_to_string("/proc/sys/kernel/pid_max")?;
    let processes = processes.trim();
    Ok(format!(
        "[containers]\npids_limit = 0\n\
         default_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n\
         runtime = \"crun\"\ntmp_dir = \"{0}/podman\"\n\
         [network]\nnetwork_config_dir = \"{0}/podman-networks\"\n",
        text(folder)
    ))
}

/// Whether a tool can take part, and if not why.
pub(crate) fn absent(tool: &str, lab: &Lab) -> Option<String> {
    match tool {
        "mica" if lab.mica_binary().is_some() => None,
        "mica" => Some("left out".to_string()),
        "copy" => None,
        "command" => absent("mica", lab),
        other if process::exists(other) => None,
        _ => Some("not installed".to_string()),
    }
}

/// One line on a tool: its version, in its own words.
pub(crate) fn version(tool: &str, lab: &Lab) -> String {
    if tool == "command" {
        return "mica's own command line".to_string();
    }
    if tool == "copy" {
        return "reads, hashes (SHA-256) and writes a file once, in order".to_string();
    }
    let program = if tool == "mica" { lab.mica_binary() } else { Some(Path::new(tool)) };
    let said =
        program.and_then(|program| process::capture(Command::new(program).arg("--version")).ok());
    said.and_then(|said| said.lines().next().map(str::to_string)).unwrap_or_default()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
