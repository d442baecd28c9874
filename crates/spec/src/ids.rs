//! Digests with a meaning: of a layer's tar, of a stack of layers, of an image's configuration.
//!
//! They are types of their own so that none can be taken for another.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::json::read_from_string;

/// The digest of a layer's plain, uncompressed tar.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DiffId(pub Digest);

/// The digest of a stack of layers: of its diff ids, folded from the bottom up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId(pub Digest);

/// The digest of an image's configuration document, which is the image's own id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(pub Digest);

macro_rules! digest_with_meaning {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<$name, DigestError> {
                text.parse().map($name)
            }
        }

        read_from_string!($name);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }
    };
}

digest_with_meaning!(DiffId);
digest_with_meaning!(ChainId);
digest_with_meaning!(ImageId);

impl ChainId {
    /// The stack made by putting `top` on `below`.
    pub fn extend(below: Option<ChainId>, top: DiffId) -> ChainId {
        match below {
            None => ChainId(top.0),
            Some(below) => ChainId(Digest::of(format!("{} {}", below.0, top.0).as_bytes())),
        }
    }

    /// The whole stack, or nothing where there are no layers.
    pub fn of(diff_ids: &[DiffId]) -> Option<ChainId> {
        diff_ids.iter().fold(None, |below, top| Some(ChainId::extend(below, *top)))
    }

    /// The stack as it grows, bottom first: one chain id for each layer.
    pub fn chain(diff_ids: &[DiffId]) -> Vec<ChainId> {
        let mut below = None;
        let grow = |top: &DiffId| {
            let stack = ChainId::extend(below, *top);
            below = Some(stack);
            stack
        };
        diff_ids.iter().map(grow).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_layers_from_the_bottom() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| DiffId(Digest::of(bytes)));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[a]), Some(ChainId(a.0)));
        let two = ChainId(Digest::of(format!("{a} {b}").as_bytes()));
        assert_eq!(ChainId::of(&[a, b]), Some(two));
        let three = ChainId(Digest::of(format!("{two} {c}").as_bytes()));
        assert_eq!(ChainId::chain(&[a, b, c]), [ChainId(a.0), two, three]);
    }

    #[test]
    fn is_the_text_of_its_digest() {
        let id = ImageId(Digest::of(b""));
        assert_eq!(id.to_string(), id.0.to_string());
        assert_eq!(format!("{id:?}"), id.0.to_string());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("x".parse::<ChainId>(), Err(DigestError::Format));
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<ImageId>(&text).unwrap(), id);
    }
}
