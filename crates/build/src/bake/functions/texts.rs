//! Texts: parts, changes, patterns, hashes, encodings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;

use super::{Answer, Arguments, MANY, Row};
use crate::bake::value::Value;

pub(super) const ROWS: &[Row] = &[
    ("base64decode", 1..=1, |of| {
        let bytes = STANDARD.decode(of.text(0)?).map_err(|error| error.to_string())?;
        text(String::from_utf8(bytes).map_err(|_| "the result is not a text in UTF-8")?)
    }),
    ("base64encode", 1..=1, |of| text(STANDARD.encode(of.text(0)?))),
    ("basename", 1..=1, |of| {
        let path = of.text(0)?;
        let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        text(match (path.as_str(), base) {
            ("", _) => ".",
            (_, "") => "/",
            (_, base) => base,
        })
    }),
    ("homedir", 0..=0, |of| Ok(Value::text(of.world.home.as_str()))),
    ("dirname", 1..=1, |of| {
        let path = of.text(0)?;
        text(match path.rsplit_once('/') {
            None => ".",
            Some(("", _)) => "/",
            Some((folder, _)) => folder,
        })
    }),
    ("byteslen", 1..=1, |of| length(of.text(0)?.len())),
    ("bytesslice", 3..=3, |of| {
        let (whole, from, count) = (of.text(0)?, of.index(1)?, of.index(2)?);
        let range = usize::try_from(from).ok().zip(usize::try_from(count).ok());
        let part = range.and_then(|(from, count)| whole.get(from..from.checked_add(count)?));
        text(part.ok_or("the part is not within the buffer")?)
    }),
    ("chomp", 1..=1, |of| text(of.text(0)?.trim_end_matches(['\n', '\r']))),
    ("indent", 2..=2, |of| {
        let spaces = usize::try_from(of.index(0)?).map_err(|_| "cannot be negative")?.min(1 << 12);
        text(of.text(1)?.replace('\n', &format!("\n{}", " ".repeat(spaces))))
    }),
    ("join", 2..=MANY, |of| {
        let mut parts = Vec::new();
        for at in 1..of.list.len() {
            parts.extend(of.texts(at)?);
        }
        text(parts.join(&of.text(0)?))
    }),
    ("lower", 1..=1, |of| text(of.text(0)?.to_lowercase())),
    ("upper", 1..=1, |of| text(of.text(0)?.to_uppercase())),
    ("md5", 1..=1, |of| text(hex(&md5::Md5::digest(of.text(0)?)))),
    ("sha1", 1..=1, |of| text(hex(&sha1::Sha1::digest(of.text(0)?)))),
    ("sha256", 1..=1, |of| text(hex(&sha2::Sha256::digest(of.text(0)?)))),
    ("sha512", 1..=1, |of| text(hex(&sha2::Sha512::digest(of.text(0)?)))),
    ("regex", 2..=2, |of| {
        let pattern = pattern(of)?;
        let whole = of.text(1)?;
        let found =
            pattern.captures(&whole).ok_or("pattern did not match any part of the given string")?;
        Ok(captured(&pattern, &found))
    }),
    ("regexall", 2..=2, |of| {
        let pattern = pattern(of)?;
        let whole = of.text(1)?;
        Ok(Value::List(
            pattern.captures_iter(&whole).map(|found| captured(&pattern, &found)).collect(),
        ))
    }),
    ("regex_replace", 3..=3, |of| {
        let pattern = regex_lite::Regex::new(&of.text(1)?).map_err(|error| error.to_string())?;
        text(pattern.replace_all(&of.text(0)?, of.text(2)?.as_str()))
    }),
    ("replace", 3..=3, |of| text(of.text(0)?.replace(&of.text(1)?, &of.text(2)?))),
    ("reverse", 1..=1, |of| text(of.text(0)?.chars().rev().collect::<String>())),
    ("sanitize", 1..=1, |of| {
        let kept = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
        text(of.text(0)?.chars().map(kept).collect::<String>())
    }),
    ("split", 2..=2, |of| {
        let (by, whole) = (of.text(0)?, of.text(1)?);
        Ok(Value::List(match by.is_empty() {
            true => whole.chars().map(Value::text).collect(),
            false => whole.split(&by).map(Value::text).collect(),
        }))
    }),
    ("strlen", 1..=1, |of| length(of.text(0)?.chars().count())),
    ("substr", 3..=3, substr),
    ("title", 1..=1, |of| text(title(&of.text(0)?))),
    ("trim", 2..=2, |of| {
        let cut = of.text(1)?;
        text(of.text(0)?.trim_matches(|letter| cut.contains(letter)))
    }),
    ("trimprefix", 2..=2, |of| {
        let whole = of.text(0)?;
        text(whole.strip_prefix(&of.text(1)?).unwrap_or(&whole))
    }),
    ("trimsuffix", 2..=2, |of| {
        let whole = of.text(0)?;
        text(whole.strip_suffix(&of.text(1)?).unwrap_or(&whole))
    }),
    ("trimspace", 1..=1, |of| text(of.text(0)?.trim())),
    ("urlencode", 1..=1, |of| {
        let encode = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text(of.text(0)?.bytes().map(encode).collect::<String>())
    }),
    ("uuidv4", 0..=0, |of| {
        let mut bytes = sha2::Sha256::digest(of.world.seed.to_le_bytes());
        text(uuid(&mut bytes, 4))
    }),
    ("uuidv5", 2..=2, |of| {
        let mut named = namespace(&of.text(0)?)?.to_vec();
        named.extend(of.text(1)?.bytes());
        text(uuid(&mut sha1::Sha1::digest(named), 5))
    }),
    ("jsonencode", 1..=1, |of| text(of.get(0)?.to_json().to_string())),
    ("jsondecode", 1..=1, |of| {
        let json = serde_json::from_str(&of.text(0)?).map_err(|error| error.to_string())?;
        Ok(Value::of_json(&json))
    }),
    ("csvdecode", 1..=1, csv_decode),
];

fn text(text: impl Into<String>) -> Answer {
    Ok(Value::Text(text.into()))
}

/// A count as a number.
pub(super) fn length(count: usize) -> Answer {
    Ok(Value::Number(u32::try_from(count).map_or(f64::MAX, f64::from)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pattern(of: &Arguments<'_>) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(&of.text(0)?).map_err(|error| error.to_string())
}

/// What a pattern found: the text, a list of its groups, or a map if they have names.
fn captured(pattern: &regex_lite::Regex, found: &regex_lite::Captures<'_>) -> Value {
    let group = |at: usize| found.get(at).map_or(Value::Null, |part| Value::text(part.as_str()));
    let names: Vec<Option<&str>> = pattern.capture_names().collect();
    if names.len() == 1 {
        return group(0);
    }
    let named =
        names.iter().enumerate().filter_map(|(at, name)| Some(((*name)?.to_owned(), group(at))));
    let named: std::collections::BTreeMap<String, Value> = named.collect();
    match named.is_empty() {
        true => Value::List((1..names.len()).map(group).collect()),
        false => Value::Map(named),
    }
}

fn substr(of: &Arguments<'_>) -> Answer {
    let whole: Vec<char> = of.text(0)?.chars().collect();
    let (from, count) = (of.index(1)?, of.index(2)?);
    let size = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let from = if from < 0 { (size + from).max(0) } else { from.min(size) };
    let to = if count < 0 { size } else { from.saturating_add(count).min(size) };
    let at = |number: i64| usize::try_from(number).unwrap_or(0);
    text(whole[at(from)..at(to)].iter().collect::<String>())
}

fn title(text: &str) -> String {
    let mut starts = true;
    let letter = |letter: char| {
        let begins = std::mem::replace(&mut starts, !letter.is_alphanumeric());
        if begins { letter.to_uppercase().to_string() } else { letter.to_string() }
    };
    text.chars().map(letter).collect()
}

fn uuid(bytes: &mut [u8], version: u8) -> String {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex(&bytes[..16]);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The names of RFC 9562, or a UUID itself.
fn namespace(name: &str) -> Result<[u8; 16], String> {
    let kind = match name {
        "dns" => 0x10,
        "url" => 0x11,
        "oid" => 0x12,
        "x500" => 0x14,
        other => {
            let digits: String = other.chars().filter(|letter| *letter != '-').collect();
            let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
            let wrong = || format!("uuidv5() doesn't support namespace {other:?}");
            return number.map(u128::to_be_bytes).ok_or_else(wrong);
        }
    };
    let well_known: u128 = 0x6ba7_b800_9dad_11d1_80b4_00c0_4fd4_30c8;
    Ok((well_known | (kind << 96)).to_be_bytes())
}

fn csv_decode(of: &Arguments<'_>) -> Answer {
    let rows = csv_rows(&of.text(0)?)?;
    let Some((head, rows)) = rows.split_first() else {
        return Err("missing header line".to_owned());
    };
    let row = |row: &Vec<String>| {
        let pairs = head.iter().cloned().zip(row.iter().map(Value::text));
        match row.len() == head.len() {
            true => Ok(Value::Map(pairs.collect())),
            false => Err("wrong number of fields".to_owned()),
        }
    };
    Ok(Value::List(rows.iter().map(row).collect::<Result<_, _>>()?))
}

/// Rows of fields between commas; one in quotes may hold commas, newlines and doubled quotes.
pub(in crate::bake) fn csv_rows(text: &str) -> Result<Vec<Vec<String>>, String> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            letter => field.push(letter),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    Ok(rows)
}
