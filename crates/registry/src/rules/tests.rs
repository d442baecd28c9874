use super::*;

fn places(rules: &Rules, name: &str) -> Vec<String> {
    let places = rules.places(&Reference::parse(name).unwrap()).unwrap();
    places.iter().map(|place| format!("{}/{}", place.host, place.repository)).collect()
}

fn rule(prefix: &str) -> Rule {
    Rule { prefix: prefix.to_owned(), ..Rule::default() }
}

fn mirror(location: &str) -> Mirror {
    Mirror { location: location.to_owned(), ..Mirror::default() }
}

#[test]
fn without_rules_the_name_says_it() {
    let rules = Rules::default();
    assert_eq!(places(&rules, "debian"), ["registry-1.docker.io/library/debian"]);
    assert_eq!(places(&rules, "quay.io/a/b:1"), ["quay.io/a/b"]);
}

#[test]
fn mirrors_come_first_and_rewrite() {
    let mut hub = rule("docker.io/library");
    hub.mirrors = vec![mirror("mirror.one:5000/hub"), mirror("mirror.two")];
    let mut own = rule("docker.io");
    own.location = Some("elsewhere.org/docker".to_owned());
    let rules = Rules { own: vec![own, hub], ..Rules::default() };
    let expected =
        ["mirror.one:5000/hub/debian", "mirror.two/debian", "registry-1.docker.io/library/debian"];
    assert_eq!(places(&rules, "debian"), expected);
    assert_eq!(places(&rules, "me/app"), ["elsewhere.org/docker/me/app"]);
}

#[test]
fn a_prefix_ends_where_a_part_does() {
    assert!(covers("quay.io/a", "quay.io/a/b") && covers("quay.io/a", "quay.io/a"));
    assert!(!covers("quay.io/a", "quay.io/ab") && !covers("", "quay.io/a"));
    assert!(
        covers("*.example.com", "x.example.com:5000/a")
            && !covers("*.example.com", "example.com/a")
    );
    let mut below = rule("*.example.com");
    below.mirrors = vec![mirror("m.org/x")];
    let rules = Rules { own: vec![below], ..Rules::default() };
    assert_eq!(places(&rules, "a.example.com/b/c"), ["m.org/x/b/c", "a.example.com/b/c"]);
}

#[test]
fn what_is_blocked_is_an_error() {
    let blocked = Rule { blocked: true, file: "x.toml".to_owned(), ..rule("evil.org") };
    let rules = Rules { containers: vec![blocked], ..Rules::default() };
    let error = rules.places(&Reference::parse("evil.org/a").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "registry evil.org is blocked by x.toml");
}

#[test]
fn only_this_machine_and_what_is_listed_is_trusted_blindly() {
    let insecure =
        ["10.0.0.0/8", "lab.org:5000", "old.org", "fd00::/8"].map(str::to_owned).to_vec();
    let rules = Rules { insecure, ..Rules::default() };
    for host in [
        "localhost:5000",
        "127.0.0.1",
        "127.9.9.9:1",
        "[::1]:5000",
        "10.1.2.3:80",
        "lab.org:5000",
        "old.org:1234",
        "[fd00::1]:5000",
    ] {
        assert_ne!(rules.security(host), Security::Checked, "{host}");
    }
    for host in
        ["registry-1.docker.io", "11.0.0.1", "lab.org:5001", "localhost.evil.org", "[fe80::1]"]
    {
        assert_eq!(rules.security(host), Security::Checked, "{host}");
    }
    assert_eq!(rules.security("localhost:80"), Security::Plain);
}

#[test]
fn hosts_toml_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("quay.io");
    std::fs::create_dir(&host).unwrap();
    let text = "server = \"https://quay.io\"\n\
        [host.\"http://127.0.0.1:7000\"]\ncapabilities = [\"pull\", \"resolve\"]\n\
        [host.\"https://m.org/api/v2/quay\"]\noverride_path = true\ncapabilities = [\"pull\"]\n\
        skip_verify = true\nca = \"own.crt\"\n[host.\"https://m.org/api/v2/quay\".header]\nx-team = \"a\"\n";
    std::fs::write(host.join("hosts.toml"), text).unwrap();
    let rules = Rules { host_folders: vec![folder.path().to_owned()], ..Rules::default() };
    let found = rules.places(&Reference::parse("quay.io/a/b").unwrap()).unwrap();
    let shown: Vec<_> =
        found.iter().map(|p| (p.host.as_str(), p.root.as_str(), p.security)).collect();
    let expected = [
        ("127.0.0.1:7000", "/v2", Security::Plain),
        ("m.org", "/api/v2/quay", Security::Loose),
        ("quay.io", "/v2", Security::Checked),
    ];
    assert_eq!(shown, expected);
    assert_eq!(found[1].serves, Serves::Digests);
    assert_eq!(found[1].headers, [("x-team".to_owned(), "a".to_owned())]);
    assert_eq!(found[1].authorities, [host.join("own.crt")]);
    assert_eq!(places(&rules, "other.io/a"), ["other.io/a"]);
}

#[test]
fn registries_conf_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registries.conf");
    let text = "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"enforcing\"\n\
        [[registry]]\nprefix = \"a.org/x\"\nlocation = \"b.org/y\"\nmirror-by-digest-only = true\n\
        [[registry.mirror]]\nlocation = \"c.org\"\n[[registry.mirror]]\nlocation = \"d.org\"\n\
        insecure = true\npull-from-mirror = \"tag-only\"\n[[registry]]\nlocation = \"e.org\"\nblocked = true\n";
    std::fs::write(&file, text).unwrap();
    let rules = read_registries_conf(&file, &[]).unwrap();
    assert_eq!(
        (rules[0].prefix.as_str(), rules[0].location.as_deref()),
        ("a.org/x", Some("b.org/y"))
    );
    let mirrors: Vec<_> =
        rules[0].mirrors.iter().map(|m| (m.location.as_str(), m.serves)).collect();
    assert_eq!(mirrors, [("c.org", Serves::Digests), ("d.org", Serves::Digests)]);
    assert!(rules[1].blocked && rules[1].prefix == "e.org");
    assert!(read_registries_conf(&folder.path().join("none"), &[]).unwrap().is_empty());
    std::fs::write(&file, "[[registry").unwrap();
    assert!(read_registries_conf(&file, &[]).is_err());
}
