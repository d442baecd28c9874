//! Where words stand in the text of a file, and changes to it.

use std::ops::Range;

use crate::error::Span;

/// A change of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes that go.
    pub range: Range<usize>,
    /// What comes in their place.
    pub text: String,
}

/// A text whose lines can be found.
pub(super) struct Source<'a> {
    text: &'a str,
    /// Where each line begins, and where the text ends.
    starts: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Source<'a> {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Source { text, starts: std::iter::once(0).chain(breaks).chain([text.len()]).collect() }
    }

    /// The bytes of some lines, with their ends.
    pub(super) fn lines(&self, span: Span) -> Range<usize> {
        let last = self.starts.len() - 1;
        let first = span.first.saturating_sub(1).min(last);
        self.starts[first]..self.starts[span.last.clamp(first, last)]
    }

    /// The text of a range.
    pub(super) fn at(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// The first place of a word within a range, spaces on both sides.
    pub(super) fn word(&self, within: Range<usize>, word: &str) -> Option<Range<usize>> {
        let text = self.at(within.clone());
        let is_end = |letter: Option<char>| letter.is_none_or(char::is_whitespace);
        let stands_alone = |at: &usize| {
            is_end(text[..*at].chars().next_back())
                && is_end(text[at + word.len()..].chars().next())
        };
        let place = text.match_indices(word).map(|(at, _)| at).find(stands_alone)?;
        Some(within.start + place..within.start + place + word.len())
    }

    /// The keyword an instruction begins with.
    pub(super) fn keyword(&self, span: Span, keyword: &str) -> Option<Range<usize>> {
        self.word(self.lines(span), keyword)
    }

    /// All that follows the keyword on the one line of an instruction; nothing if it has more.
    pub(super) fn arguments(&self, span: Span, keyword: &str) -> Option<Range<usize>> {
        let after = self.keyword(span, keyword)?.end;
        let rest = self.at(after..self.lines(span).end);
        let start = after + (rest.len() - rest.trim_start().len());
        let one_line = span.first == span.last;
        (one_line && !rest.trim().is_empty()).then(|| start..start + rest.trim().len())
    }
}

/// Carries out changes, in the order of the text. Of two that overlap, the second is left out.
pub(super) fn apply<'a>(text: &str, edits: impl IntoIterator<Item = &'a Edit>) -> String {
    let mut edits: Vec<&Edit> = edits.into_iter().collect();
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut changed, mut done) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        if edit.range.start >= done {
            changed.push_str(&text[done..edit.range.start]);
            changed.push_str(&edit.text);
            done = edit.range.end;
        }
    }
    changed.push_str(&text[done..]);
    changed
}
