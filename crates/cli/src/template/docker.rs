//! The functions that docker adds to Go's, and what they are in the header of a table.

use super::MAX_OUTPUT_BYTES;
use super::functions::{Functions, Param};
use super::json;
use super::value::Value;

/// The most pieces that `split` makes.
const MAX_PIECES: usize = 1 << 20;

impl Functions {
    /// The functions of every `--format`: `json`, `split`, `join`, `title`, `lower`, `upper`,
    /// `pad` and `truncate`.
    pub fn docker() -> Functions {
        use Param::{Any, Integer, Text, Texts};
        let mut functions = Functions::new();
        // What cannot be written as JSON is left out without a word, as docker does.
        functions.insert_typed("json", &[Any], |args| match json::encode(&args[0]) {
            Ok(text) => Ok(text.into()),
            Err(problem) if problem == "text too large" => Err(problem),
            Err(_) => Ok("".into()),
        });
        functions
            .insert_typed("split", &[Text, Text], |args| split(text(&args[0]), text(&args[1])));
        functions.insert_typed("join", &[Texts, Text], |args| join(&args[0], text(&args[1])));
        functions.insert_typed("title", &[Text], |args| Ok(title(text(&args[0])).into()));
        functions.insert_typed("lower", &[Text], |args| {
            Ok(text(&args[0]).chars().map(lower_char).collect::<String>().into())
        });
        functions.insert_typed("upper", &[Text], |args| {
            Ok(text(&args[0]).chars().map(upper_char).collect::<String>().into())
        });
        functions.insert_typed("pad", &[Text, Integer, Integer], |args| {
            pad(text(&args[0]), number(&args[1]), number(&args[2]))
        });
        functions.insert_typed("truncate", &[Text, Integer], |args| {
            truncate(text(&args[0]), number(&args[1]))
        });
        functions
    }

    /// What the same functions are while the header of a table is written.
    ///
    /// All but `pad` give the name of the column back, whatever they would do with its contents.
    pub fn table_header() -> Functions {
        use Param::{Integer, Text};
        let mut functions = Functions::new();
        for name in ["json", "title", "lower", "upper"] {
            functions.insert_typed(name, &[Text], |args| Ok(args[0].clone()));
        }
        for name in ["split", "join"] {
            functions.insert_typed(name, &[Text, Text], |args| Ok(args[0].clone()));
        }
        functions.insert_typed("truncate", &[Text, Integer], |args| Ok(args[0].clone()));
        functions.insert_typed("pad", &[Text, Integer, Integer], |args| {
            pad(text(&args[0]), number(&args[1]), number(&args[2]))
        });
        functions
    }
}

/// The text of an argument that was checked to be text.
fn text(value: &Value) -> &str {
    match value {
        Value::Str(text) => text,
        _ => "",
    }
}

/// The number of an argument that was checked to be one.
fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        _ => 0,
    }
}

fn split(text: &str, separator: &str) -> Result<Value, String> {
    let pieces: Vec<Value> = if separator.is_empty() {
        let letters = text.chars().map(|letter| Value::Str(letter.to_string()));
        letters.take(MAX_PIECES + 1).collect()
    } else {
        text.split(separator).map(Value::from).take(MAX_PIECES + 1).collect()
    };
    if pieces.len() > MAX_PIECES {
        return Err("text too large".into());
    }
    Ok(Value::List(pieces))
}

fn join(items: &Value, separator: &str) -> Result<Value, String> {
    let Value::List(items) = items else {
        return Ok("".into());
    };
    let mut joined = String::new();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text(item));
        if joined.len() > MAX_OUTPUT_BYTES {
            return Err("text too large".into());
        }
    }
    Ok(joined.into())
}

/// Makes the first letter of every word large.
fn title(text: &str) -> String {
    let mut previous = ' ';
    let large = text.chars().map(|character| {
        let starts_word = parts_words(std::mem::replace(&mut previous, character));
        if starts_word { title_char(character) } else { character }
    });
    large.collect()
}

fn parts_words(character: char) -> bool {
    if character.is_ascii() {
        !character.is_ascii_alphanumeric() && character != '_'
    } else {
        character.is_whitespace()
    }
}

/// The large form of a letter where it is one letter; longer forms, as of `ß`, are not taken.
fn upper_char(character: char) -> char {
    match character {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            offset(character, 8)
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => offset(character, 9),
        _ => only(character.to_uppercase(), character),
    }
}

/// The form of a letter at the start of a word.
fn title_char(character: char) -> char {
    match character {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals, but no words that begin with one.
        '\u{10d0}'..='\u{10ff}' => character,
        _ => upper_char(character),
    }
}

fn lower_char(character: char) -> char {
    match character {
        '\u{130}' => 'i',
        _ => only(character.to_lowercase(), character),
    }
}

fn offset(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

fn only(mut forms: impl Iterator<Item = char>, otherwise: char) -> char {
    match (forms.next(), forms.next()) {
        (Some(form), None) => form,
        _ => otherwise,
    }
}

/// Puts blanks around text, but none around nothing.
fn pad(text: &str, before: i64, after: i64) -> Result<Value, String> {
    if text.is_empty() {
        return Ok("".into());
    }
    let blanks = |count: i64| match usize::try_from(count) {
        Err(_) => Err("strings: negative Repeat count".to_owned()),
        Ok(count) if count > MAX_OUTPUT_BYTES => Err("text too large".to_owned()),
        Ok(count) => Ok(" ".repeat(count)),
    };
    Ok(format!("{}{text}{}", blanks(before)?, blanks(after)?).into())
}

/// The first `length` bytes; a character that is cut through is shown as damaged.
fn truncate(text: &str, length: i64) -> Result<Value, String> {
    let Ok(length) = usize::try_from(length) else {
        return Err(format!("runtime error: slice bounds out of range [:{length}]"));
    };
    if text.len() < length {
        return Ok(text.into());
    }
    Ok(String::from_utf8_lossy(&text.as_bytes()[..length]).into_owned().into())
}
