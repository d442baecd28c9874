//! `mica network`: definitions, tables, who stands where.

use serde_json::json;

use crate::support::{Mica, short};

#[test]
fn networks_are_defined_shown_and_removed() {
    let mica = Mica::new();
    let id = mica.ok(
        "network create --subnet 10.211.7.0/24 --gateway 10.211.7.9 --ip-range 10.211.7.128/25 \
         --aux-address printer=10.211.7.5 --internal --label tier=back back",
    );
    let shown = &mica.json("network inspect back")[0];
    assert_eq!(shown["Id"], json!(id));
    assert_eq!(
        shown["IPAM"]["Config"],
        json!([{
            "Subnet": "10.211.7.0/24", "IPRange": "10.211.7.128/25", "Gateway": "10.211.7.9",
            "AuxiliaryAddresses": { "printer": "10.211.7.5" },
        }])
    );
    assert_eq!((&shown["Internal"], &shown["Labels"]), (&json!(true), &json!({ "tier": "back" })));
    let names = |line: &str| {
        mica.ok(&format!("network ls {line} --format '{{{{.Name}}}}'")).replace('\n', " ")
    };
    assert_eq!(names(""), "back bridge host none");
    assert_eq!(names("-f type=custom"), "back");
    assert_eq!(names("-f driver=host"), "host");
    assert_eq!(names("-f label=tier=back"), "back");
    assert_eq!(mica.ok("network ls -q -f name=back"), short(&id));
    let raw = format!("network_id: {}\n", short(&id));
    mica.run("network ls -q -f name=back --format raw").prints(&raw);
    mica.run("network ls -f name=back --format raw")
        .prints(&format!("{raw}name: back\ndriver: bridge\nscope: local\n\n"));
    assert_eq!(mica.ok("network inspect -f '{{.ID}} {{.Id}}' back"), format!("{id} {id}"));
    mica.ok("volume create vol");
    mica.run("volume ls --format raw").prints("name: vol\ndriver: local\n\n");
    mica.run("volume ls -q --format raw").prints("name: vol\n");
    mica.run("network create back")
        .fails(1, "Error response from daemon: network with name back already exists\n");
    mica.run("network create --subnet 10.211.7.0/25 other")
        .complains(1, "Pool overlaps with other one");
    mica.run("network create --gateway 10.0.0.1 other")
        .fails(1, "every ip-range or gateway must have a corresponding subnet\n");
    mica.run("network create --aux-address a=10.0.0.9 other")
        .fails(1, "no matching subnet for aux-address 10.0.0.9\n");
    for (flags, wrong) in [
        ("--subnet 10.95.0.7/24", "subnet 10.95.0.7/24: it should be 10.95.0.0/24"),
        (
            "--subnet 10.95.0.0/24 --ip-range 10.95.0.130/25",
            "ip-range 10.95.0.130/25: it should be 10.95.0.128/25",
        ),
    ] {
        let words =
            format!("Error response from daemon: invalid network config:\ninvalid {wrong}\n");
        mica.run(&format!("network create {flags} other")).fails(1, &words);
    }
    mica.run("network create --subnet 10.91.0.0/24 --subnet 10.92.0.0/24 other")
        .fails(1, "Error response from daemon: bridge driver doesn't support multiple subnets\n");
    mica.ok("network create --ipam-opt a=b --ipam-opt c other");
    let shown = &mica.json("network inspect other")[0]["IPAM"]["Options"];
    assert_eq!(shown, &json!({ "a": "b", "c": "" }));
    mica.ok("network rm other");
    mica.run("network create -d odd other").complains(1, "could not find plugin odd");
    mica.run("network rm bridge").fails(
        1,
        "Error response from daemon: bridge is a pre-defined network and cannot be removed\n",
    );
    assert_eq!(mica.ok("network rm back"), "back");
    mica.run("network rm back").fails(1, "Error response from daemon: network back not found\n");
    mica.ok("network rm -f back");
    mica.run("network ls -f odd=1").fails(1, "Error response from daemon: invalid filter 'odd'\n");
}

#[test]
fn networks_share_a_configuration() {
    let mica = Mica::new();
    mica.ok("network create --config-only --subnet 10.212.8.0/24 --gateway 10.212.8.7 --ipv6 \
         --subnet fd00:2:8::/64 -o com.docker.network.driver.mtu=1400 --label tier=back shape");
    let shown = &mica.json("network inspect shape")[0];
    assert_eq!((&shown["ConfigOnly"], &shown["Driver"]), (&json!(true), &json!("null")));
    let given = json!([
        { "Subnet": "10.212.8.0/24", "Gateway": "10.212.8.7" }, { "Subnet": "fd00:2:8::/64" },
    ]);
    assert_eq!(shown["IPAM"]["Config"], given, "as it was given: nothing was chosen");
    mica.ok("network create --config-from shape --internal made");
    let shown = &mica.json("network inspect made")[0];
    assert_eq!(shown["ConfigFrom"], json!({ "Network": "shape" }));
    assert_eq!((&shown["ConfigOnly"], &shown["Driver"]), (&json!(false), &json!("bridge")));
    assert_eq!(shown["IPAM"]["Config"][0], given[0]);
    assert_eq!(shown["IPAM"]["Config"][1]["Gateway"], json!("fd00:2:8::1"));
    assert_eq!(shown["Options"], json!({ "com.docker.network.driver.mtu": "1400" }));
    assert_eq!(shown["Labels"], json!({ "tier": "back" }));
    assert_eq!((&shown["EnableIPv6"], &shown["Internal"]), (&json!(true), &json!(true)));
    let drivers = mica.ok("network ls -f type=custom --format {{.Name}}={{.Driver}}");
    assert_eq!(drivers, "made=bridge\nshape=null");

    let daemon = |words: &str| format!("Error response from daemon: {words}\n");
    mica.run("network create --config-from shape other").complains(1, "Pool overlaps");
    for (line, words) in [
        ("create --config-from nobody x", "configuration network \"nobody\" not found"),
        ("create --config-from made x", "configuration network \"made\" not found"),
        (
            "create --config-from shape --subnet 10.9.0.0/24 x",
            "user specified configurations are not supported if the network depends on a configuration network",
        ),
        (
            "create --config-from shape -o a=b x",
            "network driver options are not supported if the network depends on a configuration network",
        ),
        (
            "create --config-from shape --config-only x",
            "a configuration network cannot depend on another configuration network",
        ),
        (
            "create --config-only --internal x",
            "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
        ),
        ("rm shape", "configuration network \"shape\" is in use"),
    ] {
        let run = mica.run(&format!("network {line}"));
        assert!(
            run.code == 1 && run.err.starts_with(&daemon(words)[..daemon(words).len() - 1]),
            "{run}"
        );
    }
    mica.ok("network rm made");
    assert_eq!(mica.ok("network prune -f"), "", "nobody can be in it, and it is kept");
    assert_eq!(mica.ok("network rm shape"), "shape");
}

#[test]
fn a_container_that_does_not_run_joins_and_leaves() {
    let mica = Mica::new();
    mica.import("base");
    mica.ok("network create --subnet 10.211.8.0/24 one");
    mica.ok("network create --subnet 10.211.9.0/24 two");
    let id = mica.ok("create --name web base x");
    mica.ok("network connect --alias www --ip 10.211.8.7 one web");
    let networks = || mica.ok("ps -a --format '{{.Networks}}'");
    assert_eq!(networks(), "bridge,one");
    let shown = &mica.json("inspect web")[0]["NetworkSettings"]["Networks"]["one"];
    assert_eq!(shown["Aliases"], json!(["www"]));
    assert_eq!(shown["IPAMConfig"], json!({ "IPv4Address": "10.211.8.7" }));
    // It is there already, and stays as it is.
    mica.ok("network connect --alias other one web");
    let shown = &mica.json("inspect web")[0]["NetworkSettings"]["Networks"]["one"];
    assert_eq!(shown["Aliases"], json!(["www"]));
    mica.ok("network disconnect bridge web");
    assert_eq!(networks(), "one");
    mica.run("network disconnect two web").complains(1, "is not connected to network two");
    mica.ok("network disconnect -f two web");
    mica.run("network connect host web").complains(1, "host network");
    mica.run("network prune -f").prints("Deleted Networks:\ntwo\n\n");
    let shown = "-f type=network --format '{{.Action}} {{.Actor.Attributes.name}}'";
    let events = mica.events(shown);
    assert!(
        events.ends_with("connect one\ndisconnect bridge\ndestroy two\nprune <no value>"),
        "{events}"
    );
    let of_container = format!("-f type=network -f container={id} --format '{{{{.Action}}}}'");
    assert_eq!(mica.events(&of_container), "connect\ndisconnect");
}
