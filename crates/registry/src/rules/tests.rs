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
    let covers = |prefix: &str, name: &str| covers(prefix, name, &['/', '@']);
    assert!(covers("quay.io/a", "quay.io/a/b") && covers("quay.io/a", "quay.io/a"));
    assert!(!covers("quay.io/a", "quay.io/ab") && !covers("", "quay.io/a"));
    assert!(covers("quay.io/", "quay.io/a") && covers("quay.io/a//", "quay.io/a:1"));
    assert!(!covers("/", "quay.io/a") && !covers("quay.io", "quay.io:5000/a"));
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
        ("m.org", "/api/v2/quay", Security::Unverified),
        ("quay.io", "/v2", Security::Checked),
    ];
    assert_eq!(shown, expected);
    assert_eq!(found[1].serves, Serves::Digests);
    assert_eq!(found[1].headers, [("x-team".to_owned(), "a".to_owned())]);
    assert_eq!(found[1].authorities, [host.join("own.crt")]);
    assert_eq!(places(&rules, "other.io/a"), ["other.io/a"]);
}

/// The places that a file for a host gives.
fn with_hosts_toml(folder: &str, text: &str, name: &str) -> Vec<Place> {
    let folders = tempfile::tempdir().unwrap();
    std::fs::create_dir(folders.path().join(folder)).unwrap();
    std::fs::write(folders.path().join(folder).join("hosts.toml"), text).unwrap();
    let rules = Rules { host_folders: vec![folders.path().to_owned()], ..Rules::default() };
    rules.places(&Reference::parse(name).unwrap()).unwrap()
}

#[test]
fn a_hosts_folder_may_say_the_port_without_a_colon() {
    let text = "[host.\"http://m.org\"]\n";
    for (folder, name) in
        [("r.org_5000_", "r.org:5000/a"), ("r.org:5000", "r.org:5000/a"), ("_default", "r.org/a")]
    {
        assert_eq!(with_hosts_toml(folder, text, name)[0].host, "m.org", "{folder}");
    }
    assert_eq!(with_hosts_toml("r.org_5000_", text, "r.org/a").len(), 1);
}

#[test]
fn mirrors_hear_whose_images_are_meant() {
    let text = "server = \"https://registry-1.docker.io\"\n[host.\"http://m.org\"]\n";
    let said: Vec<_> = with_hosts_toml("docker.io", text, "docker.io/library/a")
        .into_iter()
        .map(|place| (place.host, place.namespace))
        .collect();
    let expected =
        [("m.org".to_owned(), Some("docker.io".to_owned())), (HUB_HOST.to_owned(), None)];
    assert_eq!(said, expected);
}

#[test]
fn hosts_say_what_they_can_and_how_they_are_reached() {
    let text = "[host.\"http://push.org\"]\ncapabilities = [\"push\"]\n\
        [host.\"http://tags.org\"]\ncapabilities = [\"resolve\"]\n\
        [host.\"http://far.org\"]\nproxy = \"http://p.org:1\"\ndial_timeout = \"1m30s\"\n";
    let found = with_hosts_toml("r.org", text, "r.org/a");
    let asked: Vec<_> = found.iter().map(|p| (p.serves(false), p.serves(true))).collect();
    assert_eq!(asked, [(false, false), (true, false), (true, true), (true, true)]);
    assert!(found[0].pushes && !found[1].pushes);
    assert_eq!(found[2].proxy.as_deref(), Some("http://p.org:1"));
    assert_eq!(found[2].connect, Some(Duration::from_secs(90)));
    let folders = tempfile::tempdir().unwrap();
    std::fs::create_dir(folders.path().join("r.org")).unwrap();
    std::fs::write(folders.path().join("r.org/hosts.toml"), "dial_timeout = \"soon\"").unwrap();
    let rules = Rules { host_folders: vec![folders.path().to_owned()], ..Rules::default() };
    let error = rules.places(&Reference::parse("r.org/a").unwrap()).unwrap_err().to_string();
    assert!(error.ends_with("\"soon\" is no dial_timeout"), "{error}");
}

#[test]
fn a_registry_that_cannot_be_pushed_to_is_not() {
    let check = |text: &str, pushes: &[bool]| {
        let found = with_hosts_toml("r.org", text, "r.org/a");
        assert_eq!(found.iter().map(|place| place.pushes).collect::<Vec<_>>(), pushes, "{text}");
    };
    let mirror = "[host.\"http://m.org\"]\n";
    check(mirror, &[false, true]);
    check(&format!("capabilities = [\"pull\", \"resolve\"]\n{mirror}"), &[false, false]);
    check(&format!("capabilities = [\"Push\"]\n{mirror}"), &[false, true]);
    // An empty list is none.
    check(&format!("capabilities = []\n{mirror}capabilities = []"), &[false, true]);
    let found = with_hosts_toml("r.org", &format!("{mirror}capabilities = []"), "r.org/a");
    assert!(found[0].serves(true) && found[0].serves(false));
}

#[test]
fn a_clients_certificate_has_several_forms() {
    let check = |client: &str, certificate: &str, key: &str| {
        let text = format!("client = {client}\n");
        let place = with_hosts_toml("r.org", &text, "r.org/a").remove(0);
        let (got, its_key) = place.client.unwrap();
        assert!(got.ends_with(certificate) && its_key.ends_with(key), "{got:?} {its_key:?}");
    };
    check("\"both.pem\"", "r.org/both.pem", "r.org/both.pem");
    check("[\"a.pem\", \"b.pem\"]", "r.org/a.pem", "r.org/a.pem");
    check("[[\"a.cert\", \"a.key\"], [\"b.pem\", \"\"]]", "r.org/a.cert", "r.org/a.key");
    check("[[\"both.pem\", \"\"]]", "r.org/both.pem", "r.org/both.pem");
}

#[test]
fn registries_conf_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registries.conf");
    let text = "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"enforcing\"\n\
        [[registry]]\nprefix = \"a.org/x\"\nlocation = \"b.org/y\"\nmirror-by-digest-only = true\n\
        [[registry.mirror]]\nlocation = \"c.org\"\n[[registry.mirror]]\nlocation = \"d.org\"\n\
        insecure = true\n[[registry]]\nlocation = \"e.org\"\nblocked = true\n";
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

/// The rules of a file with this text.
fn containers(text: &str) -> Result<Rules, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registries.conf");
    std::fs::write(&file, text).unwrap();
    let read = read_registries_conf(&file, &[]);
    let told = |error: RegistryError| error.to_string();
    read.map(|containers| Rules { containers, ..Rules::default() }).map_err(told)
}

#[test]
fn a_prefix_may_end_in_a_slash_a_tag_or_a_digest() {
    let digest = spec::Digest::of(b"");
    let blocks = |place: &str, name: &str| {
        let rules = containers(&format!("[[registry]]\nlocation = \"{place}\"\nblocked = true\n"));
        let name = Reference::parse(&name.replace("DIGEST", &digest.to_string())).unwrap();
        matches!(rules.unwrap().places(&name), Err(RegistryError::Blocked { .. }))
    };
    assert!(blocks("r.org/", "r.org/x/bb:1") && blocks("r.org/x//", "r.org/x/bb:1"));
    assert!(
        blocks("r.org/x/bb:1", "r.org/x/bb:1") && blocks("r.org/x/bb:1", "r.org/x/bb:1@DIGEST")
    );
    assert!(!blocks("r.org/x/bb:1", "r.org/x/bb:12") && !blocks("r.org/x/bb:1", "r.org/x/bb"));
    let by_digest = format!("r.org/x/bb@{digest}");
    assert!(blocks(&by_digest, "r.org/x/bb@DIGEST") && blocks(&by_digest, "r.org/x/bb:1@DIGEST"));
    assert!(!blocks(&by_digest, "r.org/x/bb:1"));
    // A host stands for all its ports there.
    assert!(blocks("r.org", "r.org:5000/x/bb") && !blocks("r.org:5000", "r.org/x/bb"));
    let follows = |prefix: &str, location: &str, name: &str| {
        let text = format!("[[registry]]\nprefix = \"{prefix}\"\nlocation = \"{location}\"\n");
        containers(&text).unwrap().places(&Reference::parse(name).unwrap()).map(|places| {
            places.iter().map(|it| format!("{}/{}", it.host, it.repository)).collect::<String>()
        })
    };
    assert_eq!(follows("m.test/", "r.org/", "m.test/x/bb:1").unwrap(), "r.org/x/bb");
    assert_eq!(follows("m.test/x:1", "r.org/y:1", "m.test/x:1").unwrap(), "r.org/y");
    assert_eq!(follows("m.test/x:1", "r.org/y:1", "m.test/x:2").unwrap(), "m.test/x");
    // One tag does not come for another.
    let error = follows("m.test/x:1", "r.org/y:2", "m.test/x:1").unwrap_err().to_string();
    assert!(error.contains("r.org/y:2 is not what the prefix"), "{error}");
}

#[test]
fn a_file_that_contradicts_itself_is_refused() {
    let check = |text: &str, expected: &str| {
        let told = containers(text).err().unwrap_or_default();
        assert!(told.ends_with(expected), "{text}: {told}");
    };
    let one = |text: &str| format!("[[registry]]\nlocation = \"r.org\"\n{text}");
    let mirror = |text: &str| one(&format!("[[registry.mirror]]\n{text}"));
    check(
        &mirror("location = \"m.org/\"\npull-from-mirror = \"bogus\""),
        "unsupported pull-from-mirror value \"bogus\" for mirror \"m.org\"",
    );
    check(&mirror("insecure = true"), "invalid condition: mirror location is unset");
    check(
        &mirror("location = \"https://m.org\""),
        "invalid location 'https://m.org': URI schemes are not supported",
    );
    check("[[registry]]\nlocation = \"http://r.org\"", "URI schemes are not supported");
    let nowhere = "invalid condition: both location and prefix are unset";
    check("[[registry]]\nblocked = true", nowhere);
    check("[[registry]]\nlocation = \"/\"", nowhere);
    check(
        "[[registry]]\nprefix = \"r.org\"",
        "location is unset and prefix is not in the format: *.example.com",
    );
    check("[[registry]]\nprefix = \"*.r.org/a\"", "\"*.r.org/a\" is incorrectly formatted");
    check(&one("pull-from-mirror = \"all\""), "for a non-mirror registry \"r.org\"");
    check(
        &one("mirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"m.org\"\n\
              pull-from-mirror = \"all\""),
        "for per-mirror (\"m.org\") at the same time",
    );
    let twice = |text: &str| format!("{}{}", one(""), one(text));
    let conflict = "registry 'r.org' is defined multiple times with conflicting";
    check(&twice("insecure = true"), &format!("{conflict} 'insecure' setting"));
    check(&twice("blocked = true"), &format!("{conflict} 'blocked' setting"));
    let other_prefix =
        format!("[[registry]]\nprefix = \"b.org\"\n{}", &one("").replace("[[registry]]\n", ""));
    check(
        &format!("{other_prefix}{}", one("blocked = true")),
        &format!("{conflict} 'blocked' setting"),
    );
    for fine in [&twice(""), "[[registry]]\nprefix = \"*.r.org\"", &one("unknown = 1")] {
        assert!(containers(fine).is_ok(), "{fine}");
    }
}

#[test]
fn the_first_version_of_the_file_is_read() {
    let text = "[registries.search]\nregistries = [\"docker.io\"]\n\
        [registries.block]\nregistries = [\"r.org/\", \"both.org\"]\n\
        [registries.insecure]\nregistries = [\"i.org\", \"both.org\"]\n";
    let rules = containers(text).unwrap();
    let find = |name: &str| rules.places(&Reference::parse(name).unwrap());
    assert!(matches!(find("r.org/a"), Err(RegistryError::Blocked { .. })));
    assert!(matches!(find("both.org/a"), Err(RegistryError::Blocked { .. })));
    assert_eq!(find("i.org/a").unwrap()[0].security, Security::Loose);
    assert_eq!(find("a").unwrap()[0].security, Security::Checked);
    let mixed = "mixing sysregistry v1/v2 is not supported";
    for more in ["[[registry]]\nlocation = \"a.org\"\n", "[aliases]\na = \"a.org/b\"\n"] {
        assert!(containers(&format!("{text}{more}")).unwrap_err().ends_with(mixed), "{more}");
    }
    // Lists without anything in them are no version.
    let empty = "[registries.block]\nregistries = []\n[[registry]]\nlocation = \"a.org\"\n";
    assert!(containers(empty).is_ok());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("piece.conf"), text).unwrap();
    let pieces = [folder.path().to_owned()];
    let error = read_registries_conf(&folder.path().join("none"), &pieces).unwrap_err();
    assert!(error.to_string().ends_with("must be in v2 format but is in v1"), "{error}");
}
