//! Names and values in queries and forms.

use crate::secret::Secret;

/// Names and values as forms and queries have them.
pub(crate) struct Form(Secret);

impl Default for Form {
    fn default() -> Form {
        Form(Secret::new(""))
    }
}

impl Form {
    /// Adds a value that is not empty.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let joint = if self.0.expose().is_empty() { "" } else { "&" };
        self.0 = Secret::new(format!("{}{joint}{name}={}", self.0.expose(), encode(value)));
    }

    /// All of it, as it is sent.
    pub(crate) fn text(&self) -> &str {
        self.0.expose()
    }
}

/// A value in a query: letters, digits and a few signs stay, the rest is `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(
            encode("repository:a/b:pull,push é"),
            "repository%3Aa%2Fb%3Apull%2Cpush%20%C3%A9"
        );
        let mut form = Form::default();
        form.add("a", "1");
        form.add("b", "");
        form.add("c", "x y");
        assert_eq!(form.text(), "a=1&c=x%20y");
    }
}
