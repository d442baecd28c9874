//! What a rebuild costs in system calls: figures without noise.

use std::fs;
use std::time::Duration;

use super::Builds;
use crate::support::has;

const FOLDERS: usize = 4;
const FILES: usize = 100;
/// The most calls that may look at something where each file is looked at once.
const MOST_LOOKS: usize = FOLDERS * (FILES + 1) + 20;
/// What reads a folder: opened, read in two calls, closed.
const MOST_READS: usize = FOLDERS * 2 + 10;

/// The calls of a build of what is in the context.
fn calls(it: &Builds) -> Vec<String> {
    let own = it.command("build -q --network none -t t ctx");
    let trace = it.path("trace");
    let mut command = it.program("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace).arg(own.get_program()).args(own.get_args());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect()
}

fn opened(calls: &[String]) -> Vec<&String> {
    calls.iter().filter(|call| call.contains("openat2(") && call.contains("/f")).collect()
}

#[test]
fn a_rebuild_reads_what_has_changed_and_nothing_else() {
    if !has("strace") {
        testkit::skip("strace is not installed");
        return;
    }
    let Some(it) = Builds::new() else { return };
    for (folder, file) in (0..FOLDERS * FILES).map(|at| (at / FILES, at % FILES)) {
        it.put(&format!("{folder}/f{file}"), &format!("file {file} of {folder}"));
    }
    // At rest, so that what is in them may be remembered.
    std::thread::sleep(Duration::from_millis(50));
    it.builds("FROM bb\nCOPY . /all\n", "");
    let again = calls(&it);
    assert!(opened(&again).is_empty(), "{:?}", opened(&again));
    let count = |name: &str| again.iter().filter(|call| call.contains(name)).count();
    assert!(count("newfstatat(") <= MOST_LOOKS, "{}", count("newfstatat("));
    assert!(count("getdents64(") <= MOST_READS, "{}", count("getdents64("));
    // What has not changed is taken from the layer that was made before.
    it.put("2/f7", "another");
    std::thread::sleep(Duration::from_millis(50));
    let changed = calls(&it);
    let read = opened(&changed);
    assert!(matches!(read.as_slice(), [one] if one.contains("\"2/f7\"")), "{read:?}");
    assert_eq!(
        it.shows("cat /all/2/f7; echo; cat /all/3/f99; ls /all/1 | wc -l"),
        "another\nfile 99 of 3100"
    );
}

/// What a build of so many lines of a kind costs: processor time in seconds, the least of three
/// times, and the length of what is remembered of it.
fn of_lines(it: &Builds, kind: &str, count: usize) -> (f64, u64) {
    let lines = (0..count).map(|at| format!("{kind} NAME{at}=value{at}\n"));
    it.put("Dockerfile", &format!("FROM scratch\n{}WORKDIR /x\n", lines.collect::<String>()));
    let own = it.command("build -q -t t ctx");
    let seconds = (0..3).map(|_| {
        let mut command = it.program("bash");
        command.args(["-c", "\"$@\" >/dev/null || exit; times", "bash"]);
        command.arg(own.get_program()).args(own.get_args());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // The second line is about what was started: `0m0.012s 0m0.003s`.
        let told = String::from_utf8(output.stdout).unwrap();
        let of_children = told.lines().nth(1).unwrap();
        let seconds = of_children.split(' ').map(|part| {
            let (minutes, seconds) = part.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        });
        seconds.sum::<f64>()
    });
    let least = seconds.fold(f64::INFINITY, f64::min);
    let record = it.ok("build history inspect --format json");
    (least, record.len() as u64)
}

#[test]
fn a_chain_of_settings_costs_what_its_lines_cost() {
    let Some(it) = Builds::new() else { return };
    for kind in ["ENV", "LABEL", "ARG"] {
        let (nothing, _) = of_lines(&it, kind, 1);
        let (some, short) = of_lines(&it, kind, 750);
        let (many, long) = of_lines(&it, kind, 3000);
        assert!(long < 6 * short, "{kind}: {short} bytes for 750 lines, {long} for 3000");
        // Four times as much, where each line cost as much as all before it sixteen times.
        let (some, many) = (some - nothing, many - nothing);
        assert!(many < 9.0 * some.max(0.02), "{kind}: {some} s for 750 lines, {many} s for 3000");
    }
}
