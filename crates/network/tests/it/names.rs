//! Questions that containers ask at 127.0.0.11.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use network::dns::{Server, ServerSettings, Upstream};
use network::{Cable, NetNs, NetworkRequest};

use crate::host::{Host, INTERNET};
use crate::need_networks;

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// A server at work until this is dropped.
struct Serving(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap();
    }
}

/// Does what a container's monitor does.
fn work(mut server: Server) -> Serving {
    let end = Arc::new(AtomicBool::new(false));
    let seen = end.clone();
    let thread = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            let flags = rustix::event::PollFlags::IN;
            let mut fds = [rustix::event::PollFd::from_borrowed_fd(server.as_fd(), flags)];
            let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            if rustix::event::poll(&mut fds, Some(&wait)).unwrap() > 0 {
                server.ready().unwrap();
            }
        }
    });
    Serving(end, Some(thread))
}

fn message(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Code and records of an answer to a question without more than that.
fn parse(reply: &[u8], question: usize) -> (u8, Vec<Vec<u8>>) {
    let mut records = Vec::new();
    let mut at = question;
    for _ in 0..reply[7] {
        let length = usize::from(reply[at + 11]);
        records.push(reply[at + 12..at + 12 + length].to_vec());
        at += 12 + length;
    }
    (reply[3] & 15, records)
}

fn ask(namespace: &NetNs, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let message = message(name, kind);
    namespace
        .within(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
            socket.send_to(&message, "127.0.0.11:53").unwrap();
            let mut buffer = [0; 2000];
            let bytes = socket.recv(&mut buffer).unwrap();
            parse(&buffer[..bytes], message.len())
        })
        .unwrap()
}

#[test]
fn a_container_may_have_a_name_server_of_its_own() {
    need_networks!();
    let host = Host::new();
    host.networks
        .create(NetworkRequest { name: "net".into(), ..NetworkRequest::default() })
        .unwrap();
    let web = host.container("web", "net");
    let namespace = web.namespace.try_clone().unwrap();
    let id = &web.attached.endpoint.container;
    let _serving =
        work(host.networks.serve_names(namespace, id, ServerSettings::default()).unwrap());
    let bound = web.namespace.within(|| {
        (UdpSocket::bind("0.0.0.0:53").unwrap(), std::net::TcpListener::bind("0.0.0.0:53").unwrap())
    });
    let bound = bound.unwrap();
    let own = web.attached.endpoint.ipv4.unwrap().0;
    assert_eq!(ask(&web.namespace, "web", A), (0, vec![own.octets().to_vec()]));
    assert_eq!(ask_by_tcp(&web.namespace, "web", A).0, 0);
    // What is asked at the container's own address is its own business.
    bound.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let outside = UdpSocket::bind("0.0.0.0:0").unwrap();
    outside.send_to(b"for you", (own, 53)).unwrap();
    assert_eq!(bound.0.recv(&mut [0; 10]).unwrap(), 7);
}

fn ask_by_tcp(namespace: &NetNs, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let message = message(name, kind);
    namespace
        .within(|| {
            let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
            let length = u16::try_from(message.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, message.as_slice()].concat()).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut reply).unwrap();
            parse(&reply, message.len())
        })
        .unwrap()
}

/// A server of the internet that knows one address for every name, over UDP and TCP.
fn authority(namespace: &NetNs, code: u8) {
    let sockets = namespace.within(|| {
        let udp = UdpSocket::bind((INTERNET, 53)).unwrap();
        (udp, std::net::TcpListener::bind((INTERNET, 53)).unwrap())
    });
    let (udp, tcp) = sockets.unwrap();
    let reply = move |message: &[u8]| {
        let mut reply = message.to_vec();
        (reply[2], reply[3], reply[7]) = (0x81, 0x80 | code, 1);
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        reply
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((bytes, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&reply(&buffer[..bytes]), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).unwrap();
            let reply = reply(&message);
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, reply.as_slice()].concat()).unwrap();
        }
    });
}

fn user_network(host: &Host, name: &str) {
    let request = NetworkRequest { name: name.into(), ipv6: true, ..Default::default() };
    host.networks.create(request).unwrap();
}

fn serve(host: &Host, one: &crate::host::Container, settings: ServerSettings) -> Serving {
    let namespace = one.namespace.within(|| NetNs::current().unwrap()).unwrap();
    let container = &one.attached.endpoint.container;
    work(host.networks.serve_names(namespace, container, settings).unwrap())
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[test]
fn containers_find_each_other() {
    need_networks!();
    let host = Host::new();
    user_network(&host, "net");
    user_network(&host, "far");
    let one = host.container("one", "net");
    let aliased = |request: &mut network::EndpointRequest| request.aliases = vec!["db".into()];
    let two = host.container_with("two", "net", aliased);
    let three = host.container_with("three", "net", aliased);
    let _far = host.container("stranger", "far");
    let _serving = serve(&host, &one, ServerSettings::default());
    let from = &one.namespace;
    let first = octets(two.address());
    for name in ["two", "TWO", "two.net", &two.attached.endpoint.container[..12]] {
        assert_eq!(ask(from, name, A), (0, vec![first.clone()]), "{name}");
    }
    assert_eq!(ask(from, "two", AAAA), (0, vec![octets(two.address6())]));
    assert_eq!(ask(from, "one", A).1, [octets(one.address())]);
    assert_eq!(ask(from, "two", 16), (0, vec![]), "there, but no text");
    // Two have one alias: both are told, each first in turn.
    let turns: Vec<_> = (0..2).map(|_| ask(from, "db", A).1).collect();
    assert_eq!(turns[0].len(), 2);
    assert_eq!(turns[0][0], turns[1][1]);
    let last = octets(two.address())[3];
    let (code, names) = ask(from, &format!("{last}.0.17.172.in-addr.arpa"), PTR);
    assert_eq!((code, names), (0, vec![b"\x03two\x03net\0".to_vec()]));
    // Nobody of another network; and nobody knows where else to ask.
    assert_eq!(ask(from, "stranger", A), (2, vec![]));
    // Who leaves is forgotten, who joins is known, at once.
    host.networks.detach(&three.attached.endpoint, Cable::EndsWithNamespace).unwrap();
    assert_eq!(ask(from, "db", A), (0, vec![first.clone()]));
    let four = host.container("four", "net");
    assert_eq!(ask(from, "four", A).1, [octets(four.address())]);
    host.networks.rename_container(&four.attached.endpoint.container, "five").unwrap();
    assert_eq!(ask(from, "five", A).1, [octets(four.address())]);
    assert_eq!(ask_by_tcp(from, "two", A), (0, vec![first]));
}

#[test]
fn other_names_are_asked_for_elsewhere() {
    need_networks!();
    let host = Host::new();
    user_network(&host, "net");
    let one = host.container("one", "net");
    authority(&host.internet, 0);
    let silent = UdpSocket::bind("127.0.0.10:53").unwrap();
    silent.set_nonblocking(true).unwrap();
    let nobody = Upstream::of_host("127.0.0.10".parse().unwrap());
    let refusing = Upstream::of_host("127.0.0.9".parse().unwrap());
    let known = Upstream::of_container(INTERNET.parse().unwrap());
    let address = vec![192, 0, 2, 1];
    {
        let upstreams = vec![refusing, known];
        let settings = ServerSettings { upstreams, ..ServerSettings::default() };
        let _serving = serve(&host, &one, settings);
        assert_eq!(ask(&one.namespace, "example.org", A), (0, vec![address.clone()]));
        assert_eq!(ask(&one.namespace, "word", A), (0, vec![address.clone()]));
        assert_eq!(ask_by_tcp(&one.namespace, "example.org", A), (0, vec![address.clone()]));
    }
    let settings = ServerSettings {
        upstreams: vec![nobody, known],
        single_words_stay: true,
        ..ServerSettings::default()
    };
    let _serving = serve(&host, &one, settings);
    // The first server is silent: after a while the second is asked.
    assert_eq!(ask(&one.namespace, "example.org", A), (0, vec![address.clone()]));
    assert!(silent.recv(&mut [0; 100]).is_ok());
    // From then on the second is asked first, and nobody waits for the silent one.
    assert_eq!(ask(&one.namespace, "example.net", A), (0, vec![address]));
    assert!(silent.recv(&mut [0; 100]).is_err());
    assert_eq!(ask(&one.namespace, "word", A), (3, vec![]));
}
