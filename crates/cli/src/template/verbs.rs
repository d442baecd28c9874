//! How one value is written for one verb, with its flags, width and precision.

use super::MAX_OUTPUT_BYTES;
use super::float;
use super::quote::{is_printable, quote, quote_ascii, quote_char};
use super::value::Value;

const LOWER_DIGITS: &[u8; 16] = b"0123456789abcdef";
const UPPER_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// What stands between the percent sign and the verb.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags {
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) blank: bool,
    pub(super) zero: bool,
    /// `%+v`: with the names of fields.
    pub(super) plus_v: bool,
    /// `%#v`: as Go source.
    pub(super) sharp_v: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Text that grows up to a limit.
#[derive(Debug, Default)]
pub(super) struct Printer {
    out: String,
    full: bool,
}

impl Printer {
    pub(super) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.full |= self.out.len() + text.len() > MAX_OUTPUT_BYTES;
        if !self.full {
            self.out.push_str(text);
        }
    }

    /// The text, unless it outgrew the limit.
    pub(super) fn finish(self) -> Result<String, String> {
        if self.full { Err("text too large".into()) } else { Ok(self.out) }
    }

    /// Writes an argument of a format, which may also ask for its type.
    pub(super) fn argument(&mut self, flags: &Flags, verb: char, value: &Value) {
        match (verb, value) {
            ('T', Value::Nil) => self.padded(flags, "<nil>"),
            ('T', _) => self.text(flags, 's', &value.type_name()),
            _ => self.value(flags, verb, value),
        }
    }

    /// Writes a value that stands by itself.
    pub(super) fn value(&mut self, flags: &Flags, verb: char, value: &Value) {
        match value {
            Value::Nil if verb == 'v' => self.padded(flags, "<nil>"),
            Value::Nil => self.bad_verb(flags, verb, value),
            _ => self.any(flags, verb, value),
        }
    }

    fn any(&mut self, flags: &Flags, verb: char, value: &Value) {
        if self.full {
            return;
        }
        match value {
            Value::Nil if flags.sharp_v => self.push_str("interface {}(nil)"),
            Value::Nil => self.push_str("<nil>"),
            Value::Unset(unset) => self.any(flags, verb, unset.empty()),
            Value::Word(word) => self.any(flags, verb, word.text()),
            Value::Bool(value) if matches!(verb, 't' | 'v') => {
                self.padded(flags, if *value { "true" } else { "false" });
            }
            Value::Int(number) => self.integer(flags, verb, *number),
            Value::Float(number) => match float::formatted(flags, verb, *number) {
                Some(text) => self.number_with_sign(flags, text),
                None => self.bad_verb(flags, verb, value),
            },
            Value::Str(text) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => {
                self.text(flags, verb, text);
            }
            Value::Bool(_) | Value::Str(_) => self.bad_verb(flags, verb, value),
            _ if matches!(verb, 'p' | 'w') => self.bad_verb(flags, verb, value),
            Value::List(items) => {
                let items = items.iter().map(|item| (None, item));
                self.group(flags, verb, value, ["[", "]"], items);
            }
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, item)| (Some(key.as_str()), item));
                self.group(flags, verb, value, ["map[", "]"], entries);
            }
            Value::Struct(fields) => {
                let fields = fields.iter().map(|(name, item)| (Some(name.as_str()), item));
                self.group(flags, verb, value, ["{", "}"], fields);
            }
            Value::Object(object) => {
                let names = object.names();
                let fields: Vec<(String, Value)> = names
                    .into_iter()
                    .map(|name| {
                        let field = object.field(&name).unwrap_or_default();
                        (name, field)
                    })
                    .collect();
                let fields = fields.iter().map(|(name, item)| (Some(name.as_str()), item));
                self.group(flags, verb, value, ["{", "}"], fields);
            }
        }
    }

    /// Writes a list, a map or a struct: each of its values by the same verb and flags.
    fn group<'v>(
        &mut self,
        flags: &Flags,
        verb: char,
        whole: &Value,
        [open, close]: [&str; 2],
        members: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
    ) {
        let is_map = matches!(whole, Value::Map(_));
        if flags.sharp_v {
            self.push_str(&whole.type_name());
        }
        self.push_str(if flags.sharp_v { "{" } else { open });
        for (place, (name, member)) in members.enumerate() {
            if place > 0 {
                self.push_str(if flags.sharp_v { ", " } else { " " });
            }
            match name {
                Some(key) if is_map => {
                    self.any(flags, verb, &Value::from(key));
                    self.push(':');
                }
                Some(name) if flags.plus_v || flags.sharp_v => {
                    self.push_str(name);
                    self.push(':');
                }
                _ => {}
            }
            self.any(flags, verb, member);
        }
        self.push_str(if flags.sharp_v { "}" } else { close });
    }

    fn bad_verb(&mut self, flags: &Flags, verb: char, value: &Value) {
        self.push_str("%!");
        self.push(verb);
        self.push('(');
        if matches!(value, Value::Nil) {
            self.push_str("<nil>");
        } else {
            self.push_str(&value.type_name());
            self.push('=');
            self.any(flags, 'v', value);
        }
        self.push(')');
    }

    fn integer(&mut self, flags: &Flags, verb: char, number: i64) {
        let character = u32::try_from(number).ok().and_then(char::from_u32);
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        match verb {
            'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.digits(flags, verb, number),
            'c' => self.padded(flags, character.encode_utf8(&mut [0; 4])),
            'q' => self.padded(flags, &quote_char(character, flags.plus)),
            'U' => self.code_point(flags, number),
            _ => self.bad_verb(flags, verb, &Value::Int(number)),
        }
    }

    fn digits(&mut self, flags: &Flags, verb: char, number: i64) {
        let (radix, prefix) = match verb {
            'b' => (2, "0b"),
            'o' | 'O' => (8, "0o"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        if flags.precision == Some(0) && number == 0 {
            // No digits are wanted, so zero leaves none.
            self.fill(' ', flags.width.unwrap_or(0));
            return;
        }
        let mut digits = in_radix(number.unsigned_abs(), radix, verb == 'X');
        let sign = match number {
            ..0 => "-",
            _ if flags.plus => "+",
            _ if flags.blank => " ",
            _ => "",
        };
        let zeros_to = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width - sign.len().min(width),
            _ => 0,
        };
        let leading_zeros = zeros_to.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(leading_zeros));
        if flags.sharp && radix == 8 && !digits.starts_with('0') {
            digits.insert(0, '0');
        }
        let is_shown = verb == 'O' || (flags.sharp && radix != 8);
        let prefix = if is_shown { prefix } else { "" };
        let plain = Flags { zero: false, ..flags.clone() };
        self.padded(&plain, &format!("{sign}{prefix}{digits}"));
    }

    fn code_point(&mut self, flags: &Flags, number: i64) {
        let digits = flags.precision.filter(|digits| *digits > 4).unwrap_or(4);
        let mut text = in_radix(number as u64, 16, true);
        text.insert_str(0, &"0".repeat(digits.saturating_sub(text.len())));
        text.insert_str(0, "U+");
        let character = u32::try_from(number).ok().and_then(char::from_u32);
        if let Some(shown) = character.filter(|it| flags.sharp && is_printable(*it)) {
            text.push_str(&format!(" '{shown}'"));
        }
        self.padded(&Flags { zero: false, ..flags.clone() }, &text);
    }

    /// Writes a float that begins with its sign, plus or minus.
    fn number_with_sign(&mut self, flags: &Flags, mut number: String) {
        let unsigned = number[1..].to_owned();
        let shows_sign = flags.plus || flags.blank || number.starts_with('-');
        if flags.blank && !flags.plus && number.starts_with('+') {
            number.replace_range(..1, " ");
        }
        if unsigned.starts_with(['I', 'N']) {
            // Infinity and what is no number are never filled with zeros.
            let hides_sign =
                if unsigned.starts_with('N') { !flags.blank && !flags.plus } else { !shows_sign };
            let shown = if hides_sign { &unsigned } else { &number };
            self.padded(&Flags { zero: false, ..flags.clone() }, shown);
            return;
        }
        if !shows_sign {
            self.padded(flags, &unsigned);
            return;
        }
        match flags.width {
            Some(width) if flags.zero && !flags.minus && width > number.len() => {
                self.push_str(&number[..1]);
                self.fill('0', width - number.len());
                self.push_str(&unsigned);
            }
            _ => self.padded(flags, &number),
        }
    }

    fn text(&mut self, flags: &Flags, verb: char, text: &str) {
        match verb {
            'x' | 'X' => self.hex(flags, text, verb == 'X'),
            'q' => self.quoted(flags, cut(text, flags.precision)),
            _ if flags.sharp_v => self.quoted(flags, cut(text, flags.precision)),
            _ => self.padded(flags, cut(text, flags.precision)),
        }
    }

    fn quoted(&mut self, flags: &Flags, text: &str) {
        let raw = flags.sharp && text.chars().all(|it| it == '\t' || can_be_raw(it));
        let quoted = match () {
            () if raw => format!("`{text}`"),
            () if flags.plus => quote_ascii(text),
            () => quote(text),
        };
        self.padded(flags, &quoted);
    }

    fn hex(&mut self, flags: &Flags, text: &str, upper: bool) {
        let length = flags.precision.map_or(text.len(), |precision| precision.min(text.len()));
        if length * 6 > MAX_OUTPUT_BYTES {
            self.full = true;
            return;
        }
        let prefix = match (flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut shown = String::new();
        for (place, byte) in text.bytes().take(length).enumerate() {
            if place > 0 && flags.blank {
                shown.push(' ');
            }
            if place == 0 || flags.blank {
                shown.push_str(prefix);
            }
            let digits = if upper { UPPER_DIGITS } else { LOWER_DIGITS };
            shown.push(char::from(digits[usize::from(byte >> 4)]));
            shown.push(char::from(digits[usize::from(byte & 15)]));
        }
        self.padded(flags, &shown);
    }

    /// Writes text filled up to the width.
    fn padded(&mut self, flags: &Flags, text: &str) {
        let width = flags.width.unwrap_or(0);
        let missing = if width == 0 { 0 } else { width.saturating_sub(text.chars().count()) };
        if flags.minus {
            self.push_str(text);
            self.fill(' ', missing);
        } else {
            self.fill(if flags.zero { '0' } else { ' ' }, missing);
            self.push_str(text);
        }
    }

    fn fill(&mut self, filler: char, count: usize) {
        self.full |= self.out.len() + count > MAX_OUTPUT_BYTES;
        if !self.full {
            self.out.extend(std::iter::repeat_n(filler, count));
        }
    }
}

fn cut(text: &str, precision: Option<usize>) -> &str {
    let end = precision.and_then(|precision| text.char_indices().nth(precision));
    end.map_or(text, |(at, _)| &text[..at])
}

fn can_be_raw(character: char) -> bool {
    !matches!(character, '`' | '\u{7f}' | '\u{feff}') && character >= ' '
}

fn in_radix(mut number: u64, radix: u64, upper: bool) -> String {
    let digits = if upper { UPPER_DIGITS } else { LOWER_DIGITS };
    let mut reversed = Vec::new();
    loop {
        reversed.push(char::from(digits[(number % radix) as usize]));
        number /= radix;
        if number == 0 {
            return reversed.into_iter().rev().collect();
        }
    }
}
