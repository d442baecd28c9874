//! Which command was meant by a word with a typing mistake.

use super::Command;

/// Longer words are no typing mistakes; this bounds the work for hostile input.
const LONGEST: usize = 24;

/// The visible command of `group` nearest to `word`, when it is near enough.
pub(super) fn nearest<A: Copy>(group: &Command<A>, word: &str) -> Option<&'static str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    let shown = group.sub.iter().filter(|sub| !sub.hidden);
    let mistakes = shown.map(|sub| {
        let names = sub.aliases.iter().chain([&sub.name]);
        (names.map(|name| distance(&word, name)).min(), sub.name)
    });
    // `min_by_key` keeps the first of equals: the order of the table decides.
    let (mistakes, name) = mistakes.min_by_key(|(mistakes, _)| *mistakes)?;
    // One in three letters, or two swapped however short the word is.
    let tolerance = if has_letters_of(&word, name) { 1 } else { word.len() / 3 };
    (mistakes? <= tolerance.min(2)).then_some(name)
}

/// Whether `name` is made of the letters of `word` in whatever order.
fn has_letters_of(word: &[char], name: &str) -> bool {
    let (mut word, mut name) = (word.to_vec(), name.chars().collect::<Vec<_>>());
    word.sort_unstable();
    name.sort_unstable();
    word == name
}

/// How many letters were left out, added, mistaken or swapped with their neighbour.
fn distance(word: &[char], name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    let mut before_last = vec![0; name.len() + 1];
    let mut last: Vec<usize> = (0..=name.len()).collect();
    for (row, typed) in word.iter().enumerate() {
        let mut current = vec![row + 1; name.len() + 1];
        for (column, meant) in name.iter().enumerate() {
            let replaced = last[column] + usize::from(typed != meant);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *typed == name[column - 1] && word[row - 1] == *meant {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, name: &str, expected: usize) {
        let word: Vec<char> = word.chars().collect();
        assert_eq!(distance(&word, name), expected);
    }

    #[test]
    fn counts_typing_mistakes() {
        check("images", "images", 0);
        check("imgaes", "images", 1);
        check("sl", "ls", 1);
        check("psuh", "push", 1);
        check("psu", "push", 2);
        check("pussh", "push", 1);
        check("foo", "top", 2);
        check("", "ps", 2);
    }
}
