//! Who a container's process is: names looked up in the container's own files, never the host's.

use spec::bundle::User;

use crate::error::{EngineError, Result};

/// The users and groups of a root file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    users: Vec<Account>,
    groups: Vec<Group>,
}

/// A user that was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Account {
    /// Its name; empty if only a number is known.
    pub(super) name: String,
    /// Its numbers.
    pub(super) user: User,
    /// Its own folder.
    pub(super) home: String,
}

#[derive(Debug, Clone)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group`. Lines that are none are passed over.
    pub(in crate::container) fn parse(passwd: &str, group: &str) -> Accounts {
        let user = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            Some(Account {
                name: fields[0].to_owned(),
                user: User { uid, gid, ..User::default() },
                home: fields.get(5).copied().unwrap_or_default().to_owned(),
            })
        };
        let group_of = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3).copied().unwrap_or_default();
            let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned);
            let gid = fields.get(2)?.parse().ok()?;
            Some(Group { name: fields[0].to_owned(), gid, members: members.collect() })
        };
        let lines = |text: &str| -> Vec<String> {
            let said = |line: &&str| !line.is_empty() && !line.starts_with('#');
            text.lines().map(str::trim).filter(said).map(str::to_owned).collect()
        };
        Accounts {
            users: lines(passwd).iter().filter_map(|line| user(line)).collect(),
            groups: lines(group).iter().filter_map(|line| group_of(line)).collect(),
        }
    }

    /// The numbers of whom `--user` means.
    pub(in crate::container) fn numbers(&self, text: &str) -> Result<(u32, u32)> {
        self.find(text).map(|account| (account.user.uid, account.user.gid))
    }

    /// The user that `--user` means: `name|uid[:group|gid]`, or nothing for the first of all.
    pub(super) fn find(&self, text: &str) -> Result<Account> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
            None => (text, None),
        };
        let mut account = self.user(name)?;
        if let Some(group) = group {
            account.user.gid = self.group(group)?;
            // Who names a group wants that one, not those that the account is in.
            account.name.clear();
        }
        if account.home.is_empty() {
            account.home = "/".to_owned();
        }
        Ok(account)
    }

    fn user(&self, name: &str) -> Result<Account> {
        let number = if name.is_empty() { Some(0) } else { name.parse::<u32>().ok() };
        let known = self
            .users
            .iter()
            .find(|user| user.name == name || number.is_some_and(|number| user.user.uid == number));
        match (known, number) {
            (Some(account), _) => Ok(account.clone()),
            (None, Some(uid)) => {
                check_range(uid)?;
                let home = if uid == 0 { "/root" } else { "/" };
                let user = User { uid, ..User::default() };
                Ok(Account { name: String::new(), user, home: home.to_owned() })
            }
            _ => Err(EngineError::Start(format!(
                "unable to find user {name}: no matching entries in passwd file"
            ))),
        }
    }

    fn group(&self, name: &str) -> Result<u32> {
        let known = self.groups.iter().find(|group| group.name == name).map(|group| group.gid);
        match (known, name.parse::<u32>()) {
            (Some(gid), _) => Ok(gid),
            (None, Ok(gid)) => check_range(gid).map(|()| gid),
            (None, Err(_)) => Err(EngineError::Start(format!(
                "unable to find group {name}: no matching entries in group file"
            ))),
        }
    }

    /// The numbers of a user that has this name.
    pub(crate) fn owner(&self, name: &str) -> Option<(u32, u32)> {
        let known = self.users.iter().find(|user| user.name == name)?;
        Some((known.user.uid, known.user.gid))
    }

    /// The number of a group that has this name.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// The further groups of a user: those that name it, and those asked for.
    pub(super) fn groups(&self, user: &str, added: Option<&[String]>) -> Result<Vec<u32>> {
        let named =
            |group: &&Group| !user.is_empty() && group.members.iter().any(|member| member == user);
        let mut list: Vec<u32> = self.groups.iter().filter(named).map(|group| group.gid).collect();
        for name in added.unwrap_or_default() {
            list.push(self.group(name)?);
        }
        let mut seen = Vec::new();
        list.retain(|gid| {
            !seen.contains(gid) && {
                seen.push(*gid);
                true
            }
        });
        Ok(list)
    }
}

/// Numbers that no file of accounts knows are taken up to where signed ones end.
fn check_range(number: u32) -> Result<()> {
    match i32::try_from(number) {
        Ok(_) => Ok(()),
        Err(_) => Err(EngineError::Start(format!("uids and gids must be in range 0-{}", i32::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a note\nweb:x:33:34::/srv:\nbroken:line\n";
        Accounts::parse(passwd, "root:x:0:\nwww:x:34:\ndisk:x:6:web,root\naudio:x:29:web\n")
    }

    #[test]
    fn users_are_found_in_the_containers_files() {
        let check = |text: &str, expected: (u32, u32), home: &str| {
            let found = accounts().find(text).unwrap();
            assert_eq!((found.user.uid, found.user.gid), expected, "{text}");
            assert_eq!(found.home, home, "{text}");
        };
        check("", (0, 0), "/root");
        check("web", (33, 34), "/srv");
        check("33", (33, 34), "/srv");
        check("web:disk", (33, 6), "/srv");
        check("web:77", (33, 77), "/srv");
        check("1000:1000", (1000, 1000), "/");
        check("1000", (1000, 0), "/");
    }

    #[test]
    fn unknown_names_fail_in_dockers_words() {
        let said = |text: &str| accounts().find(text).unwrap_err().to_string();
        assert!(
            said("nobody").contains("unable to find user nobody: no matching entries in passwd")
        );
        assert!(
            said("web:what").contains("unable to find group what: no matching entries in group")
        );
        assert!(said("3000000000").contains("uids and gids must be in range 0-2147483647"));
        assert!(said("web:3000000000").contains("uids and gids must be in range"));
    }

    #[test]
    fn further_groups_are_those_that_name_the_user_and_those_asked_for() {
        let added = ["www".to_owned(), "5".to_owned(), "6".to_owned()];
        assert_eq!(accounts().groups("web", Some(&added)).unwrap(), [6, 29, 34, 5]);
        assert_eq!(accounts().groups("", None).unwrap(), [0u32; 0]);
    }
}
