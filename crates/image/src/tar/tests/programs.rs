//! Against the tar programs of this machine: what they write is read, what is written they read.

use super::*;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// What a program prints; nothing, with a word why, if the machine lacks it.
fn run(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.output().inspect_err(|error| eprintln!("skipped: {error}")).ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    Some(output.stdout)
}

/// A folder as GNU tar archives it.
fn gnu_tar(folder: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new("tar");
    command.arg("-C").arg(folder).args(options).args(["--sort=name", "-cf", "-", "."]);
    run(&mut command).expect("GNU tar is part of every system these tests run on")
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Sets a time before 1970 or with nanoseconds by way of `touch`.
fn touch(path: &Path, time: &str) {
    run(Command::new("touch").arg("-hd").arg(time).arg(path)).unwrap();
}

/// A folder with what every format can hold.
fn simple_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("dir/empty"), "").unwrap();
    for size in [1, 511, 512, 513, 100_000] {
        fs::write(at(&format!("dir/{size}")), vec![b'x'; size]).unwrap();
    }
    fs::set_permissions(at("dir/1"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(at("dir/513"), at("dir/other-513")).unwrap();
    symlink("../somewhere", at("dir/link")).unwrap();
    touch(&at("dir/1"), "2001-02-03 04:05:06Z");
    folder
}

/// A folder with what only newer formats can hold.
fn full_folder() -> tempfile::TempDir {
    let folder = simple_folder();
    let deep = folder.path().join("long".repeat(30)).join("deep".repeat(40)).join("er".repeat(60));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("n".repeat(200)), "long").unwrap();
    symlink("t".repeat(300), deep.join("link")).unwrap();
    run(Command::new("mkfifo").arg(folder.path().join("pipe"))).unwrap();
    fs::write(folder.path().join("schön"), "UTF-8").unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9")), "Latin 1").unwrap();
    touch(&folder.path().join("schön"), "1969-12-31 23:59:58.5Z");
    folder
}

/// Checks that an entry is what the folder has at its path, content and all.
#[track_caller]
fn check_entry(folder: &Path, entry: &Entry, content: &[u8], has_nanos: bool) {
    let path = folder.join(path_of(&entry.path));
    let found = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert_eq!(entry.mode, found.mode() & 0o7777, "{path:?}");
    assert_eq!((entry.uid, entry.gid), (found.uid().into(), found.gid().into()), "{path:?}");
    let nanos = if has_nanos { found.mtime_nsec() as u32 } else { 0 };
    assert_eq!(entry.mtime, Time { seconds: found.mtime(), nanos }, "{path:?}");
    match &entry.kind {
        EntryKind::File => assert!(fs::read(&path).unwrap() == content, "{path:?}"),
        EntryKind::Directory => assert!(found.is_dir() && entry.path.ends_with(b"/"), "{path:?}"),
        EntryKind::Symlink(to) => assert_eq!(fs::read_link(&path).unwrap(), path_of(to)),
        EntryKind::Hardlink(to) => {
            assert_eq!(fs::metadata(folder.join(path_of(to))).unwrap().ino(), found.ino());
        }
        EntryKind::Fifo => assert_eq!(found.mode() & 0o170000, 0o010000),
        other => panic!("{path:?} is no {other:?}"),
    }
}

/// Checks that an archive holds all that a folder does.
#[track_caller]
fn check_archive(folder: &Path, archive: &[u8], has_nanos: bool) {
    let members = read_bytes(archive).unwrap();
    members.iter().for_each(|(entry, data)| check_entry(folder, entry, data, has_nanos));
    let listed = run(Command::new("find").arg(folder).arg("-printf").arg("x")).unwrap();
    assert_eq!(members.len(), listed.len());
}

#[test]
fn reads_every_format_of_gnu_tar() {
    let folder = simple_folder();
    for format in ["v7", "ustar", "oldgnu", "gnu"] {
        check_archive(folder.path(), &gnu_tar(folder.path(), &["--format", format]), false);
    }
    let folder = full_folder();
    for format in ["oldgnu", "gnu"] {
        let archive = gnu_tar(folder.path(), &["--format", format]);
        check_archive(folder.path(), &archive, false);
    }
    check_archive(folder.path(), &gnu_tar(folder.path(), &["--format=posix"]), true);
}

#[test]
fn reads_other_times_and_owners() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), "").unwrap();
    touch(&folder.path().join("f"), "1960-01-01 00:00:00.25Z");
    touch(folder.path(), "2300-01-01 00:00:00Z");
    for format in ["gnu", "posix"] {
        let options = ["--format", format, "--owner=someone:3000000", "--group=some:4294967290"];
        let members = read_bytes(&gnu_tar(folder.path(), &options)).unwrap();
        assert_eq!(members[0].0.mtime.seconds, 10413792000);
        let (file, _) = &members[1];
        assert_eq!((file.uid, file.gid), (3000000, 4294967290));
        assert_eq!((&file.uname[..], &file.gname[..]), (&b"someone"[..], &b"some"[..]));
        let nanos = if format == "posix" { 250_000_000 } else { 0 };
        assert_eq!(file.mtime, Time { seconds: -315619200, nanos });
        assert_eq!((file.atime.is_some(), file.ctime.is_some()), (nanos > 0, nanos > 0));
    }
    let options = ["--format=gnu", "--incremental"];
    let members = read_bytes(&gnu_tar(folder.path(), &options)).unwrap();
    assert_eq!(members[0].0.kind, EntryKind::Other(b'D'));
    assert!(members[1].0.atime.is_some() && members[1].0.ctime.is_some());
    let options = ["--format=posix", "--pax-option=globexthdr.name=g,uname=wide,mtime=7"];
    let members = read_bytes(&gnu_tar(folder.path(), &options)).unwrap();
    assert!(members.iter().all(|(entry, _)| entry.uname == b"wide"));
}

/// The ways GNU tar writes a sparse file.
const SPARSE: [&[&str]; 5] = [
    &["-S", "--format=oldgnu"],
    &["-S", "--format=gnu"],
    &["-S", "--format=posix", "--sparse-version=0.0"],
    &["-S", "--format=posix", "--sparse-version=0.1"],
    &["-S", "--format=posix", "--sparse-version=1.0"],
];

#[test]
fn reads_sparse_files_of_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, size: u64| {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_len(size).unwrap();
        file
    };
    create("all-hole", 1 << 20);
    create("start", 1 << 20).write_at(b"start", 0).unwrap();
    create("end", (1 << 20) + 5).write_at(b"end", (1 << 20) + 2).unwrap();
    let many = create("many", 200 << 16);
    for at in 0..200 {
        many.write_at(&[at as u8; 5000], at << 16).unwrap();
    }
    fs::write(folder.path().join("plain"), vec![b'x'; 9999]).unwrap();
    let files = ["all-hole", "start", "end", "many", "plain"];
    for options in SPARSE {
        let archive = gnu_tar(folder.path(), options);
        read_bytes(&archive).unwrap();
        let mut reader = TarReader::new(&archive[..], Limits::default());
        let mut seen = 0;
        while let Some(entry) = reader.next().unwrap() {
            let name = String::from_utf8(entry.path[2..].to_vec()).unwrap();
            if !files.contains(&&name[..]) {
                continue;
            }
            let expected = fs::read(folder.path().join(&name)).unwrap();
            let mut content = Vec::new();
            reader.expanded(&entry).read_to_end(&mut content).unwrap();
            assert!(content == expected, "{name} {options:?}");
            let is_sparse = name != "plain";
            assert_eq!(entry.sparse.is_some(), is_sparse, "{name} {options:?}");
            assert_eq!(entry.stored_size < entry.size, is_sparse, "{name} {options:?}");
            seen += 1;
        }
        assert_eq!(seen, files.len());
    }
}

#[test]
fn reads_sizes_beyond_eight_gibibytes() {
    let folder = tempfile::tempdir().unwrap();
    let size = (9 << 30) + 3;
    let file = File::create(folder.path().join("large")).unwrap();
    file.set_len(size).unwrap();
    file.write_at(b"end", size - 3).unwrap();
    for options in SPARSE {
        let members = read_bytes(&gnu_tar(folder.path(), options)).unwrap();
        let (entry, data) = &members[1];
        assert_eq!(entry.size, size, "{options:?}");
        let segments = entry.sparse.as_ref().unwrap();
        let last = segments.last().unwrap();
        assert_eq!(last.offset + last.length, size);
        assert!(data.ends_with(b"end") && data.len() < 1 << 20);
    }
}

#[test]
fn reads_extended_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    fs::write(&file, "").unwrap();
    let set = |name: &str, value: &str| {
        let mut command = Command::new("setfattr");
        let done = command.args(["-n", name, "-v", value]).arg(&file).status();
        done.is_ok_and(|status| status.success())
    };
    if !set("user.text", "hello") || !set("user.binary", "0x000a3dff") {
        return eprintln!("skipped: no user attributes here");
    }
    let expected = [
        (b"user.binary".to_vec(), b"\0\n=\xff".to_vec()),
        (b"user.text".to_vec(), b"hello".to_vec()),
    ];
    let mut archives = vec![gnu_tar(folder.path(), &["--format=posix", "--xattrs"])];
    let mut bsdtar = Command::new("bsdtar");
    bsdtar.args(["--format=pax", "--xattrs", "-cf", "-", "-C"]).arg(folder.path()).arg(".");
    archives.extend(run(&mut bsdtar));
    for archive in archives {
        let members = read_bytes(&archive).unwrap();
        let (entry, _) = members.iter().find(|(entry, _)| entry.path.ends_with(b"f")).unwrap();
        assert_eq!(entry.xattrs, expected);
    }
}

#[test]
fn reads_every_format_of_bsdtar() {
    let folder = full_folder();
    // Times before 1970 come out of bsdtar changed, or not at all.
    touch(&folder.path().join("schön"), "1970-01-02 00:00:00.5Z");
    for (format, has_nanos) in [("gnutar", false), ("pax", true)] {
        let mut command = Command::new("bsdtar");
        command.args(["--format", format, "--no-xattrs", "-cf", "-", "-C"]);
        command.env("LC_ALL", "C.UTF-8");
        let Some(archive) = run(command.arg(folder.path()).arg(".")) else {
            return;
        };
        check_archive(folder.path(), &archive, has_nanos);
    }
}

#[test]
fn reads_what_python_writes() {
    let script = r#"
import io, sys, tarfile
for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    out = io.BytesIO()
    headers = {"comment": "x", "gname": "wide"} if format == tarfile.PAX_FORMAT else None
    with tarfile.open(fileobj=out, mode="w", format=format, pax_headers=headers) as tar:
        info = tarfile.TarInfo("dir/" + "n" * (80 if format == tarfile.USTAR_FORMAT else 300))
        info.size, info.mtime = 5, 1e9
        if format == tarfile.PAX_FORMAT:
            info.mtime, info.uid = -2.5, 1 << 40
        tar.addfile(info, io.BytesIO(b"hello"))
        info = tarfile.TarInfo("device")
        info.type, info.devmajor, info.devminor, info.mode = tarfile.BLKTYPE, 8, 17, 0o60644
        tar.addfile(info)
        info = tarfile.TarInfo("contiguous")
        info.type, info.size = tarfile.CONTTYPE, 3
        tar.addfile(info, io.BytesIO(b"abc"))
    sys.stdout.buffer.write(len(out.getvalue()).to_bytes(8, "big") + out.getvalue())
"#;
    let Some(output) = run(Command::new("python3").args(["-c", script])) else {
        return;
    };
    let mut rest = &output[..];
    let mut formats = 0;
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let (archive, after) = after.split_at(u64::from_be_bytes(*length) as usize);
        rest = after;
        let members = read_bytes(archive).unwrap();
        assert_eq!(members.len(), 3);
        let (file, data) = &members[0];
        assert_eq!((file.size, &data[..], &file.path[..6]), (5, &b"hello"[..], &b"dir/nn"[..]));
        assert_eq!(members[1].0.kind, EntryKind::Block { major: 8, minor: 17 });
        assert_eq!(members[2].0.kind, EntryKind::File);
        let is_pax = formats == 2;
        let odd = Time { seconds: -3, nanos: 500_000_000 };
        let usual = Time { seconds: 1_000_000_000, nanos: 0 };
        assert_eq!(file.mtime, if is_pax { odd } else { usual });
        assert_eq!(file.uid, if is_pax { 1 << 40 } else { 0 });
        assert_eq!(file.gname, if is_pax { &b"wide"[..] } else { b"" });
        formats += 1;
    }
    assert_eq!(formats, 3);
}

/// Entries of every kind a user without rights can extract, named to need every form of header.
fn writable() -> Vec<Member> {
    let mtime = Time { seconds: 1_000_000_000, nanos: 0 };
    let entry = |path: &[u8], kind| Entry {
        path: path.into(),
        kind,
        mode: 0o755,
        mtime,
        ..Entry::default()
    };
    let file = |path: &[u8], content: &[u8]| {
        let size = content.len() as u64;
        (Entry { size, mode: 0o640, ..entry(path, EntryKind::File) }, content.to_vec())
    };
    let bare = |path: &[u8], kind| (entry(path, kind), Vec::new());
    let long = [b"dir/", &b"n".repeat(230)[..]].concat();
    let mut late = file(b"dir/late", b"");
    late.0.mtime = Time { seconds: 1_600_000_000, nanos: 123_456_700 };
    late.0.xattrs = vec![(b"user.mica".to_vec(), b"\0\n\xff".to_vec())];
    vec![
        bare(b"dir/", EntryKind::Directory),
        file(b"dir/file", b"hello"),
        file(&long, &[b'x'; 1000]),
        file("dir/schön".as_bytes(), b"UTF-8"),
        file(b"dir/caf\xe9", b"Latin 1"),
        late,
        (Entry { mode: 0o640, ..entry(b"dir/hard", EntryKind::Hardlink(long)) }, Vec::new()),
        bare(b"dir/link", EntryKind::Symlink(b"t".repeat(150))),
        bare(b"dir/fifo", EntryKind::Fifo),
    ]
}

/// Checks that a program extracted every entry as it was written.
fn check_extracted(folder: &Path, members: &[Member]) {
    for (entry, data) in members {
        let path = folder.join(path_of(&entry.path));
        let found = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        match &entry.kind {
            EntryKind::File => {
                assert_eq!(&fs::read(&path).unwrap(), data, "{path:?}");
                assert_eq!(found.mode() & 0o7777, entry.mode, "{path:?}");
                assert_eq!(found.mtime(), entry.mtime.seconds, "{path:?}");
                // Python's times are floating-point numbers.
                let off = (found.mtime_nsec() - i64::from(entry.mtime.nanos)).abs();
                assert!(off < 1000, "{path:?}: {off}");
            }
            EntryKind::Directory => assert!(found.is_dir()),
            EntryKind::Hardlink(to) => {
                assert_eq!(found.ino(), fs::metadata(folder.join(path_of(to))).unwrap().ino());
            }
            EntryKind::Symlink(to) => assert_eq!(fs::read_link(&path).unwrap(), path_of(to)),
            _ => assert_eq!(found.mode() & 0o170000, 0o010000),
        }
    }
}

#[test]
fn other_programs_extract_what_is_written() {
    let members = writable();
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), roundtrip::write(&members)).unwrap();
    let python = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    let commands: [&[&str]; 3] = [
        &["tar", "--no-same-owner", "-pxf", "ARCHIVE", "-C", "FOLDER"],
        &["bsdtar", "--no-same-owner", "-pxf", "ARCHIVE", "-C", "FOLDER"],
        &["python3", "-c", python, "ARCHIVE", "FOLDER"],
    ];
    for command in commands {
        let folder = tempfile::tempdir().unwrap();
        let arguments = command[1..].iter().map(|&argument| match argument {
            "ARCHIVE" => archive.path().as_os_str(),
            "FOLDER" => folder.path().as_os_str(),
            argument => OsStr::new(argument),
        });
        let mut program = Command::new(command[0]);
        // Without a UTF-8 locale libarchive cannot name what is not ASCII.
        if run(program.args(arguments).env("LC_ALL", "C.UTF-8")).is_some() {
            check_extracted(folder.path(), &members);
        }
    }
}

#[test]
fn python_lists_what_is_written() {
    let device = Entry {
        path: b"dev".to_vec(),
        kind: EntryKind::Char { major: 4095, minor: 1_048_575 },
        uid: 3_000_000,
        gid: 5,
        uname: b"someone".to_vec(),
        gname: b"g".repeat(40),
        mtime: Time { seconds: -2, nanos: 500_000_000 },
        xattrs: vec![(b"user.a".to_vec(), b"value".to_vec())],
        ..Entry::default()
    };
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), roundtrip::write(&[(device, vec![])])).unwrap();
    let script = "import sys, tarfile
for i in tarfile.open(sys.argv[1]):
    print(i.name, i.type, i.devmajor, i.devminor, i.uid, i.gid, i.uname, i.gname, i.mtime,
          i.pax_headers['SCHILY.xattr.user.a'])";
    let mut python = Command::new("python3");
    let Some(listed) = run(python.args(["-c", script]).arg(archive.path())) else {
        return;
    };
    let expected =
        format!("dev b'3' 4095 1048575 3000000 5 someone {} -1.5 value\n", "g".repeat(40));
    assert_eq!(String::from_utf8(listed).unwrap(), expected);
}

#[test]
fn gnu_tar_finds_nothing_to_complain_about() {
    let members = writable();
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), roundtrip::write(&members)).unwrap();
    let mut tar = Command::new("tar");
    let output = tar.arg("-tf").arg(archive.path()).env("LC_ALL", "C").output().unwrap();
    // It knows no `hdrcharset`, and takes the bytes as they are all the same.
    let said = String::from_utf8(output.stderr).unwrap();
    let other = said.lines().filter(|line| !line.contains("'hdrcharset'")).count();
    assert!(output.status.success() && other == 0, "{said}");
    assert_eq!(output.stdout.split(|&byte| byte == b'\n').count(), members.len() + 1);
}
