//! What is written is read back.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::io;

/// Writes entries with their data, and ends the archive.
pub(super) fn write(members: &[Member]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, data) in members {
        writer.append(entry, &mut &data[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// Leaves out where an entry was found, which no writer is told.
fn without_places(mut member: Member) -> Member {
    (member.0.header_offset, member.0.data_offset) = (0, 0);
    member
}

fn plain(path: &str) -> Entry {
    Entry { path: path.into(), mode: 0o644, ..Entry::default() }
}

#[test]
fn a_simple_entry_is_one_plain_block() {
    let entry = Entry { uname: b"root".to_vec(), uid: 5, size: 5, ..plain("some/file") };
    let bytes = write(&[(entry, b"hello".to_vec())]);
    assert_eq!(bytes.len(), 4 * BLOCK);
    let text = |at: Range<usize>| bytes[at].escape_ascii().to_string();
    assert_eq!(text(100..148), r"0000644\x000000005\x000000000\x0000000000005\x0000000000000\x00");
    assert_eq!(text(257..265), r"ustar\x0000");
    assert_eq!(text(329..345), r"0000000\x000000000\x00");
    assert!(bytes[512..517] == *b"hello" && bytes[517..].iter().all(|&byte| byte == 0));
}

#[test]
fn records_are_sorted_and_stable() {
    let entry = Entry {
        path: "é".repeat(3).into_bytes(),
        mtime: Time { seconds: 5, nanos: 120_000_000 },
        uid: 1 << 21,
        xattrs: vec![(b"user.z".to_vec(), b"\0".to_vec()), (b"a=b".to_vec(), b"foo".to_vec())],
        ..Entry::default()
    };
    let bytes = write(&[(entry, vec![])]);
    let expected = "31 LIBARCHIVE.xattr.a%3Db=Zm9v\n25 SCHILY.xattr.user.z=\0\n\
                    14 mtime=5.12\n15 path=ééé\n15 uid=2097152\n";
    assert_eq!(std::str::from_utf8(&bytes[512..][..expected.len()]).unwrap(), expected);
    assert_eq!(&bytes[..24], b"PaxHeaders/______\0\0\0\0\0\0\0");
    assert_eq!(&bytes[1024..1031], b"______\0");
}

#[test]
fn names_go_where_they_fit() {
    let blocks = |path: String| {
        let mut out = Vec::new();
        encode_header(&plain(&path), &mut out).unwrap();
        assert_eq!(read_one(&archive(&[out.clone()])).path, path.as_bytes());
        out.len() / BLOCK
    };
    let (long, longer) = ("n".repeat(100), "p".repeat(155));
    assert_eq!(blocks(long.clone()), 1);
    assert_eq!(blocks(format!("{longer}/{long}")), 1);
    assert_eq!(blocks(format!("{long}x")), 3);
    assert_eq!(blocks(format!("{longer}x/{long}")), 3);
    assert_eq!(blocks(format!("{longer}/{long}x")), 3);
    assert_eq!(blocks(format!("/{long}")), 3, "an empty prefix would lose the slash");
    assert_eq!(blocks(format!("//{long}")), 1);
    assert_eq!(blocks(format!("{longer}//{long}")), 3);
    assert_eq!(blocks("x".repeat(4000)), 10);
}

#[test]
fn refuses_what_no_archive_can_hold() {
    let bad = [
        plain(""),
        plain("a\0b"),
        plain("file/"),
        Entry { kind: EntryKind::Symlink(b"a\0b".to_vec()), ..plain("a") },
        Entry { kind: EntryKind::Other(b'V'), ..plain("a") },
        Entry { uname: b"\0".to_vec(), ..plain("a") },
        Entry { size: 1 << 63, ..plain("a") },
        Entry { uid: 1 << 63, ..plain("a") },
        Entry { mtime: Time { seconds: 0, nanos: 1_000_000_000 }, ..plain("a") },
        Entry { xattrs: vec![(b"".to_vec(), vec![])], ..plain("a") },
        Entry { xattrs: vec![(b"a\0".to_vec(), vec![])], ..plain("a") },
        Entry { xattrs: vec![(b"a".to_vec(), vec![]); 2], ..plain("a") },
        Entry { xattrs: vec![(b"a".to_vec(), vec![0; 1 << 20])], ..plain("a") },
    ];
    for entry in bad {
        let mut writer = TarWriter::new(Vec::new());
        let error = writer.append(&entry, &mut io::empty()).unwrap_err();
        assert!(matches!(TarError::inside(&error), Some(TarError::Unwritable { .. })), "{error}");
        assert_eq!(writer.finish().unwrap().len(), 2 * BLOCK, "nothing of it is written");
    }
}

#[test]
fn a_file_may_grow_but_not_shrink() {
    let entry = Entry { size: 5, ..plain("f") };
    let mut writer = TarWriter::new(Vec::new());
    writer.append(&entry, &mut &b"hello, world"[..]).unwrap();
    let error = writer.append(&entry, &mut &b"hell"[..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "`f` gave 4 bytes where 5 were promised");
    struct Bad(u8);
    impl Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            Err(if self.0 == 1 { io::ErrorKind::Interrupted } else { io::ErrorKind::TimedOut }
                .into())
        }
    }
    let error = TarWriter::new(Vec::new()).append(&entry, &mut Bad(0)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

fn text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let any = vec(1..=255u8, 0..longest);
    let usual = vec(prop_oneof![b'a'..=b'z', Just(b'/')], 0..longest);
    prop_oneof![any, usual]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..5000u64, 2_097_100..2_097_200u64, 0..=i64::MAX as u64]
}

fn time() -> impl Strategy<Value = Time> {
    let seconds = prop_oneof![-5..5i64, 0..1i64 << 34, any::<i64>()];
    let nanos = prop_oneof![Just(0), 0..1_000_000_000u32];
    (seconds, nanos).prop_map(|(seconds, nanos)| Time { seconds, nanos })
}

fn kind() -> impl Strategy<Value = EntryKind> {
    let device = prop_oneof![0..4096u32, any::<u32>()];
    prop_oneof![
        Just(EntryKind::File),
        Just(EntryKind::Directory),
        Just(EntryKind::Fifo),
        text(150).prop_map(EntryKind::Symlink),
        text(150).prop_map(EntryKind::Hardlink),
        (device.clone(), device.clone())
            .prop_map(|(major, minor)| EntryKind::Char { major, minor }),
        (device.clone(), device).prop_map(|(major, minor)| EntryKind::Block { major, minor }),
    ]
}

fn member() -> impl Strategy<Value = Member> {
    let names = (text(300), kind(), text(60), text(60));
    let numbers = (0..=0o7777u32, number(), number());
    let times = (time(), option::of(time()), option::of(time()));
    let xattrs = btree_map(vec(1..=255u8, 1..20), vec(any::<u8>(), 0..50), 0..4);
    (names, numbers, times, xattrs, vec(any::<u8>(), 0..1500)).prop_map(
        |(
            (mut path, kind, uname, gname),
            (mode, uid, gid),
            (mtime, atime, ctime),
            xattrs,
            data,
        )| {
            let data = if kind == EntryKind::File { data } else { Vec::new() };
            if path.is_empty() || kind == EntryKind::File {
                path.push(b'f');
            }
            let size = data.len() as u64;
            let xattrs = xattrs.into_iter().collect();
            let (header_offset, data_offset, stored_size, sparse) = (0, 0, size, None);
            let entry = Entry {
                path,
                kind,
                mode,
                uid,
                gid,
                uname,
                gname,
                mtime,
                atime,
                ctime,
                size,
                xattrs,
                header_offset,
                data_offset,
                stored_size,
                sparse,
            };
            (entry, data)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_written_is_read(members in vec(member(), 0..5)) {
        let bytes = write(&members);
        prop_assert_eq!(&bytes, &write(&members));
        let read: Vec<Member> = read_bytes(&bytes).unwrap().into_iter().map(without_places).collect();
        prop_assert_eq!(read, members);
    }
}
