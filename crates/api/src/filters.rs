//! Filters, in both forms that clients write: `{"label": ["a"]}` and `{"label": {"a": true}}`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::query::Query;
use crate::refusal::Refusal;

/// Values by the name of a filter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// Those of a request.
    pub(crate) fn of(query: &Query) -> Result<Filters, Refusal> {
        match query.given("filters") {
            Some(text) => Filters::parse(text),
            None => Ok(Filters::default()),
        }
    }

    fn parse(text: &str) -> Result<Filters, Refusal> {
        let read: BTreeMap<String, Values> = serde_json::from_str(text)
            .map_err(|error| Refusal::bad(format!("invalid filter: {error}")))?;
        let values = |values| match values {
            Values::List(list) => list,
            Values::Set(set) => {
                set.into_iter().filter(|(_, wanted)| *wanted).map(|(value, _)| value).collect()
            }
        };
        Ok(Filters(read.into_iter().map(|(name, own)| (name, values(own))).collect()))
    }

    /// As the command line writes them: `name=value`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(name, values): (&String, &Vec<String>)| {
            values.iter().map(|value| format!("{name}={value}")).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(line).collect()
    }

    /// Fails at a name that is none of these.
    pub(crate) fn check(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Refusal::bad(format!("invalid filter '{name}'"))),
            None => Ok(()),
        }
    }

    /// The values of a name.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A filter that is true or false.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let values = self.values(name);
        match values {
            [] => Ok(None),
            [text] if matches!(text.as_str(), "1" | "true" | "t" | "True" | "TRUE") => {
                Ok(Some(true))
            }
            [text] if matches!(text.as_str(), "0" | "false" | "f" | "False" | "FALSE") => {
                Ok(Some(false))
            }
            _ => Err(Refusal::bad(format!("invalid filter '{name}={values:?}'"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let list = Filters::parse(r#"{"label":["a","b=c"],"status":["exited"]}"#).unwrap();
        let set =
            Filters::parse(r#"{"label":{"a":true,"b=c":true,"x":false},"status":{"exited":true}}"#);
        assert_eq!(set.unwrap(), list);
        assert_eq!(list.lines(), ["label=a", "label=b=c", "status=exited"]);
        assert_eq!(list.values("none"), [""; 0]);
        assert!(list.check(&["label"]).is_err_and(|refusal| refusal.status == 400));
        assert!(Filters::parse("[1]").is_err() && Filters::parse("{\"a\":3}").is_err());
    }
}
