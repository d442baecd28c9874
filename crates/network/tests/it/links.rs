//! What becomes of links, routes and documents when a container joins or leaves, whatever was done
//! to them inside and wherever it fails.

use network::{Attached, Cable, ErrorKind, Families, NetworkError, NetworkRequest};

use crate::host::{Container, HOST, Host, call, request, run};
use crate::need_networks;

const NAME: &str = "com.docker.network.endpoint.ifname";
const SETTINGS: &str = "com.docker.network.endpoint.sysctls";

/// A host with two networks besides the default one.
fn host() -> Host {
    let host = Host::new();
    for name in ["one", "two"] {
        let request = NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() };
        host.networks.create(request).unwrap();
    }
    host
}

/// The container `web` joins a network with an option, if one is given.
fn join(
    host: &Host,
    web: &Container,
    network: &str,
    option: Option<(&str, &str)>,
) -> Result<Attached, NetworkError> {
    let mut request = request("web", network);
    request.options =
        option.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    host.networks.attach(&web.namespace, &request)
}

fn leave(host: &Host, web: &Container, attached: &Attached) {
    host.networks.detach(&attached.endpoint, Cable::RemoveIn(&web.namespace)).unwrap();
}

/// How many of the host's links are ends of containers' cables.
fn cables() -> usize {
    run("ip -o link").lines().filter(|line| line.contains(": veth")).count()
}

fn inside(web: &Container, line: &str) -> String {
    web.namespace.within(|| run(line)).unwrap()
}

#[test]
fn who_fails_to_join_leaves_everything_as_it_was() {
    need_networks!();
    let host = host();
    let web = host.container("web", "one");
    web.serve(80);
    let before = cables();
    for (name, kind) in [
        ("eth0", ErrorKind::Conflict),
        ("lo", ErrorKind::InvalidInput),
        ("eth%d", ErrorKind::InvalidInput),
    ] {
        let error = join(&host, &web, "two", Some((NAME, name))).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert_eq!(cables(), before, "{name}");
    }
    // This is found out when the link is there.
    let unknown = Some((SETTINGS, "net.ipv4.conf.IFNAME.none_such=1"));
    join(&host, &web, "two", unknown).unwrap_err();
    assert_eq!(cables(), before);
    let here = network::NetNs::current().unwrap();
    assert!(call(&here, web.address(), 80).is_some(), "its other network is still there");
    let second = join(&host, &web, "two", Some((NAME, "inner"))).unwrap();
    assert!(inside(&web, "ip -o link").contains("inner@"));
    leave(&host, &web, &second);
    assert_eq!(cables(), before);
}

#[test]
fn a_link_with_another_name_goes_too() {
    need_networks!();
    let host = host();
    let web = host.container("web", "one");
    let second = join(&host, &web, "two", None).unwrap();
    let before = cables();
    inside(&web, "ip link set eth1 down");
    inside(&web, "ip link set eth1 name mine");
    leave(&host, &web, &second);
    assert_eq!(cables(), before - 1);
    assert!(!inside(&web, "ip -o link").contains("mine"));
}

#[test]
fn a_route_that_cannot_be_set_keeps_nobody_in_a_network() {
    need_networks!();
    let host = host();
    let web = host.container("web", "one");
    join(&host, &web, "two", None).unwrap();
    inside(&web, "ip address flush dev eth1");
    leave(&host, &web, &web.attached);
    let again = join(&host, &web, "one", None).unwrap();
    assert_eq!(again.endpoint.network, web.attached.endpoint.network);
}

#[test]
fn ports_come_and_go_whatever_else_has_changed() {
    need_networks!();
    let host = host();
    let web = host.container("web", "one");
    web.serve(80);
    let id = web.attached.endpoint.container.clone();
    host.networks.rename_container(&id, "shop").unwrap();
    let ports = spec::port_mappings("8080:80").unwrap();
    let name = || host.networks.of_container(&id).unwrap()[0].container_name.clone();
    let published = host.networks.publish(&web.attached.endpoint, &ports, Families::Both).unwrap();
    assert_eq!(name(), "shop");
    assert!(call(&host.internet, HOST, 8080).is_some());
    host.networks.rename_container(&id, "store").unwrap();
    host.networks.unpublish(&published.endpoint).unwrap();
    drop(published);
    assert_eq!(name(), "store");
    // Without its link no port of it can be published.
    let rules = crate::host::has("nft").then(|| run("nft list ruleset"));
    run(&format!("ip link delete {}", web.attached.endpoint.host_link.clone().unwrap()));
    host.networks.publish(&web.attached.endpoint, &ports, Families::Both).unwrap_err();
    assert_eq!(host.networks.of_container(&id).unwrap()[0].ports, []);
    assert_eq!(crate::host::has("nft").then(|| run("nft list ruleset")), rules);
    let other = host.publishing("other", "two", &["8080:80"]);
    other.serve(80);
    assert!(call(&host.internet, HOST, 8080).is_some());
}
