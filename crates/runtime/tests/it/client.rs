//! The side that asks: terminals, sizes, keys, sessions.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use runtime::attach::{
    AttachRequest, Console, ExecOutcome, ExecRequest, Foreground, Outcome, RawMode, Request,
    Streams, run_exec, run_foreground,
};
use runtime::keys::DetachKeys;
use sys::terminal::{self, Size};

use crate::life::wait_for_log;
use crate::stand::{self, Plan, Stand, process, shell};

/// Raw mode and signals are a program's, not a thread's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads from a terminal until a text has come.
#[track_caller]
fn until(master: &OwnedFd, text: &str) -> String {
    sys::event::set_nonblocking(master).unwrap();
    let (begin, mut seen) = (Instant::now(), Vec::new());
    let mut bytes = [0; 4096];
    loop {
        if let Some(count) = sys::event::read_some(master, &mut bytes).unwrap() {
            seen.extend_from_slice(&bytes[..count]);
        }
        let shown = String::from_utf8_lossy(&seen).into_owned();
        if shown.contains(text) {
            return shown;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{text:?} never came: {shown:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_terminal_is_the_containers_until_the_keys_come() {
    let _alone = alone();
    let (master, slave) = stand::terminal();
    terminal::set_size(&master, Size { rows: 33, columns: 111 }).unwrap();
    let line = "stty size; while read l; do echo got $l; stty size; done";
    let mut stand = Stand::make(Plan { tty: true, ..shell(line) });
    let wants = AttachRequest { stdin: true, stdout: true, stderr: true, patient: true };
    let mut connection = std::mem::replace(&mut stand.connection, {
        let (one, _) = sys::socket::nonblocking_pair().unwrap();
        runtime::attach::Connection::over(one)
    });
    connection.ask(&Request::Attach(wants)).unwrap();
    connection.ask(&Request::Start).unwrap();
    let folder = stand.path().to_owned();
    let ours = slave.try_clone().unwrap();
    let client = thread::spawn(move || {
        let mut console = Console::take(false, Some(ours.as_fd())).unwrap();
        console.enter_raw(ours.as_fd()).unwrap();
        run_foreground(Foreground {
            connection,
            run_folder: &folder,
            stdin: Some(ours.as_fd()),
            stdout: ours.as_fd(),
            stderr: ours.as_fd(),
            leaves_with_input: false,
            keys: DetachKeys::parse("ctrl-p,ctrl-q").unwrap(),
            console,
        })
        .unwrap()
    });
    wait_for_log(&stand, "\n");
    assert!(!terminal::modes(&slave).unwrap().echoes(), "it is raw");
    sys::event::write_some(&master, b"hello\r").unwrap();
    let shown = until(&master, "33 111");
    assert!(shown.contains("got hello") || until(&master, "got hello").contains("got"));
    sys::event::write_some(&master, b"\x10").unwrap();
    sys::event::write_some(&master, b"\x11").unwrap();
    assert_eq!(client.join().unwrap(), Outcome::Detached);
    assert!(terminal::modes(&slave).unwrap().echoes(), "it was given back as it was");
    assert!(stand.state().status.is_alive(), "the container goes on");
}

#[test]
fn raw_mode_ends_with_a_panic_too() {
    let _alone = alone();
    let (_master, slave) = stand::terminal();
    let fd = slave.try_clone().unwrap();
    let result = thread::spawn(move || {
        let _raw = RawMode::enter(fd.as_fd()).unwrap();
        assert!(!terminal::modes(&fd).unwrap().echoes());
        // What an abort does not run.
        std::mem::forget(_raw);
        panic!("on purpose");
    });
    assert!(result.join().is_err());
    assert!(terminal::modes(&slave).unwrap().echoes());
}

#[test]
fn a_signal_ends_the_client_and_gives_the_terminal_back() {
    let _alone = alone();
    let (_master, slave) = stand::terminal();
    let mut console = Console::take(false, None).unwrap();
    console.enter_raw(slave.as_fd()).unwrap();
    sys::watched::signal_self(15);
    let news = console.news().unwrap();
    assert_eq!(news, [runtime::attach::News::End(15)]);
    drop(console);
    assert!(terminal::modes(&slave).unwrap().echoes());
}

/// A container in the foreground of this thread, which has a signal to deal with.
fn foreground(line: &str, tty: bool, signal: i32) -> (Outcome, String) {
    let (master, slave) = stand::terminal();
    let mut stand = Stand::make(Plan { tty, ..shell(line) });
    let wants = AttachRequest { stdin: false, stdout: true, stderr: true, patient: true };
    stand.connection.ask(&Request::Attach(wants)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    wait_for_log(&stand, "ready");
    let console = Console::take(!tty, Some(slave.as_fd())).unwrap();
    terminal::set_size(&master, Size { rows: 12, columns: 34 }).unwrap();
    sys::watched::signal_self(signal);
    let (other, _) = sys::socket::nonblocking_pair().unwrap();
    let other = runtime::attach::Connection::over(other);
    let connection = std::mem::replace(&mut stand.connection, other);
    let outcome = run_foreground(Foreground {
        connection,
        run_folder: stand.path(),
        stdin: None,
        stdout: slave.as_fd(),
        stderr: slave.as_fd(),
        leaves_with_input: false,
        keys: DetachKeys::none(),
        console,
    });
    (outcome.unwrap(), stand.logged())
}

#[test]
fn signals_and_sizes_reach_the_container() {
    let _alone = alone();
    let line = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.02; done";
    let (outcome, _) = foreground(line, false, 10);
    assert!(matches!(&outcome, Outcome::Exited(exit) if exit.code == 42), "{outcome:?}");
    let line = "trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.02; done";
    let (outcome, logged) = foreground(line, true, 28);
    assert!(matches!(&outcome, Outcome::Exited(exit) if exit.code == 7), "{outcome:?}");
    assert!(logged.contains("12 34"), "{logged}");
}

fn exec(stand: &Stand, args: &[&str], tty: bool, input: &[u8]) -> (ExecOutcome, String) {
    let (stdin, typed) = rustix::pipe::pipe().unwrap();
    let (shown, stdout) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&typed, input).unwrap();
    if !tty {
        drop(typed);
    }
    let request = ExecRequest {
        id: format!("{args:?}"),
        process: process(args),
        tty,
        stdin: true,
        attach: true,
    };
    let streams =
        Streams { stdin: Some(stdin.as_fd()), stdout: stdout.as_fd(), stderr: stdout.as_fd() };
    let console = Console::take(false, None).unwrap();
    let keys = DetachKeys::parse("a,b").unwrap();
    let outcome = run_exec(&mut stand.connect(), request, streams, keys, &console).unwrap();
    drop(stdout);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(shown), &mut bytes).unwrap();
    (outcome, String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_session_has_its_own_streams() {
    let _alone = alone();
    let stand = Stand::start(shell("exec sleep 100"));
    let (outcome, shown) = exec(&stand, &["sh", "-c", "cat; echo e >&2; exit 4"], false, b"in\n");
    assert_eq!((outcome, shown.as_str()), (ExecOutcome::Exited(4), "in\ne\n"));
    let (outcome, shown) = exec(&stand, &["sh", "-c", "read x; tty; exit 2"], true, b"in\n");
    assert_eq!(outcome, ExecOutcome::Exited(2));
    assert!(shown.contains("/dev/pts/"), "{shown}");
    let (outcome, _) = exec(&stand, &["/nowhere"], false, b"");
    let ExecOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.exit_code(), 127);
    let (outcome, _) = exec(&stand, &["sleep", "100"], true, b"ab");
    assert_eq!(outcome, ExecOutcome::Detached);
    assert_eq!(stand.logged(), "", "sessions are not logged");
}
