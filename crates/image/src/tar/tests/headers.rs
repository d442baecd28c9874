//! Headers by hand: what every field may hold, and what it may not; and how archives end.

use super::*;

/// The one entry behind this header and empty data.
#[track_caller]
fn entry(raw: Raw) -> Entry {
    read_one(&archive(&[raw.alone()]))
}

#[test]
fn types_are_what_their_bytes_say() {
    let kind = |byte, name| entry(Raw::new(byte, name, 0).text(field::LINK, "to")).kind;
    assert_eq!(kind(b'0', "a"), EntryKind::File);
    assert_eq!(kind(b'0', "a/"), EntryKind::File);
    assert_eq!(kind(0, "a"), EntryKind::File);
    assert_eq!(kind(0, "a/"), EntryKind::Directory);
    assert_eq!(kind(b'7', "a"), EntryKind::File);
    assert_eq!(kind(b'1', "a"), EntryKind::Hardlink(b"to".to_vec()));
    assert_eq!(kind(b'2', "a"), EntryKind::Symlink(b"to".to_vec()));
    assert_eq!(kind(b'3', "a"), EntryKind::Char { major: 0, minor: 0 });
    assert_eq!(kind(b'4', "a"), EntryKind::Block { major: 0, minor: 0 });
    assert_eq!(kind(b'5', "a"), EntryKind::Directory);
    assert_eq!(kind(b'6', "a"), EntryKind::Fifo);
    assert_eq!(kind(b'V', "a"), EntryKind::Other(b'V'));
    assert_eq!(kind(0xff, "a"), EntryKind::Other(0xff));
}

#[test]
fn only_files_and_unknown_types_have_data() {
    for kind in [b'2', b'3', b'4', b'5', b'6'] {
        let bytes = archive(&[Raw::new(kind, "a", 700).alone(), Raw::new(b'0', "b", 0).alone()]);
        let members = read_bytes(&bytes).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!((members[0].0.size, members[0].0.stored_size), (0, 0));
    }
    for kind in [0, b'0', b'7', b'D', b'V', b'!'] {
        let bytes =
            archive(&[Raw::new(kind, "a", 5).with(b"hello"), Raw::new(b'5', "b", 0).alone()]);
        let members = read_bytes(&bytes).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].1, b"hello");
    }
}

#[test]
fn a_hard_link_may_bring_its_data() {
    let next = || Raw::new(b'0', "next", 2).with(b"ok");
    let zeros_then_text = [vec![0; BLOCK], b"text".to_vec()].concat();
    let datas: [&[u8]; 5] = [b"", b"hello", &[0; 5], &[b'x'; 1500], &zeros_then_text];
    for data in datas {
        let size = data.len().max(5);
        let link = Raw::new(b'1', "link", size).text(field::LINK, "to").with(data);
        let members = read_bytes(&archive(&[link, next()])).unwrap();
        let names: Vec<_> = members.iter().map(|(entry, _)| &entry.path[..]).collect();
        assert_eq!(names, [&b"link"[..], b"next"]);
        assert_eq!(members[0].0.stored_size, 0);
        assert_eq!(members[1].1, b"ok");
    }
    let link = |size| Raw::new(b'1', "link", size).alone();
    assert_eq!(read_bytes(&archive(&[link(5)])).unwrap().len(), 1);
    assert_eq!(read_bytes(&link(5)).unwrap().len(), 1);
    let junk = vec![b'x'; BLOCK];
    let twice = archive(&[link(5), junk.clone(), junk.clone()]);
    assert!(matches!(refuse(&twice), TarError::Checksum { .. }));
    let zeros_and_junk = archive(&[link(5), vec![0; BLOCK], junk.clone()]);
    assert!(matches!(refuse(&zeros_and_junk), TarError::LoneZeroBlock { .. }));
    assert!(matches!(refuse(&[link(5000), junk].concat()), TarError::Truncated { .. }));
}

#[test]
fn ends_as_archives_end() {
    let file = Raw::new(b'0', "f", 5).with(b"hello");
    let zeros = vec![0; BLOCK];
    let count = |parts: &[&[u8]]| read_bytes(&parts.concat()).map(|members| members.len());
    assert_eq!(count(&[]).unwrap(), 0);
    assert_eq!(count(&[&zeros]).unwrap(), 0);
    assert_eq!(count(&[&file]).unwrap(), 1);
    assert_eq!(count(&[&file[..BLOCK + 5]]).unwrap(), 1, "no padding");
    assert_eq!(count(&[&file, &zeros]).unwrap(), 1);
    assert_eq!(count(&[&file, &zeros, &zeros, b"garbage", &file]).unwrap(), 1);
    let lone = count(&[&file, &zeros, &file]).unwrap_err();
    assert!(matches!(lone, TarError::LoneZeroBlock { offset: 1024 }), "{lone}");
    let junk = count(&[&file, &[b'x'; BLOCK]]).unwrap_err();
    assert!(matches!(junk, TarError::Checksum { offset: 1024 }), "{junk}");
}

#[test]
fn says_where_an_archive_breaks_off() {
    let file = Raw::new(b'0', "dir/\u{1b}file", 700).with(&[b'x'; 700]);
    let in_data = refuse(&file[..BLOCK + 100]);
    let expected = r"the archive breaks off at byte 612, in the data of `dir/\u{1b}file`";
    assert_eq!(in_data.to_string(), expected);
    let in_header = refuse(&file[..100]);
    assert!(matches!(in_header, TarError::TruncatedHeader { offset: 100 }), "{in_header}");
    let in_second_zeros = [file, vec![0; BLOCK + 1]].concat();
    assert!(matches!(refuse(&in_second_zeros), TarError::TruncatedHeader { .. }));

    // The same while skipping.
    let mut reader = TarReader::new(&in_second_zeros[..BLOCK + 100], Limits::default());
    reader.next().unwrap();
    assert!(matches!(reader.next(), Err(TarError::Truncated { offset: 612, .. })));
    assert!(matches!(reader.next(), Err(TarError::GivenUp)));
}

#[test]
fn finish_reads_to_the_end_of_the_stream() {
    let bytes = [archive(&[Raw::new(b'0', "f", 5).with(b"hello")]), vec![7; 999]].concat();
    let mut reader = TarReader::new(&bytes[..], Limits::default());
    reader.next().unwrap();
    assert_eq!(reader.offset(), 512);
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.offset(), 2048);
    assert_eq!(reader.finish().unwrap(), bytes.len() as u64);
    assert!(reader.into_inner().is_empty());
}

#[test]
fn paths_are_put_together() {
    let split = Raw::new(b'0', "name", 0).text(field::PREFIX, "some/dir");
    assert_eq!(entry(split.clone()).path, b"some/dir/name");
    assert_eq!(entry(split.text(field::MAGIC, "")).path, b"name");
    let full = "x".repeat(100);
    assert_eq!(entry(Raw::new(b'0', &full, 0)).path, full.as_bytes());
    let star = Raw::new(b'0', "name", 0)
        .text(field::PREFIX, &"p".repeat(131))
        .text(field::STAR_ATIME, "00000000007 ")
        .text(field::STAR_CTIME, "00000000010 ")
        .text(field::STAR_TRAILER, "tar\0");
    let star = entry(star);
    assert_eq!(star.path.len(), 131 + 1 + 4);
    assert_eq!(star.atime, Some(Time { seconds: 7, nanos: 0 }));
    assert_eq!(star.ctime, Some(Time { seconds: 8, nanos: 0 }));
}

#[test]
fn gnu_times_stand_where_other_prefixes_do() {
    let raw = Raw::new(b'0', "name", 0).gnu();
    let timed =
        raw.clone().text(field::GNU_ATIME, "00000000007\0").text(field::GNU_CTIME, "0000001");
    let found = entry(timed);
    assert_eq!((found.path.as_slice(), found.ctime.unwrap().seconds), (&b"name"[..], 1));
    assert_eq!(entry(raw.clone()).atime, None);
    assert_eq!(entry(raw.clone().text(field::PREFIX, "a/prefix")).path, b"a/prefix/name");
    assert_eq!(entry(raw.bytes(field::PREFIX, b"a/pr\xe9fix")).path, b"name");
}

#[test]
fn numbers_may_be_large_and_times_negative() {
    let raw = Raw::new(b'0', "f", 0)
        .bytes(field::UID, b"\x80\0\0\0\xff\xff\xff\xff")
        .bytes(field::GID, b"\xff\xff\xff\xff\xff\xff\xff\xfe")
        .bytes(field::MTIME, &[0xff; 12])
        .bytes(field::MODE, &[0xff; 8]);
    let entry = entry(raw);
    assert_eq!((entry.uid, entry.gid), (u64::from(u32::MAX), u64::from(u32::MAX) - 1));
    assert_eq!((entry.mtime, entry.mode), (Time { seconds: -1, nanos: 0 }, 0o7777));
}

#[test]
fn refuses_numbers_that_cannot_be() {
    let raw = || Raw::new(b'0', "f", 0);
    for at in [field::MODE, field::UID, field::GID, field::SIZE, field::MTIME] {
        let error = refuse(&raw().text(at.clone(), "12x4567").alone());
        assert!(matches!(&error, TarError::Number { offset: 0, value, .. } if value == "12x4567"));
    }
    for at in [field::SIZE, field::MTIME] {
        let error = refuse(&raw().bytes(at, b"\x80\xff\xff\xff\xff\xff\xff\xff").alone());
        assert!(matches!(error, TarError::Range { .. }), "{error}");
    }
    let negative = refuse(&raw().bytes(field::SIZE, &[0xff; 12]).alone());
    assert!(negative.to_string().contains("the size of `f` is out of range: -1"), "{negative}");
    let owner = raw().bytes(field::UID, b"\xff\xff\xff\0\0\0\0\0").alone();
    assert!(matches!(refuse(&owner), TarError::Range { field: "uid", .. }));
    let huge = raw().bytes(field::SIZE, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff").alone();
    assert!(matches!(refuse(&huge), TarError::Truncated { .. }));
}

#[test]
fn devices_have_two_numbers() {
    let raw = Raw::new(b'3', "d", 0).text(field::MAJOR, "0000005").text(field::MINOR, "0000010");
    assert_eq!(entry(raw.clone()).kind, EntryKind::Char { major: 5, minor: 8 });
    assert_eq!(
        entry(raw.clone().text(field::MAGIC, "")).kind,
        EntryKind::Char { major: 0, minor: 0 }
    );
    let large = raw.clone().bytes(field::MINOR, b"\x80\0\0\x01\0\0\0\0").alone();
    assert!(matches!(refuse(&large), TarError::Range { field: "devminor", .. }));
    let records = [("SCHILY.devmajor", &b"7"[..]), ("SCHILY.devminor", b"1048576")];
    let bytes = archive(&[pax(b'x', &records), raw.alone()]);
    assert_eq!(read_one(&bytes).kind, EntryKind::Char { major: 7, minor: 1 << 20 });
}
