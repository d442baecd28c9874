//! BuildKit's clients: the one that docker's client had inside before buildx, and `buildctl` where
//! it is installed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::Server;
use crate::containers::support::{Root, eventually, kill};
use crate::need_programs;
use crate::support::{Mica, Run, words};

/// A docker client with BuildKit's own client inside: those before 23 have it, later ones a plugin.
fn old_client() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let clients = std::env::split_paths(&path).map(|folder| folder.join("docker"));
    clients.filter(|client| client.is_file()).find(|client| {
        let said = Command::new(client).arg("--version").output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let major = said.strip_prefix("Docker version ").and_then(|rest| rest.split('.').next());
        major
            .and_then(|major| major.parse::<u32>().ok())
            .is_some_and(|major| (18..23).contains(&major))
    })
}

/// Leaves the test, counted as skipped, unless there is such a client.
macro_rules! need_old_client {
    () => {
        match old_client() {
            Some(client) => client,
            None => return testkit::skip("no docker client of version 18 to 22 is installed"),
        }
    };
}

fn command(server: &Server<'_>, root: &Mica, client: &PathBuf, line: &str) -> Command {
    let mut command = root.program(client);
    command.env("DOCKER_HOST", format!("unix://{}", server.socket().display()));
    command.env("DOCKER_BUILDKIT", "1").args(words(&format!("build --progress plain {line}")));
    command
}

#[test]
fn dockers_client_builds_with_its_buildkit() {
    let client = need_old_client!();
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let build = |line: &str| {
        let output = command(&server, &root, &client, line).output().unwrap();
        Run::of(line, output)
    };
    root.file(
        "app/Dockerfile",
        "FROM bb AS base\nARG word=no\nRUN --mount=type=secret,id=token \\\n\
         cat /run/secrets/token; echo said-$word > /said\nFROM base\nCOPY a sub /\n\
         RUN cat /a /said; ls /\nCMD [\"cat\", \"/said\"]\n",
    );
    root.file("app/a", "of the context\n");
    root.file("app/sub/b", "b\n");
    root.file("app/sub/left-out", "");
    root.file("app/.dockerignore", "**/left-*\n");
    root.file("token", "sesame\n");
    let line = "--network none -t made:1 --build-arg word=yes --secret id=token,src=token app";
    let first = build(line);
    assert_eq!(first.code, 0, "{first}");
    for part in ["sesame\n", "of the context\n", "said-yes\n", "naming to docker.io/library/made:1"]
    {
        assert!(first.err.contains(part), "{part:?}: {first}");
    }
    assert!(!first.err.contains("left-out"), "{first}");
    let ran = root.command("run --rm --network none made:1").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "said-yes\n");
    let again = build(line);
    assert_eq!(again.err.matches("CACHED").count(), 3, "{again}");
    root.file("app/a", "changed\n");
    let changed = build(line);
    assert_eq!(changed.err.matches("CACHED").count(), 1, "{changed}");
    assert!(changed.err.contains("changed\n"), "{changed}");
    let out = build("--network none --target base -o out app");
    assert_eq!(out.code, 0, "{out}");
    assert_eq!(std::fs::read_to_string(root.work().join("out/said")).unwrap(), "said-no\n");
    root.file("app/Bad", "FROM bb\nRUN echo before; exit 3\n");
    let failed = build("--network none -f app/Bad app");
    assert_eq!(failed.code, 1, "{failed}");
    assert!(failed.err.contains("before\n"), "{failed}");
    assert!(failed.err.contains("did not complete successfully: exit code: 3"), "{failed}");
}

#[test]
fn contexts_come_on_standard_input_too() {
    need_programs!("tar");
    let client = need_old_client!();
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.file("app/Dockerfile", "FROM bb\nCOPY a /a\nRUN cat /a\n");
    root.file("app/a", "of the tar\n");
    let tar = root.program("tar").args(["-C", "app", "-c", "."]).output().unwrap();
    let fed = |line: &str, bytes: &[u8]| {
        let mut command = command(&server, &root, &client, line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        Run::of(line, child.wait_with_output().unwrap())
    };
    let built = fed("--network none -", &tar.stdout);
    assert!(built.code == 0 && built.err.contains("of the tar\n"), "{built}");
    let built = fed("--network none -f - app", b"FROM bb\nCOPY a /b\nRUN cat /b; echo own\n");
    assert!(built.code == 0 && built.err.contains("own\n"), "{built}");
}

#[test]
fn steps_reach_the_clients_agent() {
    need_programs!("ssh-agent", "ssh-add", "ssh-keygen");
    let client = need_old_client!();
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let socket = std::env::temp_dir().join(format!("mica-agent-{}", std::process::id()));
    let mut agent = root.program("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn().unwrap();
    eventually("the agent answers", || UnixStream::connect(&socket).is_ok());
    root.file(
        "app/Dockerfile",
        "FROM bb\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo there\n",
    );
    let mut command = command(&server, &root, &client, "--network none --ssh default app");
    let output = command.env("SSH_AUTH_SOCK", &socket).output().unwrap();
    let _ = agent.kill();
    let _ = agent.wait();
    let _ = std::fs::remove_file(&socket);
    let built = Run::of("build --ssh", output);
    assert!(built.code == 0 && built.err.contains("there\n"), "{built}");
}

/// Whether a process somewhere was started with these words.
fn runs(wanted: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let mut texts = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    texts.any(|text| text.trim() == wanted)
}

#[test]
fn a_client_that_leaves_ends_its_build() {
    let client = need_old_client!();
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let sleep = format!("sleep 8{}", std::process::id());
    root.file("app/Dockerfile", format!("FROM bb\nRUN {sleep}\n"));
    for signal in ["INT", "KILL"] {
        let mut command = command(&server, &root, &client, "--network none app");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        eventually("the step runs", || runs(&sleep));
        kill(child.id(), signal);
        child.wait().unwrap();
        eventually("the step has ended", || !runs(&sleep));
    }
    assert!(server.get("/_ping").head.contains("builder-version: 2"));
}

#[test]
fn connections_for_buildkit_are_taken_over_or_refused() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    for path in ["/session", "/grpc"] {
        let plain = server.send("POST", path, "");
        assert_eq!((plain.status, plain.message().as_str()), (400, "no upgrade proto in request"));
        let other = server.send_raw("POST", path, "Upgrade: websocket\r\n", b"");
        assert_eq!(other.message(), "protocol websocket not supported");
    }
    let nobody = server.send_raw("POST", "/session", "Upgrade: h2c\r\n", b"");
    assert_eq!((nobody.status, nobody.message().as_str()), (400, "a session without an id"));
    let mut stream = server.connect();
    write!(stream, "POST /grpc HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    greets(&mut stream);
}

/// Says HTTP/2's first words, and hears those of the other side.
#[track_caller]
fn greets(stream: &mut UnixStream) {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "settings come first: {frame:?}");
}

/// `mica buildkitd` with its socket, gone when this is.
pub(super) struct Daemon {
    pub(super) socket: PathBuf,
    child: std::process::Child,
}

impl Daemon {
    pub(super) fn start(mica: &Mica, name: &str, flags: &str) -> Daemon {
        let socket = std::env::temp_dir().join(format!("mica-bk-{}-{name}", std::process::id()));
        let line = format!("buildkitd --addr unix://{} {flags}", socket.display());
        let mut command = mica.command(&line);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Daemon { socket, child };
        eventually("it answers", || UnixStream::connect(&daemon.socket).is_ok());
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(self.child.id(), "TERM");
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[test]
fn buildkitd_takes_its_own_flags_and_file() {
    let mica = Mica::new();
    mica.file(
        "bk.toml",
        "debug = true\n[worker.oci]\ngc = false\n[registry.\"a.test\"]\nhttp = true\n",
    );
    let flags = "--config bk.toml --root kept --debug --oci-worker=true \
                 --containerd-worker=false --oci-worker-gc=false --oci-worker-snapshotter overlayfs";
    let mut daemon = Daemon::start(&mica, "flags", flags);
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    greets(&mut stream);
    drop(stream);
    kill(daemon.child.id(), "TERM");
    assert!(daemon.child.wait().unwrap().success());
    let wrong = |line: &str| Run::of(line, mica.command(line).output().unwrap());
    wrong("buildkitd --config none.toml").complains(1, "cannot read the settings in none.toml");
    wrong("buildkitd --addr tcp://127.0.0.1:0").complains(1, "would let everybody who reaches it");
    wrong("buildkitd --allow-insecure-entitlement all").complains(1, "invalid entitlement \"all\"");
}

#[test]
fn buildctl_builds_where_it_is_installed() {
    need_programs!("buildctl");
    let Some(root) = Root::new() else { return };
    let daemon = Daemon::start(&root, "ctl", "");
    root.file("app/Dockerfile", "FROM bb\nCOPY a /a\nRUN cat /a\n");
    root.file("app/a", "of the context\n");
    let ctl = |line: &str| {
        let mut command = root.program("buildctl");
        command.arg("--addr").arg(format!("unix://{}", daemon.socket.display())).args(words(line));
        Run::of(line, command.output().unwrap())
    };
    let workers = ctl("debug workers");
    assert!(workers.code == 0 && workers.out.contains("linux/"), "{workers}");
    let line = "build --progress plain --frontend dockerfile.v0 --local context=app \
                --local dockerfile=app --opt force-network-mode=none --output type=local,dest=out";
    let built = ctl(line);
    assert!(built.code == 0 && built.err.contains("of the context\n"), "{built}");
    assert!(root.work().join("out/a").exists());
    assert_eq!(ctl("du").code, 0);
    assert_eq!(ctl("prune").code, 0);
}
