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
