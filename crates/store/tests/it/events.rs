//! The journal of what happened.

use std::fs;
use std::io::Write;

use store::{Event, EventFilter, Events};
use testkit::Scratch;

fn ready(events: &mut Events) -> Vec<String> {
    let mut list = Vec::new();
    while let Some(event) = events.next_ready().unwrap() {
        list.push(event.actor.id);
    }
    list
}

fn record(scratch: &Scratch, id: &str) {
    scratch.store.record_event("image", "tag", id, &[("name", "x")]);
}

#[test]
fn events_are_read_as_they_were_written() {
    let scratch = Scratch::new();
    let mut events = scratch.store.events(EventFilter::default()).unwrap();
    assert_eq!(ready(&mut events), [""; 0]);
    record(&scratch, "one");
    record(&scratch, "two");
    assert_eq!(ready(&mut events), ["one", "two"]);
    assert_eq!(ready(&mut events), [""; 0]);
    record(&scratch, "three");
    assert_eq!(ready(&mut events), ["three"]);
    let mut all = scratch.store.events(EventFilter::default()).unwrap();
    let first: Event = all.next_ready().unwrap().unwrap();
    assert_eq!((first.kind.as_str(), first.action.as_str()), ("image", "tag"));
    assert_eq!((first.scope.as_str(), first.actor.attributes["name"].as_str()), ("local", "x"));
    assert_eq!(first.time, first.time_nano / 1_000_000_000);
}

#[test]
fn times_choose() {
    let scratch = Scratch::new();
    record(&scratch, "old");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let between = spec::Timestamp::now();
    std::thread::sleep(std::time::Duration::from_millis(20));
    record(&scratch, "new");
    let with =
        |since, until| ready(&mut scratch.store.events(EventFilter { since, until }).unwrap());
    assert_eq!(with(Some(between), None), ["new"]);
    assert_eq!(with(None, Some(between)), ["old"]);
    assert_eq!(with(Some(between), Some(between)), [""; 0]);
}

#[test]
fn a_line_is_never_too_long_to_be_read() {
    let scratch = Scratch::new();
    let long = "x".repeat(2 << 20);
    scratch.store.record_event("image", "tag", "labels", &[("label", &long), ("name", "x")]);
    scratch.store.record_event("image", "tag", "names", &[("name", &long)]);
    record(&scratch, &long);
    record(&scratch, "last");
    let mut events = scratch.store.events(EventFilter::default()).unwrap();
    let first = events.next_ready().unwrap().unwrap();
    assert_eq!(
        first.actor.attributes.into_iter().collect::<Vec<_>>(),
        [("name".into(), "x".into())]
    );
    let second = events.next_ready().unwrap().unwrap();
    assert!(second.actor.id == "names" && second.actor.attributes.is_empty());
    assert_eq!(ready(&mut events), ["last"]);
}

#[test]
fn a_torn_line_takes_no_other_with_it() {
    let scratch = Scratch::new();
    record(&scratch, "one");
    let path = scratch.store.paths().events();
    let mut events = scratch.store.events(EventFilter::default()).unwrap();
    assert_eq!(ready(&mut events), ["one"]);
    record(&scratch, "plain");
    assert_eq!(ready(&mut events), ["plain"]);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().filter(|line| line.is_empty()).count(), 0, "{text}");
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"Type\": \"ima").unwrap();
    assert_eq!(ready(&mut events), [""; 0], "half a line is no event");
    record(&scratch, "two");
    assert_eq!(ready(&mut events), ["two"]);
    file.write_all(&[b'x'; 3 << 20]).unwrap();
    record(&scratch, "three");
    assert_eq!(ready(&mut events), ["three"]);
    let mut again = scratch.store.events(EventFilter::default()).unwrap();
    assert_eq!(ready(&mut again), ["one", "plain", "two", "three"]);
}

#[test]
fn a_full_journal_is_put_aside_and_nothing_is_missed() {
    let scratch = Scratch::new();
    let path = scratch.store.paths().events();
    record(&scratch, "first");
    let mut follower = scratch.store.events(EventFilter::default()).unwrap();
    assert_eq!(ready(&mut follower), ["first"]);
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    for _ in 0..9 {
        file.write_all(&[b'x'; 1_000_000]).unwrap();
        file.write_all(b"\n").unwrap();
    }
    // Written to the journal that is put aside a moment later.
    let mut line = serde_json::to_vec(&scratch_event("late")).unwrap();
    line.push(b'\n');
    file.write_all(&line).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                for round in 0..10 {
                    record(scratch, &format!("{writer}-{round}"));
                }
            });
        }
    });
    let seen = ready(&mut follower);
    assert_eq!((seen.len(), seen[0].as_str()), (41, "late"));
    assert!(fs::metadata(path).unwrap().len() < 100_000);
    let all = ready(&mut scratch.store.events(EventFilter::default()).unwrap());
    assert_eq!((all.len(), all[0].as_str()), (42, "first"));
}

#[test]
fn who_waited_while_the_journal_was_put_aside_writes_to_the_new_one() {
    let scratch = Scratch::new();
    let path = scratch.store.paths().events();
    record(&scratch, "first");
    let held = fs::File::options().append(true).open(&path).unwrap();
    sys::lock::lock(&held, sys::lock::Mode::Exclusive).unwrap();
    // Only a full one is put aside.
    held.set_len(9 << 20).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&held.metadata().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| record(&scratch, "late"));
        // It has opened the journal when it waits for the lock.
        let waits = |line: &str| line.contains("->") && line.contains(&format!(":{inode} "));
        for _ in 0..500 {
            if fs::read_to_string("/proc/locks").unwrap_or_default().lines().any(waits) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        fs::rename(&path, path.with_extension("old")).unwrap();
        drop(held);
    });
    let old = fs::read_to_string(path.with_extension("old")).unwrap();
    assert!(!old.contains("late"), "written to what is no longer the journal");
    let all = ready(&mut scratch.store.events(EventFilter::default()).unwrap());
    assert_eq!(all, ["first", "late"]);
}

fn scratch_event(id: &str) -> Event {
    let actor = store_actor(id);
    Event {
        kind: "image".into(),
        action: "tag".into(),
        actor,
        scope: "local".into(),
        time: 1,
        time_nano: 1_000_000_000,
    }
}

fn store_actor(id: &str) -> store::Actor {
    store::Actor { id: id.to_owned(), attributes: Default::default() }
}
