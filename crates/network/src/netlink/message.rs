//! Netlink messages as bytes: headers, attributes and nests of them, in the machine's byte order.

const HEADER_BYTES: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// This is a request.
pub(super) const REQUEST: u16 = 1;
/// Answer with a number for success or failure.
pub(super) const ACK: u16 = 4;
/// Answer with a list.
pub(super) const DUMP: u16 = 0x300;
/// Fail if it is there already.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// Make it if it is not there.
pub(super) const CREATE: u16 = 0x400;
/// Put it in the place of what is there.
pub(super) const REPLACE: u16 = 0x100;
/// An attribute that holds attributes.
const NESTED: u16 = 1 << 15;

/// Requests on their way into one datagram.
#[derive(Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    names: Vec<String>,
}

impl Requests {
    /// Adds a request: what it does, for errors; its kind and flags; its fixed part; and its
    /// attributes.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend([0; 8]);
        self.bytes.extend(fixed);
        pad(&mut self.bytes);
        fill(&mut Attributes(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).expect("requests are small");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.names.push(name.into());
    }

    /// What each of them does.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// The datagram with numbers from `first` on, and how many there are.
    pub(super) fn finish(mut self, first: u32) -> (Vec<u8>, u32) {
        let (mut start, mut sequence) = (0, first);
        while start < self.bytes.len() {
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            start += u32_at(&self.bytes, start) as usize;
            sequence = sequence.wrapping_add(1);
        }
        (self.bytes, sequence.wrapping_sub(first))
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The attributes of a request, or of one of its attributes.
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    /// Adds plain bytes.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("attributes are small");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        pad(self.0);
    }

    /// Adds a text with its end.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    /// Adds a number in the machine's byte order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Adds a number in the network's byte order, which the packet filter expects.
    pub(crate) fn big(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// Adds attributes within one.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NESTED).to_ne_bytes());
        fill(&mut Attributes(self.0));
        let length = u16::try_from(self.0.len() - start).expect("lists are cut into pieces");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds bytes that are no attribute: a fixed part within a nest.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        pad(self.0);
    }
}

/// One message from the kernel.
pub(crate) struct Reply<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// To which request.
    pub(super) sequence: u32,
    flags: u16,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl Reply<'_> {
    /// The error number, 0 for success, and what the kernel says besides; none if this is no
    /// acknowledgement.
    pub(super) fn acknowledgement(&self) -> Option<(i32, Option<String>)> {
        const EXTENDED: u16 = 0x200;
        const CAPPED: u16 = 0x100;
        const MESSAGE: u16 = 1;
        if self.kind != ERROR && self.kind != DONE {
            return None;
        }
        let code = i32::from_ne_bytes(self.body.get(..4)?.try_into().ok()?);
        let said = (self.kind == ERROR && self.flags & EXTENDED != 0).then(|| {
            let echoed = match self.flags & CAPPED {
                0 => u32_at(self.body, 4) as usize,
                _ => HEADER_BYTES,
            };
            let rest = self.body.get(4 + echoed.next_multiple_of(4)..).unwrap_or_default();
            attributes(rest).find(|(kind, _)| *kind == MESSAGE).map(|(_, value)| text(value))
        });
        Some((code.checked_neg().unwrap_or(0), said.flatten()))
    }
}

/// The messages of one datagram.
pub(super) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER_BYTES)?;
        let length = u32_at(header, 0) as usize;
        let reply = Reply {
            kind: u16_at(header, 4),
            flags: u16_at(header, 6),
            sequence: u32_at(header, 8),
            body: bytes.get(HEADER_BYTES..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(reply)
    })
}

/// The attributes in some bytes; whatever is no whole attribute ends the list.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..4)?;
        let length = usize::from(u16_at(header, 0));
        let kind = u16_at(header, 2) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A text up to its end.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|it| it.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_numbered_padded_and_measured() {
        let mut requests = Requests::default();
        requests.add("first", 16, ACK, &[1], |at| at.text(3, "eth0"));
        requests.add("second", 17, 0, &[], |at| {
            at.nest(18, |at| at.number(1, 7));
        });
        let (bytes, count) = requests.finish(41);
        assert_eq!(count, 2);
        let mut found = replies(&bytes);
        let first = found.next().unwrap();
        assert_eq!((first.kind, first.sequence, first.flags), (16, 41, REQUEST | ACK));
        assert_eq!(first.body[..4], [1, 0, 0, 0]);
        assert_eq!(attributes(&first.body[4..]).next().unwrap(), (3, b"eth0\0".as_slice()));
        let second = found.next().unwrap();
        let (kind, nest) = attributes(second.body).next().unwrap();
        assert_eq!((kind, second.sequence), (18, 42));
        assert_eq!(attributes(nest).next().unwrap(), (1, 7u32.to_ne_bytes().as_slice()));
        assert!(found.next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for reply in replies(&bytes) {
                reply.acknowledgement();
                attributes(reply.body).count();
            }
        }
    }
}
