//! Properties of a scope that a configuration asks for by annotations:
//! `org.systemd.property.CollectMode` with the value `'inactive-or-failed'`, as GVariant writes values.

use std::collections::BTreeMap;

use super::wire::Value;
use crate::error::{Result, RuntimeError};

const PREFIX: &str = "org.systemd.property.";

/// Those among a container's annotations.
pub(super) fn of(annotations: &BTreeMap<String, String>) -> Result<Vec<(String, Value)>> {
    let named = annotations.iter().filter_map(|(key, text)| {
        let name = key.strip_prefix(PREFIX).filter(|name| !name.is_empty())?;
        Some((key, name, text))
    });
    let read = |(key, name, text): (&String, &str, &String)| {
        let wrong = |why: &str| RuntimeError::invalid(format!("annotation {key}={text}: {why}"));
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(wrong("it is no name of a property"));
        }
        let property = property(name, text);
        property.ok_or_else(|| wrong("its value is none that GVariant writes, or not supported"))
    };
    named.map(read).collect()
}

fn property(name: &str, text: &str) -> Option<(String, Value)> {
    // `systemctl` shows times in seconds under a name of its own; systemd takes them in millionths.
    let is_time = |name: &&str| name.ends_with(|end: char| end.is_ascii_lowercase());
    match name.strip_suffix("Sec").filter(is_time) {
        Some(short) => Some((format!("{short}USec"), Value::Large(microseconds(text)?))),
        None => Some((name.to_owned(), value(text.trim())?)),
    }
}

fn microseconds(text: &str) -> Option<u64> {
    let number = text.split_whitespace().last()?;
    let seconds = number.parse::<f64>().ok().filter(|seconds| (0.0..1e12).contains(seconds))?;
    Some((seconds * 1e6) as u64)
}

fn value(text: &str) -> Option<Value> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return list(inner).map(Value::Texts);
    }
    match text.split_once(char::is_whitespace).map(|(kind, rest)| (kind, rest.trim())) {
        Some(("uint64", number)) => number.parse().ok().map(Value::Large),
        Some(("uint32", number)) => number.parse().ok().map(Value::Number),
        Some(("int64", number)) => number.parse().ok().map(Value::Long),
        Some(("int32", number)) => number.parse().ok().map(Value::Short),
        Some(("string", text)) => whole_text(text),
        Some(("boolean", flag)) => flag.parse().ok().map(Value::Flag),
        _ => match text {
            "true" | "false" => Some(Value::Flag(text == "true")),
            // A number without a word before it is of this kind.
            _ => text.parse().ok().map(Value::Short).or_else(|| whole_text(text)),
        },
    }
}

fn whole_text(text: &str) -> Option<Value> {
    let (text, rest) = quoted(text)?;
    rest.trim().is_empty().then_some(Value::Text(text))
}

fn list(mut rest: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    loop {
        let (text, behind) = quoted(rest.trim_start())?;
        texts.push(text);
        match behind.trim_start() {
            "" => return Some(texts),
            behind => rest = behind.strip_prefix(',')?,
        }
    }
}

/// A text in quotes of either kind, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.char_indices();
    let (_, quote) = letters.next().filter(|(_, first)| matches!(first, '\'' | '"'))?;
    let mut found = String::new();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => found.push(match letters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                same @ ('\\' | '\'' | '"') => same,
                _ => return None,
            }),
            end if end == quote => return Some((found, &text[place + 1..])),
            '\0' => return None,
            other => found.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<(String, Value)>> {
        let annotations = [(format!("org.systemd.property.{name}"), text.to_owned())];
        of(&annotations.into_iter().chain([("other".to_owned(), "x".to_owned())]).collect())
    }

    #[test]
    fn values_are_read_as_gvariant_writes_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (written, value) in [
            ("uint64 123456789", Value::Large(123_456_789)),
            ("uint32 7", Value::Number(7)),
            ("int64 -7", Value::Long(-7)),
            ("-7", Value::Short(-7)),
            ("true", Value::Flag(true)),
            ("'inactive-or-failed'", text("inactive-or-failed")),
            (r#""it's \"so\"""#, text("it's \"so\"")),
            (r"'a\'b'", text("a'b")),
            ("['a.service', \"b\"]", Value::Texts(vec!["a.service".into(), "b".into()])),
        ] {
            assert_eq!(read("Name", written).unwrap(), [("Name".to_owned(), value)], "{written}");
        }
        for wrong in ["", "word", "uint64 -1", "'open", "'a' b", "[1]", "uint32 4294967296"] {
            assert!(read("Name", wrong).is_err(), "{wrong}");
        }
        assert!(read("A", "1").is_err() && read("a.b", "1").is_err());
    }

    #[test]
    fn times_are_told_in_millionths() {
        let time = |name: &str, micros| vec![(name.to_owned(), Value::Large(micros))];
        for written in ["2.5", "double 2.5"] {
            assert_eq!(
                read("TimeoutStopSec", written).unwrap(),
                time("TimeoutStopUSec", 2_500_000)
            );
        }
        assert_eq!(read("TimeoutStopSec", "uint64 3").unwrap(), time("TimeoutStopUSec", 3_000_000));
        assert_eq!(read("TimeoutStopUSec", "uint64 3").unwrap(), time("TimeoutStopUSec", 3));
        assert!(read("TimeoutStopSec", "-1").is_err());
    }
}
