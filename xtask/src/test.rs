//! `test`: all tests, by nextest where it is installed, else by cargo itself.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::skips::{Place, Tally};
use crate::{Result, packages, process};

/// Installs what the tests need, runs them, and ends with what was skipped and why.
pub(crate) fn run(arguments: &[String]) -> Result {
    packages::setup_for_tests();
    let mut tally = Tally::default();
    let outcome = if process::exists("cargo-nextest") {
        nextest(arguments, &mut tally)
    } else {
        cargo_test(arguments, &mut tally)
    };
    tally.print();
    outcome
}

fn nextest(arguments: &[String], tally: &mut Tally) -> Result {
    // Nextest keeps its reports here wherever cargo builds.
    let report = crate::workspace().join("target/nextest/default/junit.xml");
    // What an earlier run left must not be taken for this one's.
    let _ = std::fs::remove_file(&report);
    let settings = crate::workspace().join("xtask/nextest.toml");
    let outcome = process::run(
        cargo()
            .args(["nextest", "run"])
            .arg(format!("--tool-config-file=xtask:{}", settings.display()))
            .args(scope(arguments))
            .args(arguments),
    );
    if let Ok(report) = std::fs::read_to_string(&report) {
        tally.read_junit(&report);
    }
    outcome?;
    if arguments.is_empty() {
        // Nextest leaves out the examples in documentation.
        watched(cargo().args(["test", "--doc", "--workspace", "--quiet"]), tally)?;
    }
    Ok(())
}

fn cargo_test(arguments: &[String], tally: &mut Tally) -> Result {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(scope(arguments)).args(arguments);
    if !arguments.iter().any(|argument| argument == "--") {
        command.arg("--");
    }
    watched(command.arg("--show-output"), tally)
}

/// Runs a command and passes its output on, less the output of tests that passed.
fn watched(command: &mut Command, tally: &mut Tally) -> Result {
    println!("$ {}", process::shown(command));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("the runner's output is not there to read")?;
    let mut place = Place::Outside;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if tally.read_line(&line, &mut place) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("tests failed: {status}").into()) }
}

/// Everything, unless the arguments choose packages themselves.
pub(crate) fn scope(arguments: &[String]) -> Option<&'static str> {
    let chooses = |argument: &String| {
        argument == "--package" || argument.starts_with("--package=") || is_short_package(argument)
    };
    let own = arguments.iter().take_while(|argument| *argument != "--");
    (!own.into_iter().any(chooses)).then_some("--workspace")
}

fn is_short_package(argument: &str) -> bool {
    argument.starts_with("-p")
}

fn cargo() -> Command {
    let mut cargo = Command::new(crate::cargo());
    cargo.current_dir(crate::workspace());
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_everything_unless_told() {
        let scope = |arguments: &[&str]| {
            scope(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(scope(&[]), Some("--workspace"));
        assert_eq!(scope(&["digest"]), Some("--workspace"));
        assert_eq!(scope(&["-p", "spec"]), None);
        assert_eq!(scope(&["--package=spec"]), None);
        assert_eq!(scope(&["--", "-p"]), Some("--workspace"));
    }
}
