//! Places by folder and name, for as long as a tree grows.

/// The end of a chain.
const NONE: u32 = u32::MAX;
/// So many chains there are at the least; their number is a power of two.
const LEAST_CHAINS: usize = 64;
/// So many places there are for each chain when their number doubles.
const CHAIN: usize = 2;

/// A hash table of chains over numbers that count from 0. It takes four bytes for each place and
/// two to four for its share of the chains, and grows without a second copy of itself: a layer may
/// have a million places.
#[derive(Default)]
pub(super) struct ByName {
    /// The newest place of each chain.
    heads: Vec<u32>,
    /// The place behind each place in its chain.
    behind: Vec<u32>,
}

impl ByName {
    /// What one place takes, at most.
    pub(super) const MEMORY: usize = 8;

    /// The place with this hash that is meant.
    pub(super) fn find(&self, hash: u64, is_meant: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = *self.heads.get(self.chain(hash)).unwrap_or(&NONE);
        while at != NONE {
            if is_meant(at) {
                return Some(at);
            }
            at = self.behind[at as usize];
        }
        None
    }

    /// Adds the place with the next number. `hash_of` tells the hash of any place, this one
    /// included; nothing of one that is not to be found.
    pub(super) fn push(&mut self, hash_of: impl Fn(u32) -> Option<u64>) {
        let id = self.behind.len() as u32;
        self.behind.push(NONE);
        if self.behind.len() <= self.heads.len() * CHAIN {
            return self.link(id, hash_of(id));
        }
        let chains = (self.heads.len() * 2).max(LEAST_CHAINS);
        // The old ones go before the new ones come.
        self.heads = Vec::new();
        self.heads = vec![NONE; chains];
        (0..=id).for_each(|id| self.link(id, hash_of(id)));
    }

    /// Takes a place out.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        let chain = self.chain(hash);
        let rest = self.behind[id as usize];
        let Some(mut at) = self.heads.get(chain).copied() else { return };
        if at == id {
            self.heads[chain] = rest;
            return;
        }
        while at != NONE && self.behind[at as usize] != id {
            at = self.behind[at as usize];
        }
        if at != NONE {
            self.behind[at as usize] = rest;
        }
    }

    fn link(&mut self, id: u32, hash: Option<u64>) {
        let Some(hash) = hash else { return };
        let chain = self.chain(hash);
        self.behind[id as usize] = std::mem::replace(&mut self.heads[chain], id);
    }

    fn chain(&self, hash: u64) -> usize {
        hash as usize & self.heads.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few hashes, so that chains are long.
    fn hash(id: u32) -> Option<u64> {
        (id != 0).then_some(u64::from(id % 37))
    }

    #[test]
    fn finds_what_was_put_in_and_not_taken_out() {
        let mut table = ByName::default();
        assert_eq!(table.find(7, |_| true), None);
        for id in 0..1000 {
            table.push(hash);
            if id % 3 == 1 {
                table.remove(hash(id).unwrap(), id);
            }
        }
        // What was taken out has a hash all the same, as long as the table does not grow.
        let grown_at = (table.heads.len() * CHAIN / 2) as u32;
        for id in 1..1000 {
            let found = table.find(hash(id).unwrap(), |other| other == id);
            assert_eq!(found, (id % 3 != 1 || id < grown_at).then_some(id), "{id}");
        }
        assert_eq!(table.find(0, |id| id == 0), None);
    }
}
