use super::*;
use std::io::Read;
use std::net::TcpListener;

/// A place with one port at `[::1]`, and where it is called.
fn place(id: &str, server: &TcpListener) -> (Attached, SocketAddr) {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let called = listener.local_addr().unwrap();
    let port = crate::PublishedPort {
        container: spec::ContainerPort {
            number: server.local_addr().unwrap().port(),
            protocol: Protocol::Tcp,
        },
        host_address: called.ip(),
        host_port: called.port(),
    };
    let endpoint = serde_json::json!({
        "id": id, "network": "n", "network_name": "n", "container": "c", "container_name": "c",
        "link": "eth0", "ipv4": ["127.0.0.1", 8], "created": "2026-01-01T00:00:00Z",
    });
    let attached = Attached {
        endpoint: serde_json::from_value(endpoint).unwrap(),
        reserved: vec![Reserved { port, socket: Arc::new(listener.into()) }],
        notices: Vec::new(),
    };
    (attached, called)
}

fn has_something_to_do(relay: &Relay) -> bool {
    let mut events = [rustix::event::PollFd::new(relay, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut events, Some(&now)).unwrap() > 0
}

#[test]
fn calls_end_with_the_port_that_they_came_by() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (place, called) = place("a", &server);
    let mut relay = Relay::new().unwrap();
    relay.follow(std::slice::from_ref(&place)).unwrap();
    let mut caller = TcpStream::connect(called).unwrap();
    while relay.calls.is_empty() {
        relay.ready().unwrap();
    }
    relay.follow(&[]).unwrap();
    assert!(relay.calls.is_empty());
    assert_eq!(caller.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn while_there_are_no_descriptors_nobody_is_woken_for_calls() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (first, called) = place("a", &server);
    let (second, called_too) = place("b", &server);
    let mut places = vec![first];
    let mut relay = Relay::new().unwrap();
    relay.follow(&places).unwrap();
    relay.rest = Some(Instant::now() + Duration::from_millis(1));
    relay.ready().unwrap();
    // A port that comes meanwhile rests too.
    places.push(second);
    relay.follow(&places).unwrap();
    let _callers = [TcpStream::connect(called).unwrap(), TcpStream::connect(called_too).unwrap()];
    assert!(!has_something_to_do(&relay));
    while relay.deadline().is_some() {
        relay.expire();
    }
    while relay.calls.len() < 2 {
        assert!(has_something_to_do(&relay) || !relay.calls.is_empty());
        relay.ready().unwrap();
    }
}
