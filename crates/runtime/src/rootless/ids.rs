//! The ids that an ordinary user may give to others: his own, and those that root has lent him.

use std::path::Path;

use spec::bundle::IdMapping;

/// What a user's namespace maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ids {
    /// Users.
    pub users: Vec<IdMapping>,
    /// Groups.
    pub groups: Vec<IdMapping>,
}

impl Ids {
    /// The ids that this machine lends the user of this process.
    pub fn of_host() -> Ids {
        let read = |path: &str| sys::read::text(Path::new(path)).unwrap_or_default();
        let (user, group) = (sys::host::user_id(), sys::host::group_id());
        let name = name_of(&read("/etc/passwd"), user);
        let (users, groups) = (read("/etc/subuid"), read("/etc/subgid"));
        Ids::lent(user, group, &name, &users, &groups)
    }

    /// The ids that this machine lends a user and a group for others' sake, from the first on; none
    /// where it lends none.
    pub fn lent_to(user: &str, group: &str) -> Ids {
        let read = |path: &str| sys::read::text(Path::new(path)).unwrap_or_default();
        let of = |path: &str, name: &str, number: Option<u32>| {
            let mut lent = ranges(&read(path), name, number.unwrap_or(u32::MAX));
            lent.sort_unstable();
            from(0, lent)
        };
        let accounts = read("/etc/passwd");
        let number = user.parse().ok().or_else(|| number_of(&accounts, user));
        let name = match user.parse() {
            Ok(number) => name_of(&accounts, number),
            Err(_) => user.to_owned(),
        };
        let users = of("/etc/subuid", &name, number);
        let groups = match of("/etc/subgid", group, None) {
            // They are lent to the user, as a rule.
            none if none.is_empty() => of("/etc/subgid", &name, number),
            some => some,
        };
        Ids { users, groups }
    }

    /// The user's own id alone, which takes nobody's leave: inside, it is root.
    pub fn single(user: u32, group: u32) -> Ids {
        Ids { users: vec![own(user)], groups: vec![own(group)] }
    }

    /// The user's own user and group.
    pub fn own(&self) -> (u32, u32) {
        let first = |list: &[IdMapping]| list.first().map_or(0, |map| map.host_id);
        (first(&self.users), first(&self.groups))
    }

    /// Root is the user; the ids from 1 on are those that were lent, in their order. Where users or
    /// groups are missing there is one of each.
    fn lent(user: u32, group: u32, name: &str, users: &str, groups: &str) -> Ids {
        let (more_users, more_groups) = (ranges(users, name, user), ranges(groups, name, user));
        if more_users.is_empty() || more_groups.is_empty() {
            return Ids::single(user, group);
        }
        Ids { users: below(own(user), more_users), groups: below(own(group), more_groups) }
    }
}

fn own(id: u32) -> IdMapping {
    IdMapping { container_id: 0, host_id: id, size: 1 }
}

fn below(own: IdMapping, ranges: Vec<(u32, u32)>) -> Vec<IdMapping> {
    std::iter::once(own).chain(from(1, ranges)).collect()
}

/// Maps ids from `next` on to ranges, one after the other.
fn from(mut next: u32, ranges: Vec<(u32, u32)>) -> Vec<IdMapping> {
    let mut list = Vec::new();
    for (first, count) in ranges {
        let count = count.min(u32::MAX - next);
        list.push(IdMapping { container_id: next, host_id: first, size: count });
        next += count;
    }
    list
}

/// The ranges of a user in a file of lines `name or id:first:count`.
fn ranges(text: &str, name: &str, user: u32) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let mut parts = line.trim().split(':');
        let (whose, first, count) = (parts.next()?, parts.next()?, parts.next()?);
        let is_own = !name.is_empty() && whose == name || whose.parse() == Ok(user);
        let range = (first.parse().ok()?, count.parse().ok()?);
        (is_own && range.1 > 0).then_some(range)
    };
    text.lines().filter_map(line).collect()
}

/// The number of a user in a file of accounts.
fn number_of(accounts: &str, name: &str) -> Option<u32> {
    let mut lines = accounts.lines().map(|line| line.split(':'));
    lines.find_map(|mut parts| (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok())?)
}

/// The name of a user in a file of accounts.
fn name_of(accounts: &str, user: u32) -> String {
    let is_meant = |line: &&str| line.split(':').nth(2).is_some_and(|id| id.parse() == Ok(user));
    let line = accounts.lines().find(is_meant);
    line.and_then(|line| line.split(':').next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n";

    #[track_caller]
    fn check(users: &str, groups: &str, wanted: &[(u32, u32, u32)]) {
        let ids = Ids::lent(1000, 1001, &name_of(PASSWD, 1000), users, groups);
        let all: Vec<_> =
            ids.users.iter().map(|map| (map.container_id, map.host_id, map.size)).collect();
        assert_eq!(all, wanted);
        assert_eq!(ids.groups.first(), Some(&own(1001)));
        assert_eq!(ids.groups.len() == 1, wanted.len() == 1);
    }

    #[test]
    fn what_was_lent_follows_the_user_himself() {
        let own = (0, 1000, 1);
        check("ann:100000:65536\n", "ann:100000:65536\n", &[own, (1, 100_000, 65536)]);
        check("bob:1:9\nann:7:2\n1000:20:3\n", "ann:7:1\n", &[own, (1, 7, 2), (3, 20, 3)]);
        // Names of nobody, numbers that are none, and users without groups lend nothing.
        check("bob:100000:65536\n:5:5\nann:x:9\nann:9:0\n", "ann:1:1\n", &[own]);
        check("ann:100000:65536\n", "", &[own]);
    }
}
