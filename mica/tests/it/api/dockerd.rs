//! `mica dockerd`: started by scripts with the flags of docker's engine.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::answered;
use crate::containers::support::{Root, eventually, kill};
use crate::need_programs;
use crate::support::{Mica, Run, words};

/// So soon it has to answer. On an idle machine an optimised one needs less than 20 ms; here it is
/// neither optimised nor alone.
const SOON: Duration = Duration::from_secs(5);

/// An engine that a script started.
struct Daemon<'a> {
    mica: &'a Mica,
    socket: PathBuf,
    child: Option<Child>,
    flags: String,
}

impl<'a> Daemon<'a> {
    /// One with what scripts usually say, and these flags besides.
    fn start(mica: &'a Mica, flags: &str) -> Daemon<'a> {
        let place = mica.root().parent().unwrap().to_owned();
        let name = place.file_name().unwrap().to_string_lossy().into_owned();
        // Names of sockets are short; those of a test's folders need not be.
        let socket =
            std::env::temp_dir().join(format!("dockerd-{}-{name}.sock", std::process::id()));
        let flags = format!(
            "--data-root {} --exec-root {} --pidfile {} -H unix://{} --userland-proxy=false --containerd-namespace lab {flags}",
            mica.root().display(),
            place.join("run").display(),
            place.join("dockerd.pid").display(),
            socket.display(),
        );
        let mut daemon = Daemon { mica, socket, child: None, flags };
        daemon.begin();
        daemon
    }

    /// Starts it and waits until it answers; gives how long that took.
    fn begin(&mut self) -> Duration {
        let log = fs::File::create(self.log_path()).unwrap();
        let mut command = self.mica.command(&format!("dockerd {}", self.flags));
        let begin = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        while self.ask("/_ping").is_none() {
            let gone = self.child.as_mut().unwrap().try_wait().unwrap().is_some();
            assert!(!gone && begin.elapsed() < Duration::from_secs(20), "{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        begin.elapsed()
    }

    fn log_path(&self) -> PathBuf {
        self.mica.root().parent().unwrap().join("dockerd.log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn ask(&self, path: &str) -> Option<super::support::Answered> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        (!bytes.is_empty()).then(|| answered(&bytes))
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        self.ask(path).unwrap().json()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.mica.program("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display())).args(words(line));
        command
    }

    #[track_caller]
    fn docker(&self, line: &str) -> String {
        let run = Run::of(line, self.command(line).output().unwrap());
        assert_eq!(run.code, 0, "{run}\n{}", self.log());
        run.out.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        kill(self.child.as_ref().unwrap().id(), name);
    }

    /// Ends it as scripts do.
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(child.id(), "TERM");
            assert!(child.wait().unwrap().success(), "{}", self.log());
        }
    }

    #[track_caller]
    fn status(&self, name: &str) -> String {
        self.mica.ok(&format!("inspect -f '{{{{.State.Status}}}}' {name}"))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(child.id(), "TERM");
            let _ = child.wait();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

/// What it says when it does not begin.
fn refused(mica: &Mica, flags: &str) -> Run {
    mica.run(&format!("dockerd --pidfile {} {flags}", mica.path("x.pid").display()))
}

#[test]
fn it_answers_soon_in_the_words_that_scripts_wait_for() {
    let mica = Mica::new();
    let mut daemon = Daemon::start(&mica, "--debug --label a=b --storage-driver vfs");
    let log = daemon.log();
    let place = format!("msg=\"API listen on {}\"", daemon.socket.display());
    eventually("it says where", || daemon.log().contains(&place));
    assert!(log.contains("level=debug msg=\"userland-proxy means nothing here"), "{log}");
    assert!(log.contains("msg=\"Daemon has completed initialization\""), "{log}");
    let pid_file = mica.root().parent().unwrap().join("dockerd.pid");
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(pid, daemon.child.as_ref().unwrap().id().to_string());
    assert_eq!(daemon.json("/info")["Labels"], serde_json::json!(["a=b"]));
    assert_eq!(daemon.json("/info")["Driver"], "vfs");
    // A second one finds the first.
    let second = mica.run(&format!("dockerd {}", daemon.flags));
    second.complains(1, &format!("process with PID {pid} is still running"));
    daemon.end();
    assert!(!pid_file.exists() && !daemon.socket.exists());
    let mut took: Vec<Duration> = (0..3).map(|_| (daemon.begin(), daemon.end()).0).collect();
    took.sort();
    assert!(took[0] < SOON, "{took:?}");
}

#[test]
fn the_program_is_dockerd_where_it_is_called_so() {
    let mica = Mica::new();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mica"), mica.path("dockerd")).unwrap();
    let run = |line: &str| {
        let mut command = mica.program(mica.path("dockerd"));
        Run::of(line, command.args(words(line)).output().unwrap())
    };
    assert!(run("--version").out.starts_with("Docker version "));
    run("--validate --config-file none.json").complains(1, "open none.json: no such file");
    mica.file("ok.json", "{}");
    run("--validate --config-file ok.json").prints("configuration OK\n");
    run("--nope").complains(125, "unknown flag: --nope");
}

#[test]
fn what_cannot_be_is_refused_before_it_begins() {
    let mica = Mica::new();
    for (flags, words) in [
        ("--userns-remap nobody-here", "no subuid ranges found for user \"nobody-here\""),
        ("--metrics-addr 127.0.0.1:9", "metrics-addr: no metrics are served"),
        ("--storage-driver zfs", "unknown storage driver"),
        ("--storage-opt size=9", "storage-opt: storage drivers have no options"),
        ("--exec-opt native.cgroupdriver=other", "exec-opt"),
        ("--default-runtime moon", "specified default runtime 'moon' does not exist"),
        ("--bip nonsense", "invalid CIDR address: nonsense"),
        ("--bridge no-such-link", "bridge no-such-link is not there"),
        ("--default-ulimit nofile=9:1", "soft limit must be less than or equal to hard limit"),
        ("--iptables=false", "iptables: networks on bridges need the packet filter"),
        ("-H tcp://127.0.0.1:0", "let everybody who reaches it be root"),
        ("-H nonsense://x", "is no place to listen"),
    ] {
        let run = refused(&mica, flags);
        assert!(run.code == 1 && run.err.contains(words), "{flags}: {run}");
    }
    let file = |text: &str, flags: &str| {
        mica.file("daemon.json", text);
        refused(&mica, &format!("--config-file daemon.json {flags}"))
    };
    file("{\"nope\": 1}", "").complains(1, "don't match any configuration option: nope");
    file("{\"debug\": true}", "--debug=false")
        .complains(1, "debug: (from flag: false, from file: true)");
    file("{", "").complains(1, "unable to configure the Docker daemon with file daemon.json");
    file("{\"userns-remap\": \"a:b:c\"}", "").complains(1, "userns-remap");
}

#[test]
fn containers_end_with_it_and_come_back() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let mut daemon = Daemon::start(&root, "");
    let run = |daemon: &Daemon, policy: &str| {
        let trap = "trap \"exit 0\" TERM; while :; do sleep 0.05; done";
        daemon.docker(&format!(
            "run -d --name {policy} --restart {policy} --network none bb sh -c '{trap}'"
        ));
    };
    ["always", "unless-stopped", "no"].into_iter().for_each(|policy| run(&daemon, policy));
    daemon.docker("run -d --name stopped --restart unless-stopped --network none bb sleep 600");
    daemon.docker("stop -t 0 stopped");
    daemon.end();
    for name in ["always", "unless-stopped", "no", "stopped"] {
        assert_eq!(daemon.status(name), "exited", "{name}");
    }
    daemon.begin();
    let now = ["always", "unless-stopped", "no", "stopped"].map(|name| daemon.status(name));
    assert_eq!(now, ["running", "running", "exited", "exited"]);
    // The file is read again, and then they go on without it.
    let file = root.file("daemon.json", "{\"live-restore\": true, \"labels\": [\"new\"]}");
    drop(daemon);
    let mut daemon = Daemon::start(&root, &format!("--config-file {}", file.display()));
    assert_eq!(daemon.json("/info")["Labels"][0], "new");
    fs::write(&file, "{\"live-restore\": true, \"labels\": [\"newer\"]}").unwrap();
    daemon.signal("HUP");
    eventually("it has read the file", || daemon.json("/info")["Labels"][0] == "newer");
    fs::write(&file, "{").unwrap();
    daemon.signal("HUP");
    eventually("it says what is wrong", || daemon.log().contains("unable to configure"));
    assert_eq!(daemon.json("/info")["Labels"][0], "newer");
    daemon.end();
    assert_eq!(daemon.status("always"), "running");
}

#[test]
fn containers_and_networks_get_what_they_leave_open() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let flags = "--bip 10.217.3.1/24 --fixed-cidr 10.217.3.128/25 --mtu 1400 --icc=false --default-address-pool base=10.218.0.0/16,size=24 --default-ulimit nofile=77:99 --dns 10.9.8.7 --log-driver local --init --default-shm-size 8m --no-new-privileges --storage-driver overlay2";
    let mut daemon = Daemon::start(&root, flags);
    let bridge = daemon.json("/networks/bridge");
    assert_eq!(bridge["IPAM"]["Config"][0]["Subnet"], "10.217.3.0/24");
    assert_eq!(bridge["IPAM"]["Config"][0]["Gateway"], "10.217.3.1");
    assert_eq!(bridge["Options"]["com.docker.network.driver.mtu"], "1400");
    daemon.docker("network create more");
    let more = daemon.json("/networks/more");
    assert_eq!(more["IPAM"]["Config"][0]["Subnet"], "10.218.0.0/24");
    let script = "ulimit -n; cat /etc/resolv.conf; df -k /dev/shm; cat /proc/1/comm; ip -4 addr";
    let out = daemon.docker(&format!("run --name one bb sh -c '{script}'"));
    for part in ["77\n", "nameserver 10.9.8.7", "8192", "10.217.3.128/24"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let one = daemon.json("/containers/one/json");
    let image = daemon.json("/images/bb/json");
    let drivers = [&daemon.json("/info")["Driver"], &one["Driver"], &one["GraphDriver"]["Name"]];
    for driver in drivers.into_iter().chain([&image["GraphDriver"]["Name"]]) {
        assert_eq!(driver, "overlay2");
    }
    let host = one["HostConfig"].clone();
    assert_eq!((host["LogConfig"]["Type"].as_str(), &host["Init"]), (Some("local"), &true.into()));
    // What was asked for counts, and who says nothing later finds the network as it was.
    assert!(daemon.docker("run --rm --ulimit nofile=55 bb sh -c 'ulimit -n'").contains("55"));
    daemon.end();
    let bridge = root.json("network inspect bridge");
    assert_eq!(bridge[0]["IPAM"]["Config"][0]["Subnet"], "10.217.3.0/24");
    // Another wish is another network.
    let flags = daemon.flags.replace("10.217.3", "10.217.4");
    daemon.flags = flags;
    daemon.begin();
    let bridge = daemon.json("/networks/bridge");
    assert_eq!(bridge["IPAM"]["Config"][0]["Subnet"], "10.217.4.0/24");
    root.ok("network rm more");
}

#[test]
fn without_a_default_network_containers_have_none() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let daemon = Daemon::start(&root, "--bridge none --iptables=false");
    let out = daemon.docker("run --rm bb ls /sys/class/net");
    assert_eq!(out, "lo");
    let refused = Run::of("", daemon.command("network create x").output().unwrap());
    refused.complains(1, "need iptables");
}
