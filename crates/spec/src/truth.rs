//! Yes and no in the words that Go's programs take for them.

/// Reads `1`, `t`, `TRUE` and so on, or their opposites; nothing else is either.
///
/// ```
/// assert_eq!(spec::parse_go_bool("T"), Some(true));
/// assert_eq!(spec::parse_go_bool("yes"), None);
/// ```
pub fn parse_go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
