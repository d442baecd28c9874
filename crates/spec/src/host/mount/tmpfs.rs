//! `--tmpfs`: `target[:options]`.

use super::{MountError, mount_target};

/// Reads what `--tmpfs` gives: the target and the mount options after the first colon.
pub fn parse_tmpfs(text: &str) -> Result<(String, String), MountError> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    Ok((mount_target(target)?, options.to_owned()))
}
