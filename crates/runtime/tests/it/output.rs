//! What a container prints: logged, attached to, followed, and never lost.

use std::time::{Duration, Instant};

use runtime::attach::{Answer, AttachRequest, Connection, FrameKind, Request, WaitFor};
use runtime::logs::{Follow, Selection, Stream};

use crate::life::wait_for_log;
use crate::stand::{Plan, Stand, shell};

const BOTH: AttachRequest =
    AttachRequest { stdin: false, stdout: true, stderr: true, patient: true };

/// Reads all that comes for a client until the container has ended.
fn collect(connection: &mut Connection) -> (Vec<u8>, Vec<u8>, Option<i32>) {
    let (mut out, mut err, mut code) = (Vec::new(), Vec::new(), None);
    loop {
        while let Some(frame) = connection.next_frame() {
            match frame.kind {
                FrameKind::Stdout => out.extend(frame.body),
                FrameKind::Stderr => err.extend(frame.body),
                FrameKind::Answer => {
                    if let Ok(Answer::Exited(exit)) = serde_json::from_slice(&frame.body) {
                        code = Some(exit.code);
                    }
                }
                _ => {}
            }
        }
        if code.is_some() || connection.is_over() {
            return (out, err, code);
        }
        let source = (Some(std::os::fd::AsFd::as_fd(connection)), sys::event::Interest::READ);
        let [ready] = sys::event::poll([source], Some(Duration::from_secs(20))).unwrap();
        assert!(ready.read, "nothing comes any more");
        connection.receive().unwrap();
    }
}

#[test]
fn output_is_attached_to_and_logged() {
    let mut stand = Stand::make(shell("echo out; echo err >&2; printf rest"));
    stand.connection.ask(&Request::Attach(BOTH)).unwrap();
    stand.connection.ask(&Request::Start).unwrap();
    let (out, err, code) = collect(&mut stand.connection);
    assert_eq!((out.as_slice(), err.as_slice(), code), (&b"out\nrest"[..], &b"err\n"[..], Some(0)));
    stand.end();
    let mut reader = stand.reader(Selection::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_ready().unwrap() {
        entries.push((entry.stream, String::from_utf8(entry.line).unwrap()));
    }
    entries.sort_by_key(|(stream, _)| stream.name());
    let expected = [(Stream::Stderr, "err\n"), (Stream::Stdout, "out\n"), (Stream::Stdout, "rest")];
    assert_eq!(entries, expected.map(|(stream, line)| (stream, line.to_owned())));
}

#[test]
fn input_reaches_it_and_ends() {
    let mut stand = Stand::make(Plan { stdin: true, stdin_once: true, ..shell("cat; echo end") });
    let wants = AttachRequest { stdin: true, ..BOTH };
    stand.connection.ask(&Request::Attach(wants)).unwrap();
    // Sent before the container runs, and more than a pipe holds.
    let mut input = b"line of input\n".repeat(20_000);
    stand.connection.ask(&Request::Start).unwrap();
    let sent = input.clone();
    for part in sent.chunks(30_000) {
        stand.connection.send_stdin(part).unwrap();
    }
    stand.connection.send_stdin(b"").unwrap();
    let mut got = Vec::new();
    let begin = Instant::now();
    let mut code = None;
    while code.is_none() {
        stand.connection.flush_some().unwrap();
        stand.connection.receive().unwrap();
        while let Some(frame) = stand.connection.next_frame() {
            match frame.kind {
                FrameKind::Stdout => got.extend(frame.body),
                _ => {
                    if let Ok(Answer::Exited(exit)) = serde_json::from_slice(&frame.body) {
                        code = Some(exit.code);
                    }
                }
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    input.extend(b"end\n");
    assert!(got == input, "{} bytes of {}", got.len(), input.len());
}

#[test]
fn input_stays_open_without_clients() {
    let stand = Stand::start(Plan { stdin: true, ..shell("read line; echo got $line; sleep 100") });
    for _ in 0..2 {
        let mut other = stand.connect();
        other.call(&Request::Attach(AttachRequest { stdin: true, ..BOTH })).unwrap();
        other.send_stdin(b"").unwrap();
    }
    let mut other = stand.connect();
    other.call(&Request::Attach(AttachRequest { stdin: true, ..BOTH })).unwrap();
    other.send_stdin(b"hello\n").unwrap();
    wait_for_log(&stand, "got hello");
}

#[test]
fn a_patient_client_gets_everything_however_slow_it_is() {
    let mut stand = Stand::make(shell("seq 1 200000"));
    stand.connection.ask(&Request::Attach(BOTH)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    // The container has to wait: far more is printed than all buffers hold.
    std::thread::sleep(Duration::from_millis(300));
    assert!(stand.state().status.is_alive());
    let (out, _, code) = collect(&mut stand.connection);
    let lines = String::from_utf8(out).unwrap();
    assert_eq!((lines.lines().count(), lines.lines().last()), (200_000, Some("200000")));
    assert_eq!(code, Some(0));
    stand.end();
    assert_eq!(stand.logged(), lines);
}

#[test]
fn the_end_is_told_though_a_patient_client_has_not_read_all() {
    let mut stand = Stand::make(shell("head -c 250000 /dev/zero"));
    stand.connection.ask(&Request::Attach(BOTH)).unwrap();
    stand.connection.call(&Request::Start).unwrap();
    stand.until("ended", |state| state.status == runtime::state::Status::Exited);
    // Longer than a client without patience would be waited for.
    std::thread::sleep(Duration::from_millis(5500));
    assert!(stand.monitor.try_wait().unwrap().is_none(), "it still has what is the client's");
    let (out, _, code) = collect(&mut stand.connection);
    assert_eq!((out.len(), code), (250_000, Some(0)));
    stand.end();
}

#[test]
fn another_client_that_takes_nothing_is_dropped() {
    let mut stand = Stand::start(Plan {
        stdin: true,
        stdin_once: false,
        ..shell("read x; seq 1 200000; echo done")
    });
    let mut slow = stand.connect();
    slow.call(&Request::Attach(AttachRequest { stdin: true, patient: false, ..BOTH })).unwrap();
    slow.send_stdin(b"go\n").unwrap();
    let begin = Instant::now();
    stand.end();
    assert!(begin.elapsed() >= Duration::from_secs(4), "it was given time");
    assert!(stand.logged().ends_with("200000\ndone\n"), "and then the container went on");
}

#[test]
fn many_lines_are_logged_in_little_time() {
    let begin = Instant::now();
    let mut stand = Stand::start(shell("seq 1 100000"));
    stand.end();
    let took = begin.elapsed();
    assert_eq!(stand.logged().lines().count(), 100_000);
    assert!(took < Duration::from_secs(10), "{took:?} for 100,000 lines");
}

#[test]
fn a_follower_sees_every_line_over_rotations() {
    for (log, compress) in [("json-file", "true"), ("local", "true"), ("json-file", "false")] {
        let options = [("max-size", "20k"), ("max-file", "5"), ("compress", compress)];
        let mut stand = Stand::make(Plan {
            log: log.into(),
            log_options: options.map(|(key, value)| (key.into(), value.into())).into(),
            ..shell("for i in $(seq 1 40); do seq $((i*50-49)) $((i*50)); sleep 0.02; done")
        });
        let wait = stand.connection.ask(&Request::Wait(WaitFor::NotRunning)).unwrap();
        let mut follow = Follow::new(stand.reader(Selection::default())).unwrap();
        stand.connection.call(&Request::Start).unwrap();
        let mut lines = Vec::new();
        loop {
            while let Some(entry) = follow.next_ready().unwrap() {
                lines.push(String::from_utf8(entry.line).unwrap().trim().parse::<u32>().unwrap());
            }
            let ended = std::os::fd::AsFd::as_fd(&stand.connection);
            if !follow.wait(Some(ended), None).unwrap() {
                break;
            }
        }
        stand.connection.answer(wait).unwrap();
        while let Some(entry) = follow.next_ready().unwrap() {
            lines.push(String::from_utf8(entry.line).unwrap().trim().parse::<u32>().unwrap());
        }
        assert!(lines == (1..=2000).collect::<Vec<_>>(), "{log} {compress}: {lines:?}");
        stand.end();
        let aside = |kind: &str| stand.path().join(format!("log.1{kind}")).exists();
        assert!(aside(".gz") || aside(""), "it was rotated");
    }
}

#[test]
fn a_log_is_put_aside_when_somebody_asks() {
    let options = [("max-file", "3")].map(|(key, value)| (key.into(), value.into())).into();
    let stand = Stand::start(Plan { log_options: options, ..shell("echo one; exec sleep 100") });
    wait_for_log(&stand, "one");
    assert_eq!(stand.call(&Request::RotateLog), Answer::Done);
    assert_eq!(std::fs::read(stand.log_path()).unwrap(), b"");
    assert_eq!(stand.logged(), "one\n");
}
