//! `format` and `formatlist`: verbs behind percent signs.

use super::{Answer, Arguments, MANY, Row};
use crate::bake::value::{Value, number_text};

pub(super) const ROWS: &[Row] = &[
    ("format", 1..=MANY, |of| {
        let rest: Vec<&Value> = of.list[1..].iter().collect();
        Ok(Value::Text(format(&of.text(0)?, &rest)?))
    }),
    ("formatlist", 1..=MANY, format_list),
];

/// Formats once for each element of the lists among the arguments.
fn format_list(of: &Arguments<'_>) -> Answer {
    let is_list = |value: &&Value| matches!(value, Value::List(_));
    let mut counts = of.list[1..].iter().filter(is_list).map(|value| match value {
        Value::List(list) => list.len(),
        _ => 0,
    });
    let count = counts.next().unwrap_or(1);
    if counts.any(|other| other != count) {
        return Err("all lists must be of the same length".to_owned());
    }
    let pattern = of.text(0)?;
    let row = |at: usize| {
        let pick = |value: &'_ Value| match value {
            Value::List(list) => list[at].clone(),
            value => value.clone(),
        };
        let rest: Vec<Value> = of.list[1..].iter().map(pick).collect();
        format(&pattern, &rest.iter().collect::<Vec<_>>()).map(Value::Text)
    };
    Ok(Value::List((0..count).map(row).collect::<Result<_, _>>()?))
}

/// One verb: `%-08.3f`.
#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

/// Nobody fills a text with more.
const MAX_WIDTH: usize = 1 << 12;

fn format(pattern: &str, values: &[&Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut letters = pattern.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|letter| "-+0# ".contains(*letter)) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '0' => verb.zero = true,
                '#' => verb.sharp = true,
                _ => verb.space = true,
            }
        }
        let digits = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = 0usize;
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                number = number * 10 + digit.to_digit(10).unwrap_or(0) as usize;
                number = number.min(MAX_WIDTH);
            }
            number
        };
        verb.width = digits(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(digits(&mut letters));
        }
        if letters.next_if_eq(&'[').is_some() {
            next = digits(&mut letters).saturating_sub(1);
            letters.next_if_eq(&']').ok_or("unclosed argument index")?;
        }
        match letters.next() {
            Some('%') => text.push('%'),
            Some(kind) => {
                let value = values.get(next).ok_or("not enough arguments")?;
                next += 1;
                text.push_str(&verb.show(kind, value)?);
            }
            None => return Err("unterminated verb at the end of the format".to_owned()),
        }
    }
    match next < values.len() {
        true => Err("too many arguments; no more verbs in the format".to_owned()),
        false => Ok(text),
    }
}

impl Verb {
    fn show(&self, kind: char, value: &Value) -> Result<String, String> {
        let cut = |text: String| match self.precision {
            Some(count) => text.chars().take(count).collect(),
            None => text,
        };
        let is_number = "bdoxXeEfgG".contains(kind);
        let plain = match kind {
            'v' if self.sharp => value.to_json().to_string(),
            'v' => match value {
                Value::Text(text) => text.clone(),
                Value::Number(number) => number_text(*number),
                other => other.to_json().to_string(),
            },
            's' => cut(value.to_text()?),
            'q' => serde_json::Value::String(cut(value.to_text()?)).to_string(),
            't' => value.to_bool()?.to_string(),
            'd' => value.to_index()?.to_string(),
            'b' => format!("{:b}", value.to_index()?),
            'o' => format!("{:o}", value.to_index()?),
            'x' | 'X' => self.hexadecimal(kind, value)?,
            'f' => format!("{:.*}", self.precision.unwrap_or(6), value.to_number()?),
            'e' | 'E' => exponent(value.to_number()?, self.precision.unwrap_or(6), kind),
            'g' | 'G' => number_text(value.to_number()?),
            other => return Err(format!("unsupported format verb {other:?}")),
        };
        let signed = match plain.starts_with('-') || !is_number {
            true => plain,
            false if self.plus => format!("+{plain}"),
            false if self.space => format!(" {plain}"),
            false => plain,
        };
        Ok(self.padded(signed, is_number))
    }

    fn hexadecimal(&self, kind: char, value: &Value) -> Result<String, String> {
        let digits = match value {
            Value::Text(text) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            value => format!("{:x}", value.to_index()?),
        };
        Ok(if kind == 'X' { digits.to_uppercase() } else { digits })
    }

    fn padded(&self, text: String, is_number: bool) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match (self.minus, self.zero && is_number) {
            (true, _) => format!("{text}{}", " ".repeat(missing)),
            (false, true) => {
                let (sign, digits) = match text.strip_prefix(['-', '+']) {
                    Some(digits) => (&text[..1], digits),
                    None => ("", text.as_str()),
                };
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
            (false, false) => format!("{}{text}", " ".repeat(missing)),
        }
    }
}

/// `1.500000e+03`, with two digits of exponent as C has it.
fn exponent(number: f64, precision: usize, kind: char) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}{kind}{sign}{:02}", power.abs())
}
