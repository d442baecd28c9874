//! JSON laid out anew as Go's `json.Indent` does it: texts and numbers stay as they were written, and
//! so does the order of names.

/// A document on lines of its own, with `indent` for each level. What is no JSON stays no JSON.
pub(crate) fn laid_out(text: &str, indent: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut is_empty, mut in_text, mut is_escaped) = (0_usize, false, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
    };
    for char in text.chars() {
        if in_text {
            out.push(char);
            in_text = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        if char.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(char, '}' | ']');
        if is_empty && !closes {
            depth += 1;
            line(&mut out, depth);
        } else if !is_empty && closes {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        }
        is_empty = matches!(char, '{' | '[');
        in_text = char == '"';
        out.push(char);
        match char {
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

/// The same document with what means something in HTML written otherwise, as Go writes it.
pub(crate) fn for_html(text: &str) -> String {
    let special = ['<', '>', '&', '\u{2028}', '\u{2029}'];
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match special.contains(&char) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(laid_out(text, " "), expected, "{text}");
    }

    #[test]
    fn texts_and_numbers_stay_as_they_were() {
        check("{}", "{}");
        check(" [ ] ", "[]");
        check("1.50e1", "1.50e1");
        check(r#"{"b":[1,{ }],"a":"x"}"#, "{\n \"b\": [\n  1,\n  {}\n ],\n \"a\": \"x\"\n}");
        check(r#"["\u00e9 , {\" : \\","é"]"#, "[\n \"\\u00e9 , {\\\" : \\\\\",\n \"é\"\n]");
        check("[[]]", "[\n []\n]");
    }

    #[test]
    fn what_means_something_in_html_is_written_otherwise() {
        assert_eq!(for_html("\"<é&>\u{2028}\""), r#""\u003cé\u0026\u003e\u2028""#);
    }
}
