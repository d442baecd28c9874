//! Patterns of substitutions: `*` is any text, `?` any letter, a backslash takes the next as it is.

use super::WordError;

/// A pattern, ready to match.
pub(super) struct Glob(Vec<Part>);

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Letter(char),
    AnyLetter,
    AnyText,
}

impl Part {
    fn takes(self, letter: char) -> bool {
        self == Part::AnyLetter || self == Part::Letter(letter)
    }
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Result<Glob, WordError> {
        let mut parts = Vec::new();
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            parts.push(match letter {
                '*' => Part::AnyText,
                '?' => Part::AnyLetter,
                '\\' => {
                    let next = letters.next();
                    Part::Letter(next.ok_or_else(|| WordError::Pattern(pattern.to_owned()))?)
                }
                letter => Part::Letter(letter),
            });
        }
        // Two stars say no more than one, and matching is faster without the second.
        parts.dedup_by(|next, last| *next == Part::AnyText && *last == Part::AnyText);
        Ok(Glob(parts))
    }

    /// What remains of a value when a match at its front is cut off.
    pub(super) fn trim_start(&self, value: &str, longest: bool) -> String {
        let letters: Vec<char> = value.chars().collect();
        let cut = match_length(&self.0, &letters, longest).unwrap_or(0);
        letters[cut..].iter().collect()
    }

    /// What remains of a value when a match at its end is cut off.
    pub(super) fn trim_end(&self, value: &str, longest: bool) -> String {
        let letters: Vec<char> = value.chars().rev().collect();
        let backwards: Vec<Part> = self.0.iter().rev().copied().collect();
        let cut = match_length(&backwards, &letters, longest).unwrap_or(0);
        letters[cut..].iter().rev().collect()
    }

    /// Puts `word` in the place of the first match, or of all; each match is as long as it can be.
    pub(super) fn replace(&self, value: &str, word: &str, all: bool) -> String {
        let letters: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut place = 0;
        let mut last_end = None;
        let mut done = false;
        while place <= letters.len() {
            let found = if done { None } else { match_length(&self.0, &letters[place..], true) };
            // An empty match directly after another match is part of that one.
            let found = found.filter(|length| *length > 0 || last_end != Some(place));
            if let Some(length) = found {
                result.push_str(word);
                done = !all;
                place += length;
                last_end = Some(place);
            }
            if found.is_none_or(|length| length == 0) {
                result.extend(letters.get(place));
                place += 1;
            }
        }
        result
    }
}

/// The length of the shortest or longest match at the front.
///
/// Follows all ways to match at once: no pattern takes longer than its length times the value's.
fn match_length(parts: &[Part], letters: &[char], longest: bool) -> Option<usize> {
    // `ways[n]` says that the first `n` parts can match the letters so far.
    let mut ways = vec![false; parts.len() + 1];
    ways[0] = true;
    let mut found = None;
    for length in 0..=letters.len() {
        for (place, part) in parts.iter().enumerate() {
            ways[place + 1] |= ways[place] && *part == Part::AnyText;
        }
        if ways[parts.len()] {
            found = Some(length);
        }
        let wanted = longest || found.is_none();
        let Some(letter) = letters.get(length).filter(|_| wanted && ways.contains(&true)) else {
            break;
        };
        for place in (0..ways.len()).rev() {
            let stays = ways[place] && parts.get(place) == Some(&Part::AnyText);
            let steps = place > 0 && ways[place - 1] && parts[place - 1].takes(*letter);
            ways[place] = stays || steps;
        }
    }
    found
}
