//! Points in time as Go writes them: RFC 3339 with as many digits of a second as are needed.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::duration::parse_go_duration;
use crate::json::string_on_the_wire;

/// A point in time, to the nanosecond, between the years 1 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A document holds something else than RFC 3339.
    #[error("invalid time {0:?}: expected the form 2006-01-02T15:04:05Z")]
    Rfc3339(String),
    /// A filter's value is neither a time nor a duration; docker's words.
    #[error("failed to parse value as time or duration: {0:?}")]
    Filter(String),
}

impl Timestamp {
    /// Go's zero time, which documents use for "not known".
    pub const ZERO: Timestamp = Timestamp(jiff::Timestamp::constant(-62_135_596_800, 0));

    /// The start of 1970, which reproducible images use.
    pub const UNIX_EPOCH: Timestamp = Timestamp(jiff::Timestamp::UNIX_EPOCH);

    const LAST: Timestamp = Timestamp(jiff::Timestamp::MAX);

    /// The present.
    pub fn now() -> Timestamp {
        Timestamp(jiff::Timestamp::now())
    }

    /// A point in time by the Unix clock; what is outside the years 1 to 9999 becomes their end.
    pub fn from_unix(seconds: i64, nanos: u32) -> Timestamp {
        let end = if seconds < 0 { Timestamp::ZERO } else { Timestamp::LAST };
        let seconds = seconds.saturating_add(i64::from(nanos / 1_000_000_000));
        let nanos = i32::try_from(nanos % 1_000_000_000).unwrap_or_default();
        let time = jiff::Timestamp::new(seconds, nanos).map_or(end, Timestamp);
        time.max(Timestamp::ZERO)
    }

    /// Whole seconds of the Unix clock, rounded down.
    pub fn unix_seconds(&self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000) as i64
    }

    /// The nanoseconds after the whole second.
    pub fn nanos(&self) -> u32 {
        self.0.as_nanosecond().rem_euclid(1_000_000_000) as u32
    }

    /// Whether this is Go's zero time.
    pub fn is_zero(&self) -> bool {
        *self == Timestamp::ZERO
    }

    /// The time some seconds and nanoseconds later, or earlier where negative.
    pub fn plus_nanos(&self, nanos: i64) -> Timestamp {
        let end = if nanos < 0 { Timestamp::ZERO } else { Timestamp::LAST };
        let moved = self.0.checked_add(SignedDuration::from_nanos(nanos));
        moved.map_or(end, Timestamp).max(Timestamp::ZERO)
    }

    /// Whole seconds from `earlier` to this.
    pub fn seconds_since(&self, earlier: Timestamp) -> i64 {
        self.0.duration_since(earlier.0).as_secs()
    }

    /// The time in the local zone as docker's tables show it: `2006-01-02 15:04:05 -0700 MST`.
    pub fn docker_local(&self) -> String {
        self.docker_in(&local_zone())
    }

    /// The time in a given zone as docker's tables show it.
    pub fn docker_in(&self, zone: &TimeZone) -> String {
        self.0.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    }

    /// The time as Go shows it, to the nanosecond where it has any: `2006-01-02 15:04:05.25 +0000 UTC`.
    pub fn go_utc(&self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string()
    }

    /// The time in the local zone as docker tells of events: `2006-01-02T15:04:05.000000000-07:00`.
    pub fn event_local(&self) -> String {
        self.event_in(&local_zone())
    }

    /// The time in a given zone as docker tells of events.
    pub fn event_in(&self, zone: &TimeZone) -> String {
        let text = self.0.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.9f%:z").to_string();
        match text.strip_suffix("+00:00") {
            Some(time) => format!("{time}Z"),
            None => text,
        }
    }

    /// Reads the value of `--since` or `--until`: a time, a date, seconds of the Unix clock, or how
    /// long before `now`. What names no zone is local time.
    pub fn parse_docker(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
        Timestamp::parse_docker_in(text, now, &local_zone())
    }

    /// Reads the value of `--since` or `--until` where local time is that of a given zone.
    pub fn parse_docker_in(
        text: &str,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Timestamp, TimeError> {
        if let Some(nanos) = parse_go_duration(text).ok().filter(|_| text != "0") {
            let then = now.plus_nanos(nanos.saturating_neg());
            return Ok(Timestamp::from_unix(then.unix_seconds(), 0));
        }
        let wrong = || TimeError::Filter(text.to_owned());
        if let Some(parsed) = parse_parts(text, Completeness::DateOrMore) {
            return parsed.resolve(zone).ok_or_else(wrong);
        }
        parse_unix(text).ok_or_else(wrong)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Timestamp, TimeError> {
        let wrong = || TimeError::Rfc3339(text.to_owned());
        let parsed = parse_parts(text, Completeness::Full).ok_or_else(wrong)?;
        parsed.resolve(&TimeZone::UTC).ok_or_else(wrong)
    }
}

string_on_the_wire!(Timestamp);

/// How much of a time must be written.
#[derive(Clone, Copy, PartialEq)]
enum Completeness {
    /// All of RFC 3339, zone included.
    Full,
    /// A date, and after it any part of the time, and perhaps a zone.
    DateOrMore,
}

/// A time as written, perhaps without a zone.
struct Written {
    time: DateTime,
    offset: Option<Offset>,
}

impl Written {
    /// The point in time; outside the years 1 to 9999 it is their end.
    fn resolve(&self, zone: &TimeZone) -> Option<Timestamp> {
        let late = self.time.year() > 1;
        let end = if late { Timestamp::LAST } else { Timestamp::ZERO };
        let time = match self.offset {
            Some(offset) => offset.to_timestamp(self.time),
            None => zone.to_timestamp(self.time),
        };
        Some(time.map_or(end, Timestamp).max(Timestamp::ZERO))
    }
}

/// Reads `2006-01-02T15:04:05.999Z07:00` and, where allowed, its shorter forms.
fn parse_parts(text: &str, needed: Completeness) -> Option<Written> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    let month = prefixed(&mut rest, "-")?;
    let day = prefixed(&mut rest, "-")?;
    let mut clock = [0; 3];
    let mut read = 0;
    for (part, prefix) in clock.iter_mut().zip(["T", ":", ":"]) {
        if !rest.starts_with(prefix) {
            break;
        }
        *part = prefixed(&mut rest, prefix)?;
        read += 1;
    }
    let nanos = if read == 3 { fraction(&mut rest)? } else { 0 };
    let offset = offset(rest)?;
    if needed == Completeness::Full && (read != 3 || offset.is_none()) {
        return None;
    }
    let small = |number: i32| i8::try_from(number).ok();
    let [hour, minute, second] = clock;
    let time = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanos,
    );
    Some(Written { time: time.ok()?, offset })
}

fn prefixed(rest: &mut &str, prefix: &str) -> Option<i32> {
    *rest = rest.strip_prefix(prefix)?;
    digits(rest, 2)
}

fn digits(rest: &mut &str, count: usize) -> Option<i32> {
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    number.bytes().all(|c| c.is_ascii_digit()).then(|| number.parse().ok())?
}

/// Reads what follows the seconds; digits beyond the nanosecond are dropped.
fn fraction(rest: &mut &str) -> Option<i32> {
    let Some(after) = rest.strip_prefix(['.', ',']) else {
        return Some(0);
    };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    *rest = &after[end..];
    let nine: String = after[..end].chars().chain("000000000".chars()).take(9).collect();
    (end > 0).then(|| nine.parse().ok())?
}

/// Reads `Z` or `+07:00` to the end of the text; the inner nothing means that no zone is written.
fn offset(text: &str) -> Option<Option<Offset>> {
    let (sign, mut rest) = match text.as_bytes() {
        [] => return Some(None),
        b"Z" => return Some(Some(Offset::UTC)),
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return None,
    };
    let hours = digits(&mut rest, 2)?;
    let minutes = prefixed(&mut rest, ":")?;
    if hours > 24 || minutes > 59 || !rest.is_empty() {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(Some)
}

/// Reads seconds of the Unix clock with an optional fraction: `1136073600.000000001`.
fn parse_unix(text: &str) -> Option<Timestamp> {
    let (seconds, mut rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let seconds: i64 = seconds.parse().ok()?;
    let nanos = u32::try_from(fraction(&mut rest)?).ok()?;
    rest.is_empty().then(|| Timestamp::from_unix(seconds, nanos))
}

/// The local zone; a machine that names none lives in UTC, as with Go.
fn local_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests;
