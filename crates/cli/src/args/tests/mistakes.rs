//! What bad command lines are answered.

use super::*;

/// The error that `args` are answered with.
#[track_caller]
fn error(args: &[&str]) -> UsageError {
    let args: Vec<_> = args.iter().map(|&word| word.to_owned()).collect();
    parse(&ROOT, "mica", &args).expect_err("a mistake")
}

/// The whole answer to `line`.
#[track_caller]
fn check(line: &str, exit_code: u8, message: &str) {
    let answer = error(&line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
    assert_eq!((answer.to_string().as_str(), answer.exit_code), (message, exit_code), "{line}");
}

/// The first line of the answer to a wrong flag.
#[track_caller]
fn check_flag(args: &[&str], mistake: &str) {
    let answer = error(args);
    assert_eq!(answer.message.lines().next(), Some(mistake), "{args:?}");
    assert_eq!(answer.exit_code, 125);
}

#[test]
fn shows_usage_after_a_wrong_flag() {
    check(
        "run --foo",
        125,
        "unknown flag: --foo\n\nUsage:  mica run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
         Run 'mica run --help' for more information",
    );
    check(
        "--foo",
        125,
        "unknown flag: --foo\n\nUsage:  mica [OPTIONS] COMMAND [ARG...]\n\n\
         Run 'mica --help' for more information",
    );
    check(
        "image -D ls",
        125,
        "unknown shorthand flag: 'D' in -D\n\nUsage:  mica image\n\n\
         Run 'mica image --help' for more information",
    );
    check(
        "help -x",
        125,
        "unknown shorthand flag: 'x' in -x\n\nUsage:  mica help [command]\n\n\
         Run 'mica help --help' for more information",
    );
}

#[test]
fn refuses_flags_it_does_not_know() {
    for (args, mistake) in [
        (&["run", "--foo=x", "a"][..], "unknown flag: --foo"),
        (&["run", "--nam", "x"], "unknown flag: --nam"),
        (&["ps", "--debug"], "unknown flag: --debug"),
        (&["ps", "x", "--foo"], "unknown flag: --foo"),
        (&["ps", "--help", "--foo"], "unknown flag: --foo"),
        (&["image", "--foo", "ls"], "unknown flag: --foo"),
        (&["image", "--help", "foo", "--zz"], "unknown flag: --zz"),
        (&["run", "-zx"], "unknown shorthand flag: 'z' in -zx"),
        (&["run", "-itz"], "unknown shorthand flag: 'z' in -z"),
        (&["run", "-'"], "unknown shorthand flag: '\\'' in -'"),
        (&["run", "-é"], "unknown shorthand flag: 'Ã' in -é"),
        (&["foo", "--zz"], "unknown flag: --zz"),
        (&["-Dx"], "unknown shorthand flag: 'x' in -x"),
        (&["images", "-q="], "unknown shorthand flag: '=' in -="),
        (&["images", "--=x"], "bad flag syntax: --=x"),
        (&["images", "---x"], "bad flag syntax: ---x"),
    ] {
        check_flag(args, mistake);
    }
}

#[test]
fn misses_values() {
    for (args, mistake) in [
        (&["run", "--name"][..], "flag needs an argument: --name"),
        (&["run", "-p"], "flag needs an argument: 'p' in -p"),
        (&["run", "-itp"], "flag needs an argument: 'p' in -p"),
        (&["run", "-h"], "flag needs an argument: 'h' in -h"),
        (&["--log-level"], "flag needs an argument: --log-level"),
        (&["-H"], "flag needs an argument: 'H' in -H"),
        (&["stop", "--time"], "flag needs an argument: --time"),
    ] {
        check_flag(args, mistake);
    }
}

#[test]
fn refuses_wrong_values() {
    let parse_bool = |text| format!("strconv.ParseBool: parsing \"{text}\": invalid syntax");
    let parse_int = |text| format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
    for (args, text, names, why) in [
        (&["run", "--rm=maybe"][..], "maybe", "--rm", parse_bool("maybe")),
        (&["run", "--rm="], "", "--rm", parse_bool("")),
        (&["run", "--help=x"], "x", "--help", parse_bool("x")),
        (&["ps", "--help=x"], "x", "--help", parse_bool("x")),
        (&["images", "-q=maybe"], "maybe", "-q, --quiet", parse_bool("maybe")),
        (&["--debug=x", "ps"], "x", "-D, --debug", parse_bool("x")),
        (&["stop", "--time", "x", "a"], "x", "--time", parse_int("x")),
        (&["stop", "-t=x"], "x", "-t, --timeout", parse_int("x")),
        (&["ps", "-n="], "=", "-n, --last", parse_int("=")),
        (&["ps", "-aqnx"], "x", "-n, --last", parse_int("x")),
        (&["run", "-c", "-p"], "-p", "-c, --cpu-shares", parse_int("-p")),
        (&["run", "--add-host", "x"], "x", "--add-host", "bad format for add-host: \"x\"".into()),
        (&["run", "-m", "zz"], "zz", "-m, --memory", "invalid size: 'zz'".into()),
        (&["run", "--memory-swap=-2"], "-2", "--memory-swap", "invalid size: '-2'".into()),
        (
            &["run", "--blkio-weight", "99999"],
            "99999",
            "--blkio-weight",
            "strconv.ParseUint: parsing \"99999\": value out of range".into(),
        ),
        (&["run", "--cpus", "x"], "x", "--cpus", "failed to parse x as a rational number".into()),
        (
            &["run", "--health-interval", "5"],
            "5",
            "--health-interval",
            "time: missing unit in duration \"5\"".into(),
        ),
        (
            &["run", "--ratio", "x"],
            "x",
            "--ratio",
            "strconv.ParseFloat: parsing \"x\": invalid syntax".into(),
        ),
        (
            &["rmi", "--platform", "a\"b"],
            "a\\\"b",
            "--platform",
            "parse error on line 1, column 2: bare \" in non-quoted-field".into(),
        ),
    ] {
        check_flag(args, &format!("invalid argument \"{text}\" for \"{names}\" flag: {why}"));
    }
}

#[test]
fn counts_positionals() {
    check(
        "run -it",
        1,
        "mica: 'mica run' requires at least 1 argument\n\n\
         Usage:  mica run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
         See 'mica run --help' for more information",
    );
    check(
        "tag a b c",
        1,
        "mica: 'mica tag' requires 2 arguments\n\n\
         Usage:  mica tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]\n\n\
         Run 'mica tag --help' for more information",
    );
    check(
        "cp a",
        1,
        "mica: 'mica cp' requires 2 arguments\n\n\
         Usage:  mica cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\
         \tmica cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\n\
         Run 'mica cp --help' for more information",
    );
    for (line, demand) in [
        ("exec a", "'mica exec' requires at least 2 arguments"),
        ("ps a", "'mica ps' accepts no arguments"),
        ("image ls a b", "'mica image ls' requires at most 1 argument"),
        ("image list a b", "'mica image ls' requires at most 1 argument"),
        ("images -- --foo x", "'mica images' requires at most 1 argument"),
        ("commit", "'mica commit' requires at least 1 and at most 2 arguments"),
        (
            "container port a b c",
            "'mica container port' requires at least 1 and at most 2 arguments",
        ),
        ("image tag a: b c", "'mica image tag' requires 2 arguments"),
        ("run --", "'mica run' requires at least 1 argument"),
    ] {
        let answer = error(&line.split(' ').collect::<Vec<_>>());
        let first = answer.message.lines().next();
        assert_eq!(first, Some(format!("mica: {demand}").as_str()), "{line}");
        assert_eq!(answer.exit_code, 1);
    }
}

#[test]
fn refuses_unknown_commands() {
    check("foo", 1, "mica: unknown command: mica foo\n\nRun 'mica --help' for more information");
    check(
        "-D image foo bar",
        1,
        "mica: unknown command: mica image foo\n\nUsage:  mica image\n\n\
         Run 'mica image --help' for more information",
    );
    for (args, unknown) in [
        (&[""][..], "mica "),
        (&["-"], "mica -"),
        (&["image", ""], "mica image "),
        (&["image", "help"], "mica image help"),
        (&["image", "--", "ls"], "mica image ls"),
        (&["--", "--", "ps"], "mica ps"),
        (&["foo", "--", "--zz"], "mica foo"),
        (&["foo", "-D"], "mica foo"),
        (&["--version=false", "foo"], "mica foo"),
    ] {
        let answer = error(args);
        let expected = format!("mica: unknown command: {unknown}");
        assert_eq!(answer.message.lines().next(), Some(expected.as_str()));
        assert_eq!(answer.exit_code, 1);
    }
}

#[test]
fn refuses_unknown_topics() {
    check("help foo", 1, "unknown help topic: foo");
    check("help image foo", 1, "unknown help topic: foo");
    check("help ps x", 1, "unknown help topic: x");
    check("help list", 1, "unknown help topic: list");
}

#[test]
fn suggests_what_was_meant() {
    check(
        "imgaes",
        1,
        "mica: unknown command: mica imgaes\n\nDid you mean 'mica images'?\n\n\
         Run 'mica --help' for more information",
    );
    for (line, meant) in [
        ("image sl", Some("mica image ls")),
        ("image lst", Some("mica image ls")),
        ("image remvoe", Some("mica image rm")),
        ("rum", Some("mica run")),
        ("contianer", Some("mica container")),
        ("__secrte", None),
        ("x", None),
        ("1s", None),
        ("", None),
        ("sp", Some("mica ps")),
        ("foo", None),
        ("completely-different-from-all-else", None),
    ] {
        let answer = error(&line.split(' ').collect::<Vec<_>>()).message;
        let suggestion = answer.lines().find(|line| line.starts_with("Did you mean"));
        let expected = meant.map(|meant| format!("Did you mean '{meant}'?"));
        assert_eq!(suggestion, expected.as_deref(), "{line}");
    }
}

#[test]
fn names_the_program_as_it_was_called() {
    let answer = parse(&ROOT, "docker", &words("tag a")).expect_err("a mistake");
    assert!(answer.message.starts_with("docker: 'docker tag' requires 2 arguments"));
    assert!(!answer.message.contains("mica"));
}
