//! `COPY` and `ADD` with their words expanded: what can only then be said against them.

use crate::instruction::{CopyFlags, Source};

/// Refuses what cannot be copied, or not so.
pub(super) fn check(
    flags: &CopyFlags,
    sources: &[Source],
    is_add: bool,
    is_repository: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    if let Some(mode) = flags.chmod.as_deref().filter(|mode| !is_mode(mode)) {
        return Err(format!(
            "invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
        ));
    }
    let paths = sources.iter().filter_map(|source| match source {
        Source::Path(path) => Some(path.as_str()),
        Source::Inline(_) => None,
    });
    let paths: Vec<&str> = paths.collect();
    if !is_add {
        return paths.into_iter().try_for_each(|path| refuse_remote(path, is_repository));
    }
    match (&flags.checksum, paths.as_slice()) {
        (None, _) => Ok(()),
        (Some(_), [path]) if is_address(path) || is_repository(path) => Ok(()),
        (Some(_), [_]) => Err("checksum requires HTTP(S) or Git sources".to_owned()),
        (Some(_), _) => Err("checksum can't be specified for multiple sources".to_owned()),
    }
}

/// Only `ADD` fetches.
fn refuse_remote(path: &str, is_repository: &dyn Fn(&str) -> bool) -> Result<(), String> {
    if is_repository(path) {
        return Err("source can't be a git ref for COPY".to_owned());
    }
    match is_address(path) {
        true => Err("source can't be a URL for COPY".to_owned()),
        false => Ok(()),
    }
}

fn is_address(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// Whether permissions are octal, or symbolic clause by clause.
fn is_mode(mode: &str) -> bool {
    if mode.bytes().all(|digit| digit.is_ascii_digit()) {
        return u32::from_str_radix(mode, 8).is_ok_and(|mode| mode <= 0o7777);
    }
    mode.split(',').all(|clause| {
        let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        rest.starts_with(['+', '-', '='])
            && rest.chars().all(|letter| "+-=rwxXstugo".contains(letter))
    })
}
