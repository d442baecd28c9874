//! The floor under reading an archive: its bytes read, hashed and written once, in order.

use std::fs::File;
use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use crate::Result;

/// How much is read at once; as much as mica does.
const CHUNK_BYTES: usize = 256 << 10;

/// Copies one file to another, front to back, with its SHA-256 on the way.
pub(crate) fn hashed_copy(arguments: &[String]) -> Result {
    let [from, to] = arguments else { return Err("it takes two files".into()) };
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 {
            break;
        }
        hash.update(&buffer[..bytes]);
        to.write_all(&buffer[..bytes])?;
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("sha256:{digest}");
    Ok(())
}
