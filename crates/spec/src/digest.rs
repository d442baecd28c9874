//! Digests: the address of a blob is the hash of its bytes.
//!
//! Only SHA-256 and SHA-512 are known, the two algorithms OCI registers; hex is lower case and of
//! exact length, so two digests are equal exactly when their text is.

use std::fmt;
use std::io;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::{Sha256, Sha512};

use crate::json::read_from_string;

/// The address of a blob: the hash of its bytes. A malformed one cannot be written down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// A SHA-256 hash, what everybody uses.
    Sha256([u8; 32]),
    /// A SHA-512 hash, which OCI allows.
    Sha512([u8; 64]),
}

/// Why a text is no digest. The words are those docker prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:hex`, or the hex is not lower-case hex.
    #[error("invalid checksum digest format")]
    Format,
    /// The hex has not the length its algorithm needs.
    #[error("invalid checksum digest length")]
    Length,
    /// The algorithm is not one of ours.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

impl Digest {
    /// Hashes bytes that are at hand with SHA-256.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::Sha256(Sha256::digest(bytes).into())
    }

    /// The algorithm that made this digest.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Digest::Sha256(_) => Algorithm::Sha256,
            Digest::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hash in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        to_hex(self.bytes())
    }

    /// The first twelve hex digits, as docker's tables show an id.
    pub fn short(&self) -> String {
        to_hex(&self.bytes()[..6])
    }

    /// Appends its text to a document that is being written.
    pub fn append_to(&self, document: &mut Vec<u8>) {
        let text = Text::of(self);
        document.extend_from_slice(&text.bytes[..text.length]);
    }

    /// The hash itself.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Digest::Sha256(bytes) => bytes,
            Digest::Sha512(bytes) => bytes,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Text::of(self).as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        // Nearly all digests are of this kind, and documents are full of them.
        if let Some(hex) = text.strip_prefix("sha256:").filter(|hex| !hex.is_empty()) {
            return from_hex(hex).map(Digest::Sha256);
        }
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        if algorithm.is_empty() || hex.is_empty() {
            return Err(DigestError::Format);
        }
        match algorithm.parse()? {
            Algorithm::Sha256 => from_hex(hex).map(Digest::Sha256),
            Algorithm::Sha512 => from_hex(hex).map(Digest::Sha512),
        }
    }
}

read_from_string!(Digest);

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(self).as_str())
    }
}

/// A digest's text, made in one place and not in pieces, because documents are mostly digests.
struct Text {
    bytes: [u8; "sha512:".len() + 2 * 64],
    length: usize,
}

impl Text {
    fn of(digest: &Digest) -> Text {
        let (name, hash) = (digest.algorithm().as_str(), digest.bytes());
        let mut bytes = [b':'; "sha512:".len() + 2 * 64];
        let length = name.len() + 1 + 2 * hash.len();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        write_hex(hash, &mut bytes[name.len() + 1..length]);
        Text { bytes, length }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).expect("hexadecimal digits are ASCII")
    }
}

/// A hash function a digest can be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in front of a digest's colon.
    pub fn as_str(&self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Algorithm, DigestError> {
        match text {
            "sha256" => Ok(Algorithm::Sha256),
            "sha512" => Ok(Algorithm::Sha512),
            _ => Err(DigestError::Algorithm),
        }
    }
}

/// Hashes bytes as they pass. Feed it with `update` or as an `io::Write` that never fails.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts a hash with the algorithm of the digest that is expected.
    pub fn new(algorithm: Algorithm) -> Hasher {
        Hasher(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Starts a SHA-256 hash, what we write ourselves.
    pub fn sha256() -> Hasher {
        Hasher::new(Algorithm::Sha256)
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes taken so far.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::Sha256(state.finalize().into()),
            State::Sha512(state) => Digest::Sha512(state.finalize().into()),
        }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    write_hex(bytes, &mut text);
    String::from_utf8(text).expect("hexadecimal digits are ASCII")
}

/// Writes two digits for each byte. Lists of images are mostly digests, so this and its opposite are
/// where reading and writing them spend their time: both are plain sums, which the compiler makes
/// of many bytes at once.
pub fn write_hex(bytes: &[u8], text: &mut [u8]) {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

fn from_hex<const N: usize>(hex: &str) -> Result<[u8; N], DigestError> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let pairs: &[[u8; 2]; N] = match pairs.try_into() {
        Ok(pairs) if rest.is_empty() => pairs,
        _ => return Err(DigestError::Length),
    };
    let mut bytes = [0; N];
    let mut bad = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (value(*high), value(*low));
        bad |= high | low;
        *byte = high << 4 | (low & 0xf);
    }
    if bad & NO_DIGIT != 0 { Err(DigestError::Format) } else { Ok(bytes) }
}

/// Marks what is no hexadecimal digit.
const NO_DIGIT: u8 = 0x80;

/// The value of a lower-case hexadecimal digit.
fn value(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let of_letter = if letter < 6 { letter + 10 } else { NO_DIGIT };
    if number < 10 { number } else { of_letter }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn refuse(text: &str, error: DigestError) {
        assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
    }

    #[test]
    fn hashes_known_bytes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
        assert_eq!(format!("{:?}", Digest::of(b"")), EMPTY);
        assert_eq!(Digest::of(b"abc").hex()[..8], *"ba7816bf");
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.write_all(b"abc").unwrap();
        hasher.flush().unwrap();
        let digest = hasher.clone().finish();
        assert_eq!(digest.algorithm().to_string(), "sha512");
        assert!(digest.to_string().starts_with("sha512:ddaf35a193617aba"));
        assert_eq!(digest.bytes().len(), 64);
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        refuse("", DigestError::Format);
        refuse("sha256", DigestError::Format);
        refuse("sha256:", DigestError::Format);
        refuse(":abc", DigestError::Format);
        refuse("sha256:00", DigestError::Length);
        refuse("md5:00", DigestError::Algorithm);
        refuse("SHA256:00", DigestError::Algorithm);
        refuse(&EMPTY.replace("e3b0", "E3B0"), DigestError::Format);
        refuse(&EMPTY.replace("e3b0", "g3b0"), DigestError::Format);
        refuse(&EMPTY.replace("e3b0", "\u{e9}b0"), DigestError::Format);
        refuse(&EMPTY.replace("sha256", "sha512"), DigestError::Length);
        refuse(&format!("{EMPTY} "), DigestError::Length);
    }

    #[test]
    fn is_a_string_in_json() {
        let digest = Digest::of(b"");
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{EMPTY}\""));
        assert_eq!(serde_json::from_str::<Digest>(&format!("\"{EMPTY}\"")).unwrap(), digest);
        let error = serde_json::from_str::<Digest>("\"sha256:1\"").unwrap_err();
        assert!(error.to_string().starts_with("invalid checksum digest length"));
        assert!(serde_json::from_str::<Digest>("7").is_err());
    }

    proptest! {
        #[test]
        fn parses_what_it_shows(bytes: [u8; 32], more: Vec<u8>) {
            let digest = Digest::Sha256(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            let mut hasher = Hasher::sha256();
            more.chunks(3).for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finish(), Digest::of(&more));
        }

        #[test]
        fn takes_any_text(text in "(sha256:|sha512:|)\\PC{0,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
