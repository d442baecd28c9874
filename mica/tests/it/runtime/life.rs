//! A container's life, as the specification tells it.

use std::fs;
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use super::bundle;

#[test]
fn a_container_is_created_started_killed_and_deleted() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write_config();
    assert_eq!(bundle.runtime("start ID").code, 1, "it does not exist");
    assert_eq!(bundle.runtime("create --pid-file pid ID").code, 0);
    assert_eq!(bundle.status(), "created");
    let again = bundle.runtime("create ID");
    assert!(again.err.contains("container with given ID already exists"), "{}", again.err);
    let state: Value = serde_json::from_str(&bundle.runtime("state ID").out).unwrap();
    assert_eq!(state["pid"].to_string(), fs::read_to_string(bundle.mica.path("pid")).unwrap());
    assert_eq!(bundle.runtime("start ID").code, 0);
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.runtime("start ID").code, 1, "it runs already");
    assert_eq!(bundle.runtime("delete ID").code, 1, "it runs");
    assert_eq!(bundle.runtime("kill ID KILL").code, 0);
    bundle.wait_for("stopped");
    assert_eq!(bundle.runtime("kill ID KILL").code, 1, "it has ended");
    assert_eq!(bundle.runtime("delete ID").code, 0);
    assert_eq!(bundle.status(), "none");
}

#[test]
fn exit_codes_come_back() {
    let mut bundle = bundle!();
    assert_eq!(bundle.script("exit 7").code, 7);
    bundle.config["process"]["args"] = json!(["nothing"]);
    bundle.write_config();
    let run = bundle.runtime("run ID");
    assert_eq!(run.code, 1);
    let words = "exec: \\\"nothing\\\": executable file not found in $PATH";
    assert!(run.err.contains(words), "{}", run.err);
    bundle.config["process"]["args"] = json!(["/bin"]);
    bundle.write_config();
    let run = bundle.runtime("run ID");
    assert!(run.err.contains("exec: \\\"/bin\\\": permission denied"), "{}", run.err);
    assert_eq!(bundle.status(), "none", "nothing is left");
}

#[test]
fn processes_join_a_container() {
    let mut bundle = bundle!();
    bundle.sleeper();
    let run = bundle.runtime("exec ID sh -c 'readlink /proc/1/ns/pid; readlink /proc/self/ns/pid'");
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(bundle.runtime("exec ID sh -c 'exit 5'").code, 5);
    assert_eq!(bundle.runtime("exec ID sh -c 'kill -9 $$'").code, 137);
    let one = bundle.runtime("exec ID grep Cap /proc/1/status");
    let two = bundle.runtime("exec ID grep Cap /proc/self/status");
    assert_eq!(one.out, two.out, "{} {}", two.code, two.err);
    let user = bundle.runtime("exec --user 7:8 -g 9 --cwd /proc ID sh -c 'id; echo $PWD'");
    assert_eq!(user.out, "uid=7 gid=8 groups=9\n/proc\n");
    assert_eq!(bundle.runtime("exec ID nothing").code, 255);
    assert_eq!(bundle.runtime("ps ID").out.lines().count(), 2);
    let ps = bundle.runtime("ps ID -o pid,comm");
    let words: Vec<_> = ps.out.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("PID", "COMMAND", "sleep"));
}

#[test]
fn a_container_stands_still() {
    let mut bundle = bundle!();
    bundle.sleeper();
    assert_eq!(bundle.runtime("pause ID").code, 0);
    assert_eq!(bundle.status(), "paused");
    assert_eq!(bundle.runtime("exec ID true").code, 255);
    let root = bundle.mica.path("state").display().to_string();
    let line = format!("runtime --root {root} exec --ignore-paused {} true", bundle.id);
    let mut waiting = bundle.mica.command(&line).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(waiting.try_wait().unwrap().is_none(), "it stands still with all others");
    assert_eq!(bundle.runtime("resume ID").code, 0);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.runtime("exec ID true").code, 0);
}

#[test]
fn a_terminal_is_sent_away() {
    let mut bundle = bundle!();
    bundle.config["process"]["terminal"] = json!(true);
    bundle.config["process"]["consoleSize"] = json!({"height": 17, "width": 61});
    bundle.config["process"]["args"] = json!(["sh", "-c", "tty; stty size; exit 3"]);
    bundle.write_config();
    assert_eq!(bundle.runtime("create ID").code, 1, "nobody takes the terminal");
    let socket = bundle.mica.path("console");
    let listener = UnixListener::bind(&socket).unwrap();
    let taker = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        receive(&stream)
    });
    let created = bundle.runtime(&format!("create --console-socket {} ID", socket.display()));
    assert_eq!(created.code, 0, "{}", created.err);
    let mut terminal = fs::File::from(taker.join().unwrap());
    assert_eq!(bundle.runtime("start ID").code, 0);
    let mut text = Vec::new();
    // Reading ends with an error when the other end is closed.
    let _ = std::io::Read::read_to_end(&mut terminal, &mut text);
    assert_eq!(String::from_utf8_lossy(&text), "/dev/pts/0\r\n17 61\r\n");
}

fn receive(stream: &std::os::unix::net::UnixStream) -> std::os::fd::OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0; 64];
    let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
    recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    file.unwrap()
}

#[test]
fn limits_are_set_and_changed() {
    let mut bundle = bundle!();
    bundle.config["linux"]["resources"]["pids"] = json!({"limit": 33});
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    bundle.sleeper();
    let read = |file: &str| bundle.runtime(&format!("exec ID cat /sys/fs/cgroup/{file}")).out;
    let version1 = !read("memory/memory.limit_in_bytes").is_empty();
    if !version1 {
        return testkit::skip("needs the controllers of version 1");
    }
    assert_eq!(read("pids/pids.max"), "33\n");
    assert_eq!(read("memory/memory.limit_in_bytes"), "67108864\n");
    assert_eq!(bundle.runtime("update --pids-limit 44 --memory 96m ID").code, 0);
    assert_eq!(read("pids/pids.max"), "44\n");
    assert_eq!(read("memory/memory.limit_in_bytes"), "100663296\n");
}

#[test]
fn users_and_clocks_are_the_containers_own() {
    let bundle = bundle!();
    let mut bundle = bundle.with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.extend([json!({"type": "user"}), json!({"type": "time"})]);
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000}});
    });
    // The container's root must own its tree to make mount points in it.
    std::os::unix::fs::chown(bundle.inside(""), Some(100_000), Some(100_000)).unwrap();
    let run =
        bundle.script("id; awk '{print ($1 > 1000000000)}' /proc/uptime; cat /proc/self/uid_map");
    assert_eq!(run.code, 0, "{}", run.err);
    let words: Vec<_> = run.out.split_whitespace().collect();
    assert_eq!(words, ["uid=0", "gid=0", "1", "0", "100000", "65536"]);
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    let mut bundle = bundle!();
    bundle.config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/x", "type": "moon", "source": "moon"
    }));
    let run = bundle.script("true");
    assert!(run.err.contains("cannot mount /x: fsmount(moon): No such device"), "{}", run.err);
    assert_eq!(bundle.status(), "none");
}
