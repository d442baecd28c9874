//! Networks as documents: made, found, filtered, refused.

use network::{AddressPool, Driver, ErrorKind, NetworkFilter, NetworkRequest};

use crate::host::Host;
use crate::need_networks;

fn with_subnet(name: &str, subnet: &str) -> NetworkRequest {
    let pool = AddressPool {
        subnet: subnet.parse().unwrap(),
        gateway: None,
        range: None,
        reserved: Default::default(),
    };
    NetworkRequest { name: name.to_owned(), pools: vec![pool], ..NetworkRequest::default() }
}

#[test]
fn three_are_there_by_nature() {
    need_networks!();
    let host = Host::new();
    let names: Vec<_> = host.networks.all().unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
    let (bridge, _) = host.networks.inspect("bridge").unwrap();
    assert_eq!(bridge.pools[0].gateway.unwrap().to_string(), "172.17.0.1");
    assert_eq!(host.networks.find(&bridge.id[..6]).unwrap(), bridge);
    let error = host.networks.remove("host").unwrap_err();
    assert_eq!(error.to_string(), "host is a pre-defined network and cannot be removed");
    let error = host.networks.create(with_subnet("none", "10.9.0.0/24")).unwrap_err();
    assert_eq!(error.to_string(), "operation is not permitted on predefined none network");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

#[test]
fn subnets_avoid_each_other_and_what_is_routed() {
    need_networks!();
    let host = Host::new();
    crate::host::run("ip route add 172.17.128.0/17 via 198.51.100.2");
    crate::host::run("ip route add 172.18.0.0/24 via 198.51.100.2");
    let subnet = |name: &str| {
        let request = NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() };
        host.networks.create(request).unwrap().pools[0].subnet.to_string()
    };
    assert_eq!(subnet("a"), "172.19.0.0/16");
    assert_eq!(subnet("b"), "172.20.0.0/16");
    let error = host.networks.create(with_subnet("c", "172.20.5.0/24")).unwrap_err();
    assert!(error.to_string().contains("Pool overlaps with other one on this address space"));
    let error = host.networks.create(with_subnet("a", "10.9.0.0/24")).unwrap_err();
    assert_eq!(error.to_string(), "network with name a already exists");
    assert_eq!(host.networks.find("nobody").unwrap_err().to_string(), "network nobody not found");
    for _ in 0..2 {
        // What was removed can be had again.
        host.networks.create(with_subnet("c", "10.9.0.0/24")).unwrap();
        host.networks.remove("c").unwrap();
    }
}

#[test]
fn filters_and_pruning() {
    need_networks!();
    let host = Host::new();
    let labels = [("stage".to_owned(), "test".to_owned())].into();
    let labelled = NetworkRequest { labels, ..with_subnet("labelled", "10.1.0.0/24") };
    host.networks.create(labelled).unwrap();
    host.networks.create(with_subnet("used", "10.2.0.0/24")).unwrap();
    let _one = host.container("one", "used");
    let names = |filter: NetworkFilter| -> Vec<String> {
        host.networks.list(&filter).unwrap().into_iter().map(|it| it.name).collect()
    };
    let label = |text: &str| NetworkFilter { labels: vec![text.into()], ..Default::default() };
    assert_eq!(names(label("stage")), ["labelled"]);
    assert_eq!(names(label("stage=test")), ["labelled"]);
    assert!(names(label("stage=other")).is_empty());
    let builtin = NetworkFilter { builtin: Some(false), ..Default::default() };
    assert_eq!(names(builtin), ["labelled", "used"]);
    let dangling = NetworkFilter { dangling: Some(true), ..Default::default() };
    assert_eq!(names(dangling), ["labelled"]);
    let drivers = NetworkFilter { drivers: vec!["null".into()], ..Default::default() };
    assert_eq!(names(drivers), ["none"]);
    let pruned = host.networks.prune(&NetworkFilter::default(), &|_| false).unwrap();
    assert_eq!(pruned.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["labelled"]);
}

#[test]
fn mistakes_are_told() {
    need_networks!();
    let host = Host::new();
    let error = |request| host.networks.create(request).unwrap_err().to_string();
    let mut outside = with_subnet("x", "10.1.0.0/24");
    outside.pools[0].gateway = Some("10.2.0.1".parse().unwrap());
    assert_eq!(error(outside), "no matching subnet for gateway 10.2.0.1");
    assert!(error(with_subnet("a b", "10.1.0.0/24")).contains("are allowed"));
    let mut mode = with_subnet("x", "10.1.0.0/24");
    mode.driver = Driver::Macvlan;
    mode.options.insert("macvlan_mode".into(), "odd".into());
    assert_eq!(error(mode), "requested macvlan mode 'odd' is not valid");
    let mut two = with_subnet("two", "10.3.0.0/24");
    two.pools.extend(with_subnet("two", "10.4.0.0/24").pools);
    assert_eq!(error(two.clone()), "bridge driver doesn't support multiple subnets");
    two.pools[1].subnet = "fd00:1::/64".parse().unwrap();
    host.networks.create(two).unwrap();
    let mut long = with_subnet("x", "10.1.0.0/24");
    long.options.insert("com.docker.network.bridge.name".into(), "a-name-that-is-too-long".into());
    assert!(error(long).starts_with("invalid name of a link"));
    let unknown = "weave".parse::<Driver>().unwrap_err().to_string();
    assert!(unknown.contains("plugin not found"));
}

#[test]
fn a_parent_must_be_there_or_be_one_that_can_be_made() {
    need_networks!();
    let host = Host::new();
    let refused = |driver: Driver, parent: &str, words: &str| {
        let mut request = with_subnet("x", "10.1.0.0/24");
        request.driver = driver;
        request.options.insert("parent".into(), parent.into());
        assert_eq!(host.networks.create(request).unwrap_err().to_string(), words);
    };
    for driver in [Driver::Macvlan, Driver::Ipvlan] {
        let words = format!("loopback interface is not a valid {driver} parent link");
        refused(driver, "lo", &words);
        let words = "invalid subinterface vlan name nope, example formatting is eth0.10";
        refused(driver, "nope", words);
        let words = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, \
                     instead received a.b.1";
        refused(driver, "a.b.1", words);
        let words = "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)";
        refused(driver, "outside.x", words);
        refused(driver, "outside.5000", "vlan id must be between 1-4094, received: 5000");
    }
    let words = "-o parent interface does was not found on the host: nope";
    refused(Driver::Macvlan, "nope.10", words);
    refused(Driver::Ipvlan, "nope.10", "-o parent interface was not found on the host: nope");
    let mut good = with_subnet("x", "10.1.0.0/24");
    good.driver = Driver::Macvlan;
    good.options.insert("parent".into(), "outside.10".into());
    host.networks.create(good).unwrap();
}

#[test]
fn the_default_network_has_the_addresses_that_were_set() {
    need_networks!();
    let host = Host::new();
    let pools = with_subnet("", "10.77.0.0/24").pools;
    let settings = network::Settings { bridge_pools: pools, ..Default::default() };
    let folder = host.folder.path();
    let networks =
        network::Networks::open(&folder.join("data"), &folder.join("run"), settings).unwrap();
    let (bridge, _) = networks.inspect("bridge").unwrap();
    assert_eq!(bridge.pools[0].gateway.unwrap().to_string(), "10.77.0.1");
    assert_eq!(host.networks.inspect("bridge").unwrap().0, bridge, "from now on for everybody");
}
