//! The way out of a user's containers, and the ports that lead in.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use super::support::User;
use crate::containers::support::eventually;
use crate::support::has;

/// Whether packets can be carried here: the program copies the addresses of the way out.
fn can_carry() -> bool {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let has_default = routes.lines().any(|line| line.split('\t').nth(1) == Some("00000000"));
    let why = match () {
        () if !has("pasta") => "pasta is not installed",
        () if !has_default => "the host has no way out that pasta could copy",
        () if !std::path::Path::new("/dev/net/tun").exists() => "the kernel has no tun devices",
        () => return true,
    };
    testkit::skip(why);
    false
}

#[test]
fn a_port_leads_to_a_users_container() {
    if !can_carry() {
        return;
    }
    let Some(user) = User::with_ids() else { return };
    let port = testkit::free_port();
    let serve = "while true; do echo inside | nc -l -p 80; done";
    user.ok(&format!("run -d --name box -p 127.0.0.1:{port}:80 bb sh -c '{serve}'"));
    let answers = || {
        let mut said = String::new();
        let stream = TcpStream::connect(("127.0.0.1", port));
        stream.is_ok_and(|mut stream| stream.read_to_string(&mut said).is_ok())
            && said == "inside\n"
    };
    eventually("it answers", answers);
    assert_eq!(user.ok("port box"), format!("80/tcp -> 127.0.0.1:{port}"));
    let ports = user.ok("ps --format '{{.Ports}}'");
    assert_eq!(ports, format!("127.0.0.1:{port}->80/tcp"));
    assert!(user.ok("exec box cat /etc/resolv.conf").contains("nameserver 169.254.1.1"));
    let second = user.run(&format!("run --rm -p 127.0.0.1:{port}:80 bb true"));
    second.complains(125, "port is already allocated");
    user.ok("restart -t 0 box");
    eventually("it answers again", answers);
    user.ok("rm -f box");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
}

#[test]
fn a_port_for_one_family_is_not_open_on_the_other() {
    if !can_carry() {
        return;
    }
    let Some(user) = User::with_ids() else { return };
    let [one, both] = [testkit::free_port(), testkit::free_port()];
    user.ok(&format!("run -d --name box -p 0.0.0.0:{one}:80 -p {both}:81 bb sleep 600"));
    let tcp6 = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    let listens = |port: u16| tcp6.contains(&format!("{:032X}:{port:04X} ", 0));
    assert!(!listens(one), "{tcp6}");
    let rows = user.ok("port box");
    assert!(rows.contains(&format!("80/tcp -> 0.0.0.0:{one}")), "{rows}");
    assert!(rows.contains(&format!("81/tcp -> 0.0.0.0:{both}")), "{rows}");
    assert_eq!(rows.contains(&format!("81/tcp -> [::]:{both}")), listens(both), "{rows}");
}

#[test]
fn what_takes_bridges_is_refused() {
    let Some(user) = User::with_ids() else { return };
    for line in [
        "network create inner",
        "create --network inner bb true",
        "create --link other:name bb true",
    ] {
        let run = user.run(line);
        assert!(run.err.contains("networks on bridges, and links between containers"), "{run}");
        assert!(run.err.contains("hint: the default network leads out by pasta"), "{run}");
    }
    assert_eq!(user.ok("ps -aq"), "");
    let run = user.run("image mount bb");
    run.complains(1, "an image that an ordinary user mounts is seen by nobody else");
}
