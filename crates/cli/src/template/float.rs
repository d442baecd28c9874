//! Floating-point numbers as Go writes them.

use super::verbs::Flags;

/// A float by a verb, always with its sign; `None` if the verb is not for floats.
pub(super) fn formatted(flags: &Flags, verb: char, number: f64) -> Option<String> {
    let (format, default_precision) = match verb {
        'v' => ('g', None),
        'g' | 'G' | 'x' | 'X' | 'b' => (verb, None),
        'e' | 'E' | 'f' => (verb, Some(6)),
        'F' => ('f', Some(6)),
        _ => return None,
    };
    let precision = flags.precision.or(default_precision);
    let sign = if number.is_sign_negative() && !number.is_nan() { '-' } else { '+' };
    let mut text = String::from(sign);
    if number.is_nan() {
        text.push_str("NaN");
    } else if number.is_infinite() {
        text.push_str("Inf");
    } else {
        let magnitude = number.abs();
        text.push_str(&match format {
            'e' => scientific(magnitude, precision),
            'f' => plain(magnitude, precision),
            'g' => general(magnitude, precision),
            'b' => binary(magnitude),
            'x' => hexadecimal(magnitude, precision),
            _ if format == 'E' => scientific(magnitude, precision).to_uppercase(),
            _ if format == 'G' => general(magnitude, precision).to_uppercase(),
            _ => hexadecimal(magnitude, precision).to_uppercase(),
        });
        if flags.sharp && format != 'b' {
            keep_point(&mut text, format, flags.precision);
        }
    }
    Some(text)
}

/// `1.5e+07`
fn scientific(magnitude: f64, precision: Option<usize>) -> String {
    let (digits, exponent) = decimal(magnitude, precision.map(|precision| precision + 1));
    scientific_digits(&digits, exponent, precision)
}

fn scientific_digits(digits: &str, exponent: i32, precision: Option<usize>) -> String {
    let mut text = digits[..1].to_owned();
    let wanted = precision.unwrap_or(digits.len() - 1);
    if wanted > 0 {
        text.push('.');
        text.push_str(&digits[1..digits.len().min(wanted + 1)]);
        text.push_str(&"0".repeat((wanted + 1).saturating_sub(digits.len())));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    text.push_str(&format!("e{sign}{:02}", exponent.abs()));
    text
}

/// `15000000.25`
fn plain(magnitude: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        return format!("{magnitude}");
    };
    // No double has more places than this; further ones are zeros.
    let exact = precision.min(1100);
    let mut text = format!("{magnitude:.exact$}");
    text.push_str(&"0".repeat(precision - exact));
    text
}

/// Whichever of the two is shorter, with no zeros at the end.
fn general(magnitude: f64, precision: Option<usize>) -> String {
    let significant = precision.map(|precision| precision.max(1));
    let (digits, exponent) = decimal(magnitude, significant);
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let count = digits.len() as i32;
    let mut limit = match significant {
        None => 6,
        Some(significant) => i32::try_from(significant).unwrap_or(i32::MAX),
    };
    if significant.is_some() && limit > count && count > exponent {
        limit = count;
    }
    if exponent < -4 || exponent >= limit {
        return scientific_digits(digits, exponent, None);
    }
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// The decimal digits of a number and the power of ten of the first one.
///
/// Without a count they are the fewest that tell the number from all others.
fn decimal(magnitude: f64, count: Option<usize>) -> (String, i32) {
    let text = match count {
        None => format!("{magnitude:e}"),
        Some(count) => format!("{magnitude:.*e}", count.clamp(1, 1100) - 1),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `4503599627370496p-52`: the mantissa as it is kept, and a power of two.
fn binary(magnitude: f64) -> String {
    let (mantissa, exponent) = parts(magnitude);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}p{sign}{}", exponent.abs())
}

/// The mantissa as a whole number, and the power of two it is to be taken times.
fn parts(magnitude: f64) -> (u64, i32) {
    let bits = magnitude.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match ((bits >> 52) & 0x7ff) as i32 {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// `0x1.8p+00`
fn hexadecimal(magnitude: f64, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(magnitude);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One bit before the point, sixty behind it.
        let shift = mantissa.leading_zeros() as i32 - 3;
        mantissa <<= shift;
        exponent += 60 - shift;
    }
    if let Some(places) = precision.filter(|places| *places < 15) {
        let dropped = 60 - 4 * places as u32;
        let half = 1u64 << (dropped - 1);
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        mantissa += u64::from(rest > half || (rest == half && mantissa & 1 == 1));
        mantissa <<= dropped;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let fraction = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(places) if places <= 15 => digits[..places].to_owned(),
        Some(places) => format!("{digits}{}", "0".repeat(places - 15)),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 60, exponent.abs())
}

/// Gives a number its decimal point and, for the general form, its zeros back: what `#` asks for.
fn keep_point(text: &mut String, format: char, precision: Option<usize>) {
    let is_hex = matches!(format, 'x' | 'X');
    let tail_at = text.find(|it| matches!(it, 'p' | 'P') || (!is_hex && matches!(it, 'e' | 'E')));
    let tail = text.split_off(tail_at.unwrap_or(text.len()));
    let body = &text[1..];
    let mut wanted = match format {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let significant = body.chars().filter(|it| *it != '.').skip_while(|it| *it == '0').count();
    wanted = wanted.saturating_sub(significant);
    if !body.contains('.') {
        if body == "0" {
            wanted = wanted.saturating_sub(1);
        }
        text.push('.');
    }
    if matches!(format, 'g' | 'G' | 'x') {
        text.push_str(&"0".repeat(wanted));
    }
    text.push_str(&tail);
}
