//! Containers in several networks: by which of them they leave, and where their ports are published.

use std::fs::File;
use std::net::{TcpListener, TcpStream};

use super::support::{Root, eventually};

#[track_caller]
fn shown(root: &Root, name: &str, network: &str, what: &str) -> String {
    root.ok(&format!("inspect -f '{{{{.NetworkSettings.Networks.{network}.{what}}}}}' {name}"))
}

/// Fails unless a container's only way out is the gateway of this network.
#[track_caller]
fn leaves_by(root: &Root, name: &str, network: &str) {
    let routes = root.ok(&format!("exec {name} ip route"));
    let ways = routes.lines().filter_map(|line| line.strip_prefix("default via "));
    let ways: Vec<_> = ways.filter_map(|way| way.split(' ').next()).collect();
    assert_eq!(ways, [shown(root, name, network, "Gateway")], "{routes}");
}

/// Fails unless the container's port 80 leads to its address in this network.
#[track_caller]
fn publishes_in(root: &Root, name: &str, id: &str, network: &str) {
    let pid = root.state(id)["process"]["pid"].as_u64().unwrap();
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let address = format!("{}:80", shown(root, name, network, "IPAddress"));
    let bound = sys::netns::within(&namespace, || TcpListener::bind(address)).unwrap().unwrap();
    bound.set_nonblocking(true).unwrap();
    let port = root.ok(&format!("port {name} 80"));
    let _held = TcpStream::connect(port.as_str()).unwrap();
    eventually("the call arrives there", || bound.accept().is_ok());
}

#[test]
fn the_network_with_the_highest_priority_leads_out() {
    let Some(root) = Root::new() else { return };
    for name in ["aaa", "mid", "high", "low"] {
        root.ok(&format!("network create {name}"));
    }
    root.ok("network create --internal inner");
    let networks = "--network name=mid,gw-priority=-5 --network low --network inner";
    let line = format!("run -d --name web -p 127.0.0.1::80 {networks} bb sleep 600");
    let id = root.ok(&line);
    leaves_by(&root, "web", "low");
    publishes_in(&root, "web", &id, "low");
    root.ok("network connect --gw-priority 9 high web");
    leaves_by(&root, "web", "high");
    publishes_in(&root, "web", &id, "high");
    root.ok("network connect --gw-priority 5 aaa web");
    leaves_by(&root, "web", "high");
    root.ok("restart -t 0 web");
    leaves_by(&root, "web", "high");
    publishes_in(&root, "web", &id, "high");
    root.ok("network disconnect high web");
    leaves_by(&root, "web", "aaa");
    publishes_in(&root, "web", &id, "aaa");
    root.ok("network disconnect aaa web");
    leaves_by(&root, "web", "low");
}

#[test]
fn of_equals_the_network_whose_name_comes_first_leads_out() {
    let Some(root) = Root::new() else { return };
    root.ok("network create aaa");
    root.ok("network create mid");
    root.ok("run -d --name web --network mid bb sleep 600");
    leaves_by(&root, "web", "mid");
    root.ok("network connect aaa web");
    leaves_by(&root, "web", "aaa");
    root.ok("network disconnect aaa web");
    leaves_by(&root, "web", "mid");
}

#[test]
fn ports_of_each_family_lead_to_the_network_that_has_it() {
    let Some(root) = Root::new() else { return };
    root.ok("network create four");
    root.ok("network create --ipv4=false --ipv6 six");
    let port = testkit::free_port();
    let line = format!("run -d --name web -p {port}:80 --network four --network six bb sleep 600");
    let id = root.ok(&line);
    let pid = root.state(&id)["process"]["pid"].as_u64().unwrap();
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let arrives = |called: &str, address: String| {
        let bound = sys::netns::within(&namespace, || TcpListener::bind(&address));
        let bound = bound.unwrap().unwrap();
        bound.set_nonblocking(true).unwrap();
        let _held = TcpStream::connect(format!("{called}:{port}")).unwrap();
        eventually("the call arrives there", || bound.accept().is_ok());
    };
    let four = || format!("{}:80", shown(&root, "web", "four", "IPAddress"));
    let six = || format!("[{}]:80", shown(&root, "web", "six", "GlobalIPv6Address"));
    arrives("127.0.0.1", four());
    arrives("[::1]", six());
    root.ok("network disconnect six web");
    arrives("127.0.0.1", four());
    arrives("[::1]", four());
    root.ok("network connect six web");
    arrives("127.0.0.1", four());
    arrives("[::1]", six());
    root.ok("network disconnect four web");
    arrives("[::1]", six());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody has IPv4");
    assert_eq!(root.ok("port web"), format!("80/tcp -> [::]:{port}"));
}
