//! Whether a text is a value of a flag.

use super::amount::{parse_duration, parse_size, parse_swap_size};
use super::csv::split_values;
use super::decimal::parse_billionths;
use super::number::{parse_bool, parse_float, parse_int, parse_uint};
use super::{Flag, Kind};

/// The values that `text` gives to `flag`: one, or many where commas divide them.
///
/// The error is the reason alone, in docker's words.
pub(super) fn accept(flag: &Flag, text: &str) -> Result<Vec<String>, String> {
    if let Some(check) = flag.check {
        check(text)?;
    }
    match flag.kind {
        Kind::Bool => return Ok(vec![parse_bool(text)?.to_string()]),
        Kind::Strings => return split_values(text),
        Kind::String | Kind::List => {}
        Kind::Int => drop(parse_int(text)?),
        Kind::Uint => drop(parse_uint(text, u64::MAX)?),
        Kind::Uint16 => drop(parse_uint(text, u16::MAX.into())?),
        Kind::Float => drop(parse_float(text)?),
        Kind::Duration => drop(parse_duration(text)?),
        Kind::Size => drop(parse_size(text)?),
        Kind::SwapSize => drop(parse_swap_size(text)?),
        Kind::Decimal => drop(parse_billionths(text)?),
    }
    Ok(vec![text.to_owned()])
}
