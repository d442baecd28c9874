//! Number literals: what `0x1F`, `1_000`, `'x'` and `1e3` stand for.

use super::quote::{quote, unquote};
use super::value::Value;

/// A number as it was written: whole, with a fraction, or both.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    /// The number as a whole one, if it is.
    pub(super) whole: Option<i64>,
    /// What the literal stands for where nothing else is asked for.
    pub(super) value: Value,
    /// Whether it is whole, but too large.
    pub(super) overflows: bool,
}

impl Number {
    /// Reads a number literal.
    pub(super) fn parse(text: &str) -> Result<Number, String> {
        if let Some(whole) = parse_whole(text) {
            let small = i64::try_from(whole).ok();
            let value = small.map_or(Value::Nil, Value::Int);
            return Ok(Number { whole: small, value, overflows: small.is_none() });
        }
        let float =
            parse_float(text).ok_or_else(|| format!("illegal number syntax: {}", quote(text)))?;
        if float.is_infinite() {
            return Err(format!("illegal number syntax: {}", quote(text)));
        }
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(text)));
        }
        let as_whole = float as i64;
        let whole = (as_whole as f64 == float).then_some(as_whole);
        Ok(Number { whole, value: Value::Float(float), overflows: false })
    }

    /// Reads a character literal, which stands for the number of the character.
    pub(super) fn parse_char(text: &str) -> Result<Number, String> {
        let malformed = || format!("malformed character constant: {text}");
        let meant = unquote(text).ok_or_else(malformed)?;
        let mut characters = meant.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => {
                let whole = i64::from(u32::from(character));
                Ok(Number { whole: Some(whole), value: Value::Int(whole), overflows: false })
            }
            _ => Err(malformed()),
        }
    }
}

/// A whole number between the least of 64 bits with a sign and the greatest without.
fn parse_whole(text: &str) -> Option<i128> {
    let (negative, digits) = split_sign(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits, prefixed) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest, true)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..], true)
    } else {
        (10, &lower[..], false)
    };
    let digits = without_underscores(digits, prefixed)?;
    let magnitude = i128::from(u64::from_str_radix(&digits, radix).ok()?);
    let whole = if negative { -magnitude } else { magnitude };
    // With a sign there are only signed numbers.
    let signed = text.starts_with(['+', '-']);
    (!signed || i64::try_from(whole).is_ok()).then_some(whole)
}

/// Takes out underscores, which may stand between digits and after a prefix.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let misplaced = digits.is_empty()
        || digits.contains("__")
        || digits.ends_with('_')
        || (!prefixed && digits.starts_with('_'))
        || digits.starts_with(['+', '-']);
    (!misplaced).then(|| digits.replace('_', ""))
}

fn parse_float(text: &str) -> Option<f64> {
    let (negative, digits) = split_sign(text);
    let lower = digits.to_ascii_lowercase();
    let magnitude = match lower.strip_prefix("0x") {
        Some(rest) => parse_hex_float(rest)?,
        // Underscores are allowed only behind a prefix.
        None if lower.contains('_') => return None,
        None if lower.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            lower.parse().ok()?
        }
        None => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `1.8p3`, without its prefix; the exponent is not optional.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let mantissa = without_underscores(mantissa, true)?;
    let mut exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut bits: u64 = 0;
    for (place, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        let after_point = place >= whole.len();
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
            exponent = exponent.saturating_sub(if after_point { 4 } else { 0 });
        } else {
            // Digits that no longer fit count only as a trace for rounding.
            bits |= u64::from(digit != 0);
            exponent = exponent.saturating_add(if after_point { 0 } else { 4 });
        }
    }
    Some(scale(bits as f64, exponent))
}

/// `value` times two to the `exponent`, in steps that do not overflow on the way.
fn scale(mut value: f64, mut exponent: i32) -> f64 {
    while exponent > 1000 && value.is_finite() && value != 0.0 {
        value *= 2f64.powi(1000);
        exponent -= 1000;
    }
    while exponent < -1000 && value != 0.0 {
        value *= 2f64.powi(-1000);
        exponent += 1000;
    }
    if value == 0.0 { value } else { value * 2f64.powi(exponent) }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}
