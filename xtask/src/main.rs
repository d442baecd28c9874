//! The project's tasks: `cargo xtask TASK`.

mod bench;
mod build;
mod ci;
mod compare;
mod coverage;
mod demo;
mod elf;
mod fixtures;
mod packages;
mod process;
mod skips;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a task returns: nothing, or what went wrong in words.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
Usage: cargo xtask TASK [ARG…]

  setup [GROUP…]      install what a task needs from the distribution's packages
                      (groups: test, bench, coverage, all; test when none is named)
  test [ARG…]         run all tests; further arguments go to the test runner
  build               build the release binary as one static file
  demo                build, then show the binary's life of an image, step by step
  bench [CASE…]       time mica beside podman, skopeo, umoci and tar (--help says more)
  compare-builds      build a table of Dockerfiles with mica and buildah, and compare
  fixtures [--dir D]  make the images that the benchmarks use, and nothing else
  coverage [ARG…]     run the tests and say which lines they reached
  ci                  everything that must pass before a change lands";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match task.as_str() {
        "setup" => packages::setup(rest),
        "test" => test::run(rest),
        "build" => build::run(),
        "demo" => demo::run(),
        "bench" => bench::run(rest),
        "fixtures" => fixtures::run(rest),
        // No task for people: the floor that `bench` measures plain loads against.
        "hashed-copy" => bench::hashed_copy(rest),
        // Nor this one: the clients of `bench`'s registries.
        "ask-api" => bench::ask_api(rest),
        "ask-often" => bench::ask_often(rest),
        "compare-builds" => compare::run(rest),
        "coverage" => coverage::run(rest),
        "ci" => ci::run(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("no task is called `{other}`\n\n{USAGE}").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that started this program, so that a chosen toolchain stays chosen.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
