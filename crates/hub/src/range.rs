//! Ranges of bytes: those a client asks for, and those it says it sends.

/// More parts than these at once are not given: the whole is.
const MOST_PARTS: usize = 1024;

/// What of a blob is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// A span of it.
    Some(Span),
    /// Several, in the order in which they are wanted.
    Several(Vec<Span>),
    /// Nothing that there is.
    Nothing,
}

/// So many bytes, never none, from a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

impl Span {
    /// As `Content-Range` names it, of something of `length` bytes.
    pub(crate) fn named(&self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.at, self.at + self.bytes - 1)
    }
}

/// Reads a `Range` header for something of `length` bytes. What is no range at all, and parts that
/// are more together than the whole is, are answered with everything, as HTTP allows.
pub(crate) fn asked(header: Option<&str>, length: u64) -> Part {
    let ranges = header.and_then(|text| text.trim().strip_prefix("bytes="));
    let Some(ranges) = ranges else { return Part::Whole };
    let (mut spans, mut bytes) = (Vec::new(), 0_u64);
    let mut ranges = ranges.split(',').map(str::trim).filter(|range| !range.is_empty()).peekable();
    if ranges.peek().is_none() {
        return Part::Whole;
    }
    for range in ranges {
        let Some(span) = span(range, length) else { return Part::Whole };
        bytes = span.map_or(bytes, |span| bytes.saturating_add(span.bytes));
        spans.extend(span);
        if spans.len() > MOST_PARTS || bytes > length {
            return Part::Whole;
        }
    }
    match spans.as_slice() {
        [] => Part::Nothing,
        [span] => Part::Some(*span),
        _ => Part::Several(spans),
    }
}

/// One range: nothing where it is none, and no span where it is of nothing that there is.
fn span(range: &str, length: u64) -> Option<Option<Span>> {
    let (from, to) = range.split_once('-')?;
    let (at, end) = match (number(from).ok()?, number(to).ok()?) {
        (Some(from), Some(to)) if from > to => return None,
        (Some(from), to) => (from, to.map_or(length, |to| to.saturating_add(1).min(length))),
        (None, Some(last)) => (length.saturating_sub(last), length),
        (None, None) => return None,
    };
    Some((at < end).then(|| Span { at, bytes: end - at }))
}

/// Reads a `Content-Range` header of an upload, `FIRST-LAST`: where the bytes begin, and how many
/// they are. With HTTP's own words around it, it means the same.
pub(crate) fn sent(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches([' ', '=']));
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first).ok()??, number(last).ok()??);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

/// A number of digits alone, or nothing.
fn number(text: &str) -> Result<Option<u64>, ()> {
    let text = text.trim();
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => Ok(None),
        true => text.parse().map(Some).map_err(|_| ()),
        false => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_asked_for() {
        let some = |at, bytes| Part::Some(Span { at, bytes });
        let several = |spans: &[(u64, u64)]| {
            Part::Several(spans.iter().map(|&(at, bytes)| Span { at, bytes }).collect())
        };
        let table = [
            ("bytes=0-0", some(0, 1)),
            ("bytes=2-", some(2, 8)),
            ("bytes=-3", some(7, 3)),
            ("bytes=-30", some(0, 10)),
            ("bytes=5-99", some(5, 5)),
            ("bytes=9-9", some(9, 1)),
            ("bytes=10-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,3-4", several(&[(0, 2), (3, 2)])),
            ("bytes= 8-, ,0-0 ,-1", several(&[(8, 2), (0, 1), (9, 1)])),
            ("bytes=0-1,10-11", some(0, 2)),
            ("bytes=10-,11-", Part::Nothing),
            ("bytes=0-1,x", Part::Whole),
            ("bytes=0-5,2-6", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=0-18446744073709551615", some(0, 10)),
            ("bytes=0-18446744073709551616", Part::Whole),
        ];
        for (text, wanted) in table {
            assert_eq!(asked(Some(text), 10), wanted, "{text}");
        }
        assert_eq!(asked(None, 10), Part::Whole);
        assert_eq!(asked(Some("bytes=0-"), 0), Part::Nothing);
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(asked(Some(&many(MOST_PARTS + 1)), 1 << 20), Part::Whole);
        let all = asked(Some(&many(MOST_PARTS)), 1 << 20);
        assert!(matches!(all, Part::Several(spans) if spans.len() == MOST_PARTS));
    }

    #[test]
    fn reads_what_is_sent() {
        assert_eq!(sent("0-9"), Some((0, 10)));
        assert_eq!(sent("bytes 5-5/10"), Some((5, 1)));
        for wrong in ["", "5", "5-", "-5", "5-4", "a-b", "0-18446744073709551615", "0--1"] {
            assert_eq!(sent(wrong), None, "{wrong}");
        }
    }
}
