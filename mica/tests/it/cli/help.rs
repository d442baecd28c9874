//! Help texts, against those of the real docker client where it is installed.

use std::collections::BTreeSet;
use std::process::Command;

use crate::need_programs;
use crate::support::Mica;

/// Commands that docker has too, with docker's flags that have no meaning here yet.
const COMMANDS: &[(&str, &[&str])] = &[
    ("images", &[]),
    ("build", &[]),
    ("image build", &[]),
    ("builder build", &[]),
    ("pull", &[]),
    ("image pull", &[]),
    ("push", &[]),
    ("image push", &[]),
    ("login", &[]),
    ("logout", &[]),
    ("search", &[]),
    ("image ls", &[]),
    ("import", &[]),
    ("image import", &[]),
    ("load", &[]),
    ("image load", &[]),
    ("save", &[]),
    ("image save", &[]),
    ("history", &[]),
    ("image history", &[]),
    ("tag", &[]),
    ("image tag", &[]),
    ("rmi", &[]),
    ("image rm", &[]),
    ("image prune", &[]),
    ("image inspect", &[]),
    ("inspect", &[]),
    ("manifest annotate", &[]),
    ("manifest create", &[]),
    ("manifest inspect", &[]),
    ("manifest push", &[]),
    ("manifest rm", &[]),
    ("version", &[]),
    ("info", &[]),
    ("system info", &[]),
    ("events", &[]),
    ("system events", &[]),
    ("system df", &[]),
    ("system prune", &[]),
    ("ps", &[]),
    ("container ls", &[]),
    ("rm", &[]),
    ("container rm", &[]),
    ("rename", &[]),
    ("container rename", &[]),
    ("port", &[]),
    ("container port", &[]),
    ("diff", &[]),
    ("container diff", &[]),
    ("commit", &[]),
    ("container commit", &[]),
    ("export", &[]),
    ("container export", &[]),
    ("cp", &[]),
    ("container cp", &[]),
    ("container inspect", &[]),
    ("container prune", &[]),
    ("network connect", &[]),
    ("network create", &[]),
    ("network disconnect", &[]),
    ("network inspect", &[]),
    ("network ls", &[]),
    ("network prune", &[]),
    ("network rm", &[]),
    ("volume create", CLUSTER),
    ("volume inspect", &[]),
    ("volume ls", &["--cluster"]),
    ("volume prune", &[]),
    ("volume rm", &[]),
    ("completion bash", &[]),
    ("completion fish", &[]),
    ("completion zsh", &[]),
];

/// What `volume create` takes for volumes of a Swarm.
const CLUSTER: &[&str] = &[
    "--availability",
    "--group",
    "--limit-bytes",
    "--required-bytes",
    "--scope",
    "--secret",
    "--sharing",
    "--topology-preferred",
    "--topology-required",
    "--type",
];

/// Commands that docker does not have.
const OWN: &[&str] = &[
    "buildx bake",
    "buildx build",
    "buildx imagetools create",
    "buildx imagetools inspect",
    "image diff",
    "image export-layout",
    "image files",
    "image mount",
    "image sync",
    "image tree",
    "image unmount",
    "image why",
    "system boot",
    "system check",
    "system migrate",
    "system sync",
    "system unmount",
    "volume clone",
    "volume export",
    "volume import",
];

/// A flag as help shows it: its letter, its name, what it takes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    letter: Option<char>,
    name: String,
    takes: String,
}

/// The flags in a help text.
fn flags(help: &str) -> BTreeSet<Shown> {
    let lines = help.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --"));
    lines
        .map(|line| {
            let line = line.trim_start();
            let letter =
                line.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(|l| *l != '-');
            let long = &line[line.find("--").unwrap()..];
            let mut words = long.split_whitespace();
            let name = words.next().unwrap().to_owned();
            // One blank before what it takes, several before what it means.
            let after = &long[name.len()..];
            let takes = match after.starts_with("  ") {
                true => String::new(),
                false => words.next().unwrap_or_default().to_owned(),
            };
            Shown { letter, name, takes }
        })
        .collect()
}

fn docker(command: &str) -> Option<String> {
    let output = Command::new("docker").args(command.split(' ')).arg("--help").output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Whether the docker client is here whose help ours is compared with; without it that is counted.
fn has_docker_28() -> bool {
    let version = Command::new("docker").arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with("Docker version 28.") {
        testkit::skip(format!("needs the docker client 28, this is {}", version.trim()));
        return false;
    }
    true
}

#[test]
fn dockers_flags_are_all_here_with_the_same_letters_and_values() {
    need_programs!("docker");
    if !has_docker_28() {
        return;
    }
    let mica = Mica::new();
    COMMANDS.iter().for_each(|(command, absent)| is_as_dockers(&mica, command, absent));
}

/// Flags that only Windows has, or a daemon that experiments.
const ELSEWHERE: &[&str] = &[
    "--checkpoint",
    "--checkpoint-dir",
    "--cpu-count",
    "--cpu-percent",
    "--io-maxbandwidth",
    "--io-maxiops",
];

/// Commands of docker's groups that only a Swarm needs.
const SWARM: &[&str] = &["volume update"];

#[test]
fn dockers_groups_are_here_with_all_their_commands() {
    need_programs!("docker");
    if !has_docker_28() {
        return;
    }
    let mica = Mica::new();
    for group in ["container", "volume", "network", "system"] {
        let help = docker(group).unwrap();
        let list = help.split("\nCommands:\n").nth(1).unwrap();
        let names: Vec<&str> =
            list.lines().map_while(|line| line.split_whitespace().next()).collect();
        assert!(names.len() > 3, "{help}");
        for name in names {
            let command = format!("{group} {name}");
            if SWARM.contains(&command.as_str()) {
                continue;
            }
            let known = COMMANDS.iter().find(|(known, _)| *known == command);
            is_as_dockers(&mica, &command, known.map_or(&[], |(_, absent)| absent));
            // What is of containers is there without the group too.
            if group == "container" && !["inspect", "ls", "prune"].contains(&name) {
                is_as_dockers(&mica, name, &[]);
            }
        }
    }
}

/// A command has docker's flags, but for those that have no meaning here, its usage, its names.
#[track_caller]
fn is_as_dockers(mica: &Mica, command: &str, absent: &[&str]) {
    let (ours, theirs) = (mica.ok(&format!("{command} --help")), docker(command).unwrap());
    let (own, all) = (flags(&ours), flags(&theirs));
    let absent = |flag: &&Shown| [absent, ELSEWHERE].concat().contains(&flag.name.as_str());
    for flag in all.iter().filter(|flag| !absent(flag)) {
        assert!(own.contains(flag), "{command}: {flag:?} is not among {own:#?}");
    }
    let line = |help: &str, start: &str| {
        let line = help.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        line.replace("docker", "mica")
    };
    if !command.starts_with("completion") {
        assert_eq!(line(&ours, "Usage:"), line(&theirs, "Usage:"), "{command}");
    }
    if theirs.contains("\nAliases:\n") {
        let aliases = |help: &str| {
            let list = help.split("\nAliases:\n").nth(1).unwrap();
            list.lines().next().unwrap().replace("docker", "mica")
        };
        assert_eq!(aliases(&ours), aliases(&theirs), "{command}");
    }
}

#[test]
fn every_command_has_a_page() {
    let mica = Mica::new();
    for command in COMMANDS.iter().map(|(command, _)| command).chain(OWN) {
        let page = mica.ok(&format!("{command} --help"));
        assert!(page.starts_with(&format!("Usage:  mica {command}")), "{page}");
        assert_eq!(mica.ok(&format!("help {command}")), page);
        let run = mica.run(&format!("{command} -h"));
        assert!(
            run.code == 0 && run.err.contains("Flag shorthand -h has been deprecated"),
            "{run}"
        );
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
    // What is beyond docker, or has more than one way, comes with examples.
    for command in OWN
        .iter()
        .filter(|command| command.starts_with("image"))
        .chain(&["import", "load", "save", "images"])
    {
        let page = mica.ok(&format!("{command} --help"));
        let simple = ["image files", "image tree", "image unmount"].contains(command);
        assert!(simple || page.contains("\nExamples:\n  "), "{page}");
    }
}

#[test]
fn pages_name_every_command() {
    let mica = Mica::new();
    let page = mica.ok("--help");
    for word in [
        "images",
        "image",
        "import",
        "inspect",
        "load",
        "rmi",
        "save",
        "tag",
        "history",
        "system",
        "manifest",
        "events",
        "info",
        "version",
        "completion",
    ] {
        assert!(
            page.lines().any(|line| line.trim_start().split(' ').next() == Some(word)),
            "{word}: {page}"
        );
    }
    assert!(!page.contains("__complete"), "{page}");
    let page = mica.ok("image --help");
    for command in OWN.iter().filter_map(|command| command.strip_prefix("image ")) {
        assert!(page.contains(&format!("\n  {command} ")), "{command}: {page}");
    }
}
