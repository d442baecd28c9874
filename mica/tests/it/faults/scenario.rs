//! The commands that something happens to, and the stores on which they work.

use std::fs;
use std::path::Path;

use serde_json::Value;
use spec::Digest;

use super::ground::Ground;

/// A store that a command finds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Start {
    /// None at all.
    Nothing,
    /// A few images, sharing layers; one without a name.
    Images,
    /// The same, with what those leave behind who die on the way.
    Littered,
    /// The same, with damage that can be mended from what is there.
    Damaged,
}

/// A command and the store that it works on.
pub(super) struct Scenario {
    /// What the report calls it.
    pub name: &'static str,
    /// The store.
    pub start: Start,
    /// What is done before, each time anew.
    pub prepare: &'static [&'static [&'static str]],
    /// The command; a word that begins with `@` is a file among the inputs.
    pub command: &'static [&'static str],
    /// The input that comes through a pipe.
    pub input: Option<&'static str>,
    /// What a repetition says that finds everything done, or another that comes too late.
    pub done: Option<&'static str>,
    /// The file that it writes.
    pub output: Option<&'static str>,
    /// Whether it takes several steps, each of which can be seen.
    pub in_steps: bool,
    /// Whether it changes nothing at all.
    pub only_looks: bool,
    /// How many users more or less the mounts of all images have afterwards.
    pub users: i64,
}

const fn scenario(name: &'static str, command: &'static [&'static str]) -> Scenario {
    let (start, prepare): (_, &[&[&str]]) = (Start::Images, &[]);
    let (input, done, output, in_steps, only_looks, users) = (None, None, None, false, false, 0);
    Scenario { name, start, prepare, command, input, done, output, in_steps, only_looks, users }
}

/// A command that only looks.
const fn looking(name: &'static str, command: &'static [&'static str]) -> Scenario {
    Scenario { only_looks: true, ..scenario(name, command) }
}

const MOUNTED: &[&[&str]] = &[&["image", "mount", "app:1"]];
const TWICE: &[&[&str]] = &[&["image", "mount", "app:1"], &["image", "mount", "app:1", "base:1"]];

/// All of them.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { start: Start::Nothing, ..scenario("first import", &["import", "@root.tar", "new"]) },
    scenario("import", &["import", "-c", "CMD sh", "@root.tar", "new:1"]),
    Scenario { input: Some("root.tar.gz"), ..scenario("import gz", &["import", "-", "other:1"]) },
    scenario("import known", &["import", "@other.tar", "again:1"]),
    Scenario {
        start: Start::Nothing,
        ..scenario("first load", &["load", "-i", "@app-layout.tar"])
    },
    scenario("load", &["load", "-i", "@big.tar"]),
    scenario("load gz", &["load", "-i", "@big.tar.gz"]),
    scenario("load layout", &["load", "-i", "@big-layout.tar"]),
    scenario("load pair", &["load", "-i", "@pair.tar"]),
    scenario("load turned", &["load", "-i", "@turned.tar"]),
    scenario("load known", &["load", "-i", "@base.tar"]),
    Scenario { input: Some("big.tar"), ..scenario("load pipe", &["load"]) },
    Scenario { input: Some("big-layout.tar"), ..scenario("load layout pipe", &["load", "-q"]) },
    scenario("tag", &["tag", "app:1", "registry.example/team/app:2"]),
    scenario("tag over", &["tag", "app:1", "other:1"]),
    Scenario { done: Some("No such image"), ..scenario("rmi", &["rmi", "app:1"]) },
    Scenario { done: Some("No such image"), ..scenario("rmi name", &["rmi", "base:2"]) },
    Scenario {
        done: Some("No such image"),
        ..scenario("rmi many", &["rmi", "-f", "app:1", "other:1", "base:1", "base:2"])
    },
    Scenario {
        done: Some("No such image"),
        prepare: MOUNTED,
        ..scenario("rmi mounted", &["rmi", "-f", "app:1"])
    },
    scenario("image prune", &["image", "prune", "-f"]),
    scenario("image prune all", &["image", "prune", "-a", "-f"]),
    Scenario { start: Start::Littered, ..scenario("system prune", &["system", "prune", "-f"]) },
    scenario("sync", &["system", "sync"]),
    Scenario {
        done: Some("was changed to vfs a moment ago"),
        ..scenario("migrate", &["system", "migrate", "--to", "vfs"])
    },
    Scenario {
        prepare: &[&["system", "migrate", "--to", "vfs"]],
        ..scenario("migrate overlay", &["system", "migrate", "--to", "overlay"])
    },
    Scenario { users: 1, ..scenario("mount", &["image", "mount", "app:1"]) },
    Scenario {
        users: 1,
        prepare: MOUNTED,
        ..scenario("mount again", &["image", "mount", "app:1"])
    },
    Scenario {
        users: -1,
        prepare: MOUNTED,
        done: Some("is not mounted"),
        ..scenario("unmount", &["image", "unmount", "app:1"])
    },
    Scenario {
        prepare: TWICE,
        in_steps: true,
        ..scenario("unmount all", &["image", "unmount", "-a"])
    },
    Scenario {
        output: Some("saved.tar"),
        ..scenario("save", &["save", "-o", "saved.tar", "app:1", "base:1"])
    },
    Scenario {
        output: Some("saved.tar"),
        prepare: &[&["save", "-o", "saved.tar", "base:1"]],
        ..scenario("save over", &["save", "-o", "saved.tar", "app:1"])
    },
    Scenario {
        start: Start::Damaged,
        in_steps: true,
        ..scenario("repair", &["system", "check", "--repair"])
    },
    looking("list", &["images", "-a", "--digests"]),
    looking("inspect", &["image", "inspect", "app:1", "other:1"]),
    looking("history", &["history", "app:1"]),
    looking("files", &["image", "files", "app:1"]),
    looking("df", &["system", "df", "-v"]),
    looking("check", &["system", "check"]),
];

/// Makes a store for commands to work on.
pub(super) fn lay(ground: &Ground, start: Start) -> Result<(), String> {
    if start == Start::Nothing {
        return Ok(());
    }
    for words in [
        &["load", "-i", "@base.tar"][..],
        &["load", "-i", "@app-layout.tar"],
        &["tag", "base:1", "base:2"],
        &["import", "@root.tar", "other:1"],
        &["import", "@other.tar", "other:1"],
    ] {
        ground.must(words)?;
    }
    match start {
        Start::Littered => litter(&ground.root).map_err(|error| error.to_string()),
        Start::Damaged => damage(&ground.root).map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

/// What those leave behind who die on the way.
fn litter(root: &Path) -> std::io::Result<()> {
    let stray = b"nobody needs this";
    fs::write(root.join("blobs/sha256").join(Digest::of(stray).hex()), stray)?;
    fs::write(root.join("ingest/0123-0"), [7; 5000])?;
    fs::create_dir_all(root.join("ingest/0123-1/folder/deep"))?;
    fs::write(root.join("ingest/0123-1/folder/deep/file"), "half")?;
    fs::write(root.join("leases/0123"), "blob sha256:12")?;
    fs::create_dir(root.join("trash/0123"))?;
    fs::write(root.join("trash/0123/0"), "going")
}

/// An index, and a form of a layer whose other form is good, are not what they were.
fn damage(root: &Path) -> std::io::Result<()> {
    let layers: Value = serde_json::from_slice(&fs::read(root.join("layers.json"))?)?;
    let layers = layers["layers"].as_object().expect("layers are a table");
    let plain = layers.iter().find(|(_, record)| record["blob"].is_null());
    let compressed = layers.iter().find(|(_, record)| !record["blob"].is_null());
    let name = |chain: &str| chain.replacen(':', "-", 1);
    let (plain, _) = plain.expect("a layer came as it is");
    fs::write(root.join("index").join(name(plain)), "no index")?;
    let (chain, record) = compressed.expect("a layer came compressed");
    let diff = record["diff"].as_str().unwrap_or_default().replacen("sha256:", "", 1);
    let tar = root.join("blobs/sha256").join(diff);
    match tar.exists() {
        true => fs::write(tar, "no tar"),
        false => fs::remove_dir_all(root.join("overlay").join(name(chain))),
    }
}
