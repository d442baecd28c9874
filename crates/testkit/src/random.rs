//! Random stacks of well-formed layers: the same number always makes the same stack.

use std::collections::BTreeMap;

use image::tar::EntryKind;

use crate::layer::Layer;
use crate::oracle::{apply, join, split};
use crate::tree::{Kind, Tree};

/// A small generator of numbers (splitmix64), so that a failure can be repeated from its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A stack of `layers` random layers, bottom first, of up to `entries` entries each.
pub fn stack(seed: u64, layers: usize, entries: usize) -> Vec<Layer> {
    let mut random = Random::new(seed);
    let mut stack = Vec::new();
    for _ in 0..layers {
        let below = apply(&stack);
        let count = 1 + random.below(entries);
        let made = Maker { random: &mut random, below, own: BTreeMap::new(), layer: Layer::new() };
        stack.push(made.make(count));
    }
    stack
}

/// One random layer that stands on nothing.
pub fn layer(seed: u64, entries: usize) -> Layer {
    stack(seed, 1, entries).remove(0)
}

/// What the layer under construction has at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Folder { listed: bool },
    File,
    Whiteout,
}

struct Maker<'a> {
    random: &'a mut Random,
    below: Tree,
    own: BTreeMap<Vec<u8>, Own>,
    layer: Layer,
}

const NAMES: [&[u8]; 22] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"etc",
    b"usr",
    b"bin",
    b"lib",
    b"var",
    b"a b",
    b"-rf",
    b"...",
    b".hidden",
    b"wh.x",
    b"\xff\xfe",
    "æøå-日本".as_bytes(),
    b"new\nline",
    b"tab\t",
    b"*?[",
    b"\\",
    b"zz",
];
const SIZES: [usize; 12] = [0, 0, 1, 10, 100, 511, 512, 513, 1024, 4096, 5000, 70_000];
const MODES: [u32; 10] = [0o644, 0o600, 0o755, 0o700, 0o4755, 0o2755, 0o1777, 0o444, 0o000, 0o777];
const IDS: [u64; 6] = [0, 0, 1000, 65_534, 100_000, 4_294_967_293];
const XATTRS: [&[u8]; 5] =
    [b"user.a", b"user.long-name.of-an.attribute", b"trusted.t", b"security.mica", b"user.b"];

impl Maker<'_> {
    fn make(mut self, count: usize) -> Layer {
        if self.random.once_in(3) {
            self.layer = std::mem::take(&mut self.layer).folder("./");
            self.describe();
        }
        for _ in 0..count {
            match self.random.below(20) {
                0..=5 => self.folder(),
                6..=11 => self.file(),
                12 | 13 => self.whiteout(),
                14 => self.opaque(),
                15 => self.hard_link(),
                16 | 17 => self.link(),
                _ => self.node(),
            }
        }
        self.layer
    }

    fn add(&mut self, change: impl FnOnce(Layer) -> Layer) {
        self.layer = change(std::mem::take(&mut self.layer));
    }

    /// Gives the last entry random attributes.
    fn describe(&mut self) {
        let random = &mut *self.random;
        let (uid, gid) = (*random.pick(&IDS), *random.pick(&IDS));
        let mode = *random.pick(&MODES);
        let seconds = 1_600_000_000 + (random.next() % 100_000_000) as i64;
        let nanos = if random.once_in(2) { 0 } else { (random.next() % 1_000_000_000) as u32 };
        let count = if random.once_in(4) { 1 + random.below(3) } else { 0 };
        let mut xattrs = BTreeMap::new();
        for _ in 0..count {
            let name = *random.pick(&XATTRS);
            let length = *random.pick(&[0, 1, 7, 40, 300, 1500]);
            xattrs.insert(name, random.bytes(length));
        }
        self.add(|layer| {
            let layer = layer.mode(mode).owner(uid, gid).mtime(seconds, nanos);
            xattrs.iter().fold(layer, |layer, (name, value)| layer.xattr(name, value))
        });
    }

    fn name(&mut self) -> Vec<u8> {
        if self.random.once_in(30) {
            let length = 1 + self.random.below(255);
            return vec![b'n'; length];
        }
        self.random.pick(&NAMES).to_vec()
    }

    /// A folder that entries may be put into: the root, one of the layer's own, one of those
    /// below, or one that nobody has.
    fn some_folder(&mut self) -> Vec<u8> {
        let own: Vec<_> = self
            .own
            .iter()
            .filter(|(_, kind)| matches!(kind, Own::Folder { .. }))
            .map(|(path, _)| path.clone())
            .collect();
        let below: Vec<_> = self
            .below
            .nodes
            .iter()
            .filter(|(path, node)| node.kind == Kind::Folder && path.len() < 600)
            .map(|(path, _)| path.clone())
            .collect();
        match self.random.below(8) {
            0 => Vec::new(),
            1..=3 if !own.is_empty() => self.random.pick(&own).clone(),
            4..=6 => self.random.pick(&below).clone(),
            _ => {
                let (one, two) = (self.name(), self.name());
                join(&one, &two)
            }
        }
    }

    /// Whether everything above a path may be a folder of this layer.
    fn may_hold(&self, folder: &[u8]) -> bool {
        let mut at = folder;
        while !at.is_empty() {
            match self.own.get(at) {
                None | Some(Own::Folder { .. }) => {}
                Some(_) => return false,
            }
            at = split(at).0;
        }
        true
    }

    /// A new path that is not in the layer yet, with the folders above it noted.
    fn place(&mut self, allowed: impl Fn(Option<Own>) -> bool) -> Option<Vec<u8>> {
        for _ in 0..5 {
            let folder = self.some_folder();
            let name = self.name();
            let path = join(&folder, &name);
            let fits = self.may_hold(&folder) && path.len() < 900;
            if fits && allowed(self.own.get(&path).copied()) {
                self.imply(&folder);
                return Some(path);
            }
        }
        None
    }

    fn imply(&mut self, folder: &[u8]) {
        let mut at = folder;
        while !at.is_empty() {
            self.own.entry(at.to_vec()).or_insert(Own::Folder { listed: false });
            at = split(at).0;
        }
    }

    fn folder(&mut self) {
        let free = |own| matches!(own, None | Some(Own::Folder { listed: false } | Own::Whiteout));
        let Some(path) = self.place(free) else { return };
        self.own.insert(path.clone(), Own::Folder { listed: true });
        self.add(|layer| layer.folder(path));
        self.describe();
    }

    fn free(own: Option<Own>) -> bool {
        matches!(own, None | Some(Own::Whiteout))
    }

    fn file(&mut self) {
        let Some(path) = self.place(Self::free) else { return };
        self.own.insert(path.clone(), Own::File);
        let size = *self.random.pick(&SIZES);
        let data = self.random.bytes(size);
        self.add(|layer| layer.file(path, data));
        self.describe();
    }

    fn link(&mut self) {
        let Some(path) = self.place(Self::free) else { return };
        self.own.insert(path.clone(), Own::File);
        let length = *self.random.pick(&[1, 5, 60, 400, 511, 512, 700, 4095]);
        let target = match self.random.below(3) {
            0 => b"../../..".to_vec(),
            1 => self.name(),
            _ => b"abcdefg/".iter().copied().cycle().take(length).collect(),
        };
        self.add(|layer| layer.link(path, target));
        self.describe();
    }

    fn hard_link(&mut self) {
        let files: Vec<_> = self
            .own
            .iter()
            .filter(|(_, kind)| **kind == Own::File)
            .map(|(path, _)| path.clone())
            .collect();
        if files.is_empty() {
            return;
        }
        let target = self.random.pick(&files).clone();
        let Some(path) = self.place(Self::free) else { return };
        self.own.insert(path.clone(), Own::File);
        self.add(|layer| layer.hard_link(path, target));
    }

    fn node(&mut self) {
        let Some(path) = self.place(Self::free) else { return };
        self.own.insert(path.clone(), Own::File);
        let number = 1 + self.random.below(300) as u32;
        let kind = match self.random.below(3) {
            0 => EntryKind::Fifo,
            1 => EntryKind::Char { major: number, minor: 1000 * number },
            _ => EntryKind::Block { major: number, minor: number },
        };
        self.add(|layer| layer.entry(path, kind, 0o600, b""));
        self.describe();
    }

    fn whiteout(&mut self) {
        let below: Vec<_> = self.below.nodes.keys().filter(|path| !path.is_empty()).collect();
        // Now and then it hides what nobody has.
        let path = match below.is_empty() || self.random.once_in(8) {
            true => join(&self.some_folder(), &self.name()),
            false => self.random.pick(&below).to_vec(),
        };
        let (folder, name) = split(&path);
        // The prefix makes a name longer, and names end at 255 bytes.
        if self.own.contains_key(&path) || !self.may_hold(folder) || name.len() > 250 {
            return;
        }
        let folder = folder.to_vec();
        self.imply(&folder);
        self.own.insert(path.clone(), Own::Whiteout);
        self.add(|layer| layer.whiteout(path));
    }

    fn opaque(&mut self) {
        let folder = self.some_folder();
        if self.may_hold(&folder) {
            self.imply(&folder);
            self.add(|layer| layer.opaque(folder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_layers() {
        let bytes = |seed| stack(seed, 3, 30).iter().map(Layer::tar).collect::<Vec<_>>();
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    #[test]
    fn stacks_hide_replace_and_link() {
        let all: Vec<_> = (0..20).flat_map(|seed| stack(seed, 4, 60)).collect();
        let names = |pick: &dyn Fn(&crate::Item) -> bool| {
            all.iter().flat_map(|layer| &layer.items).filter(|item| pick(item)).count()
        };
        assert!(names(&|item| split(&item.entry.path).1.starts_with(b".wh.")) > 50);
        assert!(names(&|item| matches!(item.entry.kind, EntryKind::Hardlink(_))) > 50);
        assert!(names(&|item| !item.entry.xattrs.is_empty()) > 200);
    }
}
