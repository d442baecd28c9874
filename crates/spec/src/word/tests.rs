use proptest::prelude::*;

use super::*;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "A" => "1",
        "SPACED" => " two  words ",
        "EMPTY" => "",
        "FILE" => "/usr/lib/bar.tar.gz",
        "ECHO" => "foobarbarfoo",
        "\u{fc}" => "umlaut",
        _ => return None,
    };
    Some(value.to_owned())
}

#[track_caller]
fn one(word: &str, expected: &str) {
    assert_eq!(expand_word(word, '\\', &env).as_deref(), Ok(expected), "{word}");
}

#[track_caller]
fn many(word: &str, expected: &[&str]) {
    assert_eq!(expand_words(word, '\\', &env).unwrap(), expected, "{word}");
}

#[track_caller]
fn refuse(word: &str, words: &str) {
    assert_eq!(expand_word(word, '\\', &env).unwrap_err().to_string(), words, "{word}");
    assert!(expand_words(word, '\\', &env).is_err());
}

#[test]
fn documents_keep_their_quotes() {
    let document = |text: &str| expand_document(text, '\\', &env).unwrap();
    let text = "it's \"$A\"\n\t${FILE##*/} '${NO:-\"none\"}'$NO\n";
    assert_eq!(document(text), "it's \"1\"\n\tbar.tar.gz '\"none\"'\n");
    assert_eq!(document("\\$A \\n \\\\ $"), "$A n \\ $");
    assert!(expand_document("${A", '\\', &env).is_err());
}

#[test]
fn quotes_and_escapes() {
    one("'a $A'\" b $A\"\\$A", "a $A b 1$A");
    one("\"\\\"\\$\\\\\\n\"", "\"$\\\\n");
    one("a\\", "a");
    one("\\a\\ b", "a b");
    refuse("'a", "unexpected end of statement while looking for matching single-quote");
    refuse("\"a", "unexpected end of statement while looking for matching double-quote");
    refuse("\"a\\", "unexpected end of statement while looking for matching double-quote");
    assert_eq!(expand_word("`$A\\$A", '`', &env).unwrap(), "$A\\1");
}

#[test]
fn variables_and_modifiers() {
    one("$A-${A}-$NONE-${NONE}", "1-1--");
    one("$", "$");
    one("$.$A", "$.1");
    one("$12x$@x$\u{fc}", "xxumlaut");
    one("${NONE:-a$A}${NONE-b}${EMPTY:-c}${EMPTY-d}", "a1bc");
    one("${A:+a}${A+b}${EMPTY:+c}${EMPTY+d}${NONE+e}", "abd");
    one("${A?no}${EMPTY?no}", "1");
    refuse("${NONE?}", "NONE: not allowed to be unset");
    refuse("${EMPTY:?}", "EMPTY: not allowed to be empty");
    refuse("${NONE:?give it}", "NONE: give it");
    refuse("${A", "syntax error: missing '}'");
    refuse("${", "syntax error: missing '}'");
    refuse("${A:", "syntax error: missing '}'");
    refuse("${A:-b", "syntax error: missing '}'");
    refuse("${}", "syntax error: bad substitution");
    refuse("${A:=b}", "unsupported modifier (:=) in substitution");
    refuse("${A:#b}", "unsupported modifier (:#) in substitution");
    refuse("${A^}", "unsupported modifier (^) in substitution");
    refuse(&"${A:-".repeat(100_000), "substitutions are nested too deeply");
    one(&format!("{}x{}", "${N:-".repeat(60), "}".repeat(60)), "x");
}

#[test]
fn patterns() {
    one("${FILE#*/}", "usr/lib/bar.tar.gz");
    one("${FILE##*/}", "bar.tar.gz");
    one("${FILE%.*}", "/usr/lib/bar.tar");
    one("${FILE%%.*}", "/usr/lib/bar");
    one("${FILE%.?z}", "/usr/lib/bar.tar");
    one("${FILE#nothing}${FILE%}", "/usr/lib/bar.tar.gz/usr/lib/bar.tar.gz");
    one("${ECHO/bar/$A}", "foo1barfoo");
    one("${ECHO//bar/}", "foofoo");
    one("${ECHO//b*r/-}", "foo-foo");
    one("${ECHO//?/x}", "xxxxxxxxxxxx");
    one("${FILE//\\//-}", "-usr-lib-bar.tar.gz");
    one("${A//\\*/-}${A/\\?/-}", "11");
    one("${A//*/x}", "x");
    one("${A//**z/x}", "1");
    one("${A///-}", "-1-");
    one("${A/2/-}", "1");
    refuse("${A/b", "syntax error: missing '/' in ${}");
    refuse("${A/b/", "syntax error: missing '}'");
    assert!(expand_word("${A/b\\/c}", '`', &env).is_err());
}

#[test]
fn splits_where_no_quote_protects() {
    many(" a  b\tc ", &["a", "b", "c"]);
    many("x${SPACED}y", &["x", "two", "words", "y"]);
    many("\"$SPACED\"'a b'c d", &[" two  words a bc", "d"]);
    many("a\\ b", &["a b"]);
    many("''", &[]);
    many("a b${NONE:-c d}e", &["a", "c", "de"]);
}

#[test]
fn agrees_with_the_vectors() {
    let Some(rows) = crate::vectors::rows("word.tsv") else {
        return;
    };
    for row in &rows {
        let escape = row[0].chars().next().unwrap();
        let env: Vec<String> = serde_json::from_str(&row[1]).unwrap();
        let lookup = |name: &str| {
            let pair = env.iter().filter_map(|pair| pair.split_once('='));
            pair.rev().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let word: String = serde_json::from_str(&row[2]).unwrap();
        let one = expand_word(&word, escape, &lookup);
        let one = one.map_or("err".into(), |word| serde_json::to_string(&word).unwrap());
        let many = expand_words(&word, escape, &lookup);
        let many = many.map_or("err".into(), |words| serde_json::to_string(&words).unwrap());
        assert_eq!(row[3..], [one, many], "{word}");
    }
    assert!(rows.len() > 100);
}

proptest! {
    #[test]
    fn takes_any_text(word in "\\PC{0,20}|[$A{}:#%/?*'\"\\\\+ -]{0,24}") {
        let one = expand_word(&word, '\\', &env);
        let many = expand_words(&word, '\\', &env);
        prop_assert_eq!(one.is_ok(), many.is_ok());
    }
}
