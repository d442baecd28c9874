//! Names of containers.

use crate::error::{EngineError, Result};

/// A name is a file's.
const MAX_BYTES: usize = 255;

/// Whether a container may have this name, in docker's words where it may not.
pub(super) fn check(name: &str) -> Result<()> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let first = |byte: u8| byte.is_ascii_alphanumeric();
    let further = |byte: u8| first(byte) || b"_.-".contains(&byte);
    let mut bytes = bare.bytes();
    match bytes.next().is_some_and(first) && bare.len() > 1 && bytes.all(further) {
        true if bare.len() > MAX_BYTES => Err(EngineError::Refused(format!(
            "container name of {} bytes is longer than {MAX_BYTES}",
            bare.len()
        ))),
        true => Ok(()),
        false => Err(EngineError::ContainerName(name.to_owned())),
    }
}

const ADJECTIVES: [&str; 48] = [
    "amber", "azure", "banded", "blithe", "bold", "bright", "brisk", "calm", "candid", "clear",
    "clever", "crimson", "curious", "deft", "eager", "earnest", "fair", "fleet", "frank", "gentle",
    "glossy", "golden", "hardy", "hasty", "humble", "jolly", "keen", "kind", "lively", "lucid",
    "mellow", "merry", "modest", "nimble", "noble", "patient", "placid", "polished", "proud",
    "quiet", "rustic", "serene", "sharp", "silver", "steady", "sunny", "vivid", "wise",
];

/// Mica's relatives.
const MINERALS: [&str; 48] = [
    "agate",
    "albite",
    "apatite",
    "augite",
    "barite",
    "beryl",
    "biotite",
    "borax",
    "calcite",
    "celestine",
    "chalk",
    "chert",
    "cobalt",
    "copper",
    "corundum",
    "diopside",
    "dolomite",
    "epidote",
    "feldspar",
    "flint",
    "fluorite",
    "galena",
    "garnet",
    "graphite",
    "gypsum",
    "halite",
    "hematite",
    "jade",
    "jasper",
    "kyanite",
    "lazurite",
    "magnetite",
    "malachite",
    "marcasite",
    "obsidian",
    "olivine",
    "onyx",
    "opal",
    "pumice",
    "pyrite",
    "quartz",
    "rutile",
    "spinel",
    "talc",
    "topaz",
    "tourmaline",
    "zeolite",
    "zircon",
];

/// A name for whoever asked for none, out of random bytes. `attempt` counts those already taken.
pub(super) fn invent(random: [u8; 4], attempt: u32) -> String {
    let adjective = ADJECTIVES[usize::from(random[0]) % ADJECTIVES.len()];
    let mineral = MINERALS[usize::from(random[1]) % MINERALS.len()];
    match attempt {
        0 => format!("{adjective}_{mineral}"),
        _ => format!("{adjective}_{mineral}{}", u16::from_le_bytes([random[2], random[3]])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_dockers_letters() {
        for name in ["web", "a1", "a_b.c-d", "/web", "0x"] {
            check(name).unwrap();
        }
        for name in ["", "a", "-a", "a b", "ä1", "a/b", "_a"] {
            let words = check(name).unwrap_err().to_string();
            assert!(words.starts_with("Invalid container name ("), "{words}");
        }
    }

    #[test]
    fn invented_names_are_allowed() {
        for byte in 0..=255 {
            check(&invent([byte, byte.wrapping_mul(7), 1, 2], u32::from(byte & 1))).unwrap();
        }
    }
}
