//! What a registry says in `WWW-Authenticate`: how it wants to be told who asks.

use std::collections::BTreeMap;

/// One way to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a server that the registry trusts.
    Bearer {
        /// The server's address.
        realm: String,
        /// What the registry calls itself there.
        service: String,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// Reads the ways that a header offers; those we do not know are left out.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (scheme, after) = rest.split_at(end);
        let (parameters, after) = read_parameters(after.trim_start_matches([' ', ',']));
        rest = after;
        let get = |name: &str| parameters.get(name).cloned();
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            let service = get("service").unwrap_or_default();
            found.push(Challenge::Bearer { realm, service, scope: get("scope") });
        }
    }
    found
}

/// `name="value", name=value …`; ends where the next scheme begins.
fn read_parameters(mut text: &str) -> (BTreeMap<String, String>, &str) {
    let mut parameters = BTreeMap::new();
    loop {
        let Some(end) = text.find(['=', ' ', ',']).filter(|end| text.as_bytes()[*end] == b'=')
        else {
            return (parameters, text);
        };
        let (name, value) = (&text[..end], &text[end + 1..]);
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted),
            None => {
                let end = value.find([',', ' ']).unwrap_or(value.len());
                (value[..end].to_owned(), &value[end..])
            }
        };
        parameters.insert(name.to_ascii_lowercase(), value);
        text = after.trim_start_matches([' ', ',']);
    }
}

/// A quoted text, with its opening quote gone.
fn read_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: Option<&str>) -> Challenge {
        let scope = scope.map(str::to_owned);
        Challenge::Bearer { realm: realm.to_owned(), service: service.to_owned(), scope }
    }

    #[test]
    fn reads_what_registries_send() {
        assert_eq!(parse("Basic realm=\"Registry\""), [Challenge::Basic]);
        let header =
            "Bearer realm=\"https://a.io/token\",service=\"r\",scope=\"repository:a:pull,push\"";
        let expected = bearer("https://a.io/token", "r", Some("repository:a:pull,push"));
        assert_eq!(parse(header), [expected]);
        let both = "Negotiate, Bearer realm=x, Basic realm=\"a \\\"b\\\"\"";
        assert_eq!(parse(both), [bearer("x", "", None), Challenge::Basic]);
    }

    #[test]
    fn survives_nonsense() {
        for text in
            ["", "Bearer", "Bearer realm=\"", "=,=,\"", "Bearer service=x", "   ,,  ", "é=é"]
        {
            assert!(parse(text).len() <= 1, "{text}");
        }
    }
}
