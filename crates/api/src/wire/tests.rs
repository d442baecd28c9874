use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::*;
use crate::buildkit::messages::BytesMessage;

/// Says again what it is told, or something else about it.
#[derive(Default)]
struct Echo {
    saw_gone: AtomicBool,
}

impl Service for Arc<Echo> {
    fn call(&self, path: &str, metadata: HeaderMap, exchange: Exchange) -> Result<(), Status> {
        let Exchange { mut incoming, outgoing } = exchange;
        match path {
            "/all" => {
                incoming.all::<BytesMessage>().try_for_each(|message| outgoing.send(&message?))
            }
            "/metadata" => {
                let said: Vec<_> = metadata.get_all("word").iter().collect();
                outgoing.send(&bytes(format!("{said:?}").as_bytes()))
            }
            "/refused" => Err(Status::missing("no such thing: é%\n")),
            "/late" => {
                outgoing.send(&bytes(b"first"))?;
                Err(Status::unsupported("then this"))
            }
            "/wait" => {
                outgoing.send(&bytes(b"here"))?;
                let begin = Instant::now();
                while !outgoing.is_gone() && begin.elapsed() < Duration::from_secs(20) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.saw_gone.store(outgoing.is_gone(), Ordering::Relaxed);
                Ok(())
            }
            _ => panic!("a fault of ours"),
        }
    }
}

fn bytes(data: &[u8]) -> BytesMessage {
    BytesMessage { data: data.to_vec() }
}

/// Somebody who calls, and the one who is called.
fn pair() -> (Runtime, Caller, Arc<Echo>, watch::Sender<bool>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let echo = Arc::<Echo>::default();
    let (ending, end) = watch::channel(false);
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    runtime.spawn(serve(theirs, Arc::new(echo.clone()), Calls::default(), end));
    let (caller, alive) = runtime.block_on(Caller::connect(ours)).unwrap();
    runtime.spawn(alive);
    (runtime, caller, echo, ending)
}

#[test]
fn messages_of_any_length_come_back_in_their_order() {
    let (_runtime, caller, _, _ending) = pair();
    let Exchange { mut incoming, outgoing } = caller.call("/all", &[]).unwrap();
    let lengths = [0, 1, 70_000, 5 << 20, 3];
    let reading = std::thread::spawn(move || {
        let read = incoming.all::<BytesMessage>().map(|message| message.unwrap().data.len());
        read.collect::<Vec<_>>()
    });
    for length in lengths {
        outgoing.send(&bytes(&vec![7; length])).unwrap();
    }
    drop(outgoing);
    assert_eq!(reading.join().unwrap(), lengths);
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let (_runtime, caller, _, _ending) = pair();
    let exchange = caller.call("/all", &[]).unwrap();
    let refused = exchange.outgoing.send(&bytes(&vec![0; 17 << 20])).unwrap_err();
    assert_eq!(refused.code, Code::ResourceExhausted);
}

#[test]
fn how_a_call_ended_is_told_after_what_it_said() {
    let (_runtime, caller, _, _ending) = pair();
    let asked = caller.ask::<BytesMessage>("/refused", &bytes(b""));
    assert_eq!(asked, Err(Status::missing("no such thing: é%\n")));
    let mut late = caller.call("/late", &[]).unwrap().incoming;
    assert_eq!(late.one::<BytesMessage>().unwrap(), bytes(b"first"));
    assert_eq!(late.receive::<BytesMessage>().unwrap_err().code, Code::Unimplemented);
    let died = caller.ask::<BytesMessage>("/nowhere", &bytes(b""));
    assert_eq!(died.unwrap_err().code, Code::Internal);
}

#[test]
fn metadata_may_have_several_values() {
    let (_runtime, caller, _, _ending) = pair();
    let metadata = [("word", "a".to_owned()), ("word", "b c".to_owned())];
    let mut incoming = caller.call("/metadata", &metadata).unwrap().incoming;
    assert_eq!(incoming.one::<BytesMessage>().unwrap(), bytes(br#"["a", "b c"]"#));
}

#[test]
fn whoever_answers_sees_that_nobody_waits_any_more() {
    let (runtime, caller, echo, _ending) = pair();
    let mut exchange = caller.call("/wait", &[]).unwrap();
    exchange.incoming.one::<BytesMessage>().unwrap();
    drop(exchange);
    drop(caller);
    // The connection goes with it.
    drop(runtime);
    let begin = Instant::now();
    while !echo.saw_gone.load(Ordering::Relaxed) {
        assert!(begin.elapsed() < Duration::from_secs(15), "it still waits");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn calls_beyond_those_that_are_answered_at_once_are_refused_not_kept() {
    let (runtime, caller, _, _ending) = pair();
    let waiting: Vec<_> = (0..100).map(|_| caller.call("/wait", &[]).unwrap()).collect();
    let answered = caller.ask::<BytesMessage>("/refused", &bytes(b""));
    assert_eq!(answered.unwrap_err().code, Code::NotFound, "others are answered meanwhile");
    drop((waiting, caller, runtime));
}
