//! What comes before a header and changes it, by hand: records, long names, sparse maps.

use super::*;

/// The one entry behind these records, a file of five bytes otherwise.
#[track_caller]
fn file_with(records: &[(&str, &[u8])]) -> Entry {
    read_one(&archive(&[pax(b'x', records), Raw::new(b'0', "f", 5).with(b"hello")]))
}

#[track_caller]
fn refuse_file_with(records: &[(&str, &[u8])]) -> TarError {
    refuse(&archive(&[pax(b'x', records), Raw::new(b'0', "f", 5).with(b"hello")]))
}

#[test]
fn records_override_the_header() {
    let entry = file_with(&[
        ("path", b"dir/\xff"),
        ("uid", b"4294967294"),
        ("gid", b"-2"),
        ("uname", b"someone"),
        ("gname", b"some"),
        ("mtime", b"-1.5"),
        ("atime", b"1.000000001"),
        ("ctime", b"2"),
        ("comment", b"ignored"),
        ("hdrcharset", b"BINARY"),
        ("SCHILY.dev", b"5"),
        ("SCHILY.xattr.user.b", b"old"),
        ("SCHILY.xattr.user.b", b"\0\xff\n"),
        ("SCHILY.xattr.user.a", b""),
        ("LIBARCHIVE.xattr.user.b", b"Zm9v"),
        ("LIBARCHIVE.xattr.user.%63", b"Zm9v"),
    ]);
    assert_eq!(entry.path, b"dir/\xff");
    assert_eq!((entry.uid, entry.gid), (4294967294, 4294967294));
    assert_eq!((&entry.uname[..], &entry.gname[..]), (&b"someone"[..], &b"some"[..]));
    assert_eq!(entry.mtime, Time { seconds: -2, nanos: 500_000_000 });
    assert_eq!(entry.atime, Some(Time { seconds: 1, nanos: 1 }));
    assert_eq!(entry.ctime, Some(Time { seconds: 2, nanos: 0 }));
    let expected: [(&[u8], &[u8]); 3] =
        [(b"user.a", b""), (b"user.b", b"\0\xff\n"), (b"user.c", b"foo")];
    let found: Vec<_> = entry.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(found, expected);
    assert_eq!((entry.header_offset, entry.size), (0, 5));
}

#[test]
fn a_sizes_record_counts_for_the_data() {
    let records = pax(b'x', &[("size", b"5")]);
    let file = Raw::new(b'0', "f", 0).with(b"hello");
    let members = read_bytes(&archive(&[records, file])).unwrap();
    assert_eq!(members[0].1, b"hello");
    assert!(matches!(refuse_file_with(&[("size", b"-1")]), TarError::Range { .. }));
    assert!(matches!(refuse_file_with(&[("size", b"1e3")]), TarError::Number { .. }));
    assert!(matches!(
        refuse_file_with(&[("size", b"9223372036854775807")]),
        TarError::Truncated { .. }
    ));
    assert!(matches!(
        refuse_file_with(&[("size", b"9223372036854775808")]),
        TarError::Number { .. }
    ));
}

#[test]
fn archive_wide_records_last_until_changed() {
    let file = |name| Raw::new(b'0', name, 0).text(field::UNAME, "header").alone();
    let bytes = archive(&[
        pax(b'g', &[("uname", b"wide"), ("mtime", b"7")]),
        file("a"),
        pax(b'x', &[("uname", b"own")]),
        file("b"),
        pax(b'x', &[("uname", b"")]),
        pax(b'g', &[("mtime", b"8")]),
        file("c"),
        pax(b'g', &[("uname", b""), ("mtime", b"")]),
        file("d"),
    ]);
    let found: Vec<_> = read_bytes(&bytes)
        .unwrap()
        .into_iter()
        .map(|(entry, _)| (String::from_utf8(entry.uname).unwrap(), entry.mtime.seconds))
        .collect();
    let expected = [("wide", 7), ("own", 7), ("header", 8), ("header", 0)];
    assert_eq!(found, expected.map(|(name, time)| (name.to_owned(), time)));
}

#[test]
fn only_the_last_extended_header_counts() {
    let solaris = pax(b'X', &[("path", b"first"), ("uname", b"first")]);
    let second = pax(b'x', &[("path", b"second")]);
    let file = Raw::new(b'0', "f", 0).alone();
    let found = read_one(&archive(&[solaris.clone(), second, file.clone()]));
    assert_eq!((&found.path[..], &found.uname[..]), (&b"second"[..], &b""[..]));
    assert_eq!(read_one(&archive(&[solaris.clone(), file])).path, b"first");
    assert!(read_bytes(&archive(&[solaris])).unwrap().is_empty());
}

#[test]
fn long_names_come_before_their_entry() {
    let path = format!("{}/long", "d".repeat(300));
    let target = "t".repeat(200);
    let long = |kind, text: &str| {
        let text = format!("{text}\0");
        Raw::new(kind, "././@LongLink", text.len()).gnu().with(text.as_bytes())
    };
    let link = Raw::new(b'2', "short", 0).text(field::LINK, "short").gnu().alone();
    let records = pax(b'x', &[("path", b"pax"), ("linkpath", b"pax")]);
    let parts = [long(b'L', &path), long(b'K', &target), records, link.clone(), link.clone()];
    let members = read_bytes(&archive(&parts)).unwrap();
    assert_eq!(members[0].0.path, path.as_bytes());
    assert_eq!(members[0].0.kind, EntryKind::Symlink(target.into_bytes()));
    assert_eq!(members[0].0.header_offset, 0);
    assert_eq!(members[1].0.path, b"short");
    let empty = archive(&[long(b'L', ""), link.clone()]);
    assert_eq!(read_one(&empty).path, b"short");
    let cut = [long(b'L', &path)[..600].to_vec()].concat();
    assert!(matches!(refuse(&cut), TarError::Truncated { .. }));
}

#[test]
fn refuses_broken_records() {
    let error = refuse_file_with(&[("path", b"a\0b")]);
    assert!(matches!(error, TarError::Record { offset: 0, .. }), "{error}");
    assert!(error.to_string().contains("`PaxHeaders/x`"));
    assert!(matches!(refuse_file_with(&[("mtime", b"now")]), TarError::Number { .. }));
    let cut = pax(b'x', &[("comment", &[b'x'; 2000])])[..1000].to_vec();
    assert!(matches!(refuse(&cut), TarError::Truncated { .. }));
    let no_size = Raw::new(b'x', "p", 0).text(field::SIZE, "?").alone();
    assert!(matches!(refuse(&no_size), TarError::Number { .. }));
}

#[test]
fn sparse_maps_are_checked() {
    let version_1 = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let sparse = |size: usize, data: &[u8]| {
        let records =
            [&version_1[..], &[("GNU.sparse.realsize", b"1000"), ("GNU.sparse.name", b"n")]];
        archive(&[pax(b'x', &records.concat()), Raw::new(b'0', "f", size).with(data)])
    };
    let mut data = b"1\n995\n5\n".to_vec();
    data.resize(BLOCK, 0);
    data.extend_from_slice(b"hello");
    let found = read_one(&sparse(517, &data));
    assert_eq!((found.size, found.stored_size, &found.path[..]), (1000, 5, &b"n"[..]));
    assert_eq!(found.sparse.unwrap(), [Segment { offset: 995, length: 5 }]);
    assert!(matches!(refuse(&sparse(518, &data)), TarError::Sparse { .. }));
    assert!(matches!(refuse(&sparse(100, &data)), TarError::Sparse { .. }));
    assert!(matches!(refuse(&sparse(517, b"x")), TarError::Number { .. }));
    assert!(matches!(refuse(&sparse(517, b"9999999\n")), TarError::Limit { .. }));
    let cut = sparse(517, &data);
    assert!(matches!(
        refuse(&cut[..3 * BLOCK + 99]),
        TarError::Truncated { part: "sparse map", .. }
    ));
    assert!(matches!(refuse(&cut[..3 * BLOCK]), TarError::Truncated { part: "sparse map", .. }));

    let version = |major: &'static [u8], minor: &'static [u8]| {
        refuse_file_with(&[("GNU.sparse.major", major), ("GNU.sparse.minor", minor)])
    };
    assert!(matches!(version(b"2", b"0"), TarError::Sparse { .. }));
    assert!(matches!(version(b"1", b"1"), TarError::Sparse { .. }));
    let count = [("GNU.sparse.numblocks", &b"2"[..]), ("GNU.sparse.map", b"0,5")];
    assert!(matches!(refuse_file_with(&count), TarError::Sparse { .. }));
    let whole = file_with(&[("GNU.sparse.map", b"0,5"), ("GNU.sparse.size", b"9")]);
    assert_eq!((whole.size, whole.stored_size), (9, 5));
}

#[test]
fn old_sparse_maps_are_checked() {
    let raw = |pieces: &str| {
        Raw::new(b'S', "f", 5)
            .gnu()
            .text(field::GNU_SPARSE, pieces)
            .text(field::GNU_REAL_SIZE, "00000001750")
    };
    let piece = "00000001743\x0000000000005\0";
    let found = read_one(&archive(&[raw(piece).with(b"hello")]));
    assert_eq!((found.size, found.stored_size), (1000, 5));
    assert_eq!(found.sparse.unwrap(), [Segment { offset: 995, length: 5 }]);
    assert!(matches!(refuse(&raw("").with(b"hello")), TarError::Sparse { .. }));
    let ustar = raw(piece).text(field::MAGIC, "ustar\x0000").with(b"hello");
    assert!(matches!(refuse(&ustar), TarError::Sparse { .. }));
    let negative = raw("").bytes(field::GNU_SPARSE, &[0xff; 24]).with(b"hello");
    assert!(matches!(refuse(&negative), TarError::Sparse { .. }));
    let words = raw("once upon a\0time there was\0").with(b"hello");
    assert!(matches!(refuse(&words), TarError::Number { .. }));
    let no_size = raw(piece).text(field::GNU_REAL_SIZE, "x").with(b"hello");
    assert!(matches!(refuse(&no_size), TarError::Number { field: "real size", .. }));
    let extended = raw(piece).byte(field::GNU_IS_EXTENDED, 1).alone();
    assert!(matches!(refuse(&extended), TarError::Truncated { part: "sparse map", .. }));
    let nonsense = [extended, [b"x".repeat(504), vec![0; 8]].concat()].concat();
    assert!(matches!(refuse(&nonsense), TarError::Number { .. }));
}

#[test]
fn limits_hold() {
    let limits =
        Limits { max_pax_bytes: 100, max_path: 10, max_entries: 2, max_sparse_segments: 1 };
    let check = |parts: &[Vec<u8>], expected: Option<u64>| {
        let bytes = archive(parts);
        let mut reader = TarReader::new(&bytes[..], limits);
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(TarError::Limit { limit, .. }) => break Some(limit),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(error, expected);
    };
    let file = |name| Raw::new(b'0', name, 0).alone();
    check(&[file("a"), file("b")], None);
    check(&[file("a"), file("b"), file("c")], Some(2));
    check(&[file("0123456789")], None);
    check(&[file("01234567890")], Some(10));
    check(&[Raw::new(b'2', "a", 0).text(field::LINK, "01234567890").alone()], Some(10));
    check(&[Raw::new(b'0', "a", 0).text(field::UNAME, "01234567890").alone()], Some(10));
    check(&[pax(b'x', &[("comment", &[b'x'; 80])]), file("a")], None);
    check(&[pax(b'x', &[("comment", &[b'x'; 90])]), file("a")], Some(100));
    check(&[Raw::new(b'L', "l", 523).alone()], Some(522));
    check(&[pax(b'x', &[("GNU.sparse.map", b"0,0,0,0")]), file("a")], Some(1));
}

#[test]
fn reading_reuses_an_entry_completely() {
    let link = Raw::new(b'2', "link", 0).text(field::LINK, "to").text(field::UNAME, "u").alone();
    let records =
        pax(b'x', &[("SCHILY.xattr.a", b"b"), ("GNU.sparse.map", b"0,5"), ("atime", b"1")]);
    let sparse = Raw::new(b'0', "sparse", 5).with(b"hello");
    let plain = Raw::new(b'0', "plain", 0).alone();
    let bytes = archive(&[records, sparse, link, plain]);
    let fresh = read_bytes(&bytes).unwrap();
    let mut reader = TarReader::new(&bytes[..], Limits::default());
    let mut entry = Entry::default();
    for (expected, _) in fresh {
        assert!(reader.next_into(&mut entry).unwrap());
        assert_eq!(entry, expected);
    }
    assert!(!reader.next_into(&mut entry).unwrap());
    assert!(!reader.next_into(&mut entry).unwrap());
}
