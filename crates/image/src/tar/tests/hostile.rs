//! Headers by hand: what every field may hold, and what it may not.

use super::*;

#[track_caller]
fn refuse(archive: &[u8]) -> TarError {
    let error = read_bytes(archive).expect_err("must be refused");
    assert!(!error.to_string().is_empty());
    error
}

/// The one entry behind this header and empty data.
#[track_caller]
fn entry(raw: Raw) -> Entry {
    read_one(&archive(&[raw.alone()]))
}

/// The one entry behind these records, a file of five bytes otherwise.
#[track_caller]
fn file_with(records: &[(&str, &[u8])]) -> Entry {
    read_one(&archive(&[
        pax(b'x', records),
        Raw::new(b'0', "f", 5).with(b"hello"),
    ]))
}

#[track_caller]
fn refuse_file_with(records: &[(&str, &[u8])]) -> TarError {
    refuse(&archive(&[
        pax(b'x', records),
        Raw::new(b'0', "f", 5).with(b"hello"),
    ]))
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
        let bytes = archive(&[
            Raw::new(kind, "a", 700).alone(),
            Raw::new(b'0', "b", 0).alone(),
        ]);
        let members = read_bytes(&bytes).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!((members[0].0.size, members[0].0.stored_size), (0, 0));
    }
    for kind in [0, b'0', b'7', b'D', b'V', b'!'] {
        let bytes = archive(&[
            Raw::new(kind, "a", 5).with(b"hello"),
            Raw::new(b'5', "b", 0).alone(),
        ]);
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
        let link = Raw::new(b'1', "link", size)
            .text(field::LINK, "to")
            .with(data);
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
    assert!(matches!(
        refuse(&zeros_and_junk),
        TarError::LoneZeroBlock { .. }
    ));
    assert!(matches!(
        refuse(&[link(5000), junk].concat()),
        TarError::Truncated { .. }
    ));
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
    assert_eq!(
        count(&[&file, &zeros, &zeros, b"garbage", &file]).unwrap(),
        1
    );
    let lone = count(&[&file, &zeros, &file]).unwrap_err();
    assert!(
        matches!(lone, TarError::LoneZeroBlock { offset: 1024 }),
        "{lone}"
    );
    let junk = count(&[&file, &[b'x'; BLOCK]]).unwrap_err();
    assert!(
        matches!(junk, TarError::Checksum { offset: 1024 }),
        "{junk}"
    );
}

#[test]
fn says_where_an_archive_breaks_off() {
    let file = Raw::new(b'0', "dir/\u{1b}file", 700).with(&[b'x'; 700]);
    let in_data = refuse(&file[..BLOCK + 100]);
    let expected = r"the archive breaks off at byte 612, in the data of `dir/\u{1b}file`";
    assert_eq!(in_data.to_string(), expected);
    let in_header = refuse(&file[..100]);
    assert!(
        matches!(in_header, TarError::TruncatedHeader { offset: 100 }),
        "{in_header}"
    );
    let in_second_zeros = [file, vec![0; BLOCK + 1]].concat();
    assert!(matches!(
        refuse(&in_second_zeros),
        TarError::TruncatedHeader { .. }
    ));

    // The same while skipping.
    let mut reader = TarReader::new(&in_second_zeros[..BLOCK + 100], Limits::default());
    reader.next().unwrap();
    assert!(matches!(
        reader.next(),
        Err(TarError::Truncated { offset: 612, .. })
    ));
    assert!(matches!(reader.next(), Err(TarError::GivenUp)));
}

#[test]
fn finish_reads_to_the_end_of_the_stream() {
    let bytes = [
        archive(&[Raw::new(b'0', "f", 5).with(b"hello")]),
        vec![7; 999],
    ]
    .concat();
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
    assert_eq!(
        star.atime,
        Some(Time {
            seconds: 7,
            nanos: 0
        })
    );
    assert_eq!(
        star.ctime,
        Some(Time {
            seconds: 8,
            nanos: 0
        })
    );
}

#[test]
fn gnu_times_stand_where_other_prefixes_do() {
    let raw = Raw::new(b'0', "name", 0).gnu();
    let timed = raw
        .clone()
        .text(field::GNU_ATIME, "00000000007\0")
        .text(field::GNU_CTIME, "0000001");
    let found = entry(timed);
    assert_eq!(
        (found.path.as_slice(), found.ctime.unwrap().seconds),
        (&b"name"[..], 1)
    );
    assert_eq!(entry(raw.clone()).atime, None);
    assert_eq!(
        entry(raw.clone().text(field::PREFIX, "a/prefix")).path,
        b"a/prefix/name"
    );
    assert_eq!(
        entry(raw.bytes(field::PREFIX, b"a/pr\xe9fix")).path,
        b"name"
    );
}

#[test]
fn numbers_may_be_large_and_times_negative() {
    let raw = Raw::new(b'0', "f", 0)
        .bytes(field::UID, b"\x80\0\0\0\xff\xff\xff\xff")
        .bytes(field::GID, b"\xff\xff\xff\xff\xff\xff\xff\xfe")
        .bytes(field::MTIME, &[0xff; 12])
        .bytes(field::MODE, &[0xff; 8]);
    let entry = entry(raw);
    assert_eq!(
        (entry.uid, entry.gid),
        (u64::from(u32::MAX), u64::from(u32::MAX) - 1)
    );
    assert_eq!(
        (entry.mtime, entry.mode),
        (
            Time {
                seconds: -1,
                nanos: 0
            },
            0o7777
        )
    );
}

#[test]
fn refuses_numbers_that_cannot_be() {
    let raw = || Raw::new(b'0', "f", 0);
    for at in [
        field::MODE,
        field::UID,
        field::GID,
        field::SIZE,
        field::MTIME,
    ] {
        let error = refuse(&raw().text(at, "12x4567").alone());
        assert!(matches!(&error, TarError::Number { offset: 0, value, .. } if value == "12x4567"));
        let error = refuse(&raw().bytes(at, b"\x80\xff\xff\xff\xff\xff\xff\xff").alone());
        let is_small = matches!(error, TarError::Range { .. });
        assert!(is_small, "{error}");
    }
    let negative = refuse(&raw().bytes(field::SIZE, &[0xff; 12]).alone());
    assert!(
        negative
            .to_string()
            .contains("the size of `f` is out of range: -1"),
        "{negative}"
    );
    let owner = raw().bytes(field::UID, b"\xff\xff\xff\0\0\0\0\0").alone();
    assert!(matches!(
        refuse(&owner),
        TarError::Range { field: "uid", .. }
    ));
    let huge = raw()
        .bytes(field::SIZE, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")
        .alone();
    assert!(matches!(refuse(&huge), TarError::Truncated { .. }));
}

#[test]
fn devices_have_two_numbers() {
    let raw = Raw::new(b'3', "d", 0)
        .text(field::MAJOR, "0000005")
        .text(field::MINOR, "0000010");
    assert_eq!(
        entry(raw.clone()).kind,
        EntryKind::Char { major: 5, minor: 8 }
    );
    assert_eq!(
        entry(raw.clone().text(field::MAGIC, "")).kind,
        EntryKind::Char { major: 0, minor: 0 }
    );
    let large = raw
        .clone()
        .bytes(field::MINOR, b"\x80\0\0\x01\0\0\0\0")
        .alone();
    assert!(matches!(
        refuse(&large),
        TarError::Range {
            field: "devminor",
            ..
        }
    ));
    let records = [
        ("SCHILY.devmajor", &b"7"[..]),
        ("SCHILY.devminor", b"1048576"),
    ];
    let bytes = archive(&[pax(b'x', &records), raw.alone()]);
    assert_eq!(
        read_one(&bytes).kind,
        EntryKind::Char {
            major: 7,
            minor: 1 << 20
        }
    );
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
    assert_eq!(
        (&entry.uname[..], &entry.gname[..]),
        (&b"someone"[..], &b"some"[..])
    );
    assert_eq!(
        entry.mtime,
        Time {
            seconds: -2,
            nanos: 500_000_000
        }
    );
    assert_eq!(
        entry.atime,
        Some(Time {
            seconds: 1,
            nanos: 1
        })
    );
    assert_eq!(
        entry.ctime,
        Some(Time {
            seconds: 2,
            nanos: 0
        })
    );
    let expected: [(&[u8], &[u8]); 3] = [
        (b"user.a", b""),
        (b"user.b", b"\0\xff\n"),
        (b"user.c", b"foo"),
    ];
    let found: Vec<_> = entry
        .xattrs
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    assert_eq!(found, expected);
    assert_eq!((entry.header_offset, entry.size), (0, 5));
}

#[test]
fn a_sizes_record_counts_for_the_data() {
    let records = pax(b'x', &[("size", b"5")]);
    let file = Raw::new(b'0', "f", 0).with(b"hello");
    let members = read_bytes(&archive(&[records, file])).unwrap();
    assert_eq!(members[0].1, b"hello");
    assert!(matches!(
        refuse_file_with(&[("size", b"-1")]),
        TarError::Range { .. }
    ));
    assert!(matches!(
        refuse_file_with(&[("size", b"1e3")]),
        TarError::Number { .. }
    ));
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
    assert_eq!(
        (&found.path[..], &found.uname[..]),
        (&b"second"[..], &b""[..])
    );
    assert_eq!(read_one(&archive(&[solaris.clone(), file])).path, b"first");
    assert!(read_bytes(&archive(&[solaris])).unwrap().is_empty());
}

#[test]
fn long_names_come_before_their_entry() {
    let path = format!("{}/long", "d".repeat(300));
    let target = "t".repeat(200);
    let long = |kind, text: &str| {
        Raw::new(kind, "././@LongLink", text.len() + 1)
            .gnu()
            .with(text.as_bytes())
    };
    let link = Raw::new(b'2', "short", 0)
        .text(field::LINK, "short")
        .gnu()
        .alone();
    let records = pax(b'x', &[("path", b"pax"), ("linkpath", b"pax")]);
    let parts = [
        long(b'L', &path),
        long(b'K', &target),
        records,
        link.clone(),
        link.clone(),
    ];
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
    assert!(
        matches!(error, TarError::Record { offset: 0, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("`PaxHeaders/x`"));
    assert!(matches!(
        refuse_file_with(&[("mtime", b"now")]),
        TarError::Number { .. }
    ));
    let cut = pax(b'x', &[("comment", &[b'x'; 2000])])[..1000].to_vec();
    assert!(matches!(refuse(&cut), TarError::Truncated { .. }));
    let no_size = Raw::new(b'x', "p", 0).text(field::SIZE, "?").alone();
    assert!(matches!(refuse(&no_size), TarError::Number { .. }));
}

#[test]
fn sparse_maps_are_checked() {
    let version_1 = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let sparse = |size: usize, data: &[u8]| {
        let records = [
            &version_1[..],
            &[("GNU.sparse.realsize", b"1000"), ("GNU.sparse.name", b"n")],
        ];
        archive(&[
            pax(b'x', &records.concat()),
            Raw::new(b'0', "f", size).with(data),
        ])
    };
    let mut data = b"1\n995\n5\n".to_vec();
    data.resize(BLOCK, 0);
    data.extend_from_slice(b"hello");
    let found = read_one(&sparse(517, &data));
    assert_eq!(
        (found.size, found.stored_size, &found.path[..]),
        (1000, 5, &b"n"[..])
    );
    assert_eq!(
        found.sparse.unwrap(),
        [Segment {
            offset: 995,
            length: 5
        }]
    );
    assert!(matches!(
        refuse(&sparse(518, &data)),
        TarError::Sparse { .. }
    ));
    assert!(matches!(
        refuse(&sparse(100, &data)),
        TarError::Sparse { .. }
    ));
    assert!(matches!(
        refuse(&sparse(517, b"x")),
        TarError::Number { .. }
    ));
    assert!(matches!(
        refuse(&sparse(517, b"9999999\n")),
        TarError::Limit { .. }
    ));
    let cut = sparse(517, &data);
    assert!(matches!(
        refuse(&cut[..3 * BLOCK + 99]),
        TarError::Truncated {
            part: "sparse map",
            ..
        }
    ));
    assert!(matches!(
        refuse(&cut[..3 * BLOCK]),
        TarError::Truncated {
            part: "sparse map",
            ..
        }
    ));

    let version = |major: &'static [u8], minor: &'static [u8]| {
        refuse_file_with(&[("GNU.sparse.major", major), ("GNU.sparse.minor", minor)])
    };
    assert!(matches!(version(b"2", b"0"), TarError::Sparse { .. }));
    assert!(matches!(version(b"1", b"1"), TarError::Sparse { .. }));
    let count = [
        ("GNU.sparse.numblocks", &b"2"[..]),
        ("GNU.sparse.map", b"0,5"),
    ];
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
    assert_eq!(
        found.sparse.unwrap(),
        [Segment {
            offset: 995,
            length: 5
        }]
    );
    assert!(matches!(
        refuse(&raw("").with(b"hello")),
        TarError::Sparse { .. }
    ));
    let ustar = raw(piece).text(field::MAGIC, "ustar\x0000").with(b"hello");
    assert!(matches!(refuse(&ustar), TarError::Sparse { .. }));
    let negative = raw("").bytes(field::GNU_SPARSE, &[0xff; 24]).with(b"hello");
    assert!(matches!(refuse(&negative), TarError::Sparse { .. }));
    let words = raw("once upon a\0time there was\0").with(b"hello");
    assert!(matches!(refuse(&words), TarError::Number { .. }));
    let no_size = raw(piece).text(field::GNU_REAL_SIZE, "x").with(b"hello");
    assert!(matches!(
        refuse(&no_size),
        TarError::Number {
            field: "real size",
            ..
        }
    ));
    let extended = raw(piece).byte(field::GNU_IS_EXTENDED, 1).alone();
    assert!(matches!(
        refuse(&extended),
        TarError::Truncated {
            part: "sparse map",
            ..
        }
    ));
    let nonsense = [extended, [b"x".repeat(504), vec![0; 8]].concat()].concat();
    assert!(matches!(refuse(&nonsense), TarError::Number { .. }));
}

#[test]
fn limits_hold() {
    let limits = Limits {
        max_pax_bytes: 100,
        max_path: 10,
        max_entries: 2,
        max_sparse_segments: 1,
    };
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
    check(
        &[Raw::new(b'2', "a", 0)
            .text(field::LINK, "01234567890")
            .alone()],
        Some(10),
    );
    check(
        &[Raw::new(b'0', "a", 0)
            .text(field::UNAME, "01234567890")
            .alone()],
        Some(10),
    );
    check(&[pax(b'x', &[("comment", &[b'x'; 80])]), file("a")], None);
    check(
        &[pax(b'x', &[("comment", &[b'x'; 90])]), file("a")],
        Some(100),
    );
    check(&[Raw::new(b'L', "l", 523).alone()], Some(522));
    check(
        &[pax(b'x', &[("GNU.sparse.map", b"0,0,0,0")]), file("a")],
        Some(1),
    );
}

#[test]
fn reading_reuses_an_entry_completely() {
    let link = Raw::new(b'2', "link", 0)
        .text(field::LINK, "to")
        .text(field::UNAME, "u")
        .alone();
    let records = pax(
        b'x',
        &[
            ("SCHILY.xattr.a", b"b"),
            ("GNU.sparse.map", b"0,5"),
            ("atime", b"1"),
        ],
    );
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
