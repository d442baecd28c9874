//! Pax records: what they override, how they are read and how they are written.

use super::entry::{Segment, Time};
use super::error::Fault;
use super::xattr;

/// What one record says of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Override<T> {
    /// Nothing was said: an archive-wide record or the header counts.
    #[default]
    Silent,
    /// An empty value: the header counts, whatever was said archive-wide.
    Withdrawn,
    /// This counts.
    Set(T),
}

impl<T> Override<T> {
    /// The value that counts, where `wide` speaks for the whole archive.
    pub(super) fn or<'a>(&'a self, wide: &'a Override<T>) -> Option<&'a T> {
        match (self, wide) {
            (Override::Set(value), _) | (Override::Silent, Override::Set(value)) => Some(value),
            _ => None,
        }
    }
}

/// How far a header's records reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The next entry alone.
    Entry,
    /// Every entry from here on.
    Archive,
}

/// The records of one header, or all archive-wide ones so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Override<Vec<u8>>,
    pub(super) link: Override<Vec<u8>>,
    pub(super) uname: Override<Vec<u8>>,
    pub(super) gname: Override<Vec<u8>>,
    pub(super) uid: Override<i64>,
    pub(super) gid: Override<i64>,
    pub(super) size: Override<i64>,
    pub(super) major: Override<i64>,
    pub(super) minor: Override<i64>,
    pub(super) mtime: Override<Time>,
    pub(super) atime: Override<Time>,
    pub(super) ctime: Override<Time>,
    /// Attributes in the order of their records, names perhaps repeated.
    pub(super) xattrs: Vec<Attribute>,
    pub(super) sparse: SparseRecords,
}

/// One attribute, and which of the two ways to write them it came in.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) plain: bool,
}

/// What the `GNU.sparse.` records say.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    pub(super) version: (Option<u64>, Option<u64>),
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) pieces: Option<u64>,
    pub(super) map: Option<Vec<Segment>>,
    open: Option<u64>,
}

impl Records {
    /// Applies the records in a header's body, later ones over earlier ones.
    pub(super) fn read(&mut self, mut body: &[u8], scope: Scope) -> Result<(), Fault> {
        while !body.is_empty() {
            let (record, rest) = split_record(body)?;
            body = rest;
            self.apply(record.key, record.value, scope)?;
        }
        match self.sparse.open {
            Some(_) => Err(Fault::Sparse("a piece has an offset but no length")),
            None => Ok(()),
        }
    }

    fn apply(&mut self, key: &[u8], value: &[u8], scope: Scope) -> Result<(), Fault> {
        match key {
            b"path" => set_text(&mut self.path, value)?,
            b"linkpath" => set_text(&mut self.link, value)?,
            b"uname" => set_text(&mut self.uname, value)?,
            b"gname" => set_text(&mut self.gname, value)?,
            b"uid" => set(&mut self.uid, value, |value| decimal("uid", value))?,
            b"gid" => set(&mut self.gid, value, |value| decimal("gid", value))?,
            b"size" => set(&mut self.size, value, |value| decimal("size", value))?,
            b"mtime" => set(&mut self.mtime, value, |value| time("mtime", value))?,
            b"atime" => set(&mut self.atime, value, |value| time("atime", value))?,
            b"ctime" => set(&mut self.ctime, value, |value| time("ctime", value))?,
            b"SCHILY.devmajor" => set(&mut self.major, value, |value| decimal("devmajor", value))?,
            b"SCHILY.devminor" => set(&mut self.minor, value, |value| decimal("devminor", value))?,
            // What follows belongs to one file; said of a whole archive it means nothing, and
            // copying it to each entry would let a small archive cost much.
            _ if scope == Scope::Archive => {}
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.apply(key, value)?;
                } else {
                    self.attribute(key, value);
                }
            }
        }
        Ok(())
    }

    /// Takes an attribute. An empty value is an attribute too: withdrawing has nothing to withdraw.
    fn attribute(&mut self, key: &[u8], value: &[u8]) {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            let (name, value) = (name.to_vec(), value.to_vec());
            self.xattrs.push(Attribute { name, value, plain: true });
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            // Other readers ignore these; one that does not decode is no reason to fail.
            let name = xattr::unescape(name).filter(|name| !name.contains(&0));
            if let (Some(name), Some(value)) = (name, xattr::decode_base64(value)) {
                self.xattrs.push(Attribute { name, value, plain: false });
            }
        }
    }
}

impl SparseRecords {
    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        match key {
            b"major" => self.version.0 = Some(count("GNU.sparse.major", value)?),
            b"minor" => self.version.1 = Some(count("GNU.sparse.minor", value)?),
            b"name" => self.name = Some(text(value)?).filter(|name| !name.is_empty()),
            b"size" | b"realsize" => self.size = Some(count("GNU.sparse.size", value)?),
            b"numblocks" => self.pieces = Some(count("GNU.sparse.numblocks", value)?),
            b"map" => self.read_map(value)?,
            b"offset" => {
                let offset = count("GNU.sparse.offset", value)?;
                if self.open.replace(offset).is_some() {
                    return Err(Fault::Sparse("a piece has an offset but no length"));
                }
            }
            b"numbytes" => {
                let length = count("GNU.sparse.numbytes", value)?;
                let offset = self.open.take();
                let offset = offset.ok_or(Fault::Sparse("a piece has a length but no offset"))?;
                self.map.get_or_insert_default().push(Segment { offset, length });
            }
            _ => {}
        }
        Ok(())
    }

    /// The map in one record: offset, length, offset, length, with commas between.
    fn read_map(&mut self, value: &[u8]) -> Result<(), Fault> {
        let map = self.map.insert(Vec::new());
        if value.is_empty() {
            return Ok(());
        }
        let mut numbers = value.split(|&byte| byte == b',');
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(Fault::Sparse("the map ends after an offset"))?;
            let offset = count("GNU.sparse.map", offset)?;
            let length = count("GNU.sparse.map", length)?;
            map.push(Segment { offset, length });
        }
        Ok(())
    }
}

/// One record, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Record<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

/// Takes `LENGTH KEY=VALUE\n` off the front; the length counts the whole record.
fn split_record(body: &[u8]) -> Result<(Record<'_>, &[u8]), Fault> {
    let space = body.iter().take(21).position(|&byte| byte == b' ');
    let space = space.ok_or(Fault::Record("a record has no length"))?;
    let length = digits(&body[..space]).and_then(|length| usize::try_from(length).ok());
    let length = length.ok_or(Fault::Record("a record's length is no number"))?;
    if length <= space + 1 || length > body.len() {
        return Err(Fault::Record("a record's length does not fit"));
    }
    let (record, rest) = body.split_at(length);
    let (b'\n', record) =
        record[space + 1..].split_last().expect("longer than its length and space")
    else {
        return Err(Fault::Record("a record does not end in a line break"));
    };
    let equals = record.iter().position(|&byte| byte == b'=');
    let equals = equals.ok_or(Fault::Record("a record has no value"))?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    match key {
        [] => Err(Fault::Record("a record has no key")),
        key if key.contains(&0) => Err(Fault::Record("a record's key has a NUL in it")),
        key => Ok((Record { key, value }, rest)),
    }
}

/// Adds a record to `body`.
pub(super) fn push_record(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let bare = key.len() + value.len() + 3;
    let mut length = bare + 1;
    while length != bare + length.to_string().len() {
        length = bare + length.to_string().len();
    }
    body.extend_from_slice(length.to_string().as_bytes());
    body.push(b' ');
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

fn set<T>(
    field: &mut Override<T>,
    value: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Fault>,
) -> Result<(), Fault> {
    *field = match value {
        [] => Override::Withdrawn,
        value => Override::Set(read(value)?),
    };
    Ok(())
}

fn set_text(field: &mut Override<Vec<u8>>, value: &[u8]) -> Result<(), Fault> {
    set(field, value, text)
}

fn text(value: &[u8]) -> Result<Vec<u8>, Fault> {
    match value.contains(&0) {
        true => Err(Fault::Record("a name has a NUL in it")),
        false => Ok(value.to_vec()),
    }
}

/// Plain digits, and at least one.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// A number that may be negative.
fn decimal(field: &'static str, value: &[u8]) -> Result<i64, Fault> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Fault::number(field, value))
}

/// A number that counts bytes or pieces.
fn count(field: &'static str, value: &[u8]) -> Result<u64, Fault> {
    let number = digits(value).ok_or_else(|| Fault::number(field, value))?;
    match i64::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(Fault::range(field, number)),
    }
}

/// Seconds with a sign and decimals, both optional; decimals beyond nanoseconds are dropped.
fn time(field: &'static str, value: &[u8]) -> Result<Time, Fault> {
    let wrong = || Fault::number(field, value);
    let (negative, value) = match value {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, value),
    };
    let (whole, decimals) = match value.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    let seconds = i128::from(digits(whole).ok_or_else(wrong)?);
    let decimals = decimals.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = decimals.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    let (seconds, nanos) = match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    };
    let seconds = i64::try_from(seconds).map_err(|_| wrong())?;
    Ok(Time { seconds, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(body: &[u8]) -> Result<Records, Fault> {
        let mut records = Records::default();
        records.read(body, Scope::Entry)?;
        Ok(records)
    }

    fn body(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        pairs.iter().for_each(|(key, value)| push_record(&mut body, key.as_bytes(), value));
        body
    }

    #[track_caller]
    fn check_time(text: &str, expected: Option<(i64, u32)>) {
        let time = time("mtime", text.as_bytes()).ok();
        assert_eq!(time.map(|time| (time.seconds, time.nanos)), expected, "{text}");
    }

    #[test]
    fn reads_times_on_both_sides_of_1970() {
        check_time("0", Some((0, 0)));
        check_time("1350244992.023960108", Some((1350244992, 23960108)));
        check_time("1350244992.0239601089999", Some((1350244992, 23960108)));
        check_time("5.", Some((5, 0)));
        check_time("-1", Some((-1, 0)));
        check_time("-0.5", Some((-1, 500_000_000)));
        check_time("-1.000000001", Some((-2, 999_999_999)));
        check_time("9223372036854775807", Some((i64::MAX, 0)));
        check_time("-9223372036854775808", Some((i64::MIN, 0)));
        for wrong in ["", "-", ".5", "1.-5", "1e9", "+1", " 1", "9223372036854775808", "1.2.3"] {
            check_time(wrong, None);
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for (seconds, nanos) in
            [(0, 0), (5, 1), (-1, 500_000_000), (-2, 999_999_999), (i64::MIN, 0), (i64::MIN, 7)]
        {
            let text = Time { seconds, nanos }.to_string();
            check_time(&text, Some((seconds, nanos)));
        }
    }

    #[test]
    fn a_records_length_counts_itself() {
        for length in 0..1200 {
            let value = vec![b'x'; length];
            let body = body(&[("path", &value)]);
            let (record, rest) = split_record(&body).unwrap();
            assert_eq!(record, Record { key: b"path", value: &value });
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn later_records_win_and_empty_ones_withdraw() {
        let body = body(&[("path", b"a"), ("path", b"b"), ("uid", b"7"), ("uid", b"")]);
        let records = records(&body).unwrap();
        assert_eq!(records.path, Override::Set(b"b".to_vec()));
        assert_eq!(records.uid, Override::Withdrawn);
        assert_eq!(records.uid.or(&Override::Set(9)), None);
        assert_eq!(records.gid.or(&Override::Set(9)), Some(&9));
    }

    #[test]
    fn attributes_hold_any_bytes() {
        let body = body(&[
            ("SCHILY.xattr.user.a", b"\0\n=5 x=y\n"),
            ("SCHILY.xattr.user.empty", b""),
            ("LIBARCHIVE.xattr.user.%3D", b"AAE"),
            ("LIBARCHIVE.xattr.user.%", b"AAE"),
            ("LIBARCHIVE.xattr.user.b", b"A"),
            ("VENDOR.unknown", b"ignored"),
        ]);
        let records = records(&body).unwrap();
        let found: Vec<_> =
            records.xattrs.iter().map(|each| (&each.name[..], &each.value[..])).collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"user.a", b"\0\n=5 x=y\n"), (b"user.empty", b""), (b"user.=", b"\0\x01")];
        assert_eq!(found, expected);
    }

    #[test]
    fn archive_wide_records_leave_out_what_belongs_to_one_file() {
        let mut records = Records::default();
        let body =
            body(&[("SCHILY.xattr.user.a", b"1"), ("GNU.sparse.map", b"0,1"), ("mtime", b"5")]);
        records.read(&body, Scope::Archive).unwrap();
        assert!(records.xattrs.is_empty() && records.sparse.map.is_none());
        assert_eq!(records.mtime, Override::Set(Time { seconds: 5, nanos: 0 }));
    }

    #[test]
    fn refuses_malformed_records() {
        let cases: [&[u8]; 16] = [
            b"path=a\n",
            b" 8 path=a\n",
            b"11 path=a\n",
            b"8 path=a\n",
            b"9 path=ab",
            b"0 path=a\n",
            b"2 path=a\n",
            b"-9 path=a\n",
            b"7 path\n",
            b"6 =ab\n",
            b"99999999999999999999999 path=a\n",
            b"18446744073709551615 path=a\n",
            b"11 path=a\0\n",
            b"21 SCHILY.xattr.a\0=b\n",
            b"9 path=a\n\0\0",
            b"3 \n",
        ];
        for case in cases {
            let refused = records(case).is_err_and(|fault| matches!(fault, Fault::Record(_)));
            assert!(refused, "{}", case.escape_ascii());
        }
        for (key, value) in [("uid", "7x"), ("size", "--7"), ("mtime", "x"), ("gid", "0x7")] {
            let fault = records(&body(&[(key, value.as_bytes())])).unwrap_err();
            assert!(matches!(fault, Fault::Number { .. }), "{fault:?}");
        }
    }

    #[test]
    fn sparse_records_come_in_pairs() {
        let pairs = |pairs: &[(&str, &[u8])]| records(&body(pairs));
        let map = pairs(&[("GNU.sparse.offset", b"0"), ("GNU.sparse.numbytes", b"5")]).unwrap();
        assert_eq!(map.sparse.map.unwrap(), [Segment { offset: 0, length: 5 }]);
        let map = pairs(&[("GNU.sparse.map", b"0,5,10,2")]).unwrap().sparse.map.unwrap();
        assert_eq!(map.len(), 2);
        assert!(pairs(&[("GNU.sparse.map", b"")]).unwrap().sparse.map.unwrap().is_empty());
        assert!(pairs(&[("GNU.sparse.numbytes", b"0")]).is_err());
        assert!(pairs(&[("GNU.sparse.offset", b"0")]).is_err());
        assert!(pairs(&[("GNU.sparse.offset", b"0"), ("GNU.sparse.offset", b"0")]).is_err());
        for map in ["0,5,10", "0,", ",", "0;5", "-1,5", "9223372036854775808,1"] {
            assert!(pairs(&[("GNU.sparse.map", map.as_bytes())]).is_err(), "{map}");
        }
    }
}
