//! Writes the index of a plain tar, and does nothing else: what an index costs, for `cargo xtask
//! bench index`. Usage: `index TAR INDEX`.

use std::fs::File;
use std::io::{self, BufReader};
use std::process::ExitCode;

use image::erofs::write_index;
use image::layer::{LayerLimits, read_tree};
use image::tree::Bottom;

/// As much as stays near the processor until it was looked at.
const BUFFER_BYTES: usize = 128 << 10;

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
    let file = File::open(tar)?;
    let reader = BufReader::with_capacity(BUFFER_BYTES, &file);
    let mut tree = read_tree(reader, &LayerLimits::default())?;
    tree.settle(&mut Bottom)?;
    let bytes = file.metadata()?.len();
    let out = File::options().read(true).write(true).create(true).truncate(true).open(index)?;
    write_index(&tree, [0; 16], Some(&file), bytes, &out)?;
    Ok(())
}
