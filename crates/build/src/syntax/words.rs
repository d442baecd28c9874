//! How the text of one instruction falls apart into words.

/// The first word and what follows the spaces after it.
pub fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// Keyword, flags, and the rest.
pub(super) fn split_instruction(text: &str, escape: char) -> (String, Vec<String>, String) {
    let (keyword, mut rest) = first_word(text);
    let mut flags = Vec::new();
    while rest.starts_with("--") {
        let (flag, after) = flag(rest, escape);
        rest = after.trim_start();
        if flag == "--" {
            break;
        }
        flags.push(flag);
    }
    (keyword.to_owned(), flags, rest.to_owned())
}

/// One flag without its quotes and escapes, and what follows it.
fn flag(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == escape => word.extend(letters.next().map(|(_, letter)| letter)),
            _ if quote == Some(letter) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(letter),
            _ if letter.is_whitespace() && quote.is_none() => return (word, &text[at..]),
            _ => word.push(letter),
        }
    }
    (word, "")
}

/// A JSON list, or nothing if the text is none; an error if not all of it are strings.
pub fn json_list(text: &str) -> Option<Result<Vec<String>, &'static str>> {
    let text = text.trim();
    let values = text.starts_with('[').then(|| serde_json::from_str(text).ok())?;
    let values: Vec<serde_json::Value> = values?;
    let string = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    };
    let list: Option<Vec<String>> = values.into_iter().map(string).collect();
    Some(list.ok_or("when using JSON array syntax, arrays must be comprised of strings only"))
}
