//! Which variables a word or a document uses.

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) name: String,
    /// Whether the word says what happens without it: `${name:-word}` and its like.
    pub(crate) has_fallback: bool,
}

/// The variables of a word, in its order, each as often as it stands there.
pub(crate) fn uses(word: &str, escape: char) -> Vec<Use> {
    scan(word, escape, true)
}

/// The variables of a document: quotes in it are signs like any other.
pub(crate) fn uses_in_document(text: &str) -> Vec<Use> {
    scan(text, '\\', false)
}

fn scan(text: &str, escape: char, quotes_count: bool) -> Vec<Use> {
    let mut found = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    let (mut at, mut single, mut double) = (0, false, false);
    while let Some(letter) = letters.get(at) {
        match letter {
            '\'' if quotes_count && !double => single = !single,
            '"' if quotes_count && !single => double = !double,
            _ if single => {}
            letter if *letter == escape => at += 1,
            '$' => {
                // What stands in braces is read on: it may hold further variables.
                let braced = letters.get(at + 1) == Some(&'{');
                let begin = at + 1 + usize::from(braced);
                let length = name_length(&letters[begin.min(letters.len())..]);
                if length > 0 {
                    let name = letters[begin..begin + length].iter().collect();
                    let after = &letters[begin + length..];
                    found.push(Use { name, has_fallback: braced && falls_back(after) });
                    at = begin + length - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn name_length(letters: &[char]) -> usize {
    match letters.first() {
        Some(first) if first.is_ascii_alphabetic() || *first == '_' => {
            letters.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count()
        }
        // `$1` and `$@` mean nothing here, and nobody declares them.
        _ => 0,
    }
}

fn falls_back(after: &[char]) -> bool {
    let modifier = match after {
        [':', modifier, ..] | [modifier, ..] => modifier,
        [] => return false,
    };
    matches!(modifier, '-' | '+' | '?')
}
