//! The names of all places, one behind another.

/// So many names share one mark of where they start.
const GROUP: usize = 16;

/// Names by their numbers. Where one starts follows from the lengths of those before it: to keep
/// that for each of a million would take four times what its length takes.
#[derive(Default)]
pub(super) struct NameList {
    bytes: Vec<u8>,
    lengths: Vec<u8>,
    /// Where the first name of each group starts.
    starts: Vec<u32>,
}

impl NameList {
    /// What one name takes besides its letters, about.
    pub(super) const MEMORY: usize = 2;

    /// Adds a name, which gets the next number. None is longer than 255 bytes.
    pub(super) fn push(&mut self, name: &[u8]) {
        if self.lengths.len().is_multiple_of(GROUP) {
            self.starts.push(self.bytes.len() as u32);
        }
        self.lengths.push(name.len() as u8);
        self.bytes.extend(name);
    }

    /// The name with this number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let before = &self.lengths[number / GROUP * GROUP..number];
        let start =
            before.iter().fold(self.starts[number / GROUP], |at, length| at + u32::from(*length));
        &self.bytes[start as usize..][..usize::from(self.lengths[number])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_of_all_lengths() {
        let name = |number: usize| vec![number as u8; number * 7 % 256];
        let mut list = NameList::default();
        (0..1000).for_each(|number| list.push(&name(number)));
        for number in 0..1000 {
            assert_eq!(list.get(number as u32), name(number));
        }
    }
}
