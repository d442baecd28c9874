//! Decimals counted in billionths, so that they are exact.

use super::number::{parse_int, underscores_are_right};

/// A decimal or a fraction of whole numbers, in billionths.
///
/// Mantissas in other bases than ten are deliberately absent.
pub(super) fn parse_billionths(text: &str) -> Result<i64, String> {
    let billionths = match text.split_once('/') {
        Some((over, under)) => ratio(over, under),
        None => decimal(text),
    };
    match billionths {
        None => Err(format!("failed to parse {text} as a rational number")),
        Some(None) => Err("value is too precise".to_owned()),
        Some(Some(value)) => Ok(value),
    }
}

/// `None` is no number, `Some(None)` one that billionths cannot say.
type Billionths = Option<Option<i64>>;

fn ratio(over: &str, under: &str) -> Billionths {
    let over = i128::from(parse_int(over).ok()?) * 1_000_000_000;
    let under = under.starts_with(|c: char| c.is_ascii_digit()).then_some(under)?;
    let under = i128::from(parse_int(under).ok().filter(|under| *under != 0)?);
    if over % under != 0 {
        return Some(None);
    }
    Some(Some(i64::try_from(over / under).ok()?))
}

fn decimal(text: &str) -> Billionths {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !underscores_are_right(unsigned)
        || !unsigned.starts_with(|c: char| ".0123456789".contains(c))
    {
        return None;
    }
    let plain = unsigned.replace('_', "");
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (plain.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(Some(0));
    }
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let power = 9 + i64::from(exponent) - i64::try_from(fraction.len()).ok()? + zeros;
    if power < 0 {
        return Some(None);
    }
    let scale = 10i128.checked_pow(u32::try_from(power).ok()?)?;
    let value = significant.parse::<i128>().ok()?.checked_mul(scale)?;
    let value = if text.starts_with('-') { -value } else { value };
    Some(Some(i64::try_from(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: Result<i64, String>, expected: Result<i64, &str>) {
        assert_eq!(got, expected.map_err(str::to_owned));
    }

    #[test]
    fn reads_decimals() {
        for (text, expected) in [
            ("1", 1_000_000_000),
            ("1.", 1_000_000_000),
            ("+.5", 500_000_000),
            ("-1", -1_000_000_000),
            ("010", 10_000_000_000),
            ("1_0", 10_000_000_000),
            ("1e3", 1_000_000_000_000),
            ("1e-9", 1),
            ("1/2", 500_000_000),
            ("1/1000000000", 1),
            ("0.00000000000", 0),
        ] {
            check(parse_billionths(text), Ok(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_decimal() {
        for text in ["x", "", ".", " 1", "1/0", "1/-2", "1.5/2", "inf", "1e", "1e999999999999"] {
            let why = format!("failed to parse {text} as a rational number");
            check(parse_billionths(text), Err(&why));
        }
        for text in ["0.0000000001", "1/3", "1e-10", "1e-2000000000"] {
            check(parse_billionths(text), Err("value is too precise"));
        }
    }
}
