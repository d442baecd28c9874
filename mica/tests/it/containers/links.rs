//! Links between containers, and namespaces of networks that containers share.

use super::support::Root;

/// A container that sleeps in networks.
#[track_caller]
fn standing(root: &Root, name: &str, options: &str) {
    root.ok(&format!("run -d --name {name} {options} bb sleep 600"));
}

#[track_caller]
fn address(root: &Root, name: &str) -> String {
    root.ok(&format!("inspect -f '{{{{.NetworkSettings.Networks.bridge.IPAddress}}}}' {name}"))
}

#[test]
fn a_link_is_a_line_and_variables_in_the_default_network() {
    let Some(root) = Root::new() else { return };
    standing(&root, "my-db", "-h box -e SIZE=big --expose 5432 --expose 53/udp");
    let at = address(&root, "my-db");
    let script = "run --rm --name web --link my-db:the-store bb sh -c";
    let said = root.ok(&format!("{script} 'cat /etc/hosts; env; ping -c1 -W2 the-store'"));
    for line in [
        &format!("{at}\tthe-store box my-db"),
        &format!("THE_STORE_PORT=udp://{at}:53"),
        &format!("THE_STORE_PORT_5432_TCP=tcp://{at}:5432"),
        &format!("THE_STORE_PORT_5432_TCP_ADDR={at}"),
        "THE_STORE_PORT_53_UDP_PORT=53",
        "THE_STORE_PORT_53_UDP_PROTO=udp",
        "THE_STORE_NAME=/web/the-store",
        "THE_STORE_ENV_SIZE=big",
    ] {
        assert!(said.lines().any(|one| one == line), "{line} is missing in {said}");
    }
    let said = root.ok("run --rm --link my-db -e MY_DB_NAME=mine bb env");
    assert!(said.contains("MY_DB_NAME=mine\n") && !said.contains("MY_DB_NAME=/"), "{said}");
    root.ok("create --name late --link my-db:db bb true");
    let shown = root.ok("inspect -f '{{json .HostConfig.Links}}' late");
    assert_eq!(shown, r#"["/my-db:/late/db"]"#);
    standing(&root, "near", "--link my-db:one --link my-db:two");
    root.run("rm --link near").fails(
        1,
        "Error response from daemon: Conflict, cannot remove the default link name of the container\n",
    );
    for missing in ["/near/three", "nobody/one"] {
        let words = format!("No such container: {}\n", missing.trim_start_matches('/'));
        root.run(&format!("rm --link {missing}"))
            .fails(1, &format!("Error response from daemon: {words}"));
    }
    assert_eq!(root.ok("rm -l /near/one"), "/near/one");
    let hosts = root.ok("exec near cat /etc/hosts");
    assert!(
        !hosts.contains("\tone ") && hosts.contains(&format!("{at}\ttwo box my-db")),
        "{hosts}"
    );
    let shown = || root.ok("inspect -f '{{json .HostConfig.Links}}' near");
    assert_eq!(shown(), r#"["/my-db:/near/two"]"#);
    root.ok("rm --link near/two");
    assert_eq!(shown(), "null");
    root.ok("rm -f near");
    root.ok("stop -t 0 my-db");
    root.run("start late")
        .complains(1, "Cannot link to a non running container: /my-db AS /late/db");
    root.run("run --rm --link nobody bb true").complains(125, "could not get container for nobody");
    root.run("run --rm --link a:b:c bb true").complains(125, "bad format for links: a:b:c");
}

#[test]
fn a_link_is_a_name_in_a_network_of_the_users() {
    let Some(root) = Root::new() else { return };
    root.ok("network create own");
    standing(&root, "db", "--network own");
    let asked =
        root.ok("run --rm --network own --link db:store bb sh -c 'ping -c1 -W2 store; env'");
    assert!(!asked.contains("STORE_"), "there are no variables: {asked}");
    let other = root.run("run --rm --network own bb ping -c1 -W2 store");
    assert_ne!(other.code, 0, "nobody else has that name");
    standing(&root, "near", "--network own --link db:store --link db:shop");
    root.ok("exec near ping -c1 -W2 store");
    root.ok("rm --link near/store");
    root.run("exec near ping -c1 -W1 store").complains(1, "bad address");
    root.ok("exec near ping -c1 -W2 shop");
}

#[test]
fn a_link_to_a_network_that_is_joined_later_is_known_at_once() {
    let Some(root) = Root::new() else { return };
    root.ok("network create one");
    root.ok("network create two");
    standing(&root, "db", "--network two");
    standing(&root, "web", "--network one");
    root.ok("network connect --link db:store two web");
    root.ok("exec web ping -c1 -W2 store");
    root.ok("network disconnect two web");
    root.run("exec web ping -c1 -W1 store").complains(1, "bad address");
}

#[test]
fn a_namespace_without_networks_is_shared() {
    let Some(root) = Root::new() else { return };
    root.sleeper("alone", "");
    let line = "run --rm --network container:alone bb sh -c 'ls /sys/class/net; readlink /proc/self/ns/net'";
    let said = root.ok(line);
    let own = root.ok("exec alone readlink /proc/self/ns/net");
    assert_eq!(said, format!("lo\n{own}"));
    root.ok("stop -t 0 alone");
    root.run("run --rm --network container:alone bb true")
        .complains(125, "cannot join network of a non running container: ");
}
