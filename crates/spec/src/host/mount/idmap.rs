//! `idmap=uids=0-100000-65536#…;gids=…`: who a bind's files belong to inside.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::MountError;
use crate::bundle::IdMapping;

/// Users and groups of a bind's file system, and who they are in the mount.
/// Neither list is empty, and no map in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", try_from = "Told")]
pub struct IdMaps {
    users: Vec<IdMapping>,
    groups: Vec<IdMapping>,
}

/// As programs tell it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Told {
    users: Option<Vec<IdMapping>>,
    groups: Option<Vec<IdMapping>>,
}

impl TryFrom<Told> for IdMaps {
    type Error = MountError;

    fn try_from(told: Told) -> Result<IdMaps, MountError> {
        IdMaps::new(told.users.unwrap_or_default(), told.groups.unwrap_or_default())
    }
}

impl IdMaps {
    /// Maps of users and of groups. Where there are none of one, all of them stay as they are.
    pub fn new(users: Vec<IdMapping>, groups: Vec<IdMapping>) -> Result<IdMaps, MountError> {
        let or_same = |maps: Vec<IdMapping>| if maps.is_empty() { vec![SAME] } else { maps };
        let maps = IdMaps { users: or_same(users), groups: or_same(groups) };
        match maps.users.iter().chain(&maps.groups).any(|map| map.size == 0) {
            true => Err(MountError::Field(format!("invalid idmap {maps}: it maps no ids"))),
            false => Ok(maps),
        }
    }

    /// The maps among the words that a mount's mode has.
    pub fn of_mode(mode: &str) -> Result<Option<IdMaps>, MountError> {
        mode.split(',').find_map(|word| word.strip_prefix("idmap=")).map(parse).transpose()
    }

    /// Who the first user and the first group inside are outside, if there are such.
    pub fn root(&self) -> Option<(u32, u32)> {
        self.outside(0, 0)
    }

    /// Who a user and a group of those inside are outside, if anybody.
    pub fn outside(&self, user: u32, group: u32) -> Option<(u32, u32)> {
        let look = |maps: &[IdMapping], id: u32| {
            let map = maps.iter().find(|map| covers(map.container_id, map.size, id))?;
            Some(map.host_id + (id - map.container_id))
        };
        Some((look(&self.users, user)?, look(&self.groups, group)?))
    }

    /// Who a user and a group of those outside are inside: whoever is nobody there is called so.
    pub fn inside(&self, user: u32, group: u32) -> (u32, u32) {
        let look = |maps: &[IdMapping], id: u32| {
            let map = maps.iter().find(|map| covers(map.host_id, map.size, id));
            map.map_or(NOBODY, |map| map.container_id + (id - map.host_id))
        };
        (look(&self.users, user), look(&self.groups, group))
    }

    /// The maps of users, and those of groups.
    pub fn into_lists(self) -> (Vec<IdMapping>, Vec<IdMapping>) {
        (self.users, self.groups)
    }
}

/// As it is asked for.
impl fmt::Display for IdMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |maps: &[IdMapping]| {
            let one =
                |map: &IdMapping| format!("{}-{}-{}", map.container_id, map.host_id, map.size);
            maps.iter().map(one).collect::<Vec<_>>().join("#")
        };
        write!(f, "uids={};gids={}", list(&self.users), list(&self.groups))
    }
}

/// Who the kernel says that owns what belongs to nobody in a namespace.
const NOBODY: u32 = 65_534;

fn covers(first: u32, count: u32, id: u32) -> bool {
    id >= first && id - first < count
}

/// All ids as they are.
const SAME: IdMapping = IdMapping { container_id: 0, host_id: 0, size: u32::MAX };

/// Reads what podman's `idmap` says. For each of users and groups that is not spoken of, all stay as
/// they are.
pub(super) fn parse(text: &str) -> Result<IdMaps, MountError> {
    let wrong = |why: &str| MountError::Field(format!("invalid idmap {text:?}: {why}"));
    let mut maps = IdMaps { users: vec![SAME], groups: vec![SAME] };
    if text.is_empty() {
        return Err(wrong(
            "containers have the host's users, so it takes a map, as in idmap=uids=0-100000-65536;gids=0-100000-65536",
        ));
    }
    for part in text.split(';') {
        let list = match part.split_once('=') {
            Some(("uids", list)) => (&mut maps.users, list),
            Some(("gids", list)) => (&mut maps.groups, list),
            _ => return Err(wrong("expected uids=FILES-MOUNT-COUNT and gids=…")),
        };
        let read = list.1.split('#').map(mapping).collect::<Option<Vec<_>>>();
        *list.0 = read.ok_or_else(|| wrong("expected FILES-MOUNT-COUNT, three numbers"))?;
    }
    Ok(maps)
}

fn mapping(text: &str) -> Option<IdMapping> {
    let mut numbers = text.split('-').map(|number| number.parse::<u32>().ok());
    let mapping = IdMapping {
        container_id: numbers.next()??,
        host_id: numbers.next()??,
        size: numbers.next()?.filter(|count| *count > 0)?,
    };
    numbers.next().is_none().then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn maps_are_read_and_what_is_none_is_refused() {
        let maps = parse("uids=0-100000-10#10-5-1;gids=1-2-3").unwrap();
        assert_eq!(maps.users, [map(0, 100_000, 10), map(10, 5, 1)]);
        assert_eq!(maps.groups, [map(1, 2, 3)]);
        assert_eq!(maps.to_string(), "uids=0-100000-10#10-5-1;gids=1-2-3");
        assert_eq!(IdMaps::of_mode(&format!("ro,idmap={maps}")), Ok(Some(maps)));
        assert_eq!(IdMaps::of_mode("ro,z"), Ok(None));
        assert!(
            IdMaps::of_mode("ro,idmap=uids=0-1-1;gids=").is_err(),
            "not as if nothing was said"
        );
        assert_eq!(parse("gids=0-1-1").unwrap().users, [SAME]);
        for wrong in ["", "uids", "uids=", "uids=1-2", "uids=1-2-0", "uids=1-2-3-4", "x=0-1-1"] {
            let said = parse(wrong).unwrap_err().to_string();
            assert!(said.starts_with("invalid idmap"), "{said}");
        }
    }

    #[test]
    fn everybody_is_found_on_the_other_side_or_is_nobody() {
        let maps = IdMaps::new(vec![map(0, 100_000, 10), map(10, 5, 1)], vec![map(0, 200_000, 9)]);
        let maps = maps.unwrap();
        assert_eq!(maps.root(), Some((100_000, 200_000)));
        assert_eq!(maps.outside(10, 8), Some((5, 200_008)));
        assert_eq!((maps.outside(11, 0), maps.outside(0, 9)), (None, None));
        assert_eq!(maps.inside(100_009, 200_001), (9, 1));
        assert_eq!(maps.inside(5, 0), (10, NOBODY));
    }

    #[test]
    fn what_programs_tell_is_checked_too() {
        let told = |text: &str| serde_json::from_str::<IdMaps>(text);
        for missing in ["", r#", "Groups": null"#, r#", "Groups": []"#] {
            let users = r#""Users": [{"containerID": 0, "hostID": 100000, "size": 10}]"#;
            let maps = told(&format!("{{{users}{missing}}}")).unwrap();
            assert_eq!(
                (&maps.users[..], &maps.groups[..]),
                (&[map(0, 100_000, 10)][..], &[SAME][..])
            );
            assert_eq!(IdMaps::of_mode(&format!("idmap={maps}")), Ok(Some(maps)));
        }
        let none = r#"{"Groups": [{"containerID": 0, "hostID": 1, "size": 0}]}"#;
        let said = told(none).unwrap_err().to_string();
        assert!(said.contains("invalid idmap") && said.contains("maps no ids"), "{said}");
    }
}
