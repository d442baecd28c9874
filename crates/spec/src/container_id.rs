//! The id of a container: 64 hexadecimal digits that nobody else has.

use std::fmt;
use std::str::FromStr;

use crate::json::string_on_the_wire;

/// The id of a container.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId([u8; 32]);

/// Why a text is no container's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a container's id has 64 hexadecimal digits")]
pub struct ContainerIdError;

impl ContainerId {
    /// The id that these random bytes make. Docker makes none whose first twelve digits are a
    /// decimal number, since that would be a bad host name; neither do we.
    pub fn of(mut bytes: [u8; 32]) -> ContainerId {
        let is_number = |byte: &u8| byte >> 4 < 10 && byte & 15 < 10;
        if bytes[..6].iter().all(is_number) {
            bytes[0] = 0xca;
        }
        ContainerId(bytes)
    }

    /// Its bytes, as random as they came.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits, as tables show it.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContainerId {
    type Err = ContainerIdError;

    fn from_str(text: &str) -> Result<ContainerId, ContainerIdError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(ContainerIdError);
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(ContainerIdError),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(ContainerId(bytes))
    }
}

string_on_the_wire!(ContainerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        let id = ContainerId::of([0xab; 32]);
        assert_eq!(id.to_string(), "ab".repeat(32));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short(), "abababababab");
        assert!("AB".repeat(32).parse::<ContainerId>().is_err());
        assert!("ab".parse::<ContainerId>().is_err());
    }

    #[test]
    fn no_id_begins_as_a_number() {
        let id = ContainerId::of([0x12; 32]);
        assert!(id.short().parse::<u64>().is_err(), "{id}");
    }
}
