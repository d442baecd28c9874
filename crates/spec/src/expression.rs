//! Names as filters mean them: docker's regular expressions.

use regex_lite::Regex;

/// Whether a filter's value means a text: the same, or an expression that is found in it. One that
/// is no expression means nothing else.
pub fn matches_name(value: &str, text: &str) -> bool {
    // Compiled anew for each text: names are short, and most values are plain words.
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match is_plain {
        true => text.contains(value),
        false => value == text || Regex::new(value).is_ok_and(|pattern| pattern.is_match(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, text: &str, expected: bool) {
        assert_eq!(matches_name(value, text), expected, "{value:?} in {text:?}");
    }

    #[test]
    fn values_are_expressions() {
        check("web", "my-web-1", true);
        check("^web$", "web2", false);
        check("^web[0-9]+$", "web12", true);
        check("we.2|db", "web2", true);
        check("^(db|cache)", "cache1", true);
        check("web.1", "web.1", true);
        check("[", "web", false);
        check("[", "[", true);
        check("", "anything", true);
    }
}
