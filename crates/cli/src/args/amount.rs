//! Numbers with a unit: time spans and sizes in bytes.

use super::number::parse_float;
use super::quote::quote_bytes;

/// A time span in nanoseconds: `1m30s`, `-1.5h`, `0`.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote_bytes(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, further) = first_part(rest).map_err(|fault| fault.of(text))?;
        total = total.checked_add(nanos).ok_or_else(invalid)?;
        rest = further;
    }
    let signed = if negative { 0i64.checked_sub_unsigned(total) } else { total.try_into().ok() };
    signed.ok_or_else(invalid)
}

/// What is wrong with a part of a time span.
enum Fault<'a> {
    Invalid,
    NoUnit,
    UnknownUnit(&'a str),
}

impl Fault<'_> {
    /// The message about the whole time span, in docker's words.
    fn of(self, text: &str) -> String {
        let text = quote_bytes(text);
        match self {
            Fault::Invalid => format!("time: invalid duration {text}"),
            Fault::NoUnit => format!("time: missing unit in duration {text}"),
            Fault::UnknownUnit(unit) => {
                format!("time: unknown unit {} in duration {text}", quote_bytes(unit))
            }
        }
    }
}

/// The nanoseconds of the first number and its unit, and what follows them.
fn first_part(text: &str) -> Result<(u64, &str), Fault<'_>> {
    let whole = leading(text, |byte| byte.is_ascii_digit());
    let dotted = text[whole.len()..].strip_prefix('.');
    let fraction = dotted.map_or("", |tail| leading(tail, |byte| byte.is_ascii_digit()));
    if whole.is_empty() && fraction.is_empty() {
        return Err(Fault::Invalid);
    }
    let tail = dotted.map_or(&text[whole.len()..], |tail| &tail[fraction.len()..]);
    // A second dot begins a second number, so the first lacks its unit.
    let unit = leading(tail, |byte| !byte.is_ascii_digit() && byte != b'.');
    if unit.is_empty() {
        return Err(Fault::NoUnit);
    }
    let unit_nanos = unit_nanos(unit).ok_or(Fault::UnknownUnit(unit))?;
    let nanos = part_nanos(whole, fraction, unit_nanos).ok_or(Fault::Invalid)?;
    Ok((nanos, &tail[unit.len()..]))
}

/// The start of `text` whose bytes all hold.
fn leading(text: &str, holds: impl Fn(u8) -> bool) -> &str {
    // Digits and dots are ASCII, so a cut before or after one never splits a letter.
    &text[..text.bytes().position(|byte| !holds(byte)).unwrap_or(text.len())]
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// One part of a time span; decimals beyond the eighteenth say nothing in nanoseconds.
fn part_nanos(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(18)];
    let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let below: u64 = (digits * u128::from(unit) / scale).try_into().ok()?;
    whole.checked_mul(unit)?.checked_add(below)
}

/// A number of bytes, not negative: `512m`, `1.5 GiB`, `4096`. Units are powers of 1,024.
pub(super) fn parse_size(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text.rfind(|letter: char| letter.is_ascii_digit() || ". ".contains(letter));
    let last = last.ok_or_else(invalid)?;
    let unit = &text[last + 1..];
    let number = text[..=last].strip_suffix(' ').unwrap_or(&text[..=last]);
    let number = parse_float(number)?;
    if number < 0.0 {
        return Err(invalid());
    }
    // A float that does not fit becomes the largest number: the kernel caps it anyway.
    let bytes = (number * unit_bytes(unit)?) as i64;
    Ok(bytes)
}

fn unit_bytes(unit: &str) -> Result<f64, String> {
    let invalid = |unit: &str| format!("invalid suffix: '{unit}'");
    if unit.len() > 3 {
        return Err(invalid(unit));
    }
    let unit = unit.to_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(invalid(&unit)),
    };
    Ok(1024f64.powi(power))
}

/// As [`parse_size`], and -1 for no limit.
pub(super) fn parse_swap_size(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { parse_size(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: Result<i64, String>, expected: Result<i64, &str>) {
        assert_eq!(got, expected.map_err(str::to_owned));
    }

    #[test]
    fn reads_time_spans() {
        check(parse_duration("0"), Ok(0));
        check(parse_duration("1m30s"), Ok(90_000_000_000));
        check(parse_duration("-5s"), Ok(-5_000_000_000));
        check(parse_duration("+.5s"), Ok(500_000_000));
        check(parse_duration("1.s"), Ok(1_000_000_000));
        check(parse_duration("1.5h3m2s1ms1us1ns1µs"), Ok(5_582_001_002_001));
        check(parse_duration("2562047h47m16.854775807s"), Ok(i64::MAX));
        check(parse_duration("-2562047h47m16.854775808s"), Ok(i64::MIN));
    }

    #[test]
    fn refuses_what_is_no_time_span() {
        for (text, why) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("x", "time: invalid duration \"x\""),
            (".s", "time: invalid duration \".s\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
            ("5", "time: missing unit in duration \"5\""),
            ("1.5h3", "time: missing unit in duration \"1.5h3\""),
            ("1.5.5s", "time: missing unit in duration \"1.5.5s\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("1h-5m", "time: unknown unit \"h-\" in duration \"1h-5m\""),
            ("5é", "time: unknown unit \"\\xc3\\xa9\" in duration \"5\\xc3\\xa9\""),
            ("2562047h47m16.854775808s", "time: invalid duration \"2562047h47m16.854775808s\""),
        ] {
            check(parse_duration(text), Err(why));
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, expected) in [
            ("4096", 4096),
            ("5 ", 5),
            ("5b", 5),
            ("5K", 5 << 10),
            ("+5k", 5 << 10),
            ("1 k", 1 << 10),
            ("1.5MiB", 3 << 19),
            ("5gIB", 5 << 30),
            ("5tb", 5 << 40),
            ("5pib", 5 << 50),
            ("1e3", 1000),
            ("-0", 0),
            ("9999999999999999999p", i64::MAX),
        ] {
            check(parse_size(text), Ok(expected));
        }
        check(parse_swap_size("-1"), Ok(-1));
        check(parse_swap_size("1k"), Ok(1024));
    }

    #[test]
    fn refuses_what_is_no_size() {
        for (text, why) in [
            ("", "invalid size: ''"),
            ("bb", "invalid size: 'bb'"),
            ("-5k", "invalid size: '-5k'"),
            ("infk", "invalid size: 'infk'"),
            (" ", "strconv.ParseFloat: parsing \"\": invalid syntax"),
            ("x5", "strconv.ParseFloat: parsing \"x5\": invalid syntax"),
            ("5  k", "strconv.ParseFloat: parsing \"5 \": invalid syntax"),
            ("1e999", "strconv.ParseFloat: parsing \"1e999\": value out of range"),
            ("5i", "invalid suffix: 'i'"),
            ("5ib", "invalid suffix: 'ib'"),
            ("5bb", "invalid suffix: 'bb'"),
            ("5KX", "invalid suffix: 'kx'"),
            ("5KiBx", "invalid suffix: 'KiBx'"),
            ("1e", "invalid suffix: 'e'"),
            ("5éa", "invalid suffix: 'éa'"),
        ] {
            check(parse_size(text), Err(why));
        }
        check(parse_swap_size("-2"), Err("invalid size: '-2'"));
    }
}
