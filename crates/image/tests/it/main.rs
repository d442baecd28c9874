//! Layers read, indexed and looked through, as the store does it.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod index;
mod merged;
mod reading;

use std::fs::File;
use std::io::{self, Write};

use image::codec::Codec;
use image::erofs::{IndexReader, write_index};
use image::layer::{LayerError, LayerLimits, Taps, read_layer};
use image::stream::Tap;
use image::tree::{Bottom, LayerTree};
use testkit::Layer;

/// Somebody who watches without a word.
struct Silent;

impl Tap for Silent {
    fn pass(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn read(tar: &[u8]) -> Result<LayerTree, LayerError> {
    let taps = Taps { stored: &mut Silent, plain: &mut Silent };
    read_layer(&mut &*tar, Codec::detect(tar), taps, None, &LayerLimits::default())
}

/// The tree of a layer that stands on nothing.
fn tree_of(layer: &Layer) -> LayerTree {
    let mut tree = read(&layer.tar()).expect("a well-formed layer is taken");
    tree.settle(&mut Bottom).expect("nothing is below it");
    tree
}

/// A file that has no name, in memory where that can be.
fn scratch_file() -> File {
    let place = testkit::Mounted::folder();
    tempfile::tempfile_in(place.path()).expect("a temporary file can be made")
}

/// The index of a tree, in a file that has no name.
fn index_file(tree: &LayerTree, tar: &[u8]) -> File {
    let mut kept = scratch_file();
    kept.write_all(tar).expect("it can be written");
    let out = scratch_file();
    write_index(tree, [3; 16], Some(&kept), tar.len() as u64, &out).expect("it can be written");
    out
}

fn index_of(tree: &LayerTree, tar: &[u8]) -> IndexReader {
    IndexReader::open(index_file(tree, tar)).expect("what was written can be read")
}
