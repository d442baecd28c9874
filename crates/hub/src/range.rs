//! Ranges of bytes: those a client asks for, and those it says it sends.

/// What of a blob is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From a place, so many bytes.
    Some { at: u64, bytes: u64 },
    /// Nothing that there is.
    Nothing,
}

/// Reads a `Range` header for something of `length` bytes. Several ranges at once, and what is no
/// range at all, are answered with everything, as HTTP allows.
pub(crate) fn asked(header: Option<&str>, length: u64) -> Part {
    let range = header.and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    let (from, to) = (number(from), number(to));
    let (at, end) = match (from, to) {
        (Ok(Some(from)), Ok(Some(to))) if from > to => return Part::Whole,
        (Ok(Some(from)), Ok(to)) => {
            (from, to.map_or(length, |to| to.saturating_add(1).min(length)))
        }
        (Ok(None), Ok(Some(0))) => return Part::Nothing,
        (Ok(None), Ok(Some(last))) => (length.saturating_sub(last), length),
        _ => return Part::Whole,
    };
    match at < end {
        true => Part::Some { at, bytes: end - at },
        false => Part::Nothing,
    }
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
        let some = |at, bytes| Part::Some { at, bytes };
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
            ("bytes=0-1,3-4", Part::Whole),
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
