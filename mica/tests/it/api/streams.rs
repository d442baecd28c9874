//! Streams: terminals, attaching and leaving, logs, events, further processes, by hand and by docker.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sys::terminal::Size;

use super::support::Server;
use crate::containers::support::{Root, eventually, kill};
use crate::containers::terminal::Terminal;
use crate::need_programs;

#[test]
fn a_shell_on_a_terminal_is_left_and_met_again() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let terminal = Terminal::new(Size { rows: 33, columns: 101 });
    let mut child = terminal.start(server.command("run --name one -it --network none bb sh"));
    terminal.shows("# ");
    terminal.types("while test \"$(stty size)\" != '33 101'; do sleep 0.02; done; echo si''zed\n");
    terminal.shows("sized");
    let resized = |path: &str| server.send("POST", path, "").status;
    assert_eq!(resized("/containers/one/resize?h=20&w=50"), 200);
    terminal.types("while test \"$(stty size)\" != '20 50'; do sleep 0.02; done; echo sma''ller\n");
    terminal.shows("smaller");
    terminal.types("\x10\x11");
    assert!(child.wait().unwrap().success());
    assert_eq!(server.ok("ps --format '{{.Names}}'"), "one");
    let mut again = terminal.start(server.command("attach one"));
    terminal.types("echo he''re; exit 4\n");
    terminal.shows("here");
    assert_eq!(again.wait().unwrap().code(), Some(4));
    server.ok("start one");
    let wait = "while test \"$(stty size)\" != \"21 51\"; do sleep 0.02; done";
    let script = format!("exec -it one sh -c 'tty; {wait}; exit 3'");
    let mut exec = terminal.start(server.command(&script));
    terminal.shows("/dev/pts/1");
    let shown = server.get("/containers/one/json").json();
    let id = shown["ExecIDs"][0].as_str().unwrap().to_owned();
    assert_eq!(resized(&format!("/exec/{id}/resize?h=21&w=51")), 200);
    assert_eq!(exec.wait().unwrap().code(), Some(3));
    server.ok("rm -f one");
}

#[test]
fn input_reaches_a_container_and_its_end_too() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let through = |line: &str| {
        let mut command = server.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            let large = &large;
            scope.spawn(move || stdin.write_all(large).unwrap());
            child.wait_with_output().unwrap().stdout
        })
    };
    assert!(through("run --rm -i --network none bb cat") == large);
    root.sleeper("one", "");
    assert!(through("exec -i one cat") == large);
    assert_eq!(server.ok("exec -e A=b -w /tmp one sh -c 'echo $A $PWD'"), "b /tmp");
    server.docker("exec one sh -c 'exit 9'").complains(9, "");
    server.docker("exec one nosuch").complains(127, "");
    server.docker("exec none true").complains(1, "No such container: none");
}

#[test]
fn logs_are_followed_until_the_end() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let script = "echo one; echo two >&2; while ! test -e /tmp/go; do sleep 0.02; done; echo three";
    root.ok(&format!("run -d --name one --network none bb sh -c '{script}'"));
    let mut follow = server.command("logs -f one");
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("what is there is told", || {
        let run = server.docker("logs one");
        (run.out.as_str(), run.err.as_str()) == ("one\n", "two\n")
    });
    server.ok("exec one touch /tmp/go");
    let mut said = String::new();
    follow.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "one\nthree\n");
    assert!(follow.wait().unwrap().success());
    server.docker("logs --tail 1 one").prints("three\n");
    assert_eq!(server.ok("logs --since 1h -t one").lines().count(), 2);
    let raw = server.get("/containers/one/logs?stdout=1&stderr=1");
    assert!(raw.head.contains("content-type: application/vnd.docker.multiplexed-stream"));
    assert_eq!(&raw.body[..12], b"\x01\0\0\0\0\0\0\x04one\n");
    assert!(server.get("/v1.41/containers/one/logs?stdout=1").head.contains("raw-stream"));
    server.ok("rm one");
}

#[test]
fn both_forms_of_taking_a_connection_over() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.sleeper("one", "");
    let cat = r#"{"Cmd":["cat"],"AttachStdin":true,"AttachStdout":true}"#;
    for (upgrade, first) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED\r\n"),
        ("", "HTTP/1.1 200 OK\r\n"),
    ] {
        let made = server.send("POST", "/containers/one/exec", cat);
        assert_eq!(made.status, 201);
        let id = made.json()["Id"].as_str().unwrap().to_owned();
        let mut stream = server.connect();
        write!(
            stream,
            "POST /exec/{id}/start HTTP/1.1\r\nHost: x\r\n{upgrade}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with(first), "{head}");
        assert!(head.contains("Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
        stream.write_all(b"abc").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"\x01\0\0\0\0\0\0\x03abc");
        let shown = server.get(&format!("/exec/{id}/json")).json();
        assert_eq!((&shown["Running"], &shown["ExitCode"]), (&false.into(), &0.into()));
        let twice = server.send("POST", &format!("/exec/{id}/start"), "{}");
        assert_eq!(twice.status, 409, "{twice:?}");
    }
    // What was described here is found by a server that comes later.
    let id = server.send("POST", "/containers/one/exec", cat).json()["Id"].clone();
    drop(server);
    let server = Server::start(&root);
    let shown = server.get(&format!("/exec/{}/json", id.as_str().unwrap())).json();
    assert_eq!((&shown["Running"], &shown["ExitCode"]), (&false.into(), &().into()));
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.sleeper("one", "");
    root.ok("create --name two --network none bb true");
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
        tasks.count()
    };
    let files = || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
        fds.count()
    };
    server.get("/containers/json");
    let before = files();
    for path in [
        "GET /containers/one/logs?stdout=1&follow=1",
        "GET /containers/one/stats",
        "GET /events",
        "POST /containers/one/wait",
        "POST /containers/one/attach?stream=1&stdout=1",
        "POST /containers/two/wait?condition=next-exit",
        "POST /containers/two/attach?stream=1&stdout=1&stdin=1",
    ] {
        let mut stream = server.connect();
        write!(stream, "{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        drop(stream);
        let begin = Instant::now();
        while files() > before {
            assert!(begin.elapsed() < Duration::from_secs(10), "{path} goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(threads() < 30, "threads are left: {}", threads());
    root.ok("rm two");
}

#[test]
fn events_are_told_as_they_happen() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    // However late it begins, all of them are of its time.
    let asked = "events --since 1 --filter type=container --format '{{.Action}}'";
    let mut events = server.command(asked);
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    server.ok("run --rm --name one --network none bb true");
    let mut said = events.stdout.take().unwrap();
    let mut text = String::new();
    while !text.contains("destroy\n") {
        let mut byte = [0];
        said.read_exact(&mut byte).unwrap();
        text.push(byte[0] as char);
    }
    kill(events.id(), "INT");
    events.wait().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines, ["create", "attach", "start", "die", "destroy"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let past = format!("/events?since=1&until={}", now.as_secs() - 1);
    assert_eq!(server.get(&past).status, 200);
    let mut stream = server.connect();
    write!(stream, "GET {past} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/json-seq\r\n\r\n")
        .unwrap();
    let mut bytes = String::new();
    stream.read_to_string(&mut bytes).unwrap();
    assert!(bytes.contains("content-type: application/json-seq\r\n"), "{bytes}");
    assert_eq!(server.get("/events?since=9&until=3").status, 400);
}

/// What a process leaves behind may keep its streams; nobody waits for it.
#[test]
fn an_exec_ends_with_its_process() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.sleeper("one", "");
    let begin = Instant::now();
    for flags in ["", "-i "] {
        let said = server.ok(&format!("exec {flags}one sh -c 'sleep 100 & echo up; exit'"));
        assert_eq!(said, "up");
    }
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
}

#[test]
fn a_web_socket_attaches_too() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("run -d -i --name one --network none bb cat");
    let mut stream = server.connect();
    write!(
        stream,
        "GET /containers/one/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    stream.write_all(b"\x82\x84\0\0\0\0abc\n").unwrap();
    let mut said = [0; 6];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"\x82\x04abc\n");
    root.ok("kill one");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\0");
    assert_eq!(server.get("/containers/one/attach/ws").status, 400);
    root.ok("rm one");
}
