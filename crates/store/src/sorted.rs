//! A map that is a sorted list: what a document of ours becomes in memory.
//!
//! Documents are read whole by every command, mostly to find one thing in them, and they are
//! written in order. Filling a tree from them costs a search for each entry and nodes half empty;
//! a list takes the entries as they come, side by side, and finds by halving.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, RangeFrom};
use std::{slice, vec};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Keys in order, each with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K: Ord, V> SortedMap<K, V> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| &self.entries[at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// Whether there is a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Gives a key a value, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Gives a key a value unless it has one.
    pub fn insert_new(&mut self, key: K, value: impl FnOnce() -> V) {
        if let Err(at) = self.place(&key) {
            self.entries.insert(at, (key, value()));
        }
    }

    /// Gives a key a value, or takes it out.
    pub fn set(&mut self, key: K, value: Option<V>) {
        match value {
            Some(value) => drop(self.insert(key, value)),
            None => drop(self.remove(&key)),
        }
    }

    /// Takes a key out, and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| self.entries.remove(at).1)
    }

    /// Keeps the entries for which this holds.
    pub fn retain(&mut self, mut wanted: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| wanted(key, value));
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.entries.iter().map(pair)
    }

    /// The entries from a key on.
    pub fn range(&self, from: RangeFrom<K>) -> Iter<'_, K, V> {
        let (Ok(first) | Err(first)) = self.place(&from.start);
        self.entries[first..].iter().map(pair)
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// The list itself.
    pub fn into_entries(self) -> Vec<(K, V)> {
        self.entries
    }

    /// Where a key stands, or where it would.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries.binary_search_by(|(own, _)| own.borrow().cmp(key))
    }
}

/// Entries as references to both parts.
pub(crate) type Iter<'a, K, V> =
    std::iter::Map<slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

fn pair<K, V>((key, value): &(K, V)) -> (&K, &V) {
    (key, value)
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> SortedMap<K, V> {
        SortedMap { entries: Vec::new() }
    }
}

impl<K: fmt::Debug + Ord, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> SortedMap<K, V> {
        let mut entries = Vec::from_iter(entries);
        // What we wrote is in order. Of two entries with one key the later one counts.
        if !entries.is_sorted_by(|one, next| one.0 < next.0) {
            entries.reverse();
            entries.sort_by(|one, next| one.0.cmp(&next.0));
            entries.dedup_by(|next, one| next.0 == one.0);
        }
        SortedMap { entries }
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    /// # Panics
    ///
    /// If there is no such key.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Reads entries one by one.
struct Entries<K, V>(PhantomData<(K, V)>);

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = SortedMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(SortedMap::from_iter(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn reads_what_is_out_of_order_and_twice() {
        let read: SortedMap<String, u8> =
            serde_json::from_str(r#"{"b":1,"a":2,"c":3,"b":4}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"a":2,"b":4,"c":3}"#);
        assert_eq!((read["b"], read.get("d")), (4, None));
        assert!(serde_json::from_str::<SortedMap<String, u8>>("[1]").is_err());
    }

    /// What may be done to a map.
    #[derive(Clone, Debug)]
    enum Deed {
        Insert(u8, u16),
        InsertNew(u8, u16),
        Remove(u8),
        Change(u8, u16),
        KeepBelow(u8),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            5 => any::<(u8, u16)>().prop_map(|(key, value)| Deed::Insert(key, value)),
            3 => any::<(u8, u16)>().prop_map(|(key, value)| Deed::InsertNew(key, value)),
            2 => any::<u8>().prop_map(Deed::Remove),
            2 => any::<(u8, u16)>().prop_map(|(key, value)| Deed::Change(key, value)),
            1 => (200_u8..).prop_map(Deed::KeepBelow),
        ];
        prop::collection::vec(deed, 0..200)
    }

    proptest! {
        #[test]
        fn is_a_map(deeds in deeds(), from in any::<u8>()) {
            let (mut own, mut tree) = (SortedMap::default(), BTreeMap::new());
            for deed in deeds {
                match deed {
                    Deed::Insert(key, value) => {
                        prop_assert_eq!(own.insert(key, value), tree.insert(key, value));
                    }
                    Deed::InsertNew(key, value) => {
                        own.insert_new(key, || value);
                        tree.entry(key).or_insert(value);
                    }
                    Deed::Remove(key) => prop_assert_eq!(own.remove(&key), tree.remove(&key)),
                    Deed::Change(key, value) => {
                        if let (Some(own), Some(tree)) = (own.get_mut(&key), tree.get_mut(&key)) {
                            (*own, *tree) = (value, value);
                        }
                    }
                    Deed::KeepBelow(limit) => {
                        own.retain(|key, _| *key < limit);
                        tree.retain(|key, _| *key < limit);
                    }
                }
            }
            prop_assert!(own.iter().eq(tree.iter()) && own.keys().eq(tree.keys()));
            prop_assert!(own.range(from..).eq(tree.range(from..)));
            prop_assert_eq!(own.contains_key(&from), tree.contains_key(&from));
            prop_assert_eq!((own.len(), own.is_empty()), (tree.len(), tree.is_empty()));
            let json = serde_json::to_string(&own).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&tree).unwrap());
            prop_assert_eq!(serde_json::from_str::<SortedMap<u8, u16>>(&json).unwrap(), own);
        }
    }
}
