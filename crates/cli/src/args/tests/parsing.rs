//! What good command lines mean.

use super::*;

/// The positionals of `line`, joined by blanks.
#[track_caller]
fn positionals(line: &str, expected: &str) {
    assert_eq!(run(line).matches.positionals().join(" "), expected, "{line}");
}

#[test]
fn finds_the_command() {
    for (line, action, path) in [
        ("run a", "run", "run"),
        ("container run a", "run", "container run"),
        ("images", "images", "images"),
        ("image ls", "images", "image ls"),
        ("image list", "images", "image ls"),
        ("image rm a", "rmi", "image rm"),
        ("image remove a", "rmi", "image rm"),
        ("container ps", "ps", "container ls"),
        ("-D image ls", "images", "image ls"),
        ("--log-level debug ps", "ps", "ps"),
        ("-- ps", "ps", "ps"),
        ("--help=false ps", "ps", "ps"),
        ("image --help=false ls", "images", "image ls"),
        ("__secret -- run --x", "secret", "__secret"),
    ] {
        let invocation = run(line);
        assert_eq!(invocation.action, action, "{line}");
        let names: Vec<_> = invocation.path.iter().skip(1).map(|command| command.name).collect();
        assert_eq!(names.join(" "), path, "{line}");
    }
}

#[test]
fn divides_flags_from_positionals() {
    for (line, expected) in [
        ("run --rm a --rm", "a --rm"),
        ("run -it a sh -c x", "a sh -c x"),
        ("run -- --rm", "--rm"),
        ("run -it -- a -- b", "a -- b"),
        ("run a -- b", "a -- b"),
        ("rmi a -f b", "a b"),
        ("rmi a -- -f b", "a -f b"),
        ("rmi - -f", "-"),
        ("rmi -- - --", "- --"),
        ("cp -a x y", "x y"),
        ("cp x -a y", "x y"),
        ("exec -e A=B c env", "c env"),
        ("exec c ls -l", "c ls -l"),
        ("tag run ps", "run ps"),
        ("tag a -f", "a -f"),
        ("container disconnect-all", ""),
    ] {
        positionals(line, expected);
    }
}

#[test]
fn reads_switches() {
    for (line, name, expected) in [
        ("run --rm a", "rm", true),
        ("run --rm=false a", "rm", false),
        ("run --rm=T a", "rm", true),
        ("run --rm --rm=0 a", "rm", false),
        ("run -it a", "tty", true),
        ("run -ti a", "interactive", true),
        ("run -it=false a", "tty", false),
        ("run -it=false a", "interactive", true),
        ("run -idp80 a", "detach", true),
        ("run a", "rm", false),
        ("run a", "sig-proxy", true),
        ("run --sig-proxy=false a", "sig-proxy", false),
        ("commit c", "pause", true),
        ("commit -p=false c", "pause", false),
    ] {
        assert_eq!(run(line).matches.flag(name), expected, "{line}");
    }
}

#[test]
fn reads_texts() {
    for (line, name, expected) in [
        ("run --name x a", "name", Some("x")),
        ("run --name=x a", "name", Some("x")),
        ("run --name=x=y a", "name", Some("x=y")),
        ("run --name= a", "name", Some("")),
        ("run --name --rm a", "name", Some("--rm")),
        ("run --name x --name y a", "name", Some("y")),
        ("run -h x a", "hostname", Some("x")),
        ("run -hx a", "hostname", Some("x")),
        ("run -h=x a", "hostname", Some("x")),
        ("run -ith x a", "hostname", Some("x")),
        ("run -h= a", "hostname", Some("=")),
        ("run -h - a", "hostname", Some("-")),
        ("run -h -- a", "hostname", Some("--")),
        ("run a", "name", None),
        ("run a", "pull", Some("missing")),
        ("run --pull never a", "pull", Some("never")),
        ("run --trace a", "trace", Some("all")),
        ("run --trace=x a", "trace", Some("x")),
        ("run a", "trace", None),
    ] {
        assert_eq!(run(line).matches.string(name), expected, "{line}");
    }
}

#[test]
fn keeps_all_of_a_list() {
    for (line, name, expected) in [
        ("run -p80:80 -p 81:81 --publish=82 a", "publish", "80:80|81:81|82"),
        ("run -e A=B,C -e D a", "env", "A=B,C|D"),
        ("run -e A a -e B", "env", "A"),
        ("run --network x --net y --network=z a", "network", "x|y|z"),
        ("run a", "sysctl", ""),
        ("rmi --platform a,b --platform c x", "platform", "a|b|c"),
        ("rmi --platform \"a,b\",c x", "platform", "a,b|c"),
        ("rmi --platform= x", "platform", ""),
    ] {
        assert_eq!(run(line).matches.list(name).join("|"), expected, "{line}");
    }
}

#[test]
fn reads_numbers() {
    let given = run("run --blkio-weight 0x10 --cpus 1.5 -c 512 --health-interval 1m30s -m 512m \
         --memory-swap -1 --ratio .5 --stop-count 18446744073709551615 a")
    .matches;
    assert_eq!(given.uint("blkio-weight"), Some(16));
    assert_eq!(given.billionths("cpus"), Some(1_500_000_000));
    assert_eq!(given.int("cpu-shares"), Some(512));
    assert_eq!(given.duration_nanos("health-interval"), Some(90_000_000_000));
    assert_eq!(given.size_bytes("memory"), Some(512 << 20));
    assert_eq!(given.size_bytes("memory-swap"), Some(-1));
    assert_eq!(given.float("ratio"), Some(0.5));
    assert_eq!(given.uint("stop-count"), Some(u64::MAX));
    let absent = run("run a").matches;
    assert_eq!(absent.int("memory-swappiness"), Some(-1));
    assert_eq!(absent.int("cpu-shares"), None);
    assert_eq!(absent.size_bytes("memory"), None);
}

#[test]
fn tells_what_was_given() {
    assert!(run("run --name= a").matches.given("name"));
    assert!(run("rmi --platform= a").matches.given("platform"));
    assert!(run("run --net x a").matches.given("network"));
    assert!(run("run --rm=false a").matches.given("rm"));
    assert!(!run("run a").matches.given("pull"));
}

#[test]
fn keeps_global_flags_apart() {
    let invocation = run("-H a -Hb --debug run -D=x --name n a".replace("-D=x ", "").as_str());
    assert_eq!(invocation.globals.list("host"), ["a", "b"]);
    assert!(invocation.globals.flag("debug"));
    assert_eq!(invocation.globals.string("log-level"), Some("info"));
    assert_eq!(invocation.matches.string("name"), Some("n"));
    assert_eq!(invocation.matches.positionals(), ["a"]);
}

#[test]
fn warns_of_flags_out_of_use() {
    let invocation = run("stop --time 5 a");
    assert_eq!(invocation.matches.int("timeout"), Some(5));
    assert!(invocation.matches.given("timeout"));
    assert_eq!(invocation.warnings, ["Flag --time has been deprecated, use --timeout instead"]);
    assert!(run("stop -t 5 a").warnings.is_empty());
}

#[test]
fn finds_the_help_page() {
    for (line, page, asked) in [
        ("", "", false),
        ("-D", "", false),
        ("image", "image", false),
        ("image --help=false", "image", false),
        ("--help", "", true),
        ("-h", "", true),
        ("--help foo", "", true),
        ("foo --help", "", true),
        ("-- --help", "", true),
        ("--help images", "images", true),
        ("image --help", "image", true),
        ("image --help ls", "image ls", true),
        ("image -h foo", "image", true),
        ("image ls --help", "image ls", true),
        ("ps --help x y", "ps", true),
        ("ps x --help", "ps", true),
        ("ps -ah", "ps", true),
        ("run --help", "run", true),
        ("help", "", true),
        ("-D help image", "image", true),
        ("help image list", "image ls", true),
        ("help -- image", "image", true),
        ("help image -- ls", "image ls", true),
        ("help __secret", "__secret", true),
        ("help --help", "help", true),
        ("help image --help", "help", true),
        ("--help --version", "", true),
    ] {
        let Ok(Parsed::Help { path, asked: was_asked, .. }) = read(line) else {
            panic!("{line}: {:?}", read(line));
        };
        let names: Vec<_> = path.iter().skip(1).map(|command| command.name).collect();
        assert_eq!((names.join(" ").as_str(), was_asked), (page, asked), "{line}");
    }
}

#[test]
fn warns_of_the_letter_of_help() {
    let Ok(Parsed::Help { warnings, .. }) = read("ps -h") else { panic!("no help") };
    assert_eq!(warnings, ["Flag shorthand -h has been deprecated, use --help"]);
}

#[test]
fn tells_the_version() {
    for line in ["--version", "-v", "-v foo", "foo -v", "-vD", "-D --version"] {
        assert!(matches!(read(line), Ok(Parsed::Version)), "{line}");
    }
    assert!(matches!(read("--version ps"), Ok(Parsed::Run(_))));
}

#[test]
#[should_panic(expected = "no flag --nonsense")]
#[cfg(debug_assertions)]
fn asking_for_an_undeclared_flag_is_a_mistake() {
    run("run a").matches.given("nonsense");
}

#[test]
#[should_panic(expected = "no flag --name of kind [Bool]")]
#[cfg(debug_assertions)]
fn asking_for_another_kind_is_a_mistake() {
    run("run a").matches.flag("name");
}
