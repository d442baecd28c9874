//! How much memory a file of an image costs: an image may have a million of them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Stdio;

use image::tar::{Entry, EntryKind, TarWriter, Time};
use testkit::need_root;

use crate::support::Mica;

const FILES: u64 = 100_000;
/// What a file may cost whoever takes a layer apart: 24 bytes, its name, its part of what finds it
/// by its name, and its place in the index, together 46 of a million files and 60 of these.
const LAYER: u64 = 70;
/// What it may cost whoever only looks: nothing but what pages and buffers happen to be there.
const LOOK: u64 = 24;

/// An archive of files without content; one half lie in one folder, the others in many.
fn write_tar(path: &Path, files: u64) {
    let mut tar = TarWriter::new(BufWriter::new(File::create(path).unwrap()));
    let mut put = |path: String, kind| {
        let mtime = Time { seconds: 1_700_000_000, nanos: 0 };
        let entry = Entry { path: path.into(), kind, mode: 0o755, mtime, ..Entry::default() };
        tar.append(&entry, &mut std::io::empty()).unwrap();
    };
    put("large".to_owned(), EntryKind::Directory);
    for number in 0..files / 2 {
        put(format!("large/file-{number:06}"), EntryKind::File);
        let folder = format!("many/folder-{:05}", number / 10);
        match number % 10 {
            0 => put(folder, EntryKind::Directory),
            _ => put(format!("{folder}/file-{number:06}"), EntryKind::File),
        }
    }
    tar.finish().unwrap();
}

/// The most that a command had in memory at a time, in bytes.
#[expect(clippy::zombie_processes, reason = "the kernel tells the cost only once, to `wait_for`")]
fn peak(mica: &Mica, line: &str) -> u64 {
    let mut command = mica.command(line);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (status, cost) = sys::process::wait_for(child.id()).unwrap();
    assert_eq!(status, 0, "{line}");
    cost.peak_kib << 10
}

#[test]
fn a_file_costs_few_bytes() {
    need_root!();
    let mica = Mica::on_disk().with_driver("erofs");
    if mica.run("info").code != 0 {
        return testkit::skip("EROFS cannot be mounted from files here");
    }
    write_tar(&mica.path("small.tar"), 10);
    write_tar(&mica.path("large.tar"), FILES);
    let within = |line: &str, small: u64, most: u64| {
        let peak = peak(&mica, line);
        let cost = peak.saturating_sub(small) / FILES;
        assert!(cost < most, "`{line}`: {cost} bytes a file, {} KiB in all", peak >> 10);
    };
    let (import, check) = (peak(&mica, "import small.tar small"), peak(&mica, "system check"));
    within("import large.tar large", import, LAYER);
    within("system check", check, LAYER);
    for look in
        ["files", "files -q", "files --format json", "diff small", "diff --format json small"]
    {
        let line = |image| format!("image {look} {image}");
        within(&line("large"), peak(&mica, &line("small")), LOOK);
    }
}
