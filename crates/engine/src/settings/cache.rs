//! How much of what builds remember stays.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;
use crate::build::{KeepCache, PruneCache};

/// `[build-cache]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CacheTable {
    pub(super) collect: Option<bool>,
    pub(super) rules: Option<Vec<CacheRuleTable>>,
}

/// `[[build-cache.rules]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CacheRuleTable {
    pub(super) all: bool,
    pub(super) keep_duration: Option<String>,
    pub(super) reserved_space: Option<String>,
    pub(super) max_used_space: Option<String>,
    pub(super) min_free_space: Option<String>,
}

/// What is let go after builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Followed one after the other; none if nothing goes by itself.
    pub rules: Vec<CacheRule>,
}

/// One rule about what goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheRule {
    /// Also what images have.
    pub all: bool,
    /// Only what was of no use for so long.
    pub keep_duration: Option<Duration>,
    /// So much stays.
    pub reserved: Option<Space>,
    /// No more than this stays.
    pub max_used: Option<Space>,
    /// So much is to be free.
    pub min_free: Option<Space>,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Bytes(u64),
    /// So much of all that the disk has.
    Percent(u8),
}

impl Default for CacheSettings {
    /// What nobody used for two months goes, as far as it is more than a tenth of the disk; and what
    /// is more than half of the disk, or leaves less than a tenth of it free.
    fn default() -> CacheSettings {
        let reserved = Some(Space::Percent(10));
        let old = CacheRule {
            keep_duration: Some(Duration::from_secs(60 * 24 * 60 * 60)),
            reserved,
            ..CacheRule::default()
        };
        let (max_used, min_free) = (Some(Space::Percent(50)), Some(Space::Percent(10)));
        let much = CacheRule { reserved, max_used, min_free, ..CacheRule::default() };
        CacheSettings { rules: vec![old, much] }
    }
}

impl CacheSettings {
    pub(super) fn gather(table: CacheTable) -> Result<CacheSettings, SettingsError> {
        if table.collect == Some(false) {
            return Ok(CacheSettings { rules: Vec::new() });
        }
        let Some(rules) = table.rules else { return Ok(CacheSettings::default()) };
        let rules = rules.into_iter().map(CacheRule::read).collect::<Result<_, _>>()?;
        Ok(CacheSettings { rules })
    }
}

impl CacheRule {
    fn read(table: CacheRuleTable) -> Result<CacheRule, SettingsError> {
        let wrong = |name: &str, text: &str, what: &str| {
            SettingsError::Value(format!("build-cache.rules: {name}: {text:?} is no {what}"))
        };
        let space = |name: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            text.parse().map(Some).map_err(|()| wrong(name, text, "size"))
        };
        let time = |text: &String| {
            let nanos = spec::parse_go_duration(text).ok();
            let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok());
            let nanos = nanos.ok_or_else(|| wrong("keep-duration", text, "time"));
            nanos.map(Duration::from_nanos)
        };
        Ok(CacheRule {
            all: table.all,
            keep_duration: table.keep_duration.as_ref().map(time).transpose()?,
            reserved: space("reserved-space", &table.reserved_space)?,
            max_used: space("max-used-space", &table.max_used_space)?,
            min_free: space("min-free-space", &table.min_free_space)?,
        })
    }

    /// What it means on a disk of so many bytes.
    pub(crate) fn on_disk(&self, disk: u64) -> PruneCache {
        let bytes = |space: Option<Space>| space.map(|space| space.bytes(disk));
        let keep = KeepCache {
            reserved: bytes(self.reserved),
            max_used: bytes(self.max_used),
            min_free: bytes(self.min_free),
        };
        PruneCache { all: self.all, until: self.keep_duration, keep, ..PruneCache::default() }
    }
}

impl Space {
    fn bytes(self, disk: u64) -> u64 {
        match self {
            Space::Bytes(bytes) => bytes,
            Space::Percent(percent) => disk / 100 * u64::from(percent),
        }
    }
}

impl FromStr for Space {
    type Err = ();

    fn from_str(text: &str) -> Result<Space, ()> {
        if let Some(number) = text.strip_suffix('%') {
            let percent = number.trim().parse().ok().filter(|percent| *percent <= 100);
            return percent.map(Space::Percent).ok_or(());
        }
        let bytes = spec::parse_binary_size(text).map_err(|_| ())?;
        u64::try_from(bytes).map(Space::Bytes).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CacheSettings, SettingsError> {
        CacheSettings::gather(toml::from_str(text).unwrap())
    }

    #[test]
    fn rules_of_the_file_stand_in_for_the_usual_ones() {
        assert_eq!(read("").unwrap(), CacheSettings::default());
        assert!(read("collect = false").unwrap().rules.is_empty());
        let text = "[[rules]]\nall = true\nkeep-duration = '48h'\nmax-used-space = '10g'\nmin-free-space = '20%'";
        let request = read(text).unwrap().rules[0].on_disk(1000);
        let keep = KeepCache { reserved: None, max_used: Some(10 << 30), min_free: Some(200) };
        let until = Some(Duration::from_secs(48 * 60 * 60));
        assert_eq!(request, PruneCache { all: true, until, keep, ..PruneCache::default() });
        for wrong in ["max-used-space = 'much'", "min-free-space = '101%'", "keep-duration = '1'"] {
            let error = read(&format!("[[rules]]\n{wrong}")).unwrap_err().to_string();
            assert!(error.starts_with("build-cache.rules: "), "{error}");
        }
    }
}
