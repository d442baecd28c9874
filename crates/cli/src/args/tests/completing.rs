//! What may come next.

use super::*;

/// Names of everything, as an engine would list them.
fn names(what: Complete) -> Vec<String> {
    let names: &[&str] = match what {
        Complete::Images => &["alpine:3", "alpine:edge", "busybox", ":odd", "bad\nname"],
        Complete::Containers => &["web", "db"],
        Complete::Running => &["web"],
        Complete::Networks => &["bridge", "host"],
        Complete::Volumes => &["data"],
        other => panic!("asked for {other:?}"),
    };
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The answer to a line whose last word, perhaps empty, is being typed.
fn answer(line: &str) -> Completion {
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    complete(&ROOT, &words, &names)
}

#[track_caller]
fn check(line: &str, expected: &str) {
    let candidates = answer(line).candidates;
    let texts: Vec<_> = candidates.iter().map(|candidate| candidate.text.as_str()).collect();
    assert_eq!(texts.join(" "), expected, "{line}");
}

#[test]
fn offers_commands() {
    check("", "run exec ps images image container cp rmi stop tag commit login help");
    check("im", "images image");
    check("-D im", "images image");
    check("--log-level info im", "images image");
    check("-l info im", "images image");
    check("image ", "tag ls rm");
    check("image l", "ls");
    check("help im", "images image");
    check("help image ", "tag ls rm");
    check("help image ls ", "");
    check("image foo ", "");
    check("__s", "");
    assert_eq!(answer("rmi").candidates[0].about, "Remove one or more images");
}

#[test]
fn offers_flags() {
    check("image ls --n", "--no-trunc");
    check("image ls --no-trunc --n", "");
    check("image ls -f x --f", "--filter --format");
    check("tag -", "--help");
    check("rmi -", "-f --force --no-prune --platform --help");
    check("rmi -f -", "--no-prune --platform --help");
    check("rmi --platform x --p", "--platform");
    check("run --net", "--network");
    check("stop --t", "--timeout");
    check("--d", "--debug");
    check("image --", "--help");
}

#[test]
fn offers_values_of_flags() {
    check("run --pull ", "always missing never");
    check("run --pull n", "never");
    check("run --pull=n", "--pull=never");
    check("run --network ", "bridge host");
    check("run -itv ", "data");
    check("run -vx ", "alpine:3 alpine:edge busybox");
    check("-l d", "debug");
    check("run --name ", "");
    check("run --nonsense=", "");
    assert_eq!(answer("run --cidfile ").files, FileNames::All);
    assert_eq!(answer("run --cidfile=x").files, FileNames::All);
    assert_eq!(answer("--config ").files, FileNames::Folders);
    assert_eq!(answer("run --name ").files, FileNames::None);
}

#[test]
fn offers_names() {
    check("rmi ", "alpine:3 alpine:edge busybox");
    check("rmi alpine:3 a", "alpine:edge");
    check("rmi -f -- alp", "alpine:3 alpine:edge");
    check("rmi alpine:", "alpine:3 alpine:edge");
    check("run -it alp", "alpine:3 alpine:edge");
    check("run --name x --rm b", "busybox");
    check("run alpine:3 ", "");
    check("run alpine:3 --", "");
    check("tag alpine:3 alpine:edge ", "");
    check("images busybox ", "");
    check("container port ", "web db");
    check("exec ", "web");
    check("stop --unknown ", "web");
    check("login ", "");
    check("ps ", "");
}

#[test]
fn offers_paths_in_containers_and_here() {
    check("cp w", "web:");
    let here_or_there = answer("cp w");
    assert_eq!((here_or_there.files, here_or_there.no_space), (FileNames::All, true));
    let inside = answer("cp web:/et");
    assert_eq!(inside, Completion::default());
    assert!(!answer("cp /tm").no_space);
}

#[test]
fn answers_line_by_line() {
    assert_eq!(answer("image l").to_string(), "ls\tList images\n:\n");
    assert_eq!(answer("cp w").to_string(), "web:\t\n:files nospace\n");
    assert_eq!(answer("--config ").to_string(), ":folders\n");
    assert_eq!(complete(&ROOT, &[], &names), Completion::default());
}
