//! Which of its networks a container leaves by.

use network::{Cable, NetworkRequest};

use crate::host::{Container, Host, INTERNET, request, run, serve};
use crate::need_networks;

fn create(host: &Host, name: &str, more: impl FnOnce(&mut NetworkRequest)) {
    let mut request = NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() };
    more(&mut request);
    host.networks.create(request).unwrap();
}

/// The links of all default routes, of IPv4 and then of IPv6.
fn ways_out(one: &Container) -> String {
    let shown = |family: &str| one.namespace.within(|| run(&format!("ip {family} route"))).unwrap();
    let both = shown("-4") + &shown("-6");
    let defaults = both.lines().filter(|line| line.starts_with("default"));
    let links = defaults.filter_map(|line| line.split(" dev ").nth(1)?.split(' ').next());
    links.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn join(host: &Host, one: &Container, network: &str, priority: i32) -> network::Attached {
    let mut request = request("one", network);
    request.gateway_priority = priority;
    host.networks.attach(&one.namespace, &request).unwrap()
}

#[test]
fn one_network_leads_out_and_another_when_it_is_left() {
    need_networks!();
    let host = Host::new();
    for name in ["a", "m", "x", "y"] {
        create(&host, name, |_| {});
    }
    create(&host, "inner", |request| request.internal = true);
    serve(&host.internet, 80);
    let one = host.container("one", "m");
    assert_eq!(ways_out(&one), "eth0");
    let leave = |attached: &network::Attached| {
        host.networks.detach(&attached.endpoint, Cable::RemoveIn(&one.namespace)).unwrap();
    };
    join(&host, &one, "inner", 99);
    assert_eq!(ways_out(&one), "eth0", "an internal network leads nowhere");
    let high = join(&host, &one, "x", 9);
    assert_eq!(ways_out(&one), "eth2");
    join(&host, &one, "y", 5);
    assert_eq!(ways_out(&one), "eth2", "the highest, whoever came last");
    assert!(one.call(INTERNET, 80).is_some());
    leave(&high);
    assert_eq!(ways_out(&one), "eth3", "the next takes its place");
    assert!(one.call(INTERNET, 80).is_some());

    let two = host.container_with("two", "m", |request| request.gateway_priority = -5);
    let mut asked = request("two", "x");
    let second = host.networks.attach(&two.namespace, &asked).unwrap();
    assert_eq!(ways_out(&two), "eth1", "0 is more than -5");
    asked.network = "a".to_owned();
    let third = host.networks.attach(&two.namespace, &asked).unwrap();
    assert_eq!(ways_out(&two), "eth2", "of equals the one whose name comes first");
    for attached in [second, third] {
        host.networks.detach(&attached.endpoint, Cable::RemoveIn(&two.namespace)).unwrap();
    }
    assert_eq!(ways_out(&two), "eth0");
}

#[test]
fn each_family_has_one_way_out() {
    need_networks!();
    let host = Host::new();
    create(&host, "both", |request| request.ipv6 = true);
    create(&host, "a", |_| {});
    create(&host, "six", |request| (request.ipv4, request.ipv6) = (false, true));
    let one = host.container("one", "a");
    assert_eq!(ways_out(&one), "eth0");
    let both = join(&host, &one, "both", 0);
    assert_eq!(ways_out(&one), "eth1 eth1", "of equals the one that leads out in both families");
    let six = join(&host, &one, "six", 1);
    assert_eq!(ways_out(&one), "eth1 eth2");
    let leave = |attached: &network::Attached| {
        host.networks.detach(&attached.endpoint, Cable::RemoveIn(&one.namespace)).unwrap();
    };
    leave(&six);
    assert_eq!(ways_out(&one), "eth1 eth1");
    leave(&both);
    assert_eq!(ways_out(&one), "eth0");
}
