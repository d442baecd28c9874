//! A map of which there are many versions, each a little more than the one before: copies share what
//! they have in common, and a change costs about the same however much is in the map.
//!
//! A thousand `ENV` lines make a thousand environments, and each must stay as it was for the steps
//! that see it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by name. Nothing is ever taken out.
///
/// It is a pile of tables, each smaller than the one below it. A new entry is a table of its own on
/// top, and takes in those below that are no bigger than it has grown. So there are few tables, and
/// an entry moves only when its table at least doubles.
#[derive(Debug, Clone)]
pub struct Shared<V> {
    tables: Vec<Arc<Table<V>>>,
    count: usize,
}

type Table<V> = BTreeMap<Arc<str>, V>;

impl<V> Default for Shared<V> {
    fn default() -> Shared<V> {
        Shared { tables: Vec::new(), count: 0 }
    }
}

impl<V: Clone> Shared<V> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.tables.iter().rev().find_map(|table| table.get(name))
    }

    /// How many names have a value.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Gives a name a value.
    pub fn set(&mut self, name: &str, value: V) {
        self.count += usize::from(self.get(name).is_none());
        let mut top = Table::from([(Arc::from(name), value)]);
        while let Some(below) = self.tables.pop_if(|below| below.len() <= top.len()) {
            let mut both = Arc::unwrap_or_clone(below);
            both.append(&mut top);
            top = both;
        }
        self.tables.push(Arc::new(top));
    }

    /// All of it, by name.
    pub fn entries(&self) -> BTreeMap<&str, &V> {
        let all = self.tables.iter().flat_map(|table| table.iter());
        all.map(|(name, value)| (&**name, value)).collect()
    }

    /// What an earlier version of it did not have, or had otherwise. What both share is not looked at.
    pub fn since<'a>(&'a self, before: &'a Shared<V>) -> impl Iterator<Item = (&'a str, &'a V)>
    where
        V: PartialEq,
    {
        let is_shared =
            |table: &&Arc<Table<V>>| before.tables.iter().any(|known| Arc::ptr_eq(known, table));
        let new = self.tables.iter().filter(move |table| !is_shared(table));
        let names = new.flat_map(|table| table.keys());
        let changed = names.filter_map(|name| {
            let value = self.get(name)?;
            (before.get(name) != Some(value)).then_some((&**name, value))
        });
        changed.collect::<BTreeMap<_, _>>().into_iter()
    }
}

impl<V: Clone + PartialEq> PartialEq for Shared<V> {
    fn eq(&self, other: &Shared<V>) -> bool {
        self.count == other.count && self.entries() == other.entries()
    }
}

impl<V: Clone + Eq> Eq for Shared<V> {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Counts how often it is copied.
    #[derive(Debug)]
    struct Counted(usize, Rc<Cell<usize>>);

    impl Clone for Counted {
        fn clone(&self) -> Counted {
            self.1.set(self.1.get() + 1);
            Counted(self.0, self.1.clone())
        }
    }

    #[test]
    fn versions_stay_as_they_were() {
        let mut versions = vec![Shared::default()];
        for at in 0..100 {
            let mut next = versions[at].clone();
            // Half of the names are set twice.
            next.set(&(at % 75).to_string(), at);
            versions.push(next);
        }
        for (at, version) in versions.iter().enumerate() {
            let mut wanted = BTreeMap::new();
            wanted.extend((0..at).map(|at| ((at % 75).to_string(), at)));
            let wanted: BTreeMap<&str, &usize> =
                wanted.iter().map(|(name, value)| (name.as_str(), value)).collect();
            assert_eq!((version.entries(), version.count()), (wanted.clone(), wanted.len()));
            for (name, value) in wanted {
                assert_eq!(version.get(name), Some(value));
            }
            assert_eq!(version.get("75"), None);
        }
        let since = |from: usize, to: usize| versions[to].since(&versions[from]).count();
        assert_eq!((since(3, 4), since(3, 75), since(0, 100), since(74, 78)), (1, 72, 75, 4));
    }

    #[test]
    fn what_is_set_again_to_the_same_is_no_change() {
        let mut one = Shared::default();
        one.set("a", 1);
        let mut other = one.clone();
        other.set("a", 1);
        assert_eq!((other.since(&one).count(), one == other), (0, true));
        other.set("a", 2);
        assert_eq!((other.since(&one).collect::<Vec<_>>(), one == other), (vec![("a", &2)], false));
    }

    #[test]
    fn many_versions_cost_little_more_than_one() {
        let copies = |count: usize| {
            let copied = Rc::new(Cell::new(0));
            let mut versions = vec![Shared::default()];
            for at in 0..count {
                let mut next = versions[at].clone();
                next.set(&at.to_string(), Counted(at, copied.clone()));
                versions.push(next);
            }
            let last = &versions[count];
            assert!(last.tables.len() <= 12, "{} tables", last.tables.len());
            assert_eq!(last.get("7").map(|value| value.0), Some(7));
            copied.get()
        };
        // Each entry moves once for each time its table doubles.
        assert!(copies(1000) <= 1000 * 10, "{}", copies(1000));
        assert!(copies(2000) <= 2000 * 11, "{}", copies(2000));
    }
}
