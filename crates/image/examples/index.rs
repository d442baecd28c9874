//! Writes the index of a plain tar, and does nothing else: what an index costs, for `cargo xtask
//! bench index`. Usage: `index TAR INDEX`.

use std::fs::File;
use std::io;
use std::process::ExitCode;

use image::codec::Codec;
use image::erofs::write_index;
use image::layer::{LayerLimits, Taps, read_layer};
use image::stream::Tap;
use image::tree::Bottom;

/// Nobody who hashes or keeps.
struct Silent;

impl Tap for Silent {
    fn pass(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tar, index] = arguments.as_slice() else { return ExitCode::from(2) };
    match write(tar, index) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The exit code says that it failed; the text is for whoever looks.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn write(tar: &str, index: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut file = File::open(tar)?;
    let taps = Taps { stored: &mut Silent, plain: &mut Silent };
    let mut tree = read_layer(&mut file, Codec::None, taps, None, &LayerLimits::default())?;
    tree.settle(&mut Bottom)?;
    let bytes = file.metadata()?.len();
    let out = File::options().read(true).write(true).create(true).truncate(true).open(index)?;
    write_index(&tree, [0; 16], Some(&file), bytes, &out)?;
    Ok(())
}
