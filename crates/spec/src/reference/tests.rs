use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[track_caller]
fn check(text: &str, full: &str, familiar: &str) {
    let reference = Reference::parse(text).unwrap();
    assert_eq!(reference.to_string(), full);
    assert_eq!(reference.familiar(), familiar);
}

#[track_caller]
fn refuse(text: &str, words: &str) {
    assert_eq!(Reference::parse(text).unwrap_err().to_string(), words, "{text}");
}

#[test]
fn fills_in_what_familiar_names_leave_out() {
    check("alpine", "docker.io/library/alpine", "alpine");
    check("docker.io/alpine", "docker.io/library/alpine", "alpine");
    check("index.docker.io/alpine:3", "docker.io/library/alpine:3", "alpine:3");
    check("index.docker.io/me/app", "docker.io/me/app", "me/app");
    check("library/alpine", "docker.io/library/alpine", "alpine");
    check("library/a/b", "docker.io/library/a/b", "library/a/b");
    check("me/app", "docker.io/me/app", "me/app");
    check("Me/app", "Me/app", "Me/app");
    check("host:80", "docker.io/library/host:80", "host:80");
    check("host:80/app", "host:80/app", "host:80/app");
    check("localhost/app", "localhost/app", "localhost/app");
    check("a.b/app:1.2-x_Y", "a.b/app:1.2-x_Y", "a.b/app:1.2-x_Y");
    check("docker.io:443/a", "docker.io:443/a", "docker.io:443/a");
    let pinned = format!("alpine:3@sha256:{HEX}");
    check(&pinned, &format!("docker.io/library/{pinned}"), &pinned);
    check(&format!("docker.io/{HEX}"), &format!("docker.io/library/{HEX}"), HEX);
}

#[test]
fn knows_what_a_host_may_look_like() {
    check("[::1]/a", "[::1]/a", "[::1]/a");
    check("[2001:DB8::1]:5000/a:b", "[2001:DB8::1]:5000/a:b", "[2001:DB8::1]:5000/a:b");
    check("a-b.c/d", "a-b.c/d", "a-b.c/d");
    check("odd_host.com/a", "odd_host.com/a", "odd_host.com/a");
    assert_eq!(Reference::parse("odd_host.com/a").unwrap().domain(), "");
    for text in ["[::1", "[::1]", "[]/a", "[g::]/a", "[::1]:/a", "[::1]x/a", "[::1%eth0]/a"] {
        refuse(text, "invalid reference format");
    }
    for text in ["-a.b/c", "a-.b/c", "a..b/c", ".a/c", "a.b:/c", "a.b:x/c", "a.b:1:2/c", "/a"] {
        refuse(text, "invalid reference format");
    }
}

#[test]
fn knows_what_a_path_may_look_like() {
    for text in ["a.b", "a_b", "a__b", "a-b", "a---b", "a1/b2/c3", "1"] {
        assert_eq!(Reference::parse(text).unwrap().familiar(), text);
    }
    for text in ["", "a..b", "a___b", "a._b", "a-_b", "_a", "a_", "a/", "a//b", "a b", "\u{e9}"] {
        refuse(text, "invalid reference format");
    }
    let longest = format!("{}/{}", "a".repeat(127), "b".repeat(127));
    check(&longest, &format!("docker.io/{longest}"), &longest);
    let words = "repository name must not be more than 255 characters";
    refuse(&format!("{longest}c"), words);
    refuse(&"a".repeat(248), words);
}

#[test]
fn says_what_is_wrong_in_dockers_words() {
    refuse("Foo", "invalid reference format: repository name (library/Foo) must be lowercase");
    refuse("a.b/Foo:X", "invalid reference format: repository name (Foo) must be lowercase");
    refuse("Odd_host.com/a", "repository name must be lowercase");
    refuse(
        HEX,
        &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
    );
    for text in ["a:", "a:-x", "a:b:c", "a:b/c:d", "a@", "a@b", "a@sha256:12", "a:x y"] {
        refuse(text, "invalid reference format");
    }
    refuse(&format!("a:{}", "t".repeat(129)), "invalid reference format");
    refuse(&format!("a@sha256:{}", &HEX[..40]), "invalid checksum digest length");
    refuse(&format!("a@sha256:{}", HEX.to_uppercase()), "invalid checksum digest format");
    refuse(&format!("a@md5:{}", &HEX[..32]), "unsupported digest algorithm");
    refuse(&format!("a@x+1:{HEX}"), "invalid reference format");
    refuse(&format!("a@sha256:{HEX}@sha256:{HEX}"), "invalid reference format");
}

#[test]
fn changes_one_part_at_a_time() {
    let name = Reference::parse("localhost:5000/a/b").unwrap();
    assert_eq!((name.domain(), name.path()), ("localhost:5000", "a/b"));
    assert_eq!((name.tag(), name.digest()), (None, None));
    assert_eq!(name.name(), "localhost:5000/a/b");
    let digest = Digest::of(b"");
    let pinned = name.with_tag("1").unwrap().with_digest(digest);
    assert_eq!(pinned.to_string(), format!("localhost:5000/a/b:1@{digest}"));
    assert_eq!((pinned.tag(), pinned.digest()), (Some("1"), Some(digest)));
    assert_eq!(pinned.without_tag().without_digest(), name);
    assert_eq!(pinned.without_tag().with_default_tag(), pinned.without_tag());
    assert_eq!(name.clone().with_default_tag().tag(), Some("latest"));
    assert_eq!(name.with_tag("a b"), Err(ReferenceError::Tag));
    assert_eq!(name.with_tag(""), Err(ReferenceError::Tag));
}

#[test]
fn is_a_string_in_json() {
    let json = serde_json::to_string(&Reference::parse("a:1").unwrap()).unwrap();
    assert_eq!(json, "\"docker.io/library/a:1\"");
    assert_eq!(
        format!("{:?}", serde_json::from_str::<Reference>("\"a\"").unwrap()),
        "docker.io/library/a"
    );
    assert!(serde_json::from_str::<Reference>("\"A\"").is_err());
}

#[test]
fn agrees_with_the_vectors() {
    let Some(rows) = crate::vectors::rows("reference.tsv") else {
        return;
    };
    for row in &rows {
        let text: String = serde_json::from_str(&row[0]).unwrap();
        match Reference::parse(&text) {
            Err(error) => assert_eq!(row[1], "err", "{text}: {error}"),
            Ok(name) if name.digest().is_some() => has_digest(&text, &name, &row[1]),
            Ok(name) => {
                let full = name.clone().with_default_tag().to_string();
                let found = ["ok", name.domain(), name.path(), name.tag().unwrap_or_default()];
                assert_eq!(row[1..5], found, "{text}");
                assert_eq!(row[5..8], ["", &name.familiar(), &full], "{text}");
            }
        }
    }
    assert!(rows.len() > 100);
}

/// The program that made the table had no hash functions linked in and refused every digest, also
/// those of names every docker takes; so here the name must be right without it.
#[track_caller]
fn has_digest(text: &str, name: &Reference, result: &str) {
    let (rest, digest) = text.split_once('@').unwrap();
    assert_eq!(digest.parse(), Ok(name.digest().unwrap()));
    assert_eq!(Reference::parse(rest), Ok(name.without_digest()));
    assert_eq!(result, "err", "the table knows digests: compare this row like others");
}

proptest! {
    #[test]
    fn parses_what_it_shows(
        text in "([a-z0-9.\\-]{1,8}(:[0-9]{1,3})?/)?[a-z0-9._\\-]{1,8}(/[a-z0-9._]{1,8})?(:[\\w.\\-]{1,8})?"
    ) {
        if let Ok(name) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&name.to_string()), Ok(name.clone()));
            prop_assert_eq!(Reference::parse(&name.familiar()), Ok(name));
        }
    }

    #[test]
    fn takes_any_text(text in "\\PC{0,40}|[a-zA-Z@:/.\\[\\]_]{0,20}") {
        if let Ok(name) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&name.to_string()), Ok(name));
        }
    }
}
