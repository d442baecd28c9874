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
fn a_wrong_flag_of_create_is_told_as_docker_tells_it() {
    let Some(root) = Root::new() else { return };
    for (flag, value, why) in [
        ("--mount", "", "EOF"),
        ("--mount", "type=", "type is required"),
        ("--network", "a=b", "invalid field key a"),
        ("--network", "name=a,b", "invalid field b"),
        ("--network", "name=a,gw-priority=1x", "invalid gw-priority (1x): invalid syntax"),
    ] {
        for verb in ["create", "run"] {
            let output = root.command(verb).args([flag, value, "bb", "true"]).output().unwrap();
            let expected = format!(
                "invalid argument \"{value}\" for \"{flag}\" flag: {why}\n\n\
                 Usage:  mica {verb} [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
                 Run 'mica {verb} --help' for more information\n"
            );
            assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
            assert_eq!(output.status.code(), Some(125));
        }
    }
    for (flag, value, line) in [
        ("-p", "x", "invalid containerPort: x"),
        ("--network", "", "no name set for network"),
        ("--pid", "x", "--pid: invalid PID mode"),
        (
            "--pull",
            "x",
            "invalid pull option: 'x': must be one of \"always\", \"missing\" or \"never\"",
        ),
    ] {
        let output = root.command("create").args([flag, value, "bb", "true"]).output().unwrap();
        let expected = format!("mica: {line}\n\nRun 'mica create --help' for more information\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(125));
    }
    let nowhere = root.path("nowhere/id");
    root.run(&format!("create --cidfile {} nosuch", nowhere.display())).complains(
        1,
        &format!(
            "failed to create the container ID file: open {}: no such file or directory",
            nowhere.display()
        ),
    );
    let id = root.path("id");
    root.run(&format!("create --pull never --cidfile {} nosuch", id.display()));
    assert!(!id.exists(), "no container, no file");
    root.ok(&format!("create --cidfile {} bb true", id.display()));
    root.run(&format!("create --cidfile {} bb true", id.display()))
        .complains(1, "container ID file found, make sure the other container isn't running");
}

#[test]
fn what_is_asked_for_is_not_forgotten() {
    let Some(root) = Root::new() else { return };
    let run = root.run("run --rm --network host --add-host a:1.2.3.4 bb cat /etc/hosts");
    assert!(run.out.contains("1.2.3.4\ta\n") && run.out.contains("localhost"), "{run}");
    let run = root.run_with("run -i --rm --network none -a stdout bb cat", b"abc\n");
    run.prints("abc\n");
    let run = root.run("create --dns ::1 --name box bb true");
    assert!(run.err.contains("WARNING: Localhost DNS (::1) may fail in containers."), "{run}");
    root.run("run --rm --network none --pid private bb true").complains(125, "--pid: invalid PID");
    root.run("run --rm --network none --device /dev/null::r bb true")
        .complains(125, "mica:  is not an absolute path");
    root.run("run --rm --network none --device /dev/nosuch bb true")
        .complains(127, "no such file or directory");
    root.run("inspect --type '' box").complains(1, "type is empty: must be one of \"config\", ");
    root.ok("start -a box");
    root.ok("run --network none --name said bb echo said");
    root.run("logs --until 0 said").prints("said\n");
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
        ("start nosuch box", "Error: failed to start containers: nosuch"),
    ] {
        let run = root.run(words);
        assert!(run.err.starts_with("Error response from daemon: "), "{}", run.err);
        assert_eq!((run.code, run.err.lines().last()), (1, Some(last)));
    }
}
