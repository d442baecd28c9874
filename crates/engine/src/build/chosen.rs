//! Which of what builds remember is meant: `type=regular`, `shared`, `description~=apt`, `until=24h`.

use std::time::{Duration, SystemTime};

use regex_lite::Regex;
use spec::{parse_go_bool, parse_go_duration};

use super::prune::CacheRow;

/// What must hold of a record for it to be meant: all of it.
#[derive(Clone, Debug, Default)]
pub struct CacheFilter {
    unused: Option<Duration>,
    conditions: Vec<Condition>,
}

/// A filter that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter {0:?}")]
pub struct WrongCacheFilter(pub String);

#[derive(Clone, Debug)]
struct Condition {
    name: &'static str,
    sign: Sign,
    value: String,
    /// What the value means, if it is a pattern.
    pattern: Option<Regex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Is,
    IsNot,
    Matches,
}

/// How they are written; the longer ones first.
const SIGNS: [(&str, Sign); 4] =
    [("!=", Sign::IsNot), ("~=", Sign::Matches), ("==", Sign::Is), ("=", Sign::Is)];

impl CacheFilter {
    /// What records are chosen by, besides the time that they were of no use for.
    pub const FIELDS: [&str; 8] =
        ["id", "description", "type", "inuse", "mutable", "immutable", "shared", "private"];

    /// Reads conditions; a field alone means that it is true.
    pub fn read<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<CacheFilter, WrongCacheFilter> {
        let mut filter = CacheFilter::default();
        for text in texts {
            filter.add(text).ok_or_else(|| WrongCacheFilter(text.to_owned()))?;
        }
        Ok(filter)
    }

    /// Adds one condition, if it is one.
    fn add(&mut self, text: &str) -> Option<()> {
        let split = |(word, sign)| Some((text.split_once(word)?, sign));
        let ((name, value), sign) =
            SIGNS.into_iter().find_map(split).unwrap_or(((text, "true"), Sign::Is));
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        if matches!(name, "until" | "unused-for") && sign == Sign::Is {
            let nanos = u64::try_from(parse_go_duration(value).ok()?).ok()?;
            self.unused = self.unused.max(Some(Duration::from_nanos(nanos)));
            return Some(());
        }
        let name = CacheFilter::FIELDS.into_iter().find(|known| *known == name)?;
        let pattern = match sign {
            Sign::Matches => Some(Regex::new(value).ok()?),
            _ => None,
        };
        let value = match name {
            "id" | "description" | "type" => value.to_owned(),
            _ if pattern.is_some() => value.to_owned(),
            _ => parse_go_bool(value)?.to_string(),
        };
        self.conditions.push(Condition { name, sign, value, pattern });
        Some(())
    }

    /// How long a record must have been of no use.
    pub fn unused(&self) -> Option<Duration> {
        self.unused
    }

    /// Whether it means this record.
    pub fn holds(&self, row: &CacheRow) -> bool {
        self.unused.is_none_or(|least| row.idle() >= least)
            && self.conditions.iter().all(|condition| condition.holds(row))
    }
}

impl Condition {
    fn holds(&self, row: &CacheRow) -> bool {
        let own = match self.name {
            "id" => row.id.clone(),
            "description" => row.text.clone(),
            "type" => row.kind().to_owned(),
            "mutable" => row.is_mount().to_string(),
            "immutable" => (!row.is_mount()).to_string(),
            "shared" => row.shared.to_string(),
            "private" => (!row.shared).to_string(),
            _ => false.to_string(),
        };
        match &self.pattern {
            Some(pattern) => pattern.is_match(&own),
            None => (own == self.value) == (self.sign == Sign::Is),
        }
    }
}

impl PartialEq for CacheFilter {
    fn eq(&self, other: &CacheFilter) -> bool {
        self.unused == other.unused && self.conditions == other.conditions
    }
}

impl Eq for CacheFilter {}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        (self.name, self.sign, &self.value) == (other.name, other.sign, &other.value)
    }
}

impl CacheRow {
    /// Whether it is a cache mount, whose files may still change.
    pub fn is_mount(&self) -> bool {
        self.text.starts_with(super::prune::MOUNT)
    }

    /// BuildKit's word for what it is.
    pub fn kind(&self) -> &'static str {
        if self.is_mount() { "exec.cachemount" } else { "regular" }
    }

    /// How long it has been of no use.
    pub fn idle(&self) -> Duration {
        SystemTime::now().duration_since(self.used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> CacheRow {
        let (id, text) = ("abc".to_owned(), text.to_owned());
        let used = SystemTime::now() - Duration::from_secs(7200);
        CacheRow { id, text, bytes: 1_653_000_000, made: 1_700_000_000, used, shared: true }
    }

    #[test]
    fn records_are_chosen_by_what_they_are() {
        let holds = |text: &str, of: &str| CacheFilter::read([text]).unwrap().holds(&row(of));
        for yes in
            ["id=abc", "shared", "private=0", "description~=make", "type=regular", "until=1h"]
        {
            assert!(holds(yes, "RUN make"), "{yes}");
        }
        for no in ["id=ab", "shared=F", "type=exec.cachemount", "unused-for=3h", "mutable=true"] {
            assert!(!holds(no, "RUN make"), "{no}");
        }
        assert!(
            holds("type=exec.cachemount", "cache mount /root") && holds("mutable", "cache mount x")
        );
        for yes in ["description~=^RUN m.ke$", "description~=a|b", "shared~=^t", "id~=b"] {
            assert!(holds(yes, "RUN make"), "{yes}");
        }
        for no in ["description~=^make", "description~=RUN$", "id~=^b", "type==\"regula\""] {
            assert!(!holds(no, "RUN make"), "{no}");
        }
        assert!(holds("type!=exec.cachemount", "RUN") && holds("inuse=false", "RUN"));
        assert!(holds("type==\"regular\"", "RUN"));
        for wrong in ["color=red", "until=long", "shared=perhaps", "until~=1h", "id~=("] {
            assert_eq!(CacheFilter::read([wrong]), Err(WrongCacheFilter(wrong.to_owned())));
        }
        let both = CacheFilter::read(["shared", "type=exec.cachemount"]).unwrap();
        assert!(!both.holds(&row("RUN")) && both.holds(&row("cache mount x")));
        assert_eq!(both.unused(), None);
    }
}
