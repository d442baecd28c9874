//! Messages of D-Bus as bytes: written in little-endian order, and read with every length checked.

use std::io;

/// A message being written, or a part of it that begins at a multiple of eight.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(number.to_le_bytes());
    }

    fn large(&mut self, number: u64) {
        self.align(8);
        self.bytes.extend(number.to_le_bytes());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.number(flag.into());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(length(text.len()));
        self.bytes.extend(text.as_bytes());
        self.byte(0);
    }

    /// The types of what follows; ours are short.
    pub(super) fn signature(&mut self, types: &str) {
        self.byte(u8::try_from(types.len()).unwrap_or(u8::MAX));
        self.bytes.extend(types.as_bytes());
        self.byte(0);
    }

    /// A list of what needs to begin at multiples of `to`.
    pub(super) fn list(&mut self, to: usize, write: impl FnOnce(&mut Writer)) {
        self.number(0);
        let place = self.bytes.len() - 4;
        self.align(to);
        let start = self.bytes.len();
        write(self);
        let length = length(self.bytes.len() - start);
        self.bytes[place..place + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn value(&mut self, value: &Value) {
        self.signature(value.types());
        match value {
            Value::Flag(flag) => self.flag(*flag),
            Value::Short(number) => self.number(*number as u32),
            Value::Number(number) => self.number(*number),
            Value::Long(number) => self.large(*number as u64),
            Value::Large(number) => self.large(*number),
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => self.list(1, |list| list.bytes.extend(bytes)),
            Value::Texts(texts) => self.list(4, |list| texts.iter().for_each(|one| list.text(one))),
            Value::Numbers(numbers) => {
                self.list(4, |list| numbers.iter().for_each(|number| list.number(*number)));
            }
            Value::Pairs(pairs) => self.list(8, |list| {
                for (first, second) in pairs {
                    list.align(8);
                    list.text(first);
                    list.text(second);
                }
            }),
        }
    }
}

/// What we write is far below the four gigabytes that a length can say.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What a property is set to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Flag(bool),
    Short(i32),
    Number(u32),
    Long(i64),
    Large(u64),
    Text(String),
    Texts(Vec<String>),
    Bytes(Vec<u8>),
    Numbers(Vec<u32>),
    Pairs(Vec<(String, String)>),
}

impl Value {
    fn types(&self) -> &'static str {
        match self {
            Value::Flag(_) => "b",
            Value::Short(_) => "i",
            Value::Number(_) => "u",
            Value::Long(_) => "x",
            Value::Large(_) => "t",
            Value::Text(_) => "s",
            Value::Texts(_) => "as",
            Value::Bytes(_) => "ay",
            Value::Numbers(_) => "au",
            Value::Pairs(_) => "a(ss)",
        }
    }
}

/// A message, or a part of it that begins at a multiple of eight, being read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(broken)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(broken)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| broken())?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let length = self.number()? as usize;
        let text = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(text).map_err(|_| broken())
    }

    pub(super) fn signature(&mut self) -> io::Result<&'a [u8]> {
        let length = self.byte()?.into();
        let types = self.take(length)?;
        self.take(1)?;
        Ok(types)
    }
}

pub(super) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message of D-Bus is broken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_their_types_need_them() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.value(&Value::Large(2));
        // A byte, the type in three, four of padding up to eight.
        assert_eq!(writer.bytes[..8], [7, 1, b't', 0, 0, 0, 0, 0]);
        assert_eq!(writer.bytes[8..], 2u64.to_le_bytes());
        let mut writer = Writer::default();
        let pairs = [("a", "b"), ("c", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        writer.value(&Value::Pairs(pairs.into()));
        let mut reader = Reader::new(&writer.bytes);
        assert_eq!(reader.signature().unwrap(), b"a(ss)");
        let length = reader.number().unwrap() as usize;
        reader.align(8);
        assert_eq!(reader.at + length, writer.bytes.len(), "the padding before is not in it");
        for text in ["a", "b"] {
            assert_eq!(reader.text().unwrap(), text);
        }
        reader.align(8);
        assert_eq!((reader.text().unwrap(), reader.text().unwrap()), ("c".into(), String::new()));
        assert!(reader.is_done());
    }

    #[test]
    fn what_is_too_short_or_says_too_much_is_broken() {
        assert!(Reader::new(&[1, 0, 0]).number().is_err());
        assert!(Reader::new(&[255, 255, 255, 255, b'a', 0]).text().is_err());
        assert!(Reader::new(&[1, 0, 0, 0, 0xff, 0]).text().is_err(), "no UTF-8");
        assert!(Reader::new(&[9, b's']).signature().is_err());
    }
}
