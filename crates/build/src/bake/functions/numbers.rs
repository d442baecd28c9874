//! Numbers and truth.

use super::{Answer, Arguments, MANY, Row};
use crate::bake::value::Value;

pub(super) const ROWS: &[Row] = &[
    ("absolute", 1..=1, |of| number(of.number(0)?.abs())),
    ("add", 2..=2, |of| number(of.number(0)? + of.number(1)?)),
    ("subtract", 2..=2, |of| number(of.number(0)? - of.number(1)?)),
    ("multiply", 2..=2, |of| number(of.number(0)? * of.number(1)?)),
    ("divide", 2..=2, |of| number(of.number(0)? / divisor(of)?)),
    ("modulo", 2..=2, |of| number(of.number(0)? % divisor(of)?)),
    ("negate", 1..=1, |of| number(-of.number(0)?)),
    ("ceil", 1..=1, |of| number(of.number(0)?.ceil())),
    ("floor", 1..=1, |of| number(of.number(0)?.floor())),
    ("int", 1..=1, |of| number(of.number(0)?.trunc())),
    ("signum", 1..=1, |of| {
        let value = of.number(0)?;
        number(if value == 0.0 { 0.0 } else { value.signum() })
    }),
    ("pow", 2..=2, |of| number(of.number(0)?.powf(of.number(1)?))),
    ("log", 2..=2, |of| number(of.number(0)?.ln() / of.number(1)?.ln())),
    ("max", 1..=MANY, |of| extreme(of, f64::max)),
    ("min", 1..=MANY, |of| extreme(of, f64::min)),
    ("parseint", 2..=2, parse_int),
    ("and", 2..=2, |of| Ok(Value::Bool(of.bool(0)? && of.bool(1)?))),
    ("or", 2..=2, |of| Ok(Value::Bool(of.bool(0)? || of.bool(1)?))),
    ("not", 1..=1, |of| Ok(Value::Bool(!of.bool(0)?))),
    ("equal", 2..=2, |of| Ok(Value::Bool(of.get(0)? == of.get(1)?))),
    ("notequal", 2..=2, |of| Ok(Value::Bool(of.get(0)? != of.get(1)?))),
    ("greaterthan", 2..=2, |of| Ok(Value::Bool(of.number(0)? > of.number(1)?))),
    ("greaterthanorequalto", 2..=2, |of| Ok(Value::Bool(of.number(0)? >= of.number(1)?))),
    ("lessthan", 2..=2, |of| Ok(Value::Bool(of.number(0)? < of.number(1)?))),
    ("lessthanorequalto", 2..=2, |of| Ok(Value::Bool(of.number(0)? <= of.number(1)?))),
];

/// A number that can be written down.
pub(super) fn number(value: f64) -> Answer {
    match value.is_finite() {
        true => Ok(Value::Number(value)),
        false => Err("the result is not a number".to_owned()),
    }
}

fn divisor(of: &Arguments<'_>) -> Result<f64, String> {
    match of.number(1)? {
        0.0 => Err("divide by zero".to_owned()),
        value => Ok(value),
    }
}

fn extreme(of: &Arguments<'_>, better: fn(f64, f64) -> f64) -> Answer {
    let mut best = of.number(0)?;
    for at in 1..of.list.len() {
        best = better(best, of.number(at)?);
    }
    number(best)
}

fn parse_int(of: &Arguments<'_>) -> Answer {
    let (text, base) = (of.text(0)?, of.index(1)?);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or("base must be a whole number between 2 and 36 inclusive")?;
    let parsed = i64::from_str_radix(&text, base);
    let parsed = parsed.map_err(|_| format!("cannot parse {text:?} as a base {base} integer"))?;
    // Beyond 53 bits digits are lost, as in every other number here.
    #[allow(clippy::cast_precision_loss)]
    number(parsed as f64)
}
