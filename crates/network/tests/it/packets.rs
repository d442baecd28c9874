//! Who reaches whom.

use network::{AddressPool, NetworkRequest};

use crate::host::{HOST, Host, INTERNET, INTERNET6, call, echo, echoes, no_call, serve};
use crate::need_networks;

fn named(name: &str) -> NetworkRequest {
    NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() }
}

#[test]
fn neighbours_reach_each_other_and_the_internet() {
    need_networks!();
    let host = Host::new();
    let (one, two) = (host.container("one", "bridge"), host.container("two", "bridge"));
    assert_eq!(one.address().to_string(), "172.17.0.2");
    assert_eq!(one.attached.endpoint.mac.unwrap().to_string(), "02:42:ac:11:00:02");
    two.serve(80);
    assert_eq!(one.call(two.address(), 80), Some(one.address().to_string()));
    let echoing = echo(&two.namespace, 53);
    assert!(echoes(&one.namespace, two.address(), 53));
    echoing.join().unwrap();
    // The internet knows no way to 172.17.0.0/16: it has to see the host's address.
    serve(&host.internet, 80);
    assert_eq!(one.call(INTERNET, 80), Some(HOST.to_owned()));
    let echoing = echo(&host.internet, 53);
    assert!(echoes(&one.namespace, INTERNET, 53));
    echoing.join().unwrap();
    // The host reaches its containers.
    assert!(call(&network::NetNs::current().unwrap(), two.address(), 80).is_some());
}

#[test]
fn networks_are_apart() {
    need_networks!();
    let host = Host::new();
    host.networks.create(named("red")).unwrap();
    host.networks.create(named("blue")).unwrap();
    let (red, blue) = (host.container("one", "red"), host.container("two", "blue"));
    blue.serve(80);
    assert!(no_call(&red.namespace, blue.address(), 80));
    // From outside nobody comes in but to published ports.
    host.internet.within(|| crate::host::run(&format!("ip route add default via {HOST}"))).unwrap();
    assert!(no_call(&host.internet, blue.address(), 80));
    // Of both, one reaches both.
    let request = crate::host::request("one", "blue");
    let second = host.networks.attach(&red.namespace, &request).unwrap();
    assert_eq!(second.endpoint.link, "eth1");
    assert_eq!(red.call(blue.address(), 80), Some(second.endpoint.ipv4.unwrap().0.to_string()),);
    serve(&host.internet, 81);
    assert!(red.call(INTERNET, 81).is_some());
    // Without the first, the second leads out.
    let cable = network::Cable::RemoveIn(&red.namespace);
    host.networks.detach(&red.attached.endpoint, cable).unwrap();
    assert!(red.call(INTERNET, 81).is_some());
    assert!(red.call(blue.address(), 80).is_some());
}

#[test]
fn internal_networks_lead_nowhere() {
    need_networks!();
    let host = Host::new();
    host.networks.create(NetworkRequest { internal: true, ..named("inner") }).unwrap();
    let one = host.container("one", "inner");
    let two = host.publishing("two", "inner", &["8080:80"]);
    assert!(two.attached.endpoint.ports.is_empty());
    let words = "Published ports are discarded when using inner network mode";
    assert_eq!(two.attached.notices.last().unwrap().to_string(), words);
    two.serve(80);
    serve(&host.internet, 80);
    assert!(no_call(&host.internet, HOST, 8080));
    assert!(one.call(two.address(), 80).is_some());
    assert!(no_call(&one.namespace, INTERNET, 80));
    // Not even if the container makes itself a way out.
    let gateway = host.networks.inspect("inner").unwrap().0.pools[0].gateway.unwrap();
    one.namespace
        .within(|| crate::host::run(&format!("ip route add default via {gateway}")))
        .unwrap();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    assert!(no_call(&one.namespace, INTERNET, 80));
}

#[test]
fn containers_that_may_not_talk_do_not() {
    need_networks!();
    let host = Host::new();
    let icc = "com.docker.network.bridge.enable_icc".to_owned();
    let options = [(icc, "false".to_owned())].into();
    host.networks.create(NetworkRequest { options, ..named("silent") }).unwrap();
    let (one, two) = (host.container("one", "silent"), host.container("two", "silent"));
    two.serve(80);
    serve(&host.internet, 80);
    // Frames within a bridge pass the filter only where the kernel is told so.
    std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").unwrap();
    assert!(no_call(&one.namespace, two.address(), 80));
    assert!(one.call(INTERNET, 80).is_some());
}

#[test]
fn ipv6_has_all_that_ipv4_has() {
    need_networks!();
    let host = Host::new();
    host.networks.create(NetworkRequest { ipv6: true, ..named("six") }).unwrap();
    let (one, two) = (host.container("one", "six"), host.container("two", "six"));
    two.serve(80);
    assert_eq!(one.call(two.address6(), 80), Some(one.address6().to_string()));
    serve(&host.internet, 80);
    assert_eq!(one.call(INTERNET6, 80), Some(crate::host::HOST6.to_owned()));
    assert!(one.call(INTERNET, 80).is_some());
    let only = NetworkRequest { ipv4: false, ipv6: true, ..named("only") };
    host.networks.create(only).unwrap();
    let third = host.container("three", "only");
    assert!(third.attached.endpoint.ipv4.is_none());
    assert!(third.call(INTERNET6, 80).is_some());
}

#[test]
fn fixed_addresses_are_given_once() {
    need_networks!();
    let host = Host::new();
    let pool = AddressPool {
        subnet: "10.20.0.0/24".parse().unwrap(),
        gateway: Some("10.20.0.254".parse().unwrap()),
        range: Some("10.20.0.128/25".parse().unwrap()),
        reserved: [("printer".to_owned(), "10.20.0.129".parse().unwrap())].into(),
    };
    host.networks.create(NetworkRequest { pools: vec![pool], ..named("fixed") }).unwrap();
    let mac: network::Mac = "02:00:00:00:00:07".parse().unwrap();
    let one = host.container_with("one", "fixed", |request| {
        request.ipv4 = Some("10.20.0.7".parse().unwrap());
        request.mac = Some(mac);
        request.link_local = vec!["169.254.7.7".parse().unwrap()];
        let settings = "com.docker.network.endpoint.sysctls".to_owned();
        let value = "net.ipv4.conf.IFNAME.log_martians=1".to_owned();
        request.options.insert(settings, value);
    });
    let setting = "/proc/sys/net/ipv4/conf/eth0/log_martians";
    let seen = one.namespace.within(|| std::fs::read_to_string(setting).unwrap()).unwrap();
    assert_eq!(seen, "1\n");
    let addresses = one.namespace.within(|| crate::host::run("ip address")).unwrap();
    assert!(addresses.contains("169.254.7.7/16"), "{addresses}");
    assert_eq!(one.address().to_string(), "10.20.0.7");
    assert!(
        one.namespace.within(|| crate::host::run("ip link")).unwrap().contains(&mac.to_string())
    );
    let two = host.container("two", "fixed");
    assert_eq!(two.address().to_string(), "10.20.0.128");
    assert_eq!(host.container("three", "fixed").address().to_string(), "10.20.0.130");
    one.serve(80);
    assert!(two.call(one.address(), 80).is_some());
    let mut request = crate::host::request("four", "fixed");
    request.ipv4 = Some("10.20.0.7".parse().unwrap());
    let namespace = network::NetNs::create().unwrap();
    let error = host.networks.attach(&namespace, &request).unwrap_err();
    assert_eq!(error.to_string(), "Address already in use");
    for edge in ["10.20.0.0", "10.20.0.255"] {
        request.ipv4 = Some(edge.parse().unwrap());
        let error = host.networks.attach(&namespace, &request).unwrap_err();
        assert_eq!(error.to_string(), "Address already in use", "{edge} is no host's");
    }
    request.ipv4 = Some("10.21.0.7".parse().unwrap());
    let error = host.networks.attach(&namespace, &request).unwrap_err();
    assert!(error.to_string().starts_with("no configured subnet or ip-range contain the IP"));
    request.network = "bridge".to_owned();
    let error = host.networks.attach(&namespace, &request).unwrap_err();
    let words = "user specified IP address is supported on user defined networks only";
    assert_eq!(error.to_string(), words);
}

#[test]
fn macvlan_stands_on_a_link_of_the_host() {
    need_networks!();
    let host = Host::new();
    let parent = ("parent".to_owned(), "outside".to_owned());
    let pool = AddressPool {
        subnet: "198.51.100.0/24".parse().unwrap(),
        gateway: Some(INTERNET.parse().unwrap()),
        range: Some("198.51.100.64/28".parse().unwrap()),
        reserved: Default::default(),
    };
    let request = NetworkRequest {
        driver: network::Driver::Macvlan,
        pools: vec![pool],
        options: [parent].into(),
        ..named("lan")
    };
    host.networks.create(request).unwrap();
    let one = host.container("one", "lan");
    assert_eq!(one.address().to_string(), "198.51.100.64");
    serve(&host.internet, 80);
    assert_eq!(one.call(INTERNET, 80), Some(one.address().to_string()));
    let links = || one.namespace.within(|| crate::host::run("ip -o link")).unwrap();
    assert!(links().contains("eth0"));
    let cable = network::Cable::RemoveIn(&one.namespace);
    host.networks.detach(&one.attached.endpoint, cable).unwrap();
    assert!(!links().contains("eth0"));
    host.networks.remove("lan").unwrap();
}

#[test]
fn a_link_that_was_made_to_stand_on_goes_with_the_last_who_stands_there() {
    need_networks!();
    let host = Host::new();
    let create = |name: &str, parent: Option<&str>| {
        let options = parent.map(|parent| ("parent".to_owned(), parent.to_owned()));
        let (driver, options) = (network::Driver::Macvlan, options.into_iter().collect());
        host.networks.create(NetworkRequest { driver, options, ..named(name) }).unwrap().id
    };
    let links = || crate::host::run("ip -o link");
    let join = |container: &str, network: &str| {
        let namespace = network::NetNs::create().unwrap();
        let request = crate::host::request(container, network);
        host.networks.attach(&namespace, &request).map(|attached| (namespace, attached))
    };
    let leave = |(namespace, attached): (network::NetNs, network::Attached)| {
        let cable = network::Cable::RemoveIn(&namespace);
        host.networks.detach(&attached.endpoint, cable).unwrap();
    };
    let id = create("alone", None);
    let Some(one) = made(join("one", "alone")) else {
        return testkit::skip("this kernel has no links that lead nowhere");
    };
    assert!(links().contains(&format!("dm-{}", &id[..12])));
    leave(one);
    host.networks.shut_down().unwrap();
    assert!(!links().contains("dm-"));
    for name in ["red", "blue"] {
        create(name, Some("outside.50"));
    }
    let Some(one) = made(join("one", "red")) else {
        return testkit::skip("this kernel has no links for tagged frames");
    };
    let two = join("two", "blue").unwrap();
    leave(one);
    host.networks.remove("red").unwrap();
    assert!(links().contains("outside.50@"), "somebody else stands there");
    leave(two);
    host.networks.remove("blue").unwrap();
    assert!(!links().contains("outside.50@"));
    // What the user made stays.
    crate::host::run("ip link add link outside name outside.51 type vlan id 51");
    create("theirs", Some("outside.51"));
    leave(join("one", "theirs").unwrap());
    host.networks.remove("theirs").unwrap();
    assert!(links().contains("outside.51@"));
}

/// What was made, or nothing where the kernel does not know what it was asked for.
#[track_caller]
fn made<T>(result: network::Result<T>) -> Option<T> {
    match result {
        Err(error) if error.kind() == network::ErrorKind::Unsupported => None,
        other => Some(other.unwrap()),
    }
}

#[test]
fn what_the_kernel_lacks_is_named() {
    need_networks!();
    let host = Host::new();
    let parent = ("parent".to_owned(), "outside".to_owned());
    for (name, driver, options) in [
        ("ip", network::Driver::Ipvlan, [parent].into()),
        // Without a parent the network stands on a link to nowhere.
        ("mac", network::Driver::Macvlan, Default::default()),
    ] {
        host.networks.create(NetworkRequest { driver, options, ..named(name) }).unwrap();
        let namespace = network::NetNs::create().unwrap();
        match host.networks.attach(&namespace, &crate::host::request("one", name)) {
            Ok(attached) => {
                assert!(attached.endpoint.ipv4.is_some());
                let leads_out = attached.endpoint.gateway4.is_some();
                assert_eq!(leads_out, name == "ip", "a link to nowhere leads nowhere");
                let cable = network::Cable::RemoveIn(&namespace);
                host.networks.detach(&attached.endpoint, cable).unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), network::ErrorKind::Unsupported, "{error:?}");
                assert!(error.hint().unwrap().contains("modprobe"), "{error:?}");
            }
        }
        host.networks.remove(name).unwrap();
    }
}
