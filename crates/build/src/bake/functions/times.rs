//! Times as texts of RFC 3339.

use std::collections::BTreeMap;

use spec::parse_go_duration;

use super::{Answer, Arguments, Row};
use crate::bake::value::Value;

pub(super) const ROWS: &[Row] = &[
    ("timestamp", 0..=0, |of| Ok(Value::Text(Time::utc(of.world.now).text()))),
    ("timeadd", 2..=2, |of| {
        let time = Time::parse(&of.text(0)?)?;
        let nanos = parse_go_duration(&of.text(1)?).map_err(|error| error.to_string())?;
        let seconds = time.seconds.checked_add(nanos.div_euclid(1_000_000_000));
        let seconds = seconds.ok_or("the time is too far away")?;
        Ok(Value::Text(Time { seconds, ..time }.text()))
    }),
    ("formatdate", 2..=2, |of| format_date(&of.text(0)?, &Time::parse(&of.text(1)?)?)),
    ("rfc3339parse", 1..=1, |of| Ok(Time::parse(&of.text(0)?)?.document())),
    ("unixtimestampparse", 1..=1, |of: &Arguments<'_>| {
        let seconds = of.index(0)?;
        match (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
            true => Ok(Time::utc(seconds).document()),
            false => Err("the time is too far away".to_owned()),
        }
    }),
];

/// The years 0 to 9999.
const MIN_SECONDS: i64 = -62_167_219_200;
const MAX_SECONDS: i64 = 253_402_300_799;

/// A moment, and the offset it is told in.
#[derive(Clone, Copy)]
struct Time {
    /// Since 1970, in UTC.
    seconds: i64,
    offset: i64,
}

/// A moment as a calendar and a clock have it.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Days since 1970.
    days: i64,
}

impl Time {
    fn utc(seconds: i64) -> Time {
        Time { seconds, offset: 0 }
    }

    fn parse(text: &str) -> Result<Time, String> {
        let wrong = || format!("not a valid RFC3339 timestamp: {text:?}");
        let read = || {
            let number = |range: std::ops::Range<usize>| -> Option<i64> {
                let part = text.get(range)?;
                part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
            };
            let bytes = text.as_bytes();
            let signs = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
            let has_signs = signs.iter().all(|(at, sign)| bytes.get(*at) == Some(sign));
            let has_t = matches!(bytes.get(10), Some(b'T' | b't'));
            let days = days_of(number(0..4)?, number(5..7)?, number(8..10)?)?;
            let clock = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
            let rest = text.get(19..)?;
            let fraction = rest.strip_prefix('.').unwrap_or(rest);
            let zone = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let at = text.len() - zone.len();
            let offset = match zone.chars().next()? {
                'Z' | 'z' if zone.len() == 1 => 0,
                sign @ ('+' | '-') if zone.len() == 6 => {
                    let offset = number(at + 1..at + 3)? * 3600 + number(at + 4..at + 6)? * 60;
                    if sign == '-' { -offset } else { offset }
                }
                _ => return None,
            };
            let seconds = days * 86_400 + clock - offset;
            (has_signs && has_t && clock < 86_400).then_some(Time { seconds, offset })
        };
        read().ok_or_else(wrong)
    }

    fn civil(&self) -> Civil {
        let local = self.seconds + self.offset;
        let (days, clock) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            days,
        }
    }

    fn zone(&self, colon: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs() / 60;
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }

    fn text(&self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        let zone = if self.offset == 0 { "Z".to_owned() } else { self.zone(":") };
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}")
    }

    fn document(&self) -> Value {
        let civil = self.civil();
        // Cannot lose anything: all are small.
        #[allow(clippy::cast_precision_loss)]
        let number = |value: i64| Value::Number(value as f64);
        let first = days_of(civil.year, 1, 1).unwrap_or(0);
        let (weekday, (iso_year, iso_week)) = (weekday(civil.days), iso_week(civil.days));
        let pairs = [
            ("year", number(civil.year)),
            ("year_day", number(civil.days - first + 1)),
            ("day", number(civil.day)),
            ("month", number(civil.month)),
            ("month_name", Value::text(MONTHS[at(civil.month - 1)])),
            ("weekday", number(weekday)),
            ("weekday_name", Value::text(WEEKDAYS[at(weekday)])),
            ("hour", number(civil.hour)),
            ("minute", number(civil.minute)),
            ("second", number(civil.second)),
            ("unix", number(self.seconds)),
            ("iso_year", number(iso_year)),
            ("iso_week", number(iso_week)),
        ];
        Value::Map(
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        )
    }
}

fn at(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// Sunday is 0.
fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// The week that has most of its days in the year, and that year.
fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - (weekday(days) + 6) % 7 + 3;
    let (year, _, _) = date_of(thursday);
    (year, (thursday - days_of(year, 1, 1).unwrap_or(0)) / 7 + 1)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Days from 1970 to a date; years begin in March, so that the day that is sometimes there is last.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let in_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=in_month).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The date of a day counted from 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Rows of the same letter stand for a part of the time; what is in single quotes stays.
fn format_date(pattern: &str, time: &Time) -> Answer {
    let civil = time.civil();
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (inner, after) = quoted.split_once('\'').ok_or("unterminated literal in format")?;
            text.push_str(if inner.is_empty() { "'" } else { inner });
            rest = after;
            continue;
        }
        let length = rest.chars().take_while(|next| *next == letter).count() * letter.len_utf8();
        let (token, after) = rest.split_at(length);
        rest = after;
        match letter.is_ascii_alphabetic() {
            true => text.push_str(&part(token, &civil, time)?),
            false => text.push_str(token),
        }
    }
    Ok(Value::Text(text))
}

fn part(token: &str, civil: &Civil, time: &Time) -> Result<String, String> {
    let two = |number: i64| format!("{number:02}");
    let short = |name: &str| name[..3].to_owned();
    let month = MONTHS[at(civil.month - 1)];
    let weekday = WEEKDAYS[at(weekday(civil.days))];
    let hour12 = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    let half = if civil.hour < 12 { "AM" } else { "PM" };
    let zulu = |text: String| if time.offset == 0 { "Z".to_owned() } else { text };
    Ok(match token {
        "YYYY" => format!("{:04}", civil.year),
        "YY" => two(civil.year % 100),
        "MMMM" => month.to_owned(),
        "MMM" => short(month),
        "MM" => two(civil.month),
        "M" => civil.month.to_string(),
        "DD" => two(civil.day),
        "D" => civil.day.to_string(),
        "EEEE" => weekday.to_owned(),
        "EEE" => short(weekday),
        "hh" => two(civil.hour),
        "h" => civil.hour.to_string(),
        "HH" => two(hour12),
        "H" => hour12.to_string(),
        "AA" => half.to_owned(),
        "aa" => half.to_lowercase(),
        "mm" => two(civil.minute),
        "m" => civil.minute.to_string(),
        "ss" => two(civil.second),
        "s" => civil.second.to_string(),
        "ZZZZZ" => time.zone(":"),
        "ZZZZ" => time.zone(""),
        "ZZZ" if time.offset == 0 => "UTC".to_owned(),
        "ZZZ" => time.zone(""),
        "Z" => zulu(time.zone(":")),
        other => return Err(format!("invalid date format verb {other:?}")),
    })
}
