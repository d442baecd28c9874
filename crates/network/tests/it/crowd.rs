//! Many processes at once.

use std::collections::BTreeSet;
use std::process::Stdio;

use network::{Cable, NetNs};
use testkit::{Child, child};

use crate::host::{Host, open, request, state};
use crate::need_networks;

/// Several processes with several containers each.
const PROCESSES: usize = 5;
const EACH: usize = 10;

#[test]
fn fifty_join_and_leave_at_once() {
    need_networks!();
    if let Child::Role(role) = Child::this() {
        return join_and_leave(&role);
    }
    let host = Host::new();
    let before = state();
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let role = format!("{number}:{}", host.folder.path().display());
            let mut command = child("crowd::fifty_join_and_leave_at_once", &role);
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        for line in text.lines().filter_map(|line| line.strip_prefix("joined ")) {
            let (address, port) = line.split_once(' ').unwrap();
            addresses.insert(address.to_owned());
            ports.insert(port.to_owned());
        }
    }
    assert_eq!((addresses.len(), ports.len()), (PROCESSES * EACH, PROCESSES * EACH));
    // All left again; what they published is gone, and so is the rest once the bridge is.
    assert!(host.networks.reconcile(&|_| false).unwrap().is_empty());
    host.networks.shut_down().unwrap();
    assert_eq!(state(), before);
}

#[allow(clippy::print_stdout)] // The parent reads what each got.
fn join_and_leave(role: &str) {
    let (number, folder) = role.split_once(':').unwrap();
    let networks = open(folder.as_ref());
    let mut joined = Vec::new();
    for each in 0..EACH {
        let namespace = NetNs::create().unwrap();
        let mut request = request(&format!("c{number}-{each}"), "bridge");
        request.ports = spec::port_mappings("80").unwrap();
        let attached = networks.attach(&namespace, &request).unwrap();
        let port = attached.endpoint.ports[0].host_port;
        println!("\njoined {} {port}", attached.endpoint.ipv4.unwrap().0);
        joined.push((namespace, attached));
    }
    // Nobody leaves before all have joined, or addresses would be given twice, rightly.
    while networks.inspect("bridge").unwrap().1.len() < PROCESSES * EACH {
        let left = format!("{folder}/left");
        if std::path::Path::new(&left).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::fs::write(format!("{folder}/left"), "").unwrap();
    for (_, attached) in joined {
        networks.detach(&attached.endpoint, Cable::EndsWithNamespace).unwrap();
    }
}

#[test]
fn nothing_is_left_of_who_is_killed() {
    need_networks!();
    let name = "crowd::nothing_is_left_of_who_is_killed";
    if let Child::Role(folder) = Child::this() {
        let networks = open(folder.as_ref());
        for number in 0.. {
            let namespace = NetNs::create().unwrap();
            let mut request = request(&format!("c{number}"), "bridge");
            request.ports = spec::port_mappings("8000-9000:80").unwrap();
            networks.attach(&namespace, &request).unwrap();
        }
    }
    let host = Host::new();
    let before = state();
    for wait in [15, 30, 45, 60, 80, 100, 130, 160] {
        let mut command = child(name, host.folder.path().to_str().unwrap());
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        process.kill().unwrap();
        process.wait().unwrap();
        host.networks.reconcile(&|_| false).unwrap();
        host.networks.shut_down().unwrap();
        assert_eq!(state(), before, "killed after {wait} ms");
        let ports = host.folder.path().join("run/networks/ports");
        // Who was killed early had not even made the folder.
        assert_eq!(std::fs::read_dir(ports).map_or(0, Iterator::count), 0);
    }
    assert_eq!(host.container("next", "bridge").address().to_string(), "172.17.0.2");
}
