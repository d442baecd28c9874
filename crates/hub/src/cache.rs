//! Manifests that were read lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use spec::Digest;

/// Bytes by digest, within a limit: two generations, of which the older is dropped when the younger
/// is half of it. What is used again becomes young again.
pub(crate) struct Recent {
    limit_bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Arc<[u8]>>,
    old: HashMap<Digest, Arc<[u8]>>,
    young_bytes: usize,
}

impl Recent {
    pub(crate) fn new(limit_bytes: usize) -> Recent {
        Recent { limit_bytes, generations: Mutex::default() }
    }

    /// The bytes, if they are still known.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = generations.young.get(digest) {
            return Some(bytes.clone());
        }
        let bytes = generations.old.remove(digest)?;
        generations.put(*digest, bytes.clone(), self.limit_bytes);
        Some(bytes)
    }

    /// Remembers bytes.
    pub(crate) fn put(&self, digest: Digest, bytes: Arc<[u8]>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.put(digest, bytes, self.limit_bytes);
    }
}

impl Generations {
    fn put(&mut self, digest: Digest, bytes: Arc<[u8]>, limit_bytes: usize) {
        // What an entry costs beside its bytes.
        const OVERHEAD_BYTES: usize = 128;
        self.young_bytes += bytes.len() + OVERHEAD_BYTES;
        self.young.insert(digest, bytes);
        if self.young_bytes > limit_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_nobody_asked_for() {
        let recent = Recent::new(10_000);
        let put = |text: &str| {
            let digest = Digest::of(text.as_bytes());
            recent.put(digest, vec![0; 1000].into());
            digest
        };
        let used = put("used");
        let unused = put("unused");
        for number in 0..20 {
            put(&number.to_string());
            assert!(recent.get(&used).is_some(), "{number}");
        }
        assert!(recent.get(&unused).is_none());
    }
}
