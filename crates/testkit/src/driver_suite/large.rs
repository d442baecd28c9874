//! Much of everything: entries, layers, bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::open;
use super::trees::loaded;
use crate::layer::Layer;
use crate::oracle::apply;
use crate::scratch::{Mounted, Scratch};
use crate::tree::Tree;

/// A folder of 100,000 entries, some of them hidden and replaced by a second layer.
pub fn folder_of_100_000(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let mut below = Layer::new().folder("many").mode(0o711);
    for number in 0..100_000 {
        below = below.file(format!("many/entry-{number}"), "");
    }
    let mut above = Layer::new();
    for number in (0..100_000).step_by(10_000) {
        above = above
            .whiteout(format!("many/entry-{number}"))
            .file(format!("many/entry-{}", number + 1), "new")
            .file(format!("many/added-{number}"), "");
    }
    let layers = [below, above];
    loaded(&scratch, &layers).must_equal(&apply(&layers), driver);
}

/// A sparse file that claims more than 4 GiB, with data at both ends and at odd offsets.
pub fn large_files(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let place = Mounted::folder();
    let size = (5_u64 << 30) + 12_345;
    let pieces = [(0, 10), (4_294_967_290, 20), (size - 7, 7)];
    let file = File::create(place.path().join("large")).expect("a file can be made");
    file.set_len(size).expect("it can be made long");
    for (at, length) in pieces {
        file.write_all_at(&vec![b'L'; length], at).expect("it can be written");
    }
    for format in ["gnu", "posix"] {
        let Some(tar) = pack(place.path(), &["--sparse", &format!("--format={format}")]) else {
            return crate::skip("there is no tar program");
        };
        assert!(tar.len() < 1 << 20, "the file was not stored as a sparse one");
        let top = scratch.add_tars(&[tar]).expect("it is taken");
        let view = scratch.view(top).expect("it mounts");
        let file = sys::fs::file_beneath(&view, "large").expect("it is there");
        assert_eq!(file.metadata().expect("it can be asked").len(), size);
        for (at, length) in pieces {
            let mut data = vec![0; length + 8];
            let start = at.saturating_sub(4);
            let count = file.read_at(&mut data, start).expect("it can be read");
            let wanted = |place: u64| {
                let inside =
                    pieces.iter().any(|(at, len)| place >= *at && place < at + *len as u64);
                if inside { b'L' } else { 0 }
            };
            for (index, byte) in data[..count].iter().enumerate() {
                assert_eq!(*byte, wanted(start + index as u64), "at {}", start + index as u64);
            }
        }
    }
}

/// Sparse files in every form that the tar program writes, at offsets of every alignment.
pub fn sparse_formats(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let place = Mounted::folder();
    for (name, size, pieces) in [
        ("all-hole", 1_000_000, vec![]),
        ("start", 1_000_000, vec![(0, 5000)]),
        ("end", 1_000_001, vec![(999_000, 1001)]),
        ("many", 3_000_000, (0..300).map(|n| (n * 9_973, 7)).collect()),
        ("aligned", 1 << 20, vec![(4096, 4096), (65_536, 8192)]),
        ("dense", 9000, vec![(0, 9000)]),
    ] {
        let file = File::create(place.path().join(name)).expect("a file can be made");
        file.set_len(size).expect("it can be made long");
        for (at, length) in pieces {
            file.write_all_at(&vec![b'S'; length], at).expect("it can be written");
        }
    }
    let original = Tree::read(place.path()).expect("it can be read");
    let formats: [&[&str]; 5] = [
        &["--format=oldgnu"],
        &["--format=gnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    for format in formats {
        let Some(tar) = pack(place.path(), &[&["--sparse"], format].concat()) else {
            return crate::skip("there is no tar program");
        };
        let top = scratch.add_tars(&[tar]).expect("it is taken");
        let mut tree = scratch.tree(top);
        for (path, node) in &mut tree.nodes {
            // The GNU forms keep whole seconds, and the temporary folder is not what is tested.
            node.mtime = original.get(path).map_or((0, 0), |node| node.mtime);
            node.uid = original.get(path).map_or(0, |node| node.uid);
            node.gid = original.get(path).map_or(0, |node| node.gid);
        }
        tree.must_equal(&original, &format!("{driver} {format:?}"));
    }
}

/// Tars that end where the last file's data ends, or anywhere behind it in its block.
pub fn cut_in_the_padding(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    for (size, padding) in [(1, 0), (511, 0), (513, 0), (700, 1), (5_000, 100), (512, 0)] {
        let text = "P".repeat(size);
        let layer = Layer::new().file("first", "whole").file("last", text);
        let mut tar = layer.tar();
        // A header and a block of data for the first file, and the last one's header.
        tar.truncate(3 * 512 + size + padding);
        let top = scratch.add_tars(&[tar]).expect("it is taken");
        let tree = scratch.tree(top);
        tree.must_equal(&apply(&[layer]), &format!("{driver} {size}+{padding}"));
    }
}

/// What the tar program makes of a folder; nothing where there is none.
fn pack(folder: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let output =
        Command::new("tar").args(options).arg("-cf-").arg("-C").arg(folder).arg(".").output();
    output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
}

/// Folders a thousand deep, in several layers.
pub fn deep_stacks(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let path = |depth: usize| "d/".repeat(depth);
    let layers: Vec<_> = (1..=5)
        .map(|n| Layer::new().file(format!("{}leaf-{n}", path(n * 200)), n.to_string()))
        .collect();
    loaded(&scratch, &layers).must_equal(&apply(&layers), driver);
    let hidden = [layers, vec![Layer::new().whiteout("d")]].concat();
    loaded(&scratch, &hidden).must_equal(&apply(&hidden), driver);
}

/// An image of 130 layers.
pub fn stack_of_130(driver: &str) {
    stack_of(driver, 130);
}

/// An image of 500 layers, as many as overlay takes.
pub fn stack_of_500(driver: &str) {
    stack_of(driver, 500);
}

fn stack_of(driver: &str, count: usize) {
    let Some(scratch) = open(driver) else { return };
    let layers: Vec<_> = (0..count)
        .map(|n| {
            let layer = Layer::new().file("top", n.to_string()).file(format!("own/{}", n % 97), "");
            if n % 50 == 49 { layer.opaque("own") } else { layer }
        })
        .collect();
    let (id, top) = {
        let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
        scratch.add_image("tall", &tars).expect("it is taken")
    };
    scratch.tree(top).must_equal(&apply(&layers), driver);
    must_go(&scratch, id);
}

fn must_go(scratch: &Scratch, id: spec::ImageId) {
    scratch.remove_image(id).expect("it can be removed");
    assert_eq!(scratch.store.present().expect("it can be listed"), Default::default());
    let trash = fs::read_dir(scratch.store.paths().trash()).expect("it can be listed");
    assert_eq!(trash.count(), 0, "the trash is not empty");
}
