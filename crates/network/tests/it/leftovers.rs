//! What is made goes again, and what somebody destroys comes back.

use network::{Cable, NetNs, NetworkRequest};

use crate::host::{HOST, Host, call, has, open, run, state};
use crate::need_networks;

#[test]
fn removal_leaves_nothing() {
    need_networks!();
    let host = Host::new();
    let before = state();
    host.networks
        .create(NetworkRequest { name: "net".into(), ipv6: true, ..NetworkRequest::default() })
        .unwrap();
    assert_eq!(state(), before, "a definition touches nothing");
    let one = host.publishing(
        "one",
        "net",
        &["8080:80", "7000:7000/sctp", "127.0.0.1:9000-9010:90-100/udp"],
    );
    let two = host.container("two", "net");
    let made = state();
    assert!(!has("nft") || made.contains("sctp . 7000") && made.contains("udp . 9010"), "{made}");
    host.networks.detach(&one.attached.endpoint, Cable::Remove).unwrap();
    let error = host.networks.remove("net").unwrap_err();
    assert!(error.to_string().starts_with("network net has active endpoints (name:\"two\" id:\""));
    host.networks.detach(&two.attached.endpoint, Cable::Remove).unwrap();
    host.networks.remove("net").unwrap();
    assert_eq!(state(), before);
    let three = host.container("three", "bridge");
    host.networks.detach(&three.attached.endpoint, Cable::Remove).unwrap();
    host.networks.shut_down().unwrap();
    assert_eq!(state(), before);
}

#[test]
fn one_endpoint_leaves_the_others_alone() {
    need_networks!();
    let host = Host::new();
    let one = host.publishing("one", "bridge", &["8080:80"]);
    one.serve(80);
    let between = state();
    let two = host.publishing("two", "bridge", &["8081:80"]);
    host.networks.detach(&two.attached.endpoint, Cable::Remove).unwrap();
    assert_eq!(state(), between);
    assert!(call(&host.internet, HOST, 8080).is_some());
}

#[test]
fn flushed_rules_come_back() {
    need_networks!();
    if !has("nft") {
        return testkit::skip("needs the program nft");
    }
    let host = Host::new();
    let web = host.publishing("web", "bridge", &["8080:80"]);
    web.serve(80);
    let rules = run("nft list ruleset");
    run("nft flush ruleset");
    assert!(call(&host.internet, HOST, 8080).is_none());
    host.networks.ensure().unwrap();
    assert_eq!(run("nft list ruleset"), rules);
    assert!(call(&host.internet, HOST, 8080).is_some());
    // The host's own tools can keep and restore our rules: they are what those would write.
    let kept = host.folder.path().join("rules");
    std::fs::write(&kept, &rules).unwrap();
    run("nft flush ruleset");
    run(&format!("nft -f {}", kept.display()));
    assert_eq!(run("nft list ruleset"), rules);
    assert!(call(&host.internet, HOST, 8080).is_some());
    // Whoever joins next mends it too.
    run("nft flush ruleset");
    let _other = host.container("other", "bridge");
    assert!(call(&host.internet, HOST, 8080).is_some());
}

#[test]
fn what_the_dead_leave_is_cleared_away() {
    need_networks!();
    let host = Host::new();
    let living = host.publishing("living", "bridge", &["8080:80"]);
    let before = state();
    let dead = host.publishing("dead", "bridge", &["8081:80"]);
    let address = dead.address();
    drop(dead);
    // Another process, with nothing in memory.
    let networks = open(host.folder.path());
    let removed = networks.reconcile(&|it| it.container_name == "living").unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!(state(), before);
    let next = host.publishing("next", "bridge", &["8081:80"]);
    assert_eq!(next.address(), address);
    living.serve(80);
    assert!(call(&host.internet, HOST, 8080).is_some());
}

#[test]
fn who_has_left_takes_nothing_from_who_came() {
    need_networks!();
    let host = Host::new();
    let old = host.publishing("old", "bridge", &["8080:80"]);
    host.networks.detach(&old.attached.endpoint, Cable::Remove).unwrap();
    let left = old.attached.endpoint.clone();
    drop(old);
    let new = host.publishing("new", "bridge", &["8080:80"]);
    new.serve(80);
    let before = state();
    host.networks.detach(&left, Cable::Remove).unwrap();
    assert_eq!(state(), before);
    assert!(call(&host.internet, HOST, 8080).is_some());
    // A rule that a crash left behind does not stand in the way.
    if has("nft") {
        host.networks.detach(&new.attached.endpoint, Cable::Remove).unwrap();
        drop(new);
        run("nft add element inet mica ports4 { tcp . 8080 : 172.17.0.9 . 81 }");
        let third = host.publishing("third", "bridge", &["8080:80"]);
        third.serve(80);
        assert!(call(&host.internet, HOST, 8080).is_some());
    }
}

#[test]
fn a_closed_firewall_is_passed_by_rules_of_ours_alone() {
    need_networks!();
    if !has("nft") {
        return testkit::skip("needs the program nft");
    }
    let host = Host::new();
    run("nft add table ip filter");
    run("nft add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }");
    run("nft add chain ip filter DOCKER-USER");
    run("nft add rule ip filter FORWARD jump DOCKER-USER");
    run("nft add rule ip filter DOCKER-USER tcp dport 81 drop");
    let before = state();
    let one = host.container("one", "bridge");
    assert!(one.attached.notices.iter().any(|notice| {
        notice.to_string().starts_with("allowed the bridge mica0 in the chain ip filter FORWARD")
    }));
    crate::host::serve(&host.internet, 80);
    assert!(one.call(crate::host::INTERNET, 80).is_some());
    // What its owner forbids stays forbidden.
    crate::host::serve(&host.internet, 81);
    assert!(crate::host::no_call(&one.namespace, crate::host::INTERNET, 81));
    host.networks.ensure().unwrap();
    let rules = run("nft list chain ip filter FORWARD");
    assert_eq!(rules.matches("mica mica0").count(), 2, "{rules}");
    host.networks.detach(&one.attached.endpoint, Cable::Remove).unwrap();
    host.networks.shut_down().unwrap();
    assert_eq!(state(), before);
}

#[test]
fn a_pinned_namespace_outlives_its_maker() {
    need_networks!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    let made = NetNs::create().unwrap();
    made.pin(&path).unwrap();
    let seen = made.within(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    drop(made);
    let again = NetNs::open(&path).unwrap();
    assert_eq!(
        again.within(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap(),
        seen
    );
    NetNs::unpin(&path).unwrap();
    NetNs::unpin(&path).unwrap();
    assert!(!path.exists());
}

#[test]
fn without_privilege_it_says_so_and_does_not_wait() {
    need_networks!();
    if !has("setpriv") {
        return testkit::skip("needs the program setpriv");
    }
    if let testkit::Child::Role(folder) = testkit::Child::this() {
        let networks = open(folder.as_ref());
        let error = networks.ensure().unwrap_err();
        assert!(error.hint().unwrap().starts_with("networks need root"), "{error:?}");
        let error = NetNs::create().unwrap_err();
        assert!(error.hint().unwrap().starts_with("networks need root"), "{error:?}");
        return;
    }
    let host = Host::new();
    let name = "leftovers::without_privilege_it_says_so_and_does_not_wait";
    let child = testkit::child(name, host.folder.path().to_str().unwrap());
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(child.get_program());
    command.args(child.get_args());
    for (key, value) in child.get_envs() {
        command.env(key, value.unwrap());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
