//! Networks of containers, as far as they can be seen from inside and from this host.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::support::{Root, eventually};

#[test]
fn none_is_only_loopback() {
    let Some(root) = Root::new() else { return };
    assert_eq!(root.prints("", "ls /sys/class/net"), "lo");
    assert_eq!(root.prints("", "ping -c 1 -W 1 127.0.0.1 > /dev/null && echo up"), "up");
}

#[test]
fn a_published_port_is_reached_from_this_host() {
    let Some(root) = Root::new() else { return };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let line = format!("run -d --name web -p 127.0.0.1:{port}:80 bb sh -c");
    let script = "while :; do echo hello | nc -l -p 80; done";
    let started = root.command(&line).arg(script).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let mut heard = String::new();
    eventually("somebody answers", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = stream.write_all(b"\n");
        heard.clear();
        stream.read_to_string(&mut heard).is_ok() && !heard.is_empty()
    });
    assert_eq!(heard, "hello\n");
    let line = "run --rm --network container:web bb ip -4 -o addr show eth0";
    assert!(root.ok(line).contains("inet "), "who joins it sees its address");
    root.ok("stop -t 0 web");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is free again");
}
