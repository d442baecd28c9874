//! Networks of containers, as far as they can be seen from inside and from this host.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
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
    let port = testkit::free_port();
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

/// The namespace of a container's network, to open sockets in.
fn namespace(root: &Root, id: &str) -> File {
    let pid = root.state(id)["process"]["pid"].as_u64().unwrap();
    File::open(format!("/proc/{pid}/ns/net")).unwrap()
}

fn within<T>(namespace: &File, work: impl FnOnce() -> T) -> T {
    sys::netns::within(namespace, work).unwrap()
}

/// A container that sleeps in networks, and its id.
#[track_caller]
fn standing(root: &Root, name: &str, options: &str) -> String {
    root.ok(&format!("run -d --name {name} {options} bb sleep 600"))
}

/// The IPv4 addresses of a container's link, without their networks.
#[track_caller]
fn address(root: &Root, name: &str, network: &str) -> String {
    root.ok(&format!("inspect -f '{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}' {name}"))
}

#[test]
fn a_running_container_joins_and_leaves() {
    let Some(root) = Root::new() else { return };
    root.ok("network create one");
    root.ok("network create two");
    let id = standing(&root, "web", "-p 127.0.0.1::80");
    standing(&root, "friend", "--network one");
    root.ok("network connect --alias www one web");
    let hosts = root.ok("exec web cat /etc/hosts");
    let own = format!("{}\t{}", address(&root, "web", "one"), &id[..12]);
    assert!(hosts.contains(&own) && hosts.contains(&address(&root, "web", "bridge")), "{hosts}");
    for line in ["exec friend ping -c1 -W2 www", "exec friend ping -c1 -W2 web"] {
        root.ok(line);
    }
    // Names are answered from now on, though it began in a network where nobody has any.
    root.ok("exec web ping -c1 -W2 friend");
    let port = root.ok("port web 80");
    root.ok("network disconnect bridge web");
    assert_eq!(root.ok("port web 80"), port, "the ports follow");
    let links = "exec web ls /sys/class/net";
    assert_eq!(root.ok(links).replace('\n', " "), "eth1 lo");
    let hosts = root.ok("exec web cat /etc/hosts");
    assert!(hosts.contains(&own) && hosts.matches(&id[..12]).count() == 1, "{hosts}");
    let listening = within(&namespace(&root, &id), || TcpListener::bind("0.0.0.0:80")).unwrap();
    listening.set_nonblocking(false).unwrap();
    TcpStream::connect(port.as_str()).unwrap();
    drop(listening);

    root.ok("restart -t 0 web");
    root.ok("exec friend ping -c1 -W2 www");
    root.ok("network disconnect one web");
    assert_eq!(root.ok(links), "lo", "nowhere, and it goes on");
    root.run("exec friend ping -c1 -W1 www").complains(1, "bad address");
    root.ok("network connect two web");
    root.ok("stop -t 0 web");
    root.ok("start web");
    assert!(root.ok("exec web ip -4 addr").contains(&address(&root, "web", "two")));
    root.run("network connect two web").complains(1, "already exists in network two");
    root.run("network disconnect one web").complains(1, "is not connected to network one");
}

#[test]
fn a_new_name_stays_in_networks_that_are_joined_and_left() {
    let Some(root) = Root::new() else { return };
    root.ok("network create one");
    root.ok("network create two");
    standing(&root, "old", "--network one -p 127.0.0.1::80");
    standing(&root, "friend", "--network two");
    root.ok("rename old new");
    root.ok("network connect two new");
    root.ok("exec friend ping -c1 -W2 new");
    root.run("exec friend ping -c1 -W1 old").complains(1, "bad address");
    root.ok("network disconnect one new");
    root.ok("exec friend ping -c1 -W2 new");
}

#[test]
fn whatever_is_in_hosts_networks_are_joined_and_left() {
    let Some(root) = Root::new() else { return };
    root.ok("network create one");
    standing(&root, "web", "");
    let line = root.command("exec web sh -c").arg("echo -e '\\xff\\xfe' >> /etc/hosts").output();
    assert!(line.unwrap().status.success());
    root.ok("network connect one web");
    let own = address(&root, "web", "one");
    assert!(root.ok("exec web cat -v /etc/hosts").contains(&own));
    root.ok("network disconnect one web");
    let hosts = root.ok("exec web cat -v /etc/hosts");
    assert!(!hosts.contains(&own) && hosts.contains("M-^?M-~"), "{hosts}");
}

#[test]
fn networks_go_with_their_last_container() {
    let Some(root) = Root::new() else { return };
    let id = root.ok("network create one");
    let link = Path::new("/sys/class/net").join(format!("br-{}", &id[..12]));
    standing(&root, "in", "--network one");
    assert!(link.exists());
    root.run("network rm one").complains(1, "has active endpoints");
    root.ok("rm -f in");
    eventually("the bridge goes by itself, and our rules", || root.links_and_rules().is_empty());
    standing(&root, "in", "--network one");
    assert_eq!(root.links_and_rules().len(), 2, "and all comes back when it is needed");
    root.ok("rm -f in");
    root.ok("network rm one");
    assert_eq!(root.links_and_rules(), [""; 0], "at once when the network is removed");
    assert!(!link.exists());
}

#[test]
fn names_are_answered_and_others_are_asked_for() {
    let Some(root) = Root::new() else { return };
    root.ok("network create --subnet 10.213.5.0/24 named");
    let id = standing(&root, "web", "--network named --network-alias www");
    standing(&root, "asks", "--network named --dns 10.213.5.1");
    // Another resolver, at the host's address in this network.
    let outer = UdpSocket::bind("10.213.5.1:53").unwrap();
    outer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| answer_all(&outer, &done));
        let look = |name: &str| root.run(&format!("exec asks nslookup -type=a {name}")).out;
        let own = format!("Address: {}", address(&root, "web", "named"));
        for name in ["web", "www", "web.named", "WEB", &id[..12]] {
            let said = look(name);
            assert!(said.contains("127.0.0.11") && said.contains(&own), "{name}: {said}");
        }
        let said = look("somewhere.example");
        assert!(said.contains("Address: 192.0.2.77"), "{said}");
        assert!(look("nobody.example").contains("NXDOMAIN"), "what is not there is said so");
        done.store(true, Ordering::Relaxed);
    });
}

/// Answers every question about `somewhere.example` with one address, and knows no other name.
fn answer_all(socket: &UdpSocket, done: &AtomicBool) {
    let mut bytes = [0; 512];
    while !done.load(Ordering::Relaxed) {
        let Ok((count, from)) = socket.recv_from(&mut bytes) else { continue };
        let mut answer = bytes[..count].to_vec();
        let known = answer.windows(10).any(|part| part == b"\tsomewhere");
        answer[2..4].copy_from_slice(if known { &[0x81, 0x80] } else { &[0x81, 0x83] });
        answer[6..12].copy_from_slice(&[0, u8::from(known), 0, 0, 0, 0]);
        if known {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
        }
        let _ = socket.send_to(&answer, from);
    }
}

#[test]
fn networks_are_apart() {
    let Some(root) = Root::new() else { return };
    root.ok("network create left");
    root.ok("network create right");
    let there = standing(&root, "there", "--network left");
    standing(&root, "near", "--network left");
    standing(&root, "far", "--network right");
    let to = address(&root, "there", "left");
    root.ok(&format!("exec near ping -c1 -W2 {to}"));
    assert_ne!(root.run(&format!("exec far ping -c1 -W1 {to}")).code, 0);
    let listening = within(&namespace(&root, &there), || TcpListener::bind("0.0.0.0:80")).unwrap();
    root.ok(&format!("exec near nc -w 2 {to} 80 -e true"));
    assert_ne!(root.run(&format!("exec far nc -w 1 {to} 80 -e true")).code, 0);
    assert_ne!(root.run("exec far ping -c1 -W1 near").code, 0, "nor is its name known");
    drop(listening);
}

#[test]
fn a_published_port_of_udp_is_reached_and_comes_back_when_rules_were_flushed() {
    let Some(root) = Root::new() else { return };
    let id = standing(&root, "web", "-p 127.0.0.1::53/udp -p 127.0.0.1::80");
    let inside = namespace(&root, &id);
    let (udp, tcp) = within(&inside, || {
        (UdpSocket::bind("0.0.0.0:53").unwrap(), TcpListener::bind("0.0.0.0:80").unwrap())
    });
    let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [&udp, &outside] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    let mut bytes = [0; 8];
    outside.send_to(b"question", root.ok("port web 53/udp")).unwrap();
    let (count, from) = udp.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"question");
    udp.send_to(b"answer", from).unwrap();
    assert_eq!(outside.recv(&mut bytes).unwrap(), 6);

    let port = root.ok("port web 80/tcp");
    tcp.set_nonblocking(true).unwrap();
    let arrives = || {
        let _caller = TcpStream::connect_timeout(&port.parse().unwrap(), Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(20));
        tcp.accept().is_ok()
    };
    assert!(arrives());
    for table in root.tables() {
        let _ = Command::new("nft").args(["delete", "table", "inet", &table]).output();
    }
    assert!(!arrives(), "without rules nothing leads there");
    root.ok("run --rm bb true");
    assert!(arrives(), "whoever needs rules next puts all of them back");
}

/// What a caller hears at an address of this host.
fn heard(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).ok()?;
    Some(heard).filter(|heard| !heard.is_empty())
}

/// Answers each call inside a container with a word, as long as the container lives.
fn greeting(root: &Root, id: &str, word: &'static str) {
    let calls = within(&namespace(root, id), || TcpListener::bind("[::]:80")).unwrap();
    std::thread::spawn(move || {
        for mut caller in calls.incoming().flatten() {
            let _ = caller.write_all(word.as_bytes());
        }
    });
}

/// A packet of SCTP that begins a connection.
fn greeting_of_sctp(to: u16) -> Vec<u8> {
    // Who calls whom, a tag and a checksum that are filled in later or never, and the chunk INIT.
    let mut packet = [40_000_u16.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend([0; 8]);
    packet.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0x82F6_3B78 } else { sum >> 1 };
    let sum = packet.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step));
    packet[8..12].copy_from_slice(&(!sum).to_le_bytes());
    packet
}

#[test]
fn a_published_port_of_sctp_leads_to_the_container() {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};
    let Some(root) = Root::new() else { return };
    let port = testkit::free_port();
    let id = standing(&root, "box", &format!("--expose 7/sctp -p 127.0.0.1:{port}:5001/sctp"));
    assert_eq!(root.ok("port box"), format!("5001/sctp -> 127.0.0.1:{port}"));
    assert_eq!(root.ok("port box 5001/sctp"), format!("127.0.0.1:{port}"));
    let shown = root.ok("ps --format '{{.Ports}}'");
    assert_eq!(shown, format!("7/sctp, 127.0.0.1:{port}->5001/sctp"));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = || {
        let (family, kind) = (AddressFamily::INET, SocketType::RAW);
        rustix::net::socket_with(family, kind, flags, Some(ipproto::SCTP)).unwrap()
    };
    let (inside, outside) = (within(&namespace(&root, &id), socket), socket());
    eventually("a packet arrives", || {
        let to = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        let packet = greeting_of_sctp(port);
        rustix::net::sendto(&outside, &packet, SendFlags::empty(), &to).unwrap();
        let mut buffer = [0; 128];
        let came = rustix::net::recv(&inside, &mut buffer, RecvFlags::empty());
        // The header of IP is in front, 20 bytes without options.
        came.is_ok_and(|(bytes, _)| bytes >= 32 && buffer[22..24] == 5001_u16.to_be_bytes())
    });
}

#[test]
fn ports_are_published_over_both_families() {
    let Some(root) = Root::new() else { return };
    root.ok("network create --ipv6 six");
    // In the default network, which has no IPv6, and in one that has.
    let four = standing(&root, "four", "-p 80");
    let six = standing(&root, "six", "--network six -p 80");
    let (free, other) = (testkit::free_port(), testkit::free_port());
    let own = standing(&root, "own", &format!("-p [::1]:{free}:80 -p [::1]:{other}:53/udp"));
    for (id, word) in [(&four, "four"), (&six, "six"), (&own, "own")] {
        greeting(&root, id, word);
    }
    for name in ["four", "six"] {
        let lines = root.ok(&format!("port {name}"));
        let port = lines.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
        assert_eq!(lines, format!("80/tcp -> 0.0.0.0:{port}\n80/tcp -> [::]:{port}"));
        for address in ["127.0.0.1", "[::1]"] {
            assert_eq!(heard(&format!("{address}:{port}")).as_deref(), Some(name), "{address}");
        }
        let column = root.ok(&format!("ps --filter name={name} --format {{{{.Ports}}}}"));
        assert_eq!(column, format!("0.0.0.0:{port}->80/tcp, [::]:{port}->80/tcp"));
    }
    assert_eq!(heard(&format!("[::1]:{free}")).as_deref(), Some("own"));
    assert_eq!(heard(&format!("127.0.0.1:{free}")), None, "nowhere but there");
    let document: serde_json::Value = serde_json::from_str(&root.ok("inspect own")).unwrap();
    let binding = &document[0]["NetworkSettings"]["Ports"]["80/tcp"][0];
    assert_eq!(binding["HostIp"], "::1");
    assert_eq!(root.ok("port own 80"), format!("[::1]:{free}"));

    let udp = within(&namespace(&root, &own), || UdpSocket::bind("0.0.0.0:53")).unwrap();
    let outside = UdpSocket::bind("[::1]:0").unwrap();
    for socket in [&udp, &outside] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    let mut bytes = [0; 16];
    outside.send_to(b"question", ("::1", other)).unwrap();
    let (count, from) = udp.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"question");
    udp.send_to(b"answer", from).unwrap();
    assert_eq!(outside.recv(&mut bytes).unwrap(), 6);
    drop(udp);

    // What is carried follows the container from network to network, and ends with it.
    root.ok("network create two");
    root.ok("network connect two own");
    root.ok("network disconnect bridge own");
    assert_eq!(heard(&format!("[::1]:{free}")).as_deref(), Some("own"));
    root.ok("stop -t 0 own");
    assert_eq!(heard(&format!("[::1]:{free}")), None);
    root.ok(&format!("run --rm -p [::1]:{free}:80 bb true"));
}

#[test]
fn ipv6_networks_have_all_that_ipv4_networks_have() {
    let Some(root) = Root::new() else { return };
    root.ok("network create --ipv6 --subnet fd00:3:7::/64 --gateway fd00:3:7::9 left");
    root.ok("network create --ipv6 right");
    let id = standing(&root, "there", "--network left --ip6 fd00:3:7::50 --network-alias www");
    standing(&root, "near", "--network left");
    standing(&root, "far", "--network right");
    let shown = |what: &str, name: &str| {
        root.ok(&format!(
            "inspect -f {{{{range.NetworkSettings.Networks}}}}{{{{.{what}}}}}{{{{end}}}} {name}"
        ))
    };
    assert_eq!(shown("GlobalIPv6Address", "there"), "fd00:3:7::50");
    assert_eq!(shown("GlobalIPv6PrefixLen", "there"), "64");
    assert_eq!(shown("IPv6Gateway", "there"), "fd00:3:7::9");
    assert_eq!(shown("GlobalIPv6Address", "near"), "fd00:3:7::1");
    assert!(shown("GlobalIPv6Address", "far").starts_with("fd"), "of a pool of our own");
    let of = |what: &str, name: &str| root.ok(&format!("network inspect -f {{{{{what}}}}} {name}"));
    assert_eq!(of(".EnableIPv6", "left"), "true");
    assert_eq!(of("range.IPAM.Config}}x{{end", "right"), "xx", "a subnet of each family");
    assert!(root.ok("exec there ip -6 route").contains("default via fd00:3:7::9"));

    root.ok("exec near ping -c1 -W2 fd00:3:7::50");
    let said = root.ok("exec near nslookup -type=aaaa www");
    assert!(said.contains("Address: fd00:3:7::50"), "{said}");
    let said = root.ok("exec near nslookup -type=aaaa there.left");
    assert!(said.contains("Address: fd00:3:7::50"), "{said}");
    assert_ne!(root.run("exec far ping -c1 -W1 fd00:3:7::50").code, 0, "networks are apart");
    let listening = within(&namespace(&root, &id), || TcpListener::bind("[::]:80")).unwrap();
    root.ok("exec near nc -w 2 fd00:3:7::50 80 -e true");
    assert_ne!(root.run("exec far nc -w 1 fd00:3:7::50 80 -e true").code, 0);
    drop(listening);
    // Outside they have the host's address: what has none of ours cannot answer another.
    let outer = UdpSocket::bind("[::]:0").unwrap();
    outer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = outer.local_addr().unwrap().port();
    let inside = within(&namespace(&root, &id), || UdpSocket::bind("[::]:0")).unwrap();
    inside.send_to(b"hello", ("fd00:3:7::9", port)).unwrap();
    let (_, from) = outer.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from.ip().to_string(), "fd00:3:7::50", "the host itself is near");
}

#[test]
fn nobody_is_in_a_network_that_is_only_a_configuration() {
    let Some(root) = Root::new() else { return };
    root.ok("network create --config-only --subnet 10.212.9.0/24 shape");
    root.ok("network create --config-from shape made");
    let words = "cannot create endpoint on configuration-only network";
    root.run("run --rm --network shape bb true").complains(125, words);
    let own = root.ok("run --rm --network made bb ip -4 -o addr show eth0");
    assert!(own.contains("10.212.9.2/24"), "{own}");
    root.ok("create --name idle bb true");
    root.run("network connect shape idle").complains(1, words);
}

/// Whoever is told that a container has ended may have its places next.
#[test]
fn what_has_stopped_holds_no_network() {
    let Some(root) = Root::new() else { return };
    for end in ["stop -t 0 one", "kill one", "wait one"] {
        root.ok("network create short");
        let script = if end == "wait one" { "exit 3" } else { "exec sleep 600" };
        let mut run = root.command("run -d --name one --network short bb sh -c");
        assert!(run.arg(script).output().unwrap().status.success());
        root.ok(end);
        root.ok("network rm short");
        root.ok("rm one");
    }
}
