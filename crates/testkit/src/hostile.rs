//! Layers with bad intentions, and what must come of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use image::tar::EntryKind;

use crate::layer::Layer;
use crate::scratch::Mounted;
use crate::tree::{Kind, Tree};

/// What a layer must do to the one below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is refused.
    Refused,
    /// It is taken, and this is what looks different afterwards: paths in a short form of kind and
    /// mode, and paths that are gone.
    Changes {
        /// New or different ones.
        changed: BTreeMap<String, String>,
        /// Those that were there.
        gone: Vec<String>,
    },
}

/// One layer over [`first_layer`].
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// The layer's tar.
    pub tar: Vec<u8>,
    /// What must come of it.
    pub expect: Expect,
}

/// A file outside of every root, which no layer may touch, link to or read.
pub struct Canary {
    place: Mounted,
    before: String,
}

impl Canary {
    /// Sets one out.
    pub fn set_out() -> Canary {
        let place = Mounted::folder();
        fs::create_dir(place.path().join("canary")).expect("a folder can be made");
        let mut canary = Canary { place, before: String::new() };
        fs::write(canary.file(), "alive").expect("a file can be written");
        canary.before = canary.state();
        canary
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join("canary")
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder().join("victim")
    }

    fn state(&self) -> String {
        let told = |path: &Path| {
            let meta = fs::symlink_metadata(path).expect("it is still there");
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            format!("{:o} {} {} {times:?}", meta.mode(), meta.nlink(), meta.uid())
        };
        let content = fs::read_to_string(self.file()).expect("it can still be read");
        format!("{} {} {content}", told(&self.folder()), told(&self.file()))
    }

    /// Fails if anything about it has changed.
    #[track_caller]
    pub fn must_be_well(&self, after: &str) {
        assert_eq!(self.state(), self.before, "{after} reached out of its root");
    }

    /// Puts its place into a text of the shared table.
    fn filled_in(&self, text: &str) -> String {
        let (folder, file) = (self.folder(), self.file());
        let relative = folder.strip_prefix("/").unwrap_or(&folder);
        text.replace("$CANARY_DIR_REL", &relative.to_string_lossy())
            .replace("$CANARY_DIR", &folder.to_string_lossy())
            .replace("$CANARY", &file.to_string_lossy())
    }
}

/// What all hostile layers are put on.
pub fn first_layer() -> Layer {
    Layer::new()
        .folder("etc/")
        .file("etc/a", "a")
        .folder("dir/")
        .file("dir/x", "x")
        .file("dir/y", "y")
        .folder("dir/sub/")
        .file("dir/sub/z", "z")
        .file("top", "t")
        .link("lnk", "dir")
}

/// What differs between two trees, in the short form of the tables. Folders above the canary's
/// place come with it and are not counted.
pub fn changes(before: &Tree, after: &Tree, canary: &Canary) -> Expect {
    let folder = canary.folder();
    let above: Vec<String> = folder.ancestors().skip(1).map(|p| name(p).to_owned()).collect();
    let (before, after) = (short_forms(before), short_forms(after));
    let changed = after
        .iter()
        .filter(|(path, form)| before.get(*path) != Some(form) && !above.contains(path));
    let changed = changed.map(|(path, form)| (path.clone(), form.clone())).collect();
    let gone = before.keys().filter(|path| !after.contains_key(*path)).cloned().collect();
    Expect::Changes { changed, gone }
}

fn name(path: &Path) -> &str {
    path.strip_prefix("/").unwrap_or(path).to_str().unwrap_or_default()
}

fn short_forms(tree: &Tree) -> BTreeMap<String, String> {
    let named = tree.nodes.iter().filter(|(path, _)| !path.is_empty());
    named
        .map(|(path, node)| {
            let letter = match &node.kind {
                Kind::Folder => 'd',
                Kind::File(..) => 'f',
                Kind::Link(_) => 'l',
                Kind::Char(..) => 'c',
                Kind::Block(..) => 'b',
                Kind::Fifo => 'p',
                Kind::Socket => 's',
            };
            let target = match &node.kind {
                Kind::Link(target) => format!(">{}", String::from_utf8_lossy(target)),
                _ => String::new(),
            };
            let path = String::from_utf8_lossy(path).into_owned();
            (path, format!("{letter}{:o}{target}", node.mode))
        })
        .collect()
}

/// The table that all projects share, where it is.
pub fn shared_cases(canary: &Canary) -> Option<Vec<Case>> {
    let rows = crate::vectors::rows("evil-layers.tsv")?;
    Some(rows.iter().map(|row| shared_case(&row.join("\t"), canary)).collect())
}

fn shared_case(row: &str, canary: &Canary) -> Case {
    let row = canary.filled_in(row);
    let mut columns = row.split('\t');
    let mut column = || columns.next().expect("the table has three columns").to_owned();
    let (name, entries, answer) = (column(), column(), column());
    let entries: Vec<(String, String, String, u32)> =
        serde_json::from_str(&entries).expect("the entries are JSON");
    let layer = entries.into_iter().fold(Layer::new(), |layer, (kind, path, text, mode)| {
        let layer = match kind.as_str() {
            "f" => layer.file(path, text),
            "d" => layer.folder(path),
            "l" => layer.link(path, text),
            "h" => layer.hard_link(path, text),
            "c" => layer.char_device(path, 1, 3),
            "p" => layer.fifo(path),
            other => panic!("unknown kind of entry {other:?}"),
        };
        layer.mode(mode)
    });
    Case { name, tar: layer.tar(), expect: answer_of(&answer) }
}

fn answer_of(answer: &str) -> Expect {
    if answer == "reject" {
        return Expect::Refused;
    }
    let answer: serde_json::Value = serde_json::from_str(answer).expect("the answer is JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").to_owned();
    let changed = answer["changed"].as_object().expect("there is a list of changes");
    let gone = answer["gone"].as_array().expect("there is a list of what is gone");
    let mut gone: Vec<String> = gone.iter().map(text).collect();
    gone.sort();
    let changed = changed.iter().map(|(path, form)| (path.clone(), text(form))).collect();
    Expect::Changes { changed, gone }
}

/// Our own cases.
pub fn own_cases() -> Vec<Case> {
    let mut cases = refused();
    cases.extend(taken());
    cases.extend(broken_streams());
    cases
}

fn refused() -> Vec<Case> {
    let new = Layer::new;
    let deep = b"d/".repeat(1025);
    let list: Vec<(&str, Layer)> = vec![
        ("the same folder twice", new().folder("n").folder("n")),
        ("the same folder under another spelling", new().folder("n").folder("./n/")),
        ("the root twice", new().folder("./").folder("./")),
        ("a folder over a file", new().file("n", "").folder("n")),
        ("a link over a folder", new().folder("n").link("n", "etc")),
        ("a device over a file", new().file("n", "").char_device("n", 1, 3)),
        ("a parent that is a file", new().file("n", "").file("n/x", "")),
        ("a parent that is a pipe", new().fifo("n").file("n/x", "")),
        ("a parent that is hidden", new().whiteout("dir").file("dir/x", "")),
        ("a parent that leads to a file", new().file("n", "").link("l", "n").file("l/x", "")),
        ("a link that leads nowhere", new().link("l", "nowhere").file("l/x", "")),
        ("a link into the layer below", new().link("l", "dir").file("l/x", "")),
        ("a link to itself", new().link("l", "l").file("l/x", "")),
        ("two links in a ring", new().link("a", "b").link("b", "a").file("a/x", "")),
        ("a link to the host", new().link("l", "/proc/self/cwd").file("l/x", "")),
        ("a hidden name below a file", new().file("n", "").whiteout("n/x")),
        ("a hidden name through a link", new().link("l", "/etc").whiteout("l/passwd")),
        ("an opaque mark below a file", new().file("n", "").opaque("n")),
        ("a hidden name of its own", new().folder("n").whiteout("n")),
        ("a hidden name twice", new().whiteout("top").whiteout("top")),
        ("a mark without a name", new().file(".wh.", "")),
        ("a mark of the folder itself", new().file("dir/.wh..", "")),
        ("a mark of the folder above", new().file("dir/.wh...", "")),
        ("a hard link to itself", new().hard_link("n", "n")),
        ("a hard link to nothing", new().hard_link("n", "m")),
        ("a hard link to the layer below", new().hard_link("n", "top")),
        ("a hard link to a folder", new().folder("n").hard_link("m", "n")),
        ("a hard link to the root", new().hard_link("n", "/")),
        ("a hard link to a hidden name", new().whiteout("top").hard_link("n", "top")),
        ("a hard link to a mark", new().whiteout("top").hard_link("n", ".wh.top")),
        ("a hard link over its own parents", new().file("n/x", "").hard_link("n", "n/x")),
        ("a hard link through a file", new().file("n", "").hard_link("m", "n/../n/x")),
        ("a name of 256 bytes", new().file([b'n'; 256], "")),
        ("a hidden name of 256 bytes", new().whiteout([b'n'; 256])),
        ("1025 folders", new().file([deep.as_slice(), b"x"].concat(), "")),
        ("a link to nothing at all", new().link("l", "")),
        ("an owner that is nobody", new().file("n", "").owner(u32::MAX.into(), 0)),
        ("a group that is nobody", new().file("n", "").owner(0, u32::MAX.into())),
        ("an owner of 33 bits", new().file("n", "").owner(1 << 32, 0)),
        ("a device with too high a number", new().char_device("n", 4096, 0)),
        ("a device with too low a number", new().block_device("n", 0, 1 << 20)),
        ("an unknown kind", new().entry("n", EntryKind::Other(b'Z'), 0o644, b"")),
        ("attributes without end", new().file("n", "").xattr("user.x", vec![0; 70_000])),
    ];
    let case = |(name, layer): (&str, Layer)| Case {
        name: name.to_owned(),
        tar: layer.tar(),
        expect: Expect::Refused,
    };
    list.into_iter().map(case).collect()
}

fn taken() -> Vec<Case> {
    let new = Layer::new;
    let list: Vec<(&str, Layer, &[(&str, &str)], &[&str])> = vec![
        ("nothing", new(), &[], &[]),
        ("a root alone", new().folder("./").mode(0o700), &[], &[]),
        ("above the root", new().file("../../n", ""), &[("n", "f644")], &[]),
        ("up and down", new().file("nowhere/../n", ""), &[("n", "f644")], &[]),
        ("slashes and dots", new().file(".//dir/.//./n", ""), &[("dir/n", "f644")], &[]),
        ("a file called root", new().file("/", "x"), &[], &[]),
        (
            "marks of another driver",
            new().file(".wh..wh.plnk/1.2", "").file(".wh..wh.orph", ""),
            &[],
            &[],
        ),
        (
            "a mark of another driver inside",
            new().folder("dir").file("dir/.wh..wh.x", ""),
            &[],
            &[],
        ),
        (
            "a folder through its own link",
            new().folder("n").link("l", "n").file("l/x", ""),
            &[("l", "l777>n"), ("n", "d755"), ("n/x", "f644")],
            &[],
        ),
        (
            "a folder through an absolute link",
            new().folder("n/m").link("l", "/n/./m/..").file("l/x", ""),
            &[("l", "l777>/n/./m/.."), ("n", "d755"), ("n/m", "d755"), ("n/x", "f644")],
            &[],
        ),
        (
            "above the root through a link",
            new().link("l", "../../..").file("l/x", ""),
            &[("l", "l777>../../.."), ("x", "f644")],
            &[],
        ),
        (
            "a hard link through a link",
            new().file("n/x", "").link("l", "n").hard_link("m", "l/x"),
            &[("l", "l777>n"), ("m", "f644"), ("n", "d755"), ("n/x", "f644")],
            &[],
        ),
        (
            "a hard link to a link out",
            new().link("l", "/etc/passwd").hard_link("m", "l"),
            &[("l", "l777>/etc/passwd"), ("m", "l777>/etc/passwd")],
            &[],
        ),
        (
            "a link over what was only implied",
            new().file("n/x", "").link("n", "/"),
            &[("n", "l777>/")],
            &[],
        ),
        (
            "a hidden folder",
            new().whiteout("dir"),
            &[],
            &["dir", "dir/sub", "dir/sub/z", "dir/x", "dir/y"],
        ),
        ("a hidden link, not where it leads", new().whiteout("lnk"), &[], &["lnk"]),
        (
            "hidden names in an implied folder",
            new().whiteout("dir/sub/z").whiteout("dir/y"),
            &[],
            &["dir/sub/z", "dir/y"],
        ),
        (
            "a folder in place of a link",
            new().file("lnk/n", ""),
            &[("lnk", "d755"), ("lnk/n", "f644")],
            &[],
        ),
        (
            "everything hidden",
            new().opaque(""),
            &[],
            &["dir", "dir/sub", "dir/sub/z", "dir/x", "dir/y", "etc", "etc/a", "lnk", "top"],
        ),
        ("a set-user-id file", new().file("n", "").mode(0o6755), &[("n", "f6755")], &[]),
        ("an absolute mark", new().file("/../.wh.top", ""), &[], &["top"]),
    ];
    list.into_iter()
        .map(|(name, layer, changed, gone)| {
            let changed = changed.iter().map(|(path, form)| ((*path).into(), (*form).into()));
            let gone = gone.iter().map(|path| (*path).to_owned()).collect();
            let expect = Expect::Changes { changed: changed.collect(), gone };
            Case { name: name.to_owned(), tar: layer.tar(), expect }
        })
        .collect()
}

/// Tars cut off, bent, or followed by something else.
fn broken_streams() -> Vec<Case> {
    let whole = Layer::new().file("n", vec![7; 3000]).tar();
    let case =
        |name: &str, tar: Vec<u8>| Case { name: name.to_owned(), tar, expect: Expect::Refused };
    let mut bent = whole.clone();
    bent[0] ^= 1;
    let mut lone = whole.clone();
    lone.truncate(512 + 3072 + 512);
    lone.extend(&whole);
    let mut cases = vec![
        case("a header cut off", whole[..300].to_vec()),
        case("data cut off", whole[..2000].to_vec()),
        case("a wrong checksum", bent),
        case("a lone block of zeros", lone),
        case("no tar at all", b"#!/bin/sh\necho hello\n".repeat(100)),
    ];
    for program in ["gzip", "zstd", "bzip2", "xz"] {
        let layer = Layer::new().file("n", crate::Random::new(1).bytes(100_000));
        let Some(bytes) = layer.compressed(program) else { continue };
        cases.push(case(&format!("{program} cut off"), bytes[..bytes.len() / 2].to_vec()));
        let mut bent = bytes.clone();
        bent[bytes.len() / 2] ^= 0x10;
        cases.push(case(&format!("{program} with a bit flipped"), bent));
    }
    cases
}
