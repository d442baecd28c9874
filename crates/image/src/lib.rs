//! A layer as bytes and a layer as files, and the archives that carry images.
//!
//! - [`tar`] and [`codec`] read and write the bytes;
//! - [`tree`] says what a layer's entries mean;
//! - [`layer`] reads a layer once, hashing, keeping and placing its bytes as they pass;
//! - [`pack`] writes a folder as a layer;
//! - [`folder`] puts its files into a folder, [`erofs`] into an index over the tar;
//! - [`copy`] copies a tree of files;
//! - [`merged`] looks through a stack of layers without mounting it;
//! - [`archive`] is what `save` writes and `load` reads.

pub mod archive;
pub mod chunked;
pub mod codec;
pub mod copy;
pub mod erofs;
pub mod folder;
pub mod layer;
pub mod merged;
pub mod pack;
pub mod stream;
pub mod tar;
pub mod tree;
pub mod upper;
