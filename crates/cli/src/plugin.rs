//! This program as docker's plugin `docker-buildx`: docker's client hands it `docker build`, `docker
//! buildx …` and `docker builder prune`.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use serde_json::{Value, json};

/// The name of the plugin, as a program.
const PROGRAM: &str = "docker-buildx";
/// Who calls, and is meant by messages.
pub(crate) const CALLER: &str = "docker";
/// The word by which docker's client asks what a plugin is.
const ASKED: &str = "docker-cli-plugin-metadata";
/// The command that a plugin is.
const COMMAND: &str = "buildx";
/// Where docker's client says that the user has interrupted it.
const SOCKET: &str = "DOCKER_CLI_PLUGIN_SOCKET";
/// Flags of docker's client that take a value, and stand before the command.
const VALUED: [&str; 9] = [
    "--config",
    "--context",
    "-c",
    "--host",
    "-H",
    "--log-level",
    "-l",
    "--tlscacert",
    "--tlscert",
];

/// What a plugin says of itself.
fn metadata() -> Value {
    json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "mica",
        "Version": format!("v{}", engine::VERSION),
        "ShortDescription": "Docker Buildx",
    })
}

/// How the command line goes on.
pub(crate) enum Called {
    /// As any other.
    Itself,
    /// With what a plugin says of itself.
    Metadata(String),
    /// With these words, in this environment.
    Plugin(Vec<String>, BTreeMap<String, String>),
}

/// Whether docker's client calls, and for what.
pub(crate) fn called(
    program: &str,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Called {
    if arguments.first().is_some_and(|word| word == ASKED) {
        return Called::Metadata(metadata().to_string());
    }
    if program.rsplit('/').next() != Some(PROGRAM) {
        return Called::Itself;
    }
    let (words, folder) = words(arguments);
    let mut environment = environment.clone();
    environment.extend(folder.map(|folder| ("DOCKER_CONFIG".to_owned(), folder)));
    Called::Plugin(words, environment)
}

/// The words as mica knows them: what is not the plugin's own command is one of its commands, and
/// docker's `--config` is a folder of docker's and no file of mica's.
fn words(arguments: &[String]) -> (Vec<String>, Option<String>) {
    let (mut words, mut folder, mut rest) = (Vec::new(), None, arguments.iter());
    while let Some(word) = rest.next() {
        if let Some(path) = word.strip_prefix("--config=") {
            folder = Some(path.to_owned());
        } else if word == "--config" {
            folder = rest.next().cloned();
        } else if VALUED.contains(&word.as_str()) || word == "--tlskey" {
            words.push(word.clone());
            words.extend(rest.next().cloned());
        } else if word.starts_with('-') {
            words.push(word.clone());
        } else {
            words.extend((word != COMMAND).then(|| COMMAND.to_owned()));
            words.push(word.clone());
            words.extend(rest.by_ref().cloned());
        }
    }
    (words, folder)
}

/// Ends this process when docker's client was interrupted, which then closes its socket. One that is
/// not there interrupts nobody.
pub(crate) fn watch(environment: &BTreeMap<String, String>) {
    let Some(name) = environment.get(SOCKET) else { return };
    let connected = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixStream::connect_addr(&address)),
        None => UnixStream::connect(name),
    };
    let Ok(mut socket) = connected else { return };
    std::thread::spawn(move || {
        let mut byte = [0];
        while socket.read(&mut byte).is_ok_and(|count| count > 0) {}
        let own = rustix::process::getpid();
        // As if the terminal had said it: whatever ends with the process ends.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::INT);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str, folder: Option<&str>) {
        let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (words, found) = words(&line);
        assert_eq!((words.join(" ").as_str(), found.as_deref()), (expected, folder));
    }

    #[test]
    fn what_docker_says_is_what_mica_understands() {
        check("buildx build -t x .", "buildx build -t x .", None);
        check("build .", "buildx build .", None);
        check("-H unix:///x buildx prune -f", "-H unix:///x buildx prune -f", None);
        check("--config /a -D buildx build --config b", "-D buildx build --config b", Some("/a"));
        check("", "", None);
    }
}
