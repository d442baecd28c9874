//! `run` in the foreground: what goes in, what comes out, and how it ends.

use std::io::Read;
use std::process::Stdio;

use super::support::{Root, eventually, kill};

#[test]
fn exit_codes_are_the_programs_own() {
    let Some(root) = Root::new() else { return };
    for code in [0, 1, 42, 125, 126, 127, 128, 137, 255] {
        let run = root.sh("", &format!("exit {code}"));
        assert_eq!((run.code, run.err.as_str()), (code, ""), "{run}");
    }
    assert_eq!(root.sh("", "kill -9 $$").code, 0, "the first process is not killed from within");
}

#[test]
fn what_cannot_be_run_says_why_in_its_code() {
    let Some(root) = Root::new() else { return };
    let line = "run --rm --network none";
    root.run(&format!("{line} bb nosuch")).complains(127, "\"nosuch\": executable file not found");
    root.run(&format!("{line} bb /nosuch")).complains(127, "no such file or directory");
    root.run(&format!("{line} bb /etc/passwd")).complains(126, "permission denied");
    root.run(&format!("{line} --nosuch bb")).complains(125, "unknown flag: --nosuch");
    root.run(&format!("{line} -u nosuch bb id")).complains(125, "unable to find user nosuch");
    assert_eq!(root.containers(), Vec::<String>::new(), "what never ran is removed as well");
}

#[test]
fn who_has_nobody_to_write_for_leaves_and_the_container_goes_on() {
    let Some(root) = Root::new() else { return };
    root.sleeper("other", "");
    let brief = "run --rm --name brief --network none bb yes";
    for line in ["run --name talks --network none bb yes", brief, "exec other yes"] {
        let mut command = root.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut some = [0; 2];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        let said = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert_eq!((&some, said.status.code()), (b"y\n", Some(1)), "{words}");
        assert!(words.contains("write /dev/stdout: broken pipe"), "{words}");
    }
    assert_eq!(root.ok("inspect -f '{{.State.Status}}' talks"), "running");
    // It goes when it ends, and not before.
    assert_eq!(root.ok("inspect -f '{{.State.Status}}' brief"), "running");
    root.ok("kill brief");
    root.ok("rm -f talks");
}

#[test]
fn output_and_errors_stay_apart() {
    let Some(root) = Root::new() else { return };
    let run = root.sh("", "echo out; echo err >&2");
    assert_eq!((run.out.as_str(), run.err.as_str(), run.code), ("out\n", "err\n", 0));
}

#[test]
fn ten_megabytes_go_through_whole() {
    let Some(root) = Root::new() else { return };
    let input = (0..10_000_000u32).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    let run = root.run_with("run --rm -i --network none bb cat", &input);
    assert_eq!(run.code, 0);
    assert!(run.bytes == input, "{} of {} bytes came back", run.bytes.len(), input.len());
}

#[test]
fn input_is_given_only_to_those_who_ask() {
    let Some(root) = Root::new() else { return };
    assert_eq!(root.run_with("run --rm --network none bb cat", b"unseen\n").out, "");
    assert_eq!(root.run_with("run --rm -i --network none bb cat", b"seen\n").out, "seen\n");
}

#[test]
fn signals_are_passed_on() {
    let Some(root) = Root::new() else { return };
    let script = "trap 'exit 33' USR1; echo ready; while :; do sleep 0.05; done";
    let mut command = root.command("run --name sig --network none bb sh -c");
    let mut child = command.arg(script).stdout(Stdio::null()).spawn().unwrap();
    eventually("the trap is set", || root.run("logs sig").out == "ready\n");
    kill(child.id(), "USR1");
    assert_eq!(child.wait().unwrap().code(), Some(33));
}

#[test]
fn nothing_is_left_of_what_ran_with_rm() {
    let Some(root) = Root::new() else { return };
    let id = root.path("id");
    let run = root.sh(&format!("--cidfile {} -v /anonymous", id.display()), "mount | wc -l");
    assert_eq!(run.code, 0, "{run}");
    root.must_be_clean(&[std::fs::read_to_string(&id).unwrap()]);
}

#[test]
fn logs_keep_what_was_said() {
    let Some(root) = Root::new() else { return };
    root.ok("run -d --name said --network none bb sh -c 'echo one; echo three; sleep 0.1; echo two >&2'");
    assert_eq!(root.ok("wait said"), "0");
    let run = root.run("logs said");
    assert_eq!((run.out.as_str(), run.err.as_str()), ("one\nthree\n", "two\n"));
    assert_eq!(root.run("logs --tail 2 said").out, "three\n");
    assert_eq!(root.run("logs -f --tail 2 said").out, "three\n", "nothing follows what ended");
    assert_eq!(root.ok("logs --since 2100-01-01 said"), "");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(root.command("logs said").stdout(full).status().unwrap().code(), Some(1));
    assert!(root.run("logs -t --tail 2 said").out.ends_with("Z three\n"));
}

#[test]
fn who_only_gives_input_is_told_the_id_and_leaves() {
    let Some(root) = Root::new() else { return };
    let line = "run -i -a stdin --name box --network none bb sh -c 'cat; sleep 600'";
    let run = root.run_with(line, b"said\n");
    assert_eq!(run.out.trim(), root.ok("inspect -f '{{.Id}}' box"), "{run}");
    eventually("all of it has come", || root.ok("logs box") == "said");
    root.ok("kill box");
    let words = "cannot kill container: box: container ";
    root.run("kill box").complains(1, words);
}
