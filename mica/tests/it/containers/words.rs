//! What is refused, in docker's words and with its exit codes.

use super::support::Root;

#[test]
fn what_cannot_be_made_is_told_as_docker_tells_it() {
    let Some(root) = Root::new() else { return };
    for (flags, line) in [
        ("--ipc x", "Error response from daemon: invalid IPC mode: x"),
        (
            "--isolation x",
            "Error response from daemon: Invalid isolation: \"x\" - linux only supports 'default'",
        ),
        ("--stop-signal NOPE", "Error response from daemon: invalid signal: NOPE"),
        (
            "--oom-score-adj 5000",
            "Error response from daemon: Invalid value 5000, range for oom score adj is [-1000, 1000]",
        ),
        (
            "--tmpfs x",
            "Error response from daemon: invalid mount path: 'x' mount path must be absolute",
        ),
        ("-v /a:/b:zz", "Error response from daemon: invalid mode: zz"),
        (
            "--link no",
            "Error response from daemon: could not get container for no: No such container: no",
        ),
    ] {
        let run = root.run(&format!("run --rm {flags} bb true"));
        let line = format!("mica: {line}");
        assert!(run.err.starts_with(&line), "{flags}: {}", run.err);
        assert_eq!(run.code, 125, "{flags}");
    }
    assert_eq!(root.ok("ps -aq"), "", "nothing was made");
    root.run("network create --subnet 10.1.0.0/33 one").complains(
        1,
        "Error response from daemon: invalid network config:\ninvalid subnet 10.1.0.0/33: invalid CIDR block notation",
    );
}

#[test]
fn what_cannot_be_done_is_told_as_docker_tells_it() {
    let Some(root) = Root::new() else { return };
    root.ok("run -d --name box bb sleep 1000");
    for (words, code, line) in [
        (
            "exec box nosuch",
            127,
            "Error response from daemon: exec: \"nosuch\": executable file not found in $PATH",
        ),
        ("exec box /etc", 126, "Error response from daemon: exec: \"/etc\": permission denied"),
        (
            "exec -w /nosuch box true",
            127,
            "Error response from daemon: cannot enter the working folder",
        ),
        (
            "exec -u nobody-here box true",
            126,
            "Error response from daemon: unable to find user nobody-here",
        ),
        ("exec nosuch true", 1, "Error response from daemon: No such container: nosuch"),
        ("unpause box", 1, "Error response from daemon: Container"),
        ("port box 80", 1, "Error: No public port '80' published for box"),
    ] {
        let run = root.run(words);
        assert!(run.err.starts_with(line), "{words}: {}", run.err);
        assert_eq!((run.code, run.out.as_str()), (code, ""), "{words}");
    }
    for flags in ["--restart foo", "--mount type=foo,dst=/x"] {
        let run = root.run(&format!("create {flags} bb true"));
        assert!(run.err.starts_with("Error response from daemon: invalid "), "{}", run.err);
        assert_eq!(run.code, 1, "what the engine would find out, {flags}");
        let run = root.run(&format!("run {flags} bb true"));
        assert!(run.err.starts_with("mica: Error response from daemon: invalid "), "{run}");
        let end = "\n\nRun 'mica run --help' for more information\n";
        assert!(run.err.ends_with(end) && run.code == 125, "{run}");
    }
    assert_eq!(
        root.run("create --restart on-failure:x bb true").code,
        125,
        "docker's client knows"
    );
    for (words, last) in [
        ("rename box box", "Error: failed to rename container named box"),
        ("start nosuch", "Error: failed to start containers: nosuch"),
    ] {
        let run = root.run(words);
        assert!(run.err.starts_with("Error response from daemon: "), "{}", run.err);
        assert_eq!((run.code, run.err.lines().last()), (1, Some(last)));
    }
}
