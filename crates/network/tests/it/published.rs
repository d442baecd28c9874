//! Ports of the host that lead to containers.

use network::{Cable, FirewallKind, NetNs, NetworkRequest, Networks, Relay, Settings};

use crate::host::{HOST, HOST6, Host, INTERNET, call, echo, echoes, no_call, request};
use crate::need_networks;

#[test]
fn a_published_port_is_reached_from_everywhere() {
    need_networks!();
    reached_from_everywhere(&Host::new());
}

#[test]
fn the_same_where_a_host_has_only_iptables() {
    need_networks!();
    if !crate::host::has("iptables-restore") {
        return testkit::skip("needs the programs of iptables");
    }
    let mut host = Host::new();
    crate::host::run("iptables -P FORWARD DROP");
    let before = crate::host::run("iptables-save");
    let settings = Settings {
        firewall: FirewallKind::IpTables,
        table: "mica-test".into(),
        ..Default::default()
    };
    let folder = host.folder.path();
    host.networks = Networks::open(&folder.join("data"), &folder.join("run"), settings).unwrap();
    reached_from_everywhere(&host);
    assert_ne!(crate::host::run("iptables-save"), before);
    host.networks.reconcile(&|_| false).unwrap();
    host.networks.shut_down().unwrap();
    let left = crate::host::run("iptables-save");
    assert!(!left.contains("MICA"), "{left}");
}

fn reached_from_everywhere(host: &Host) {
    let web = host.publishing("web", "bridge", &["8080:80", "5353:53/udp"]);
    let other = host.container("other", "bridge");
    host.networks
        .create(NetworkRequest { name: "far".to_owned(), ..NetworkRequest::default() })
        .unwrap();
    let far = host.container("far", "far");
    web.serve(80);
    let here = NetNs::current().unwrap();
    // From outside, by the caller's own address.
    assert_eq!(call(&host.internet, HOST, 8080), Some(INTERNET.to_owned()));
    // From the host: by its address, its loopback, its bridge.
    assert!(call(&here, HOST, 8080).is_some());
    assert!(call(&here, "127.0.0.1", 8080).is_some());
    assert!(call(&here, "127.0.0.9", 8080).is_some());
    assert!(call(&here, "172.17.0.1", 8080).is_some());
    // From a neighbour, from itself, from another network: at the host's address.
    assert!(other.call(HOST, 8080).is_some());
    assert!(other.call("172.17.0.1", 8080).is_some());
    assert!(web.call(HOST, 8080).is_some());
    assert!(far.call(HOST, 8080).is_some());
    let echoing = echo(&web.namespace, 53);
    assert!(echoes(&host.internet, HOST, 5353));
    echoing.join().unwrap();
    let echoing = echo(&web.namespace, 53);
    assert!(echoes(&here, "127.0.0.1", 5353));
    echoing.join().unwrap();
    // No other port is open; the internet is.
    assert!(no_call(&host.internet, HOST, 80));
    crate::host::serve(&host.internet, 80);
    assert_eq!(far.call(INTERNET, 80), Some(HOST.to_owned()));
    assert!(no_call(&far.namespace, web.address(), 80), "{}", crate::host::run("iptables-save -c"));
}

#[test]
fn a_port_at_one_address_is_open_there_alone() {
    need_networks!();
    let host = Host::new();
    let web = host.publishing("web", "bridge", &["127.0.0.1:8080:80"]);
    web.serve(80);
    let here = NetNs::current().unwrap();
    assert!(call(&here, "127.0.0.1", 8080).is_some());
    assert!(no_call(&here, HOST, 8080));
    assert!(no_call(&host.internet, HOST, 8080));
    // Nor does a neighbour of the host get there by sending to 127.0.0.1 over the cable.
    host.internet
        .within(|| {
            crate::host::run(&format!("ip route add 127.0.0.0/9 via {HOST} table local"));
            crate::host::run("ip route del table local local 127.0.0.0/8");
            crate::host::run("ip route del table local local 127.0.0.1");
            std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
        })
        .unwrap();
    assert!(no_call(&host.internet, "127.0.0.1", 8080));
}

#[test]
fn containers_do_not_reach_what_listens_on_the_hosts_loopback() {
    need_networks!();
    let host = Host::new();
    let one = host.container("one", "bridge");
    let here = NetNs::current().unwrap();
    crate::host::serve(&here, 6000);
    assert!(call(&here, "127.0.0.1", 6000).is_some());
    one.namespace
        .within(|| {
            crate::host::run("ip route add 127.0.0.0/9 via 172.17.0.1 table local");
            crate::host::run("ip route del table local local 127.0.0.0/8");
            crate::host::run("ip route del table local local 127.0.0.1");
            std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
        })
        .unwrap();
    assert!(no_call(&one.namespace, "127.0.0.1", 6000));
}

#[test]
fn ipv6_ports_are_published_too() {
    need_networks!();
    let host = Host::new();
    host.networks
        .create(NetworkRequest { name: "six".into(), ipv6: true, ..NetworkRequest::default() })
        .unwrap();
    let web = host.publishing("web", "six", &["8080:80", "[2001:db8::1]:8081:80"]);
    assert_eq!(web.attached.endpoint.ports.len(), 3);
    let other = host.container("other", "six");
    web.serve(80);
    let here = NetNs::current().unwrap();
    assert!(call(&host.internet, HOST6, 8080).is_some());
    assert!(call(&host.internet, HOST6, 8081).is_some());
    assert!(call(&host.internet, HOST, 8080).is_some());
    assert!(call(&here, HOST6, 8080).is_some());
    // From ::1 only while somebody carries; else it is told at once, so that clients try 127.0.0.1.
    let refused = std::net::TcpStream::connect(("::1", 8080)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(call(&here, "127.0.0.1", 8080).is_some());
    assert!(other.call(HOST6, 8080).is_some());
    assert!(web.call(HOST6, 8080).is_some());
}

#[test]
fn a_port_is_free_again_when_its_container_has_left() {
    need_networks!();
    let host = Host::new();
    let web = host.publishing("web", "bridge", &["8080:80"]);
    let mut second = request("second", "bridge");
    second.ports = spec::port_mappings("8080:80").unwrap();
    let namespace = NetNs::create().unwrap();
    let error = host.networks.attach(&namespace, &second).unwrap_err();
    assert_eq!(error.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
    let before = crate::host::state();
    assert!(host.networks.attach(&namespace, &second).is_err());
    assert_eq!(crate::host::state(), before, "a refused attachment leaves nothing");
    // Another program cannot take it either.
    assert!(std::net::TcpListener::bind("0.0.0.0:8080").is_err());
    host.networks.detach(&web.attached.endpoint, Cable::EndsWithNamespace).unwrap();
    drop(web);
    let second = host.networks.attach(&namespace, &second).unwrap();
    assert_eq!(second.endpoint.ipv4.unwrap().0.to_string(), "172.17.0.2");
}

#[test]
fn ephemeral_ports_differ() {
    need_networks!();
    let host = Host::new();
    let one = host.publishing("one", "bridge", &["80", "81"]);
    let two = host.publishing("two", "bridge", &["80"]);
    // The same port of both families.
    let ports = |it: &crate::host::Container| -> Vec<u16> {
        let pairs = it.attached.endpoint.ports.chunks(2);
        pairs
            .map(|pair| (pair[0].host_port, pair[1].host_port))
            .map(|(four, six)| {
                assert_eq!(four, six);
                four
            })
            .collect()
    };
    let (first, second) = (ports(&one), ports(&two));
    assert!(first[0] >= 32768 && first[0] != first[1] && !first.contains(&second[0]));
    one.serve(81);
    assert!(call(&host.internet, HOST, first[1]).is_some());
}

/// Carries for a container until the test is over.
fn carry(places: &[network::Attached]) -> Relay {
    assert!(Relay::is_needed(places));
    let mut relay = Relay::new().unwrap();
    relay.follow(places).unwrap();
    relay
}

/// Does what the relay has to do while something else is done.
fn meanwhile<T: Send>(relay: &mut Relay, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        while !working.is_finished() {
            relay.ready().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        working.join().unwrap()
    })
}

#[test]
fn what_the_kernel_does_not_redirect_is_carried() {
    need_networks!();
    let host = Host::new();
    host.networks
        .create(NetworkRequest { name: "six".into(), ipv6: true, ..NetworkRequest::default() })
        .unwrap();
    let here = NetNs::current().unwrap();
    // A container without IPv6, at all addresses; one with it, at ::1.
    let four = host.publishing("four", "bridge", &["8080:80", "5353:53/udp"]);
    let six = host.publishing("six", "six", &["[::1]:8081:80"]);
    assert_eq!(four.attached.endpoint.ports.len(), 4);
    let places = [four.attached, six.attached];
    let mut relay = carry(&places);
    for place in [&four.namespace, &six.namespace] {
        crate::host::serve(place, 80);
    }
    let internet = &host.internet;
    for (from, address, port) in
        [(&here, "::1", 8080), (&here, HOST6, 8080), (internet, HOST6, 8080), (&here, "::1", 8081)]
    {
        let answer = meanwhile(&mut relay, || call(from, address, port));
        assert!(answer.is_some(), "{address} {port}");
    }
    for (from, address) in [(&here, "::1"), (internet, HOST6)] {
        let echoing = echo(&four.namespace, 53);
        assert!(meanwhile(&mut relay, || echoes(from, address, 5353)), "{address}");
        echoing.join().unwrap();
    }
    // Of several addresses, the one that was asked answers.
    crate::host::run("ip address add 2001:db8::5/64 dev outside nodad");
    for address in [HOST6, "2001:db8::5"] {
        let echoing = echo(&four.namespace, 53);
        assert!(meanwhile(&mut relay, || echoes(internet, address, 5353)), "{address}");
        echoing.join().unwrap();
    }
    assert!(relay.deadline().is_some(), "conversations in datagrams end by themselves");
    // Nobody is carried whose container has left.
    relay.follow(&[]).unwrap();
    assert!(meanwhile(&mut relay, || no_call(&here, "::1", 8080)));
    assert!(no_call(internet, HOST6, 8081), "nor was it ever reached but at ::1");
}
