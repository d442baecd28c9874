//! Yes or no, and plain numbers, as flags take them; errors are in docker's words.

use super::quote::quote;

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Syntax,
    Range,
}

impl Fault {
    /// The message: docker names the function of Go that failed.
    fn of(self, function: &str, text: &str) -> String {
        let why = match self {
            Fault::Syntax => "invalid syntax",
            Fault::Range => "value out of range",
        };
        format!("strconv.{function}: parsing {}: {why}", quote(text))
    }
}

/// Yes or no.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Fault::Syntax.of("ParseBool", text)),
    }
}

/// A signed number of 64 bits.
pub(super) fn parse_int(text: &str) -> Result<i64, String> {
    signed(text).map_err(|fault| fault.of("ParseInt", text))
}

/// A number from 0 to `most`.
pub(super) fn parse_uint(text: &str, most: u64) -> Result<u64, String> {
    magnitude(text, most).map_err(|fault| fault.of("ParseUint", text))
}

/// A number with a fraction.
pub(super) fn parse_float(text: &str) -> Result<f64, String> {
    float(text).map_err(|fault| fault.of("ParseFloat", text))
}

fn signed(text: &str) -> Result<i64, Fault> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = magnitude(digits, u64::MAX)?;
    let value = if negative { 0i64.checked_sub_unsigned(value) } else { value.try_into().ok() };
    value.ok_or(Fault::Range)
}

/// Reads digits in the base that a prefix names.
///
/// What leaves the range is told before what follows it is looked at, as docker does.
fn magnitude(text: &str, most: u64) -> Result<u64, Fault> {
    let (base, digits) = split_base(text);
    if digits.is_empty() {
        return Err(Fault::Syntax);
    }
    let mut value: u64 = 0;
    for letter in digits.chars().filter(|letter| *letter != '_') {
        let digit = letter.to_digit(base).ok_or(Fault::Syntax)?;
        let next = value.checked_mul(u64::from(base));
        value = next.and_then(|next| next.checked_add(u64::from(digit))).ok_or(Fault::Range)?;
        if value > most {
            return Err(Fault::Range);
        }
    }
    if underscores_are_right(text) { Ok(value) } else { Err(Fault::Syntax) }
}

/// The base and the digits after its prefix: `0x`, `0o`, `0b`, `0` for octal, else ten.
fn split_base(text: &str) -> (u32, &str) {
    match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    }
}

/// Whether every underscore stands between two digits, or between a prefix and a digit.
pub(super) fn underscores_are_right(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|&at| bytes[at] == b'_').all(|at| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + 1);
        let prefix = at == 2 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
        (prefix || before.is_some_and(|byte| byte.is_ascii_hexdigit()))
            && after.is_some_and(|byte| byte.is_ascii_hexdigit())
    })
}

/// Numbers in hexadecimal with a binary exponent are deliberately absent.
fn float(text: &str) -> Result<f64, Fault> {
    if !underscores_are_right(text) {
        return Err(Fault::Syntax);
    }
    let value: f64 = text.replace('_', "").parse().map_err(|_| Fault::Syntax)?;
    let named = text.contains(['n', 'N']);
    if value.is_infinite() && !named { Err(Fault::Range) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: &str = "invalid syntax";
    const RANGE: &str = "value out of range";

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(got: Result<T, String>, expected: Result<T, &str>) {
        match (got, expected) {
            (Err(got), Err(expected)) => assert!(got.ends_with(expected), "{got}"),
            (got, expected) => assert_eq!(got, expected.map_err(str::to_owned)),
        }
    }

    #[test]
    fn reads_whole_numbers_in_four_bases() {
        for (text, expected) in [
            ("0", 0),
            ("-7", -7),
            ("+5", 5),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0b11", 3),
            ("0o17", 15),
            ("010", 8),
            ("1_000", 1000),
            ("0_7", 7),
            ("0x_7", 7),
            ("-0x8000000000000000", i64::MIN),
        ] {
            check(parse_int(text), Ok(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_whole_number() {
        for text in ["", "x", "-", "08", "0x", "0b12", "_7", "7_", "1__0", " 5", "5h", "1e3", "é"]
        {
            check(parse_int(text), Err(SYNTAX));
        }
        for text in ["99999999999999999999", "99999999999999999999x", "-9223372036854775809"] {
            check(parse_int(text), Err(RANGE));
        }
    }

    #[test]
    fn reads_numbers_without_a_sign() {
        check(parse_uint("0xffff", 65535), Ok(65535));
        check(parse_uint("65536", 65535), Err(RANGE));
        check(parse_uint("-1", 65535), Err(SYNTAX));
        check(parse_uint("+1", 65535), Err(SYNTAX));
        check(parse_uint("18446744073709551615", u64::MAX), Ok(u64::MAX));
        check(parse_uint("18446744073709551616", u64::MAX), Err(RANGE));
    }

    #[test]
    fn reads_numbers_with_a_fraction() {
        check(parse_float("1."), Ok(1.0));
        check(parse_float("+.5"), Ok(0.5));
        check(parse_float("1_0e1"), Ok(100.0));
        check(parse_float("inf"), Ok(f64::INFINITY));
        for text in ["", ".", "1..2", "1e", "0x10", "1__0", "x"] {
            check(parse_float(text), Err(SYNTAX));
        }
        check(parse_float("1e999"), Err(RANGE));
    }

    #[test]
    fn reads_yes_and_no() {
        check(parse_bool("T"), Ok(true));
        check(parse_bool("False"), Ok(false));
        assert_eq!(
            parse_bool("tRUE"),
            Err("strconv.ParseBool: parsing \"tRUE\": invalid syntax".to_owned())
        );
    }
}
