//! The keys that leave a container running and give the terminal back: `ctrl-p,ctrl-q`.

/// Why a text names no keys; docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// One of them is no key.
    #[error("Invalid detach keys ({keys}) provided: Unknown character: '{key}'")]
    Unknown {
        /// The whole text.
        keys: String,
        /// The part that is no key.
        key: String,
    },
}

/// A sequence of keys, looked for in what is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> DetachKeys {
        DetachKeys(vec![0x10, 0x11])
    }
}

impl DetachKeys {
    /// Reads keys between commas, each one letter, `ctrl-` and a letter or one of `@[\]^_`, or
    /// `DEL`. An empty text means the default.
    pub fn parse(text: &str) -> Result<DetachKeys, KeysError> {
        if text.is_empty() {
            return Ok(DetachKeys::default());
        }
        let key = |key: &str| {
            let unknown = || KeysError::Unknown { keys: text.to_owned(), key: key.to_owned() };
            key_code(key).ok_or_else(unknown)
        };
        Ok(DetachKeys(text.split(',').map(key).collect::<Result<_, _>>()?))
    }

    /// No keys at all: nothing that is typed detaches.
    pub fn none() -> DetachKeys {
        DetachKeys(Vec::new())
    }
}

fn key_code(key: &str) -> Option<u8> {
    if let [code] = key.as_bytes() {
        return Some(*code);
    }
    if key == "DEL" {
        return Some(127);
    }
    match key.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(sign - b'@'),
        _ => None,
    }
}

/// Finds the keys in a stream. Bytes that might begin them are held back until it is clear.
#[derive(Debug, Clone)]
pub struct Finder {
    keys: DetachKeys,
    held: usize,
}

impl Finder {
    /// Nothing has been typed yet.
    pub fn new(keys: DetachKeys) -> Finder {
        Finder { keys, held: 0 }
    }

    /// Adds to `passed` what of `typed` goes on to the container, and says whether the keys came:
    /// then what follows them is nobody's.
    pub fn pass(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        let keys = &self.keys.0;
        if keys.is_empty() {
            passed.extend_from_slice(typed);
            return false;
        }
        for byte in typed {
            if *byte != keys[self.held] {
                passed.extend_from_slice(&keys[..self.held]);
                self.held = 0;
            }
            match *byte == keys[self.held] {
                true => self.held += 1,
                false => passed.push(*byte),
            }
            if self.held == keys.len() {
                self.held = 0;
                return true;
            }
        }
        false
    }

    /// What was held back when the stream ended.
    pub fn finish(&mut self) -> &[u8] {
        let held = std::mem::take(&mut self.held);
        &self.keys.0[..held]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_dockers_names() {
        for (text, codes) in [
            ("", &[16, 17][..]),
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("a", b"a"),
            (
                "ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL",
                &[0, 1, 26, 27, 28, 29, 30, 31, 127],
            ),
            ("ctrl-x,x,X", &[24, b'x', b'X']),
        ] {
            assert_eq!(DetachKeys::parse(text), Ok(DetachKeys(codes.to_vec())), "{text}");
        }
        for (text, key) in [
            ("ctrl-xx", "ctrl-xx"),
            ("a,,b", ""),
            ("ctrl-A", "ctrl-A"),
            ("ctrl-é", "ctrl-é"),
            ("é", "é"),
            ("del", "del"),
            ("a,", ""),
        ] {
            let error = DetachKeys::parse(text).unwrap_err().to_string();
            let expected =
                format!("Invalid detach keys ({text}) provided: Unknown character: '{key}'");
            assert_eq!(error, expected);
        }
    }

    #[track_caller]
    fn check(keys: &str, typed: &[&str], passed: &str, found: bool) {
        let mut finder = Finder::new(DetachKeys::parse(keys).unwrap());
        let mut out = Vec::new();
        let came = typed.iter().any(|part| finder.pass(part.as_bytes(), &mut out));
        if !came {
            out.extend_from_slice(finder.finish());
        }
        assert_eq!((String::from_utf8(out).unwrap().as_str(), came), (passed, found));
    }

    #[test]
    fn finds_the_keys_and_nothing_else() {
        check("a,b", &["xab", "y"], "x", true);
        check("a,b", &["xa", "by"], "x", true);
        check("a,b", &["aab"], "a", true);
        check("a,b", &["acb", "a"], "acba", false);
        check("", &["\x10", "x\x10\x10", "\x11z"], "\x10x\x10", true);
    }

    proptest! {
        #[test]
        fn what_does_not_detach_passes_unchanged(
            parts in proptest::collection::vec("[ab]{0,4}", 0..6)
        ) {
            let mut finder = Finder::new(DetachKeys::parse("a,b,z").unwrap());
            let mut out = Vec::new();
            for part in &parts {
                prop_assert!(!finder.pass(part.as_bytes(), &mut out));
            }
            out.extend_from_slice(finder.finish());
            prop_assert_eq!(String::from_utf8(out).unwrap(), parts.concat());
        }
    }
}
