//! Folders from one side to the other.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::client::Lab;
use crate::buildkit::client::Choice;
use crate::buildkit::messages::files::{Packet, PacketKind, Stat};
use crate::buildkit::receive::{Received, receive};
use crate::wire::{Exchange, Status};

/// Takes the client's folder `f` into `into`.
fn take(lab: &Lab, into: &Path) -> Received {
    fs::create_dir_all(into).unwrap();
    let session = lab.app.buildkit.sessions.wait("the-session").unwrap();
    let opened = sys::fs::open_folder(into).unwrap();
    session.receive("f", &Choice::default(), &opened, &mut |_| ()).unwrap()
}

#[test]
fn a_folder_arrives_as_it_is_and_only_changes_come_again() {
    let lab = Lab::new();
    let long = "x".repeat(200_000);
    let from = lab.folder("f", &[("a/b/c", "c"), ("a-b", "2"), ("long", &long), ("empty", "")]);
    symlink("../nowhere", from.join("a/link")).unwrap();
    fs::hard_link(from.join("a-b"), from.join("second")).unwrap();
    fs::set_permissions(from.join("a-b"), PermissionsExt::from_mode(0o4751)).unwrap();
    let into = lab.folder.path().join("into");
    let first = take(&lab, &into);
    assert_eq!((first.files, first.sent), (8, 5), "{first:?}");
    let is = |path: &str| fs::symlink_metadata(into.join(path)).unwrap();
    let was = |path: &str| fs::symlink_metadata(from.join(path)).unwrap();
    for path in ["a", "a/b", "a/b/c", "a-b", "long", "empty", "a/link"] {
        let (is, was) = (is(path), was(path));
        assert_eq!((is.mode(), is.mtime_nsec()), (was.mode(), was.mtime_nsec()), "{path}");
    }
    assert_eq!(fs::read_to_string(into.join("long")).unwrap(), long);
    assert_eq!(fs::read_link(into.join("a/link")).unwrap(), Path::new("../nowhere"));
    assert_eq!(take(&lab, &into), Received { sent: 0, bytes: 0, ..first });
    fs::write(from.join("a/b/c"), "changed").unwrap();
    fs::remove_file(from.join("long")).unwrap();
    fs::create_dir(from.join("long")).unwrap();
    fs::remove_file(from.join("a/link")).unwrap();
    let second = take(&lab, &into);
    assert_eq!((second.files, second.sent, second.bytes), (7, 1, 7), "{second:?}");
    assert_eq!(fs::read_to_string(into.join("a/b/c")).unwrap(), "changed");
    assert!(is("long").is_dir() && !into.join("a/link").exists());
}

/// What is said of files that a stranger tells of.
fn told(stats: Vec<Stat>) -> Result<Received, Status> {
    let lab = Lab::new();
    let into = lab.folder.path().join("into");
    fs::create_dir_all(&into).unwrap();
    let opened = sys::fs::open_folder(&into).unwrap();
    let (exchange, mut other) = Exchange::pair();
    let stranger = std::thread::spawn(move || {
        let all = stats.into_iter().map(Some).chain([None]);
        for stat in all {
            let kind = PacketKind::Stat as i32;
            // It may have been refused already.
            let _ = other.outgoing.send(&Packet { kind, stat, ..Packet::default() });
        }
        while let Ok(Some(packet)) = other.incoming.receive::<Packet>() {
            let kind = PacketKind::try_from(packet.kind).unwrap();
            if matches!(kind, PacketKind::End | PacketKind::Error) {
                return;
            }
            let data = Packet { kind: PacketKind::Data as i32, id: packet.id, ..packet };
            let _ = other.outgoing.send(&data);
        }
    });
    let received = receive(exchange, &opened, &mut |_| ());
    stranger.join().unwrap();
    assert!(!lab.folder.path().join("out").exists(), "it has reached out of its folder");
    received
}

#[test]
fn strangers_reach_nothing_outside() {
    let file = |path: &str| Stat { path: path.into(), mode: 0o644, ..Stat::default() };
    let link = |path: &str, link: &str| Stat {
        mode: Stat::mode_of(0o120777),
        link: link.into(),
        ..file(path)
    };
    assert_eq!(told(vec![file("a")]).unwrap().files, 1);
    for path in ["../out", "/out", "a/../../out", "", "a//b", "./a", "a\0b"] {
        let refused = told(vec![file(path)]).unwrap_err();
        assert!(refused.message.contains("is no path in a folder"), "{path}: {refused}");
    }
    for stats in [
        vec![link("l", ".."), file("l/out")],
        vec![Stat { link: b"../out".to_vec(), ..file("h") }],
        vec![Stat { mode: Stat::mode_of(0o060600), ..file("disk") }],
    ] {
        let refused = told(stats).unwrap_err();
        assert!(refused.message.starts_with("cannot take in "), "{refused}");
    }
}
