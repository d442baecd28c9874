//! The house stands as ARCHITECTURE.md draws it: arrows point down, `unsafe` stays on the ground.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The storeys, from the ground up; crates on one storey do not know each other.
const STOREYS: &[&[&str]] = &[
    &["spec", "sys"],
    &["image"],
    &["store"],
    &["registry", "network", "runtime", "build", "client"],
    &["engine"],
    &["cli", "api", "hub"],
    &["mica"],
];

/// Crates beside the house: nobody may need them outside tests.
const BESIDE: &[&str] = &["testkit", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn storey(name: &str) -> Option<usize> {
    STOREYS.iter().position(|storey| storey.contains(&name))
}

/// What each crate of the workspace needs: its own crates and those of others, tests left out.
fn needs() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let needs = package["dependencies"].as_array().unwrap().iter();
            let needs = needs.filter(|need| need["kind"].is_null()).map(|need| text(&need["name"]));
            (text(&package["name"]), needs.collect())
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    let all = needs();
    assert!(all.contains_key("mica"), "the workspace was not read");
    for (name, needs) in &all {
        for need in needs.iter().filter(|need| all.contains_key(*need)) {
            assert!(!BESIDE.contains(&need.as_str()), "{name} needs {need} outside its tests");
            if BESIDE.contains(&name.as_str()) {
                continue;
            }
            let (above, below) = (storey(name), storey(need));
            assert!(
                above.is_some(),
                "{name} has no storey: give it one here and in ARCHITECTURE.md"
            );
            assert!(below < above, "{name} needs {need}, which is not below it");
        }
    }
}

#[test]
fn async_stays_behind_the_network_doors() {
    const ASYNC: &[&str] = &["tokio", "async-std", "smol", "hyper", "axum", "tonic", "reqwest"];
    for (name, needs) in needs() {
        let found: Vec<_> = needs.iter().filter(|need| ASYNC.contains(&need.as_str())).collect();
        assert!(
            found.is_empty() || matches!(name.as_str(), "api" | "registry"),
            "{name}: {found:?}"
        );
    }
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|kind| kind == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn unsafe_stays_on_the_ground() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    sources(&root().join("mica/src"), &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let word = ["un", "safe "].concat();
    for file in files.iter().filter(|file| !file.starts_with(root().join("crates/sys"))) {
        let text = std::fs::read_to_string(file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = code.contains(&format!("{word}{{")) || code.contains(&format!("{word}fn"));
            assert!(!found, "{}:{}: {line}", file.display(), number + 1);
        }
    }
}
