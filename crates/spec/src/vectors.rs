//! Tables of inputs and expected answers that some machines have; tests without them say so. Other
//! crates whose tests read such tables include this file.

use std::path::PathBuf;

/// The rows of a table without its header, or nothing where the tables are absent: they are in
/// `MICA_VECTORS`, or beside the project.
#[allow(clippy::print_stdout)] // The runner reads the line out of the test's output.
pub(crate) fn rows(table: &str) -> Option<Vec<Vec<String>>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("MICA_VECTORS").map_or(PathBuf::from(beside), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join(table)) else {
        println!("skipped: no vectors here");
        return None;
    };
    let row = |line: &str| line.split('\t').map(str::to_owned).collect();
    Some(text.lines().skip(1).map(row).collect())
}
