//! Starts, ends, restarts, stops, checks, and what a killed monitor leaves.

use std::time::{Duration, Instant};

use runtime::attach::{Answer, AttachRequest, ExecRequest, Request, StopRequest, WaitFor};
use runtime::failure::FailureKind;
use runtime::health::Health;
use runtime::state::{self, Keeper, Status};

use crate::stand::{Plan, Stand, process, shell};

#[test]
fn an_exit_is_told_written_down_and_cleaned_up_after() {
    let mut stand = Stand::make(shell("exit 7"));
    let wait = stand.connection.ask(&Request::Wait(WaitFor::NextExit)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    let Answer::Exited(exit) = stand.connection.answer(wait).unwrap() else { panic!() };
    assert_eq!(exit.code, 7);
    let state = stand.state();
    assert_eq!((state.status, state.exit_code, state.process.pid), (Status::Exited, 7, 0));
    assert!(state.finished >= state.started && !state.started.is_zero());
    stand.end();
    assert_eq!(stand.events(), ["start", "die 7", "leave 7 false"]);
    assert!(!stand.path().join("monitor.sock").exists());
    assert_eq!(state::observe(stand.path()).unwrap().keeper, Keeper::Nobody);
}

#[test]
fn whoever_finds_it_ended_finds_the_end_among_the_events() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    stand.call(&Request::Kill { signal: 9 });
    stand.until("ended", |state| {
        // Read after the state, which is written after them.
        let events = stand.events();
        let told = events.iter().any(|event| event == "die 137");
        assert!(told || state.status == Status::Running, "{state:?}: {events:?}");
        state.status == Status::Exited
    });
    stand.end();
}

#[test]
fn what_cannot_be_started_says_why() {
    for (program, kind, code) in [
        ("/nowhere/at-all", FailureKind::CommandNotFound, 127),
        ("/etc/passwd", FailureKind::CommandNotExecutable, 126),
    ] {
        let mut stand = Stand::make(Plan { args: vec![program.into()], ..Plan::default() });
        let failure = stand.connection.call(&Request::Start).unwrap_err();
        assert_eq!((failure.kind, failure.exit_code()), (kind, code));
        stand.end();
        let state = stand.state();
        assert_eq!((state.status, state.exit_code), (Status::Created, code));
        assert!(!state.error.is_empty());
    }
}

#[test]
fn what_is_removed_when_it_ends_says_so_last() {
    let mut stand = Stand::make(Plan { auto_remove: true, ..shell("exit 2") });
    let removed = stand.connection.ask(&Request::Wait(WaitFor::Removed)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    let Answer::Exited(exit) = stand.connection.answer(removed).unwrap() else { panic!() };
    assert_eq!(exit.code, 2);
    assert_eq!(stand.events().last().map(String::as_str), Some("leave 2 false"));
    assert_eq!(stand.state().status, Status::Removing);
    stand.end();
}

#[test]
fn a_container_outlives_whoever_started_it() {
    let mut stand = Stand::make(shell("sleep 0.2; echo late"));
    stand.connection.ask(&Request::Start).unwrap();
    let (other, _) = sys::socket::nonblocking_pair().unwrap();
    stand.connection = runtime::attach::Connection::over(other);
    stand.end();
    assert_eq!((stand.logged().as_str(), stand.state().exit_code), ("late\n", 0));
}

#[test]
fn one_container_has_one_monitor() {
    let stand = Stand::start(shell("sleep 100"));
    let mut second = Stand::make(Plan { folder: stand.path().to_owned(), ..shell("true") });
    let failure = second.connection.call(&Request::Start).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    second.end();
    assert_eq!(state::observe(stand.path()).unwrap().keeper, Keeper::Monitor);
}

#[test]
fn a_stop_asks_and_then_kills() {
    let begin = Instant::now();
    let mut stand = Stand::start(Plan {
        restart: "always".into(),
        ..shell("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    });
    wait_for_log(&stand, "ready");
    let stop = StopRequest { signal: None, timeout: Some(1), for_good: false };
    assert_eq!(stand.call(&Request::Stop(stop)), Answer::Done);
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let state = stand.state();
    assert_eq!((state.status, state.exit_code, state.stopped), (Status::Exited, 137, true));
    stand.end();
    assert_eq!(
        stand.events(),
        ["start", "kill(15)", "kill(9)", "die 137", "stop", "leave 137 false"]
    );
}

#[test]
fn a_stop_goes_on_without_whoever_asked() {
    let mut stand = Stand::start(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    wait_for_log(&stand, "ready");
    let stop = StopRequest { signal: Some(15), timeout: Some(1), for_good: false };
    let mut other = stand.connect();
    other.ask(&Request::Stop(stop)).unwrap();
    stand.until("asked", |state| state.status == Status::Running);
    std::thread::sleep(Duration::from_millis(50));
    drop(other);
    stand.end();
    assert_eq!(stand.state().exit_code, 137);
}

#[test]
fn a_policy_starts_it_again_and_a_stop_ends_that() {
    let mut stand = Stand::start(Plan { restart: "on-failure:2".into(), ..shell("exit 3") });
    let Answer::Exited(exit) = stand.call(&Request::Wait(WaitFor::NotRunning)) else { panic!() };
    assert_eq!(exit.code, 3);
    stand.end();
    assert_eq!(stand.state().restart_count, 2);
    assert_eq!(stand.events().iter().filter(|event| *event == "start").count(), 3);

    let mut stand = Stand::start(Plan { restart: "always".into(), ..shell("exit 0") });
    stand.until("restarting", |state| {
        state.status == Status::Restarting && state.restart_count >= 3
    });
    assert_eq!(stand.call(&Request::Stop(StopRequest::default())), Answer::Done);
    stand.end();
    assert_eq!(stand.state().status, Status::Exited);
}

#[test]
fn a_restart_that_was_asked_for_needs_no_policy() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    let first = stand.state().process;
    assert_eq!(stand.call(&Request::Restart(StopRequest::default())), Answer::Done);
    let state = stand.state();
    assert_eq!(state.status, Status::Running);
    assert!(state.process != first && !state.stopped);
    assert_eq!(stand.call(&Request::Kill { signal: 9 }), Answer::Done);
    stand.end();
    assert_eq!(stand.state().exit_code, 137);
}

#[test]
fn a_stop_that_a_restart_overtakes_is_answered() {
    let mut stand = Stand::start(shell("trap '' TERM; echo up; sleep 100 & wait; wait"));
    wait_for_log(&stand, "up\n");
    let mut stopping = stand.connect();
    let stop = StopRequest { timeout: Some(60), ..StopRequest::default() };
    let stop = stopping.ask(&Request::Stop(stop)).unwrap();
    // Its answer says that the question before it was heard.
    stopping.call(&Request::State).unwrap();
    let at_once = StopRequest { timeout: Some(0), ..StopRequest::default() };
    assert_eq!(stand.call(&Request::Restart(at_once)), Answer::Done);
    assert_eq!(stopping.answer(stop).unwrap(), Answer::Done);
    assert_eq!(stand.state().status, Status::Running);
    assert_eq!(stand.call(&Request::Kill { signal: 9 }), Answer::Done);
    stand.end();
}

#[test]
fn what_is_being_removed_is_not_started_again() {
    // Nobody else ends it: whoever removes it waits for the kill.
    let mut stand = Stand::start(shell("trap '' TERM; echo up; sleep 100 & wait; wait"));
    wait_for_log(&stand, "up\n");
    let mut removing = stand.connect();
    let end = StopRequest { for_good: true, ..StopRequest::default() };
    let end = removing.ask(&Request::Stop(end)).unwrap();
    removing.call(&Request::State).unwrap();
    let failure = stand.connect().call(&Request::Restart(StopRequest::default())).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert_eq!(stand.call(&Request::Kill { signal: 9 }), Answer::Done);
    assert_eq!(removing.answer(end).unwrap(), Answer::Done);
    stand.end();
}

#[test]
fn a_stop_may_have_all_the_time_there_is() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    let patient = StopRequest { timeout: Some(i64::MAX), ..StopRequest::default() };
    assert_eq!(stand.call(&Request::Stop(patient)), Answer::Done);
    stand.end();
    assert_eq!(stand.state().exit_code, 143);
}

#[test]
fn a_pause_holds_it_and_a_stop_ends_it_all_the_same() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    assert_eq!(stand.call(&Request::Pause), Answer::Done);
    assert_eq!(stand.state().status, Status::Paused);
    let failure = stand.connect().call(&Request::Pause).unwrap_err();
    assert_eq!(failure.message, "Container one is already paused");
    assert_eq!(stand.call(&Request::Unpause), Answer::Done);
    let failure = stand.connect().call(&Request::Unpause).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert_eq!(stand.call(&Request::Pause), Answer::Done);
    assert_eq!(stand.call(&Request::Stop(StopRequest::default())), Answer::Done);
    stand.end();
    assert_eq!(stand.state().exit_code, 143);
}

#[test]
fn checks_tell_how_it_is() {
    let flag = tempfile::NamedTempFile::new().unwrap();
    let path = flag.path().to_str().unwrap().to_owned();
    let check = format!("echo looked; test -e {path}");
    let check = Some(["sh", "-c", &check].map(str::to_owned).into());
    let stand = Stand::start(Plan { check, ..shell("exec sleep 100") });
    let is = |wanted| {
        move |state: &state::State| {
            state.health.as_ref().is_some_and(|health| health.status == wanted)
        }
    };
    let state = stand.until("healthy", is(Health::Healthy));
    assert_eq!(state.health.unwrap().log[0].output, "looked\n");
    drop(flag);
    let state = stand.until("unhealthy", is(Health::Unhealthy));
    assert!(state.health.unwrap().failing_streak >= 2);
    assert!(stand.events().contains(&"health(healthy)".to_owned()));
    assert!(stand.state().execs.is_empty(), "checks are no sessions");
}

#[test]
fn a_check_that_takes_too_long_failed() {
    let check = Some(["sleep", "100"].map(str::to_owned).into());
    let stand = Stand::start(Plan { check, ..shell("exec sleep 100") });
    let state = stand
        .until("late", |state| state.health.as_ref().is_some_and(|health| !health.log.is_empty()));
    let result = &state.health.unwrap().log[0];
    assert_eq!(result.exit_code, -1);
    assert_eq!(result.output, "Health check exceeded timeout (300ms)");
}

#[test]
fn a_session_runs_beside_it_and_ends_with_it() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    let exec = |id: &str, line: &str| {
        Request::Exec(ExecRequest {
            id: id.into(),
            process: process(&["sh", "-c", line]),
            tty: false,
            stdin: false,
            attach: false,
        })
    };
    // It prints more than a pipe holds, to nobody.
    stand.call(&exec("one", "head -c 300000 /dev/zero; exit 5"));
    let wait = Request::Wait(WaitFor::Exec("one".into()));
    let Answer::Exited(exit) = stand.call(&wait) else { panic!() };
    assert_eq!(exit.code, 5);
    let failure = stand.connect().call(&exec("one", "true")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    let mut other = stand.connect();
    other.call(&exec("two", "exec sleep 100")).unwrap();
    let wait = other.ask(&Request::Wait(WaitFor::Exec("two".into()))).unwrap();
    stand.call(&Request::Kill { signal: 9 });
    let Answer::Exited(exit) = other.answer(wait).unwrap() else { panic!() };
    assert_eq!(exit.code, 137);
    stand.end();
    let codes: Vec<_> = stand.state().execs.iter().map(|exec| exec.exit_code).collect();
    assert_eq!(codes, [Some(5), Some(137)]);
}

#[test]
fn a_killed_monitor_leaves_what_the_next_command_puts_right() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    let pid = stand.state().process;
    stand.monitor.kill().unwrap();
    stand.monitor.wait().unwrap();
    let found = state::observe(stand.path()).unwrap();
    assert_eq!((found.keeper, found.state.status), (Keeper::Orphaned, Status::Running));
    let mut second = Stand::make(Plan { folder: stand.path().to_owned(), ..shell("true") });
    let failure = second.connection.call(&Request::Start).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "a second one beside it would be worse");
    second.end();
    let done = state::recover(stand.path(), &mut |_| Ok(())).unwrap();
    assert_eq!((done.state.status, done.state.exit_code), (Status::Exited, 137));
    assert!(!pid.is_alive());
}

#[test]
fn the_end_of_the_machine_is_no_wish_to_stop() {
    let mut stand = Stand::start(Plan { restart: "always".into(), ..shell("exec sleep 100") });
    let monitor = sys::watched::open(stand.monitor.id() as i32).unwrap();
    for number in [1, 2, 3, 10] {
        sys::watched::signal(&monitor, number).unwrap();
    }
    assert_eq!(
        stand.call(&Request::Tell("x".into())),
        Answer::Told(serde_json::json!({"heard":"x"}))
    );
    sys::watched::signal(&monitor, 15).unwrap();
    stand.end();
    let state = stand.state();
    assert_eq!((state.status, state.exit_code, state.stopped), (Status::Exited, 143, false));
}

#[test]
fn who_goes_before_the_start_leaves_nothing() {
    let mut stand = Stand::make(shell("touch started"));
    let (ours, _) = sys::socket::nonblocking_pair().unwrap();
    stand.connection = runtime::attach::Connection::over(ours);
    stand.end();
    assert!(stand.events().is_empty());
    assert_eq!(stand.state().status, Status::Created);
}

#[test]
fn a_monitor_is_small() {
    let stand = Stand::start(shell("echo a line; exec sleep 100"));
    wait_for_log(&stand, "a line");
    let path = format!("/proc/{}/status", stand.monitor.id());
    let kib = |name: &str| -> u64 {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(kib("Threads:"), 1);
    assert!(kib("RssAnon:") < 512, "{} KiB of its own", kib("RssAnon:"));
    // The pages of the program go when it rests: after its start, and after each client. Without
    // optimisation it has more of its own, and comes back to more of them.
    let most = if cfg!(debug_assertions) { 5 << 10 } else { 3 << 10 };
    for _ in 0..2 {
        let begin = Instant::now();
        while kib("VmRSS:") >= most {
            assert!(begin.elapsed() < Duration::from_secs(20), "{} KiB", kib("VmRSS:"));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(matches!(stand.call(&Request::Tell("x".into())), Answer::Told(_)));
    }
}

#[test]
fn work_beside_the_run_is_in_the_same_loop() {
    let mut stand = Stand::start(shell("exec sleep 100"));
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    socket.send_to(b"who?", stand.path().join("beside.sock")).unwrap();
    let begin = Instant::now();
    while !stand.events().contains(&"late".to_owned()) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", stand.events());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(stand.events(), ["start", "asked who?", "late"]);
    // It ends with the run, and there is another one for the next.
    assert_eq!(stand.call(&Request::Restart(StopRequest::default())), Answer::Done);
    socket.send_to(b"again", stand.path().join("beside.sock")).unwrap();
    assert_eq!(stand.call(&Request::Stop(StopRequest::default())), Answer::Done);
    stand.end();
    assert!(stand.events().contains(&"asked again".to_owned()), "{:?}", stand.events());
}

#[test]
fn a_monitor_sleeps_while_nothing_happens() {
    let mut stand = Stand::make(Plan { stdin: true, ..shell("cat") });
    let wants = AttachRequest { stdin: true, stdout: true, ..AttachRequest::default() };
    stand.connection.call(&Request::Attach(wants)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    stand.call(&Request::Exec(ExecRequest {
        id: "tty".into(),
        process: process(&["sh", "-c", "echo x"]),
        tty: true,
        stdin: false,
        attach: false,
    }));
    stand.call(&Request::Wait(WaitFor::Exec("tty".into())));
    // All who were connected have gone.
    let (other, _) = sys::socket::nonblocking_pair().unwrap();
    stand.connection = runtime::attach::Connection::over(other);
    // It looks once more, a second after the last of them.
    std::thread::sleep(Duration::from_millis(1500));
    let switches = || -> u64 {
        let path = format!("/proc/{}/status", stand.monitor.id());
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
        lines.map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let ticks = || -> u64 {
        let path = format!("/proc/{}/stat", stand.monitor.id());
        let text = std::fs::read_to_string(path).unwrap();
        let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = (switches(), ticks());
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!((switches(), ticks()), before, "it works for nobody");
}

pub(crate) fn wait_for_log(stand: &Stand, text: &str) {
    let begin = Instant::now();
    while !stand.logged().contains(text) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{text} was never printed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process that have ended and were not taken in.
fn zombies(of: u32) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ended = |stat: &String| stat.contains(") Z ");
    children.split_whitespace().map(stat).filter(ended).collect()
}

#[test]
fn every_child_is_taken_in_also_one_that_nobody_knows() {
    let mut stand = Stand::start(Plan { stray: true, ..shell("exec sleep 600") });
    let monitor = stand.monitor.id();
    let begin = Instant::now();
    while !zombies(monitor).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(5), "left: {:?}", zombies(monitor));
        std::thread::sleep(Duration::from_millis(5));
    }
    stand.call(&Request::Stop(StopRequest { signal: Some(9), timeout: None, for_good: false }));
    stand.end();
}

#[test]
fn who_ignores_children_makes_a_monitor_that_does_not() {
    let mut stand = Stand::make_ignoring(shell("exit 7"));
    let wait = stand.connection.ask(&Request::Wait(WaitFor::NextExit)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    let answer = stand.connection.answer(wait);
    assert!(matches!(&answer, Ok(Answer::Exited(exit)) if exit.code == 7), "{answer:?}");
    stand.end();
}
