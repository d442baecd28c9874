//! Names of slices and of units, and where they lie.

use crate::error::{Result, RuntimeError};

/// The longest name of a unit.
const LONGEST: usize = 255;

/// The path of a slice below systemd's own group: `a-b.slice` is in `a.slice`.
pub(super) fn path(slice: &str) -> Result<String> {
    let invalid = || RuntimeError::invalid(format!("invalid slice name: {slice}"));
    let name = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if name == "-" {
        // The one that all others are in.
        return Ok(String::new());
    }
    let parts: Vec<&str> = name.split('-').collect();
    if parts.contains(&"") || !is_name(slice) {
        return Err(invalid());
    }
    let paths = (1..=parts.len()).map(|count| format!("{}.slice", parts[..count].join("-")));
    Ok(paths.collect::<Vec<_>>().join("/"))
}

pub(super) fn check_unit(unit: &str) -> Result<()> {
    match is_name(unit) {
        true => Ok(()),
        false => Err(RuntimeError::invalid(format!("invalid unit name: {unit}"))),
    }
}

fn is_name(name: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    name.len() <= LONGEST && !name.starts_with('.') && name.bytes().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_lies_in_those_that_its_name_begins_with() {
        assert_eq!(path("system.slice").unwrap(), "system.slice");
        let expected = "a.slice/a-b.slice/a-b-c.slice";
        assert_eq!(path("a-b-c.slice").unwrap(), expected);
        assert_eq!(path("-.slice").unwrap(), "");
        for wrong in ["system", "a/b.slice", "-a.slice", "a-.slice", "a--b.slice", ".slice", ""] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn units_have_no_paths() {
        assert!(check_unit("mica-0f.scope").is_ok());
        for wrong in ["../x.scope", "a/b.scope", "a b.scope", &"x".repeat(256)] {
            assert!(check_unit(wrong).is_err(), "{wrong}");
        }
    }
}
