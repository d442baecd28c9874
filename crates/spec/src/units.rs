//! Sizes in Go's units, as docker's tables show them and its flags take them.

use crate::duration::push_number;

/// Why a text is no size, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// There is no number in it, or a negative one.
    #[error("invalid size: '{0}'")]
    NoSize(String),
    /// The number in it is none.
    #[error("strconv.ParseFloat: parsing {0:?}: invalid syntax")]
    Number(String),
    /// The number is followed by what is no unit.
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
}

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// So many things: `1 layer`, `2 layers`.
///
/// ```
/// assert_eq!(spec::counted(1, "layer"), "1 layer");
/// assert_eq!(spec::counted(0, "layer"), "0 layers");
/// ```
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A size in decimal units with four significant digits: `1.025kB`.
pub fn human_size(bytes: f64) -> String {
    scaled(bytes, 1000.0, &DECIMAL, 4)
}

/// A size in decimal units with three significant digits, as `docker images` shows it: `1.02kB`.
pub fn human_size_3(bytes: f64) -> String {
    scaled(bytes, 1000.0, &DECIMAL, 3)
}

/// A size in binary units with four significant digits, as `docker stats` shows it: `1.177MiB`.
pub fn bytes_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, &BINARY, 4)
}

fn scaled(mut size: f64, base: f64, units: &[&str; 9], digits: usize) -> String {
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    significant(size, digits) + units[unit]
}

/// A number with some significant digits, as C's `%g` writes it.
fn significant(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        let sign = if number == f64::INFINITY { "+" } else { "" };
        return format!("{sign}{number}").replace("inf", "Inf");
    }
    if let Some(text) = three_digits(number).filter(|_| digits == 3) {
        return text;
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let precision = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= precision {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(precision - 1 - exponent).unwrap_or_default();
    trim(&format!("{number:.decimals$}"))
}

/// The short way for what lists are full of: a number from 1 to 999 with three digits, unless it
/// lies so near the middle of two that only exact arithmetic tells which one it is.
fn three_digits(number: f64) -> Option<String> {
    let decimals = match number {
        1.0..9.99 => 2,
        10.0..99.9 => 1,
        100.0..999.0 => 0,
        _ => return None,
    };
    let scale = [1, 10, 100][decimals];
    let scaled = number * f64::from(scale);
    if (scaled.fract() - 0.5).abs() < 1e-6 {
        return None;
    }
    let all = scaled as u32 + u32::from(scaled.fract() > 0.5);
    let mut text = String::with_capacity(8);
    push_number(u64::from(all / scale), &mut text);
    // Zeros behind the point are not shown.
    let digits = [all % scale / (scale / 10).max(1), all % (scale / 10).max(1)];
    let shown = digits.iter().rposition(|digit| *digit > 0).map_or(0, |last| last + 1);
    if shown > 0 {
        text.push('.');
        digits[..shown].iter().for_each(|digit| push_number(u64::from(*digit), &mut text));
    }
    Some(text)
}

/// Reads a size whose units are powers of 1000: `1.5k`, `20 MB`.
///
/// What does not fit becomes `i64::MIN`, as in Go; who asks refuses negative sizes anyhow.
pub fn parse_size(text: &str) -> Result<i64, SizeError> {
    parse_scaled(text, 1000.0)
}

/// Reads a size whose units are powers of 1024: `512m`, `1GiB`. See [`parse_size`].
pub fn parse_binary_size(text: &str) -> Result<i64, SizeError> {
    parse_scaled(text, 1024.0)
}

fn parse_scaled(text: &str, base: f64) -> Result<i64, SizeError> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
    let last = text.rfind(is_number).ok_or_else(|| SizeError::NoSize(text.to_owned()))?;
    let suffix = &text[last + 1..];
    let number = &text[..last + usize::from(!text[last..].starts_with(' '))];
    let size = parse_float(number)?;
    if size < 0.0 {
        return Err(SizeError::NoSize(text.to_owned()));
    }
    let power = power_of_suffix(suffix).ok_or_else(|| SizeError::Suffix(suffix.to_owned()))?;
    Ok(to_go_int(size * base.powi(power)))
}

fn parse_float(text: &str) -> Result<f64, SizeError> {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.filter(|_| text.chars().all(is_plain)).ok_or_else(|| SizeError::Number(text.to_owned()))
}

/// `""` and `b` are 0; `k`, `kb` and `kib` are 1; and so on up to `p`.
fn power_of_suffix(suffix: &str) -> Option<i32> {
    let suffix = suffix.to_ascii_lowercase();
    let Some(letter) = suffix.chars().next().filter(|_| suffix != "b") else {
        return Some(0);
    };
    let power = "kmgtp".find(letter)? + 1;
    let known = matches!(&suffix[1..], "" | "b" | "ib");
    known.then(|| i32::try_from(power).ok())?
}

fn to_go_int(size: f64) -> i64 {
    if size >= 9_223_372_036_854_775_808.0 { i64::MIN } else { size as i64 }
}

#[cfg(test)]
mod tests;
