//! DNS messages as bytes. Whatever arrives is read with care: it comes from containers and from
//! the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of records that we know.
pub(super) const A: u16 = 1;
pub(super) const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;
const OPT: u16 = 41;
const INTERNET: u16 = 1;

/// What came of a question.
pub(super) const SUCCESS: u8 = 0;
pub(super) const FORMAT_ERROR: u8 = 1;
pub(super) const FAILURE: u8 = 2;
pub(super) const NO_SUCH_NAME: u8 = 3;
pub(super) const NOT_IMPLEMENTED: u8 = 4;
pub(super) const REFUSED: u8 = 5;

const HEADER_BYTES: usize = 12;
/// An answer over UDP has no more bytes, unless the question says that more may come.
const PLAIN_BYTES: usize = 512;
/// And never more than this, which no link has to cut into pieces.
const MOST_BYTES: usize = 1232;
/// How long an answer stays true, in seconds; docker's.
const LIFETIME: u32 = 600;

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Question {
    /// The name in lower case, without the dot at its end.
    pub(super) name: String,
    /// Which kind of record.
    pub(super) kind: u16,
    /// Whether it is about the internet, as all are.
    pub(super) internet: bool,
    /// How many bytes of the message it takes, header and all.
    end: usize,
    /// The size of answer that the asker takes, if it says.
    room: Option<usize>,
}

impl Question {
    /// Reads a message that asks one thing; the error is what to answer with, or nothing at all.
    pub(super) fn parse(message: &[u8]) -> Result<Question, Option<u8>> {
        let header: &[u8; HEADER_BYTES] =
            message.get(..HEADER_BYTES).and_then(|it| it.try_into().ok()).ok_or(None)?;
        if header[2] & 0x80 != 0 {
            // An answer to nobody's question: to answer it might go on for ever.
            return Err(None);
        }
        if header[2] & 0x78 != 0 {
            return Err(Some(NOT_IMPLEMENTED));
        }
        if u16_at(message, 4) != Some(1) {
            return Err(Some(FORMAT_ERROR));
        }
        let (name, at) = name_at(message, HEADER_BYTES).ok_or(Some(FORMAT_ERROR))?;
        let kind = u16_at(message, at).ok_or(Some(FORMAT_ERROR))?;
        let class = u16_at(message, at + 2).ok_or(Some(FORMAT_ERROR))?;
        let end = at + 4;
        // What an asker has to say besides is the first of the additional records, or we do
        // without it.
        let alone = u16_at(message, 6) == Some(0) && u16_at(message, 8) == Some(0);
        let room = match message.get(end..end + 5) {
            Some([0, high, low, a, b]) if alone && u16::from_be_bytes([*high, *low]) == OPT => {
                Some(usize::from(u16::from_be_bytes([*a, *b])).clamp(PLAIN_BYTES, MOST_BYTES))
            }
            _ => None,
        };
        Ok(Question { name, kind, internet: class == INTERNET, end, room })
    }

    /// The largest answer over UDP.
    pub(super) fn room(&self) -> usize {
        self.room.unwrap_or(PLAIN_BYTES)
    }
}

/// What an answer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    Address(IpAddr),
    Name(String),
}

/// The answer to a message, of at most `room` bytes: records that do not fit are left out, and the
/// asker is told to ask over TCP.
pub(super) fn answer(
    message: &[u8],
    question: &Question,
    code: u8,
    records: &[Record],
    room: usize,
) -> Vec<u8> {
    let mut reply = message[..question.end].to_vec();
    let mut tail = Vec::new();
    if question.room.is_some() {
        let [high, low] = OPT.to_be_bytes();
        let [a, b] = u16::try_from(MOST_BYTES).unwrap_or(u16::MAX).to_be_bytes();
        tail.extend([0, high, low, a, b, 0, 0, 0, 0, 0, 0]);
    }
    let (mut count, mut cut) = (0_u16, false);
    for record in records {
        let bytes = record_bytes(record);
        if reply.len() + bytes.len() + tail.len() > room {
            cut = true;
            break;
        }
        reply.extend(bytes);
        count += 1;
    }
    let additional = u8::from(!tail.is_empty());
    reply.extend(tail);
    // It is an answer; recursion was asked for or not, and is available.
    reply[2] = 0x80 | message[2] & 1 | if cut { 2 } else { 0 };
    reply[3] = 0x80 | code & 15;
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply[8..12].copy_from_slice(&[0, 0, 0, additional]);
    reply
}

/// The answer to a message that could not be understood.
pub(super) fn refusal(message: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut reply = message.get(..HEADER_BYTES)?.to_vec();
    reply[2] = 0x80 | message[2] & 0x79;
    reply[3] = 0x80 | code & 15;
    reply[4..].fill(0);
    Some(reply)
}

fn record_bytes(record: &Record) -> Vec<u8> {
    let (kind, data) = match record {
        Record::Address(IpAddr::V4(address)) => (A, address.octets().to_vec()),
        Record::Address(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
        Record::Name(name) => (PTR, name_bytes(name)),
    };
    // The name is the question's, which stands behind the header.
    let mut bytes = vec![0xc0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    bytes.extend(LIFETIME.to_be_bytes());
    bytes.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend(label);
    }
    bytes.push(0);
    bytes
}

/// The name at a place and where it ends. A question's name is written out in full.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > 63 || name.len() + length > 254 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in message.get(at..at + length)? {
            // Other bytes are nobody's name here; a dot within a label is no dot.
            let plain = byte.is_ascii_graphic() && *byte != b'.';
            name.push(if plain { char::from(byte.to_ascii_lowercase()) } else { '?' });
        }
        at += length;
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?))
}

/// Whether a message is an answer to this question, and what came of it.
pub(super) fn answers(reply: &[u8], asked: &[u8]) -> Option<u8> {
    let same_number = reply.get(..2)? == asked.get(..2)?;
    let is_answer = *reply.get(2)? & 0x80 != 0;
    let code = *reply.get(3)? & 15;
    // An answer that went wrong may come without its question.
    let bare = u16_at(reply, 4) == Some(0) && code != SUCCESS;
    let key = |message: &[u8]| {
        let (name, at) = name_at(message, HEADER_BYTES)?;
        Some((name, u16_at(message, at)?, u16_at(message, at + 2)?))
    };
    let same = bare || key(reply)? == key(asked)?;
    (same_number && is_answer && same).then_some(code)
}

/// The address that a name of the reverse tree stands for: `2.0.17.172.in-addr.arpa`.
pub(super) fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets: Vec<u8> =
            digits.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        octets.reverse();
        return Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into());
    }
    let digits: Vec<u32> = name
        .strip_suffix(".ip6.arpa")?
        .split('.')
        .map(|digit| u32::from_str_radix(digit, 16).ok().filter(|it| *it < 16))
        .collect::<Option<_>>()?;
    let number = digits.iter().rev().fold(0_u128, |number, digit| number << 4 | u128::from(*digit));
    (digits.len() == 32).then(|| Ipv6Addr::from(number).into())
}

/// A question as a message, for tests.
#[cfg(test)]
pub(super) fn ask(name: &str, kind: u16, room: Option<u16>) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(room.is_some())];
    message.extend(name_bytes(name));
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    if let Some(room) = room {
        message.extend([0, 0, 41]);
        message.extend(room.to_be_bytes());
        message.extend([0; 6]);
    }
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_read() {
        let question = Question::parse(&ask("WEB.example", A, None)).unwrap();
        assert_eq!((question.name.as_str(), question.kind), ("web.example", A));
        assert_eq!(question.room(), 512);
        assert_eq!(Question::parse(&ask("web", A, Some(4096))).unwrap().room(), 1232);
        assert_eq!(Question::parse(&ask("", A, None)).unwrap().name, "");
    }

    #[test]
    fn what_is_no_question_is_refused() {
        assert_eq!(Question::parse(b"short"), Err(None));
        let mut reply = ask("web", A, None);
        reply[2] |= 0x80;
        assert_eq!(Question::parse(&reply), Err(None));
        let mut update = ask("web", A, None);
        update[2] |= 5 << 3;
        assert_eq!(Question::parse(&update), Err(Some(NOT_IMPLEMENTED)));
        let mut pointing = ask("web", A, None);
        pointing[12] = 0xc0;
        assert_eq!(Question::parse(&pointing), Err(Some(FORMAT_ERROR)));
        let long = ask(&"abcdefgh.".repeat(40), A, None);
        assert_eq!(Question::parse(&long), Err(Some(FORMAT_ERROR)));
        assert_eq!(refusal(&long, FORMAT_ERROR).unwrap()[..4], [0x12, 0x34, 0x81, 0x81]);
    }

    #[test]
    fn answers_fit() {
        let records: Vec<Record> =
            (0..100).map(|n| Record::Address(Ipv4Addr::new(10, 0, 0, n).into())).collect();
        let message = ask("web", A, None);
        let question = Question::parse(&message).unwrap();
        let reply = answer(&message, &question, SUCCESS, &records, question.room());
        assert!(reply.len() <= 512 && reply[2] & 2 != 0);
        let whole = answer(&message, &question, SUCCESS, &records, 65535);
        assert_eq!((whole[2] & 2, whole[7]), (0, 100));
        assert_eq!(answers(&whole, &message), Some(SUCCESS));
        assert_eq!(answers(&whole, &ask("other", A, None)), None);
    }

    #[test]
    fn addresses_backwards() {
        let of = |text: &str| reverse(text).map(|it| it.to_string());
        assert_eq!(of("2.0.17.172.in-addr.arpa").as_deref(), Some("172.17.0.2"));
        let six = format!("{}{}ip6.arpa", "2.", "0.".repeat(29) + "d.f.");
        assert_eq!(of(&six).as_deref(), Some("fd00::2"));
        for wrong in ["17.172.in-addr.arpa", "x.0.17.172.in-addr.arpa", "2.ip6.arpa", "web"] {
            assert_eq!(of(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            match Question::parse(&bytes) {
                Ok(question) => {
                    let record = Record::Address(Ipv4Addr::LOCALHOST.into());
                    let reply = answer(&bytes, &question, SUCCESS, &[record], question.room());
                    prop_assert_eq!(answers(&reply, &bytes), Some(SUCCESS));
                }
                Err(code) => {
                    refusal(&bytes, code.unwrap_or(FAILURE));
                }
            }
            answers(&bytes, &ask("web", A, None));
        }

        #[test]
        fn any_damage_to_a_question_is_survived(place in 0_usize..40, byte: u8) {
            let mut bytes = ask("web.example.org", AAAA, Some(1232));
            let place = place % bytes.len();
            bytes[place] = byte;
            if let Ok(question) = Question::parse(&bytes) {
                let reply = answer(&bytes, &question, NO_SUCH_NAME, &[], question.room());
                prop_assert!(Question::parse(&reply) == Err(None));
            }
        }
    }
}
