//! Durations in Go's units, as docker's tables show them and its flags take them.

/// Why a text is no duration, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is no duration.
    #[error("time: invalid duration {0:?}")]
    Malformed(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A number has a unit nobody knows.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What follows the number.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// How long ago something was, in a few words: `About a minute`, `3 weeks`.
pub fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = seconds.saturating_add(1800) / 3600;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => many(seconds, "seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => many(minutes, "minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, ..48) => many(hours, "hours"),
        (_, _, ..336) => many(hours / 24, "days"),
        (_, _, ..1440) => many(hours / 24 / 7, "weeks"),
        (_, _, ..17520) => many(hours / 24 / 30, "months"),
        _ => many(seconds / 3600 / 24 / 365, "years"),
    }
}

/// A list has one of these in each row, with more behind it: they are put together without the
/// machinery of formats, which takes several times as long.
fn many(number: i64, unit: &str) -> String {
    let mut text = String::with_capacity(24);
    push_number(number.unsigned_abs(), &mut text);
    text.push(' ');
    text.push_str(unit);
    text
}

/// Appends a number.
pub(crate) fn push_number(number: u64, text: &mut String) {
    if number >= 10 {
        push_number(number / 10, text);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// Reads a duration as Go writes it, in nanoseconds: `1h30m`, `-1.5s`, `300ms`.
pub fn parse_go_duration(text: &str) -> Result<i64, DurationError> {
    let wrong = || DurationError::Malformed(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = parse_go_part(rest, text)?;
        total += nanos;
        if total > i128::from(i64::MAX) + 1 {
            return Err(wrong());
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| wrong())
}

/// Reads one number with its unit from the front.
fn parse_go_part<'a>(rest: &'a str, text: &str) -> Result<(i128, &'a str), DurationError> {
    let wrong = || DurationError::Malformed(text.to_owned());
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, after) = rest.split_at(digits(rest));
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(wrong());
    }
    let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
    let (name, after) = after.split_at(end);
    if name.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let unknown = || DurationError::UnknownUnit { unit: name.to_owned(), text: text.to_owned() };
    let unit = i128::from(unit_nanos(name).ok_or_else(unknown)?);
    let whole: i128 = match whole {
        "" => 0,
        whole => i128::from(whole.parse::<i64>().map_err(|_| wrong())?),
    };
    // Eighteen digits of a fraction are beyond the nanosecond of any unit and still fit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or_default());
    let part = fraction.parse::<i128>().unwrap_or_default() * unit / scale;
    Ok((whole * unit + part, after))
}

fn unit_nanos(name: &str) -> Option<i64> {
    match name {
        "ns" => Some(1),
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(SECOND),
        "m" => Some(MINUTE),
        "h" => Some(HOUR),
        _ => None,
    }
}

/// Writes nanoseconds as Go does: `1h30m0s`, `1.5s`, `300ms`, `0s`.
pub fn format_go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let (second, minute, hour) = (SECOND as u64, MINUTE as u64, HOUR as u64);
    let text = match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{size}ns"),
        1_000..1_000_000 => decimal(size, 1_000) + "\u{b5}s",
        1_000_000..1_000_000_000 => decimal(size, 1_000_000) + "ms",
        _ => {
            let seconds = decimal(size % minute, second) + "s";
            match (size / hour, size % hour / minute) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// A number in a larger unit, with the digits it needs and no more.
fn decimal(size: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", size / unit, size % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
