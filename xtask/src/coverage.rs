//! `coverage`: which lines the tests reach.
//!
//! The compiler plants the counters; reading them needs LLVM's own tools of the compiler's
//! LLVM version, either from the toolchain (`llvm-tools`) or from the distribution
//! (`llvm-22` for LLVM 22). cargo-llvm-cov, where installed, does the whole of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, build, packages, process, test};

/// Runs the tests with counters in the code and prints a table of files.
pub(crate) fn run(arguments: &[String]) -> Result {
    packages::setup_for_tests();
    if process::exists("cargo-llvm-cov") {
        return process::run(cargo().args(["llvm-cov", "--workspace"]).args(arguments));
    }
    let tools = Tools::find().or_else(|_| {
        packages::setup(&["coverage".to_string()])?;
        Tools::find()
    })?;
    let run = Run { folder: build::target_folder()?.join("coverage"), arguments };
    run.clear_profiles()?;
    let programs = run.programs()?;
    let outcome = process::run(&mut run.cargo_test());
    run.report(&tools, &programs)?;
    outcome
}

/// The distribution's package that holds the tools for this compiler's LLVM.
pub(crate) fn package() -> Result<String> {
    Ok(format!("llvm-{}", llvm_version()?))
}

/// LLVM's readers of coverage data.
struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    fn find() -> Result<Tools> {
        let version = llvm_version()?;
        let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
        let in_toolchain = |name: &str| {
            let libraries =
                std::fs::read_dir(Path::new(sysroot.trim()).join("lib/rustlib")).ok()?;
            libraries
                .flatten()
                .map(|host| host.path().join("bin").join(name))
                .find(|tool| tool.is_file())
        };
        let tool = |name: &str| {
            in_toolchain(name).or_else(|| process::find(&format!("{name}-{version}"))).ok_or_else(
                || {
                    format!(
                        "there is no {name} for LLVM {version}: install the Debian package \
                     llvm-{version}, or `rustup component add llvm-tools`"
                    )
                },
            )
        };
        Ok(Tools { profdata: tool("llvm-profdata")?, cov: tool("llvm-cov")? })
    }
}

fn llvm_version() -> Result<String> {
    let version = process::capture(Command::new("rustc").arg("-vV"))?;
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let major = llvm.and_then(|llvm| llvm.split('.').next());
    Ok(major.ok_or("rustc does not name its LLVM version")?.to_string())
}

/// One run of the tests, in a target folder of its own: the counters change every program.
struct Run<'a> {
    folder: PathBuf,
    arguments: &'a [String],
}

impl Run<'_> {
    fn profiles(&self) -> PathBuf {
        self.folder.join("profiles")
    }

    /// Counts of an earlier run belong to other code.
    fn clear_profiles(&self) -> Result {
        if self.profiles().exists() {
            std::fs::remove_dir_all(self.profiles())?;
        }
        Ok(std::fs::create_dir_all(self.profiles())?)
    }

    fn cargo_test(&self) -> Command {
        let mut command = cargo();
        command
            .env("RUSTFLAGS", "-C instrument-coverage")
            // Processes add to one of eight files a program: a file each would be thousands.
            .env("LLVM_PROFILE_FILE", self.profiles().join("%8m.profraw"))
            .args(["test", "--tests", "--no-fail-fast", "--quiet"])
            .arg("--target-dir")
            .arg(&self.folder);
        if test::scope(self.arguments).is_some() {
            command.args(["--workspace", "--exclude", "xtask"]);
        }
        command.args(self.arguments);
        command
    }

    /// Builds and returns the programs that count: the tests', and the binary they start.
    fn programs(&self) -> Result<BTreeSet<PathBuf>> {
        let mut command = self.cargo_test();
        // Arguments after `--` are the tests' own and do no harm here.
        command = with_first(command, &["--no-run", "--message-format=json"]);
        println!("$ {}", process::shown(&command));
        let messages = process::capture(&mut command)?;
        let marker = "\"executable\":\"";
        Ok(messages
            .lines()
            .filter_map(|line| line.split_once(marker)?.1.split('"').next())
            .map(PathBuf::from)
            .collect())
    }

    fn report(&self, tools: &Tools, programs: &BTreeSet<PathBuf>) -> Result {
        let merged = self.folder.join("merged.profdata");
        let raw = std::fs::read_dir(self.profiles())?;
        let raw: Vec<PathBuf> = raw.flatten().map(|file| file.path()).collect();
        if raw.is_empty() {
            return Err("no test wrote a profile".into());
        }
        let mut merge = Command::new(&tools.profdata);
        merge.args(["merge", "-sparse", "-o"]).arg(&merged);
        process::run_quietly(merge.args(&raw))?;
        let read = |verb: &str| {
            let mut command = Command::new(&tools.cov);
            command.arg(verb).arg("--instr-profile").arg(&merged);
            // What others wrote, and the tests themselves.
            command.args(["--ignore-filename-regex", r"/(registry|rustc|tests)/|tests\.rs$"]);
            for program in programs {
                command.arg("--object").arg(program);
            }
            command
        };
        println!("{}", process::capture(&mut read("report"))?);
        let pages = self.folder.join("html");
        let mut show = read("show");
        process::run_quietly(show.args(["--format=html", "--output-dir"]).arg(&pages))?;
        println!("line by line: {}", pages.join("index.html").display());
        Ok(())
    }
}

/// The command with more arguments right after its first.
fn with_first(command: Command, more: &[&str]) -> Command {
    let mut arguments = command.get_args();
    let mut longer = Command::new(command.get_program());
    longer.args(arguments.next()).args(more).args(arguments);
    longer.current_dir(crate::workspace());
    let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    longer.envs(environment);
    longer
}

fn cargo() -> Command {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(crate::workspace());
    cargo
}
