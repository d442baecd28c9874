//! `print`, `println` and `printf`: what a format asks for, and complaints where it cannot be had.
//!
//! A wrong format is no error: the text itself says what is wrong, as in `%!d(string=hi)`.

use super::value::Value;
use super::verbs::{Flags, Printer};

/// Widths and precisions much beyond this are not taken for numbers.
const MAX_NUMBER: i64 = 1_000_000;

/// The values one after another, with blanks between two that are both no text.
pub(super) fn sprint(values: &[&Value]) -> Result<String, String> {
    let mut printer = Printer::default();
    let mut after_text = true;
    for (place, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Str(_));
        if place > 0 && !is_text && !after_text {
            printer.push(' ');
        }
        printer.value(&Flags::default(), 'v', value);
        after_text = is_text;
    }
    printer.finish()
}

/// The values with blanks between them, and the end of the line.
pub(super) fn sprintln(values: &[&Value]) -> Result<String, String> {
    let mut printer = Printer::default();
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            printer.push(' ');
        }
        printer.value(&Flags::default(), 'v', value);
    }
    printer.push('\n');
    printer.finish()
}

/// The values as `format` tells.
pub(super) fn sprintf(format: &str, values: &[&Value]) -> Result<String, String> {
    let mut reader = FormatReader {
        rest: format,
        values,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        printer: Printer::default(),
    };
    while let Some(start) = reader.rest.find('%') {
        reader.printer.push_str(&reader.rest[..start]);
        reader.rest = &reader.rest[start + 1..];
        reader.directive();
    }
    reader.printer.push_str(reader.rest);
    reader.complain_of_extra();
    reader.printer.finish()
}

struct FormatReader<'f> {
    /// What is still to be read of the format.
    rest: &'f str,
    values: &'f [&'f Value],
    /// The value that the next directive takes.
    next: usize,
    /// Whether the format picked values by number; then unused ones are no mistake.
    reordered: bool,
    /// Whether the numbers in this directive make sense.
    good_index: bool,
    /// Whether a number in brackets has just been read.
    after_index: bool,
    printer: Printer,
}

impl FormatReader<'_> {
    /// Carries out what follows a percent sign.
    fn directive(&mut self) {
        self.good_index = true;
        self.after_index = false;
        let mut flags = self.flags();
        self.index();
        self.width(&mut flags);
        self.precision(&mut flags);
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.rest.chars().next() else {
            self.printer.push_str("%!(NOVERB)");
            return;
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == '%' {
            self.printer.push('%');
        } else if !self.good_index {
            self.complain(verb, "(BADINDEX)");
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            if matches!(verb, 'v' | 'w') {
                flags.sharp_v = std::mem::take(&mut flags.sharp);
                flags.plus_v = std::mem::take(&mut flags.plus);
            }
            self.printer.argument(&flags, verb, value);
        } else {
            self.complain(verb, "(MISSING)");
        }
    }

    fn complain(&mut self, verb: char, what: &str) {
        self.printer.push_str("%!");
        self.printer.push(verb);
        self.printer.push_str(what);
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(sign) = self.rest.chars().next() {
            match sign {
                '#' => flags.sharp = true,
                '0' => flags.zero = true,
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                ' ' => flags.blank = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        flags
    }

    fn width(&mut self, flags: &mut Flags) {
        if self.accept('*') {
            match self.number_argument() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.printer.push_str("%!(BADWIDTH)"),
            }
            self.after_index = false;
            return;
        }
        flags.width = self.number();
        if self.after_index && flags.width.is_some() {
            self.good_index = false;
        }
    }

    fn precision(&mut self, flags: &mut Flags) {
        // A point that ends the format is taken for the verb.
        if self.rest.len() < 2 || !self.accept('.') {
            return;
        }
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.accept('*') {
            match self.number_argument() {
                Some(precision) if precision >= 0 => flags.precision = Some(precision as usize),
                _ => self.printer.push_str("%!(BADPREC)"),
            }
            self.after_index = false;
            return;
        }
        flags.precision = Some(self.number().unwrap_or(0));
    }

    /// Reads `[3]`, which picks the value to take next.
    fn index(&mut self) {
        self.after_index = false;
        if !self.rest.starts_with('[') {
            return;
        }
        self.reordered = true;
        let Some(close) = self.rest.find(']') else {
            self.good_index = false;
            self.rest = &self.rest[1..];
            return;
        };
        let picked = parse_digits(&self.rest[1..close]);
        self.rest = &self.rest[close + 1..];
        self.after_index = picked.is_some();
        match picked {
            Some(place) if (1..=self.values.len()).contains(&place) => self.next = place - 1,
            _ => self.good_index = false,
        }
    }

    /// Takes the value at hand as a width or a precision.
    fn number_argument(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(number) if number.abs_diff(0) <= MAX_NUMBER as u64 => Some(*number),
            _ => None,
        }
    }

    /// Reads digits; a number that is too large swallows the rest of the format.
    fn number(&mut self) -> Option<usize> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &self.rest[..length];
        if digits.is_empty() {
            return None;
        }
        let number = parse_digits(digits);
        self.rest = if number.is_some() { &self.rest[length..] } else { "" };
        number
    }

    fn accept(&mut self, sign: char) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Says which values nothing asked for.
    fn complain_of_extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        self.printer.push_str("%!(EXTRA ");
        for (place, value) in self.values[self.next..].iter().enumerate() {
            if place > 0 {
                self.printer.push_str(", ");
            }
            if !matches!(value, Value::Nil) {
                self.printer.push_str(&value.type_name());
                self.printer.push('=');
            }
            self.printer.value(&Flags::default(), 'v', value);
        }
        self.printer.push(')');
    }
}

/// A number that is not beyond all sense before its last digit is added.
fn parse_digits(digits: &str) -> Option<usize> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = if all_digits {
        digits.parse().ok()?
    } else {
        return None;
    };
    usize::try_from(number).ok().filter(|_| number / 10 <= MAX_NUMBER)
}
