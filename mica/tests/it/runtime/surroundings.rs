//! What a program finds around it: its variables, its descriptors, who it may tell that it is ready.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use super::{Bundle, bundle};

/// Accounts as an image has them.
fn give_accounts(bundle: &Bundle) {
    fs::create_dir_all(bundle.inside("etc")).unwrap();
    let accounts = "root:x:0:0::/root:/bin/sh\nme:x:7:7::/home/me:/bin/sh\n";
    fs::write(bundle.inside("etc/passwd"), accounts).unwrap();
}

#[test]
fn a_program_knows_where_its_users_files_are() {
    let mut bundle = bundle!();
    give_accounts(&bundle);
    assert_eq!(bundle.script("echo $HOME").out, "/root\n");
    for (user, home) in [(7, "/home/me\n"), (99, "/\n")] {
        bundle.config["process"]["user"] = json!({"uid": user, "gid": 0});
        assert_eq!(bundle.script("echo $HOME").out, home);
    }
    bundle.config["process"]["env"] = json!(["PATH=/bin", "HOME="]);
    assert_eq!(bundle.script("echo $HOME").out, "/\n", "nothing in it is nothing said");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "HOME=/mine"]);
    assert_eq!(bundle.script("echo $HOME").out, "/mine\n");
    bundle.config["process"]["env"] = json!(["PATH=/bin"]);
    bundle.sleeper();
    assert_eq!(bundle.runtime("exec -u 7 ID sh -c 'echo $HOME'").out, "/home/me\n");
    assert_eq!(bundle.runtime("exec -u 0 -e HOME=/x ID sh -c 'echo $HOME'").out, "/x\n");
}

#[test]
fn accounts_that_are_none_are_not_waited_for() {
    let mut bundle = bundle!();
    fs::create_dir_all(bundle.inside("etc")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(bundle.inside("etc/passwd")).status();
    assert!(made.unwrap().success());
    assert_eq!(bundle.script("echo $HOME").out, "/\n");
}

#[test]
fn of_a_variable_the_last_word_counts() {
    let mut bundle = bundle!();
    bundle.config["process"]["env"] = json!(["A=1", "PATH=/bin", "A=2", "HOME=/h"]);
    // What the shell was given, not what it makes of it.
    let script = "echo $A; cat /proc/$$/environ | busybox tr '\\0' '\\n' | grep -c A=";
    assert_eq!(bundle.script(script).out, "2\n1\n");
    bundle.sleeper();
    let script = "echo $A; cat /proc/$$/environ | busybox tr \\\\0 \\\\n | grep -c A=";
    let run = bundle.runtime(&format!("exec -e A=3 ID sh -c '{script}'"));
    assert_eq!(run.out, "3\n1\n");
    let run = bundle.runtime("exec -e A ID true");
    assert_eq!(run.code, 255);
    assert!(run.err.contains("invalid environment variable: \\\"A\\\""), "{}", run.err);
    bundle.config["process"]["env"] = json!(["A"]);
    bundle.write_config();
    let run = bundle.runtime("run IDx");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("invalid environment variable: \\\"A\\\""), "{}", run.err);
}

#[test]
fn descriptors_of_sockets_come_with_what_is_said_of_them() {
    let mut bundle = bundle!();
    let script = "echo $LISTEN_FDS.$LISTEN_PID.$LISTEN_FDNAMES; readlink /proc/1/fd/3 || echo none";
    bundle.config["process"]["args"] = json!(["sh", "-c", script]);
    bundle.write_config();
    let check = |variables: &[&str], wanted: &str| {
        assert_eq!(bundle.runtime_with("run ID", variables).out, wanted, "{variables:?}");
    };
    check(&["LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_FDNAMES=web"], "1.1.web\n/dev/null\n");
    check(&["LISTEN_FDS=1"], "1.1.\n/dev/null\n");
    check(&["LISTEN_FDS=1", "LISTEN_PID=1"], "..\nnone\n");
    check(&["LISTEN_FDS=x"], "..\nnone\n");
    for count in ["40", "2000000000", "18446744073709551615"] {
        let listen = format!("LISTEN_FDS={count}");
        let run = bundle.runtime_with("run ID", &[&listen]);
        assert_ne!(run.code, 0, "{count}");
        assert!(run.err.contains("unable to stat preserved-fd"), "{}", run.err);
    }
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write_config();
    let own = ["LISTEN_FDS=1", "LISTEN_PID=$$"];
    assert_eq!(bundle.runtime_with("run -d ID", &own).code, 0);
    let line = "exec ID sh -c 'echo $LISTEN_FDS; readlink /proc/self/fd/3 || echo none'";
    assert_eq!(bundle.runtime(line).out.lines().next(), Some(""), "it is the first process's");
    assert_eq!(bundle.runtime_with(line, &own).out, "1\n/dev/null\n");
}

#[test]
fn a_program_says_that_it_is_ready() {
    let mut bundle = bundle!();
    // Nothing in busybox sends a datagram to a socket with a path.
    let folder = bundle.inside("run/notify");
    let path = bundle.mica.path("ready");
    let work = fs::File::open(bundle.mica.work()).unwrap();
    let host = UnixDatagram::bind(sys::classic::path(&work).join("ready")).unwrap();
    host.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    bundle.config["process"]["args"] =
        json!(["sh", "-c", "test -d /run/notify && echo $NOTIFY_SOCKET; exec sleep 1000"]);
    bundle.write_config();
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    assert_eq!(bundle.runtime_with("create ID", &[&variable]).code, 0);
    let inside = bundle.mica.path("state").join(&bundle.id).join("notify");
    let hear = || {
        let mut buffer = [0; 64];
        let length = host.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let (started, heard) = std::thread::scope(|scope| {
        let speaker = scope.spawn(|| {
            let name = inside.join("notify.sock");
            let is_there = (0..500).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                name.exists()
            });
            assert!(is_there, "nobody listens");
            // Its mode is set a moment after it is there.
            std::thread::sleep(Duration::from_millis(100));
            let folder = fs::File::open(&inside).unwrap();
            let socket = UnixDatagram::unbound().unwrap();
            socket.connect(sys::classic::path(&folder).join("notify.sock")).unwrap();
            socket.send(b"STATUS=soon").unwrap();
            socket.send(b"READY=1\nMAINPID=1").unwrap();
        });
        // What was heard is closed, and that is waited for.
        let heard = scope.spawn(|| [(); 3].map(|()| hear()));
        let started = bundle.runtime_with("start ID", &[&variable]);
        speaker.join().unwrap();
        (started, heard.join().unwrap())
    });
    assert_eq!(started.code, 0, "{}", started.err);
    let state: serde_json::Value = serde_json::from_str(&bundle.runtime("state ID").out).unwrap();
    let main = format!("MAINPID={}", state["pid"]);
    assert_eq!(heard, ["READY=1", main.as_str(), "BARRIER=1"]);
    let line = "exec ID sh -c 'stat -c %a /run/notify/notify.sock; touch /run/notify/x || echo no'";
    assert_eq!(bundle.runtime(line).out, "777\nno\n");
    assert!(folder.exists(), "a place for it was made");
    let environment = bundle.runtime("exec ID sh -c 'echo ${NOTIFY_SOCKET:-none}'").out;
    assert_eq!(environment, "none\n", "it is the first process's");
}

#[test]
fn nobody_is_waited_for_where_nobody_wants_to_know() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["sh", "-c", "echo $NOTIFY_SOCKET"]);
    bundle.write_config();
    let run = bundle.runtime_with("run ID", &["NOTIFY_SOCKET=/nowhere/at/all"]);
    assert_eq!((run.code, run.out.as_str()), (0, "/run/notify/notify.sock\n"), "{}", run.err);
    let run = bundle.runtime_with("run ID", &["NOTIFY_SOCKET="]);
    assert_eq!((run.code, run.out.as_str()), (0, "\n"), "{}", run.err);
}
