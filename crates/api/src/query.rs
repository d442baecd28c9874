//! The parameters of a request's address, as docker reads them.

use crate::refusal::Refusal;

/// Parameters in their order; a name may come more than once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark.
    pub(crate) fn parse(text: &str) -> Result<Query, Refusal> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            if part.contains(';') {
                return Err(Refusal::bad("invalid semicolon separator in query"));
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let read = |text: &str| decode(text, true).map_err(Refusal::bad);
            Ok((read(name)?, read(value)?))
        };
        Ok(Query(parts.map(pair).collect::<Result<_, _>>()?))
    }

    /// With further parameters, which come after these.
    pub(crate) fn and(mut self, others: Query) -> Query {
        self.0.extend(others.0);
        self
    }

    /// The first value of a name; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The first value of a name, if it is not empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether a name is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All values of a name.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let own = self.0.iter().filter(|(known, _)| known == name);
        own.map(|(_, value)| value.clone()).collect()
    }

    /// Whether something is wanted: whatever is not one of docker's words for no.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let text = self.text(name).trim().to_lowercase();
        !matches!(text.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The same where nothing is said.
    pub(crate) fn flag_or(&self, name: &str, otherwise: bool) -> bool {
        if self.has(name) { self.flag(name) } else { otherwise }
    }

    /// A number; none where nothing is said.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.given(name) else { return Ok(None) };
        let wrong = || Refusal::bad(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(|_| wrong())
    }
}

/// Resolves `%41`, and in a query `+`; says in Go's words what is no such escape.
pub(crate) fn decode(text: &str, plus: bool) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let digit = |at: usize| (*bytes.get(at)? as char).to_digit(16);
                let Some((high, low)) = digit(at + 1).zip(digit(at + 2)) else {
                    let wrong = &bytes[at..bytes.len().min(at + 3)];
                    let wrong = String::from_utf8_lossy(wrong);
                    return Err(format!("invalid URL escape {wrong:?}"));
                };
                decoded.push((high * 16 + low) as u8);
                at += 2;
            }
            b'+' if plus => decoded.push(b' '),
            byte => decoded.push(*byte),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_others_refused() {
        let query = Query::parse("a=1&b=x%2Fy+z&c&a=2&=").unwrap();
        assert_eq!(query.text("a"), "1");
        assert_eq!(query.list("a"), ["1", "2"]);
        assert_eq!(query.text("b"), "x/y z");
        assert!(query.has("c") && query.given("c").is_none());
        assert_eq!(decode("a+b%20c%C3%A9", false).unwrap(), "a+b c\u{e9}");
        let refused = |text| Query::parse(text).unwrap_err();
        assert_eq!(refused("d=%zz"), Refusal::bad("invalid URL escape \"%zz\""));
        assert_eq!(refused("%4=d"), Refusal::bad("invalid URL escape \"%4\""));
        assert_eq!(refused("d=%+1"), Refusal::bad("invalid URL escape \"%+1\""));
        assert_eq!(refused("a=1;b=2"), Refusal::bad("invalid semicolon separator in query"));
        assert!(decode("%\u{e9}", false).is_err());
        let both = Query::parse("a=form").unwrap().and(query);
        assert_eq!(both.list("a"), ["form", "1", "2"]);
    }

    #[test]
    fn docker_has_many_words_for_no() {
        for no in ["", "0", "no", "False", " none "] {
            let query = Query(vec![("x".to_owned(), no.to_owned())]);
            assert!(!query.flag("x"), "{no:?}");
        }
        let query = |text| Query::parse(text).unwrap();
        assert!(query("x=1").flag("x") && query("x=what").flag("x"));
        assert!(Query::default().flag_or("x", true) && !query("x=0").flag_or("x", true));
        assert_eq!(query("n=7").number("n"), Ok(Some(7_i64)));
        assert!(query("n=7a").number::<i64>("n").is_err());
    }
}
