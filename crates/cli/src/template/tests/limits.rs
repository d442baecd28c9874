//! Nothing that is written into a template makes it hang, crash or fill the memory.

use proptest::prelude::*;

use super::super::{MissingKey, Value};
use super::{check_error, document, outcome};

#[track_caller]
fn check_refused(template: &str, why: &str) {
    let message = outcome(template, &document(), MissingKey::NoValue).unwrap_err();
    assert!(message.contains(why), "{template:.100}: {message:.300}");
}

#[test]
fn bounds_time() {
    check_refused("{{range 1000000000000}}{{end}}", "takes too long");
    check_refused("{{range 1000000000}}{{range 1000000000}}{{end}}{{end}}", "takes too long");
    check_refused(
        "{{$x := printf `%1000000d` 1}}{{range 1000000}}{{if eq $x $x}}{{end}}{{end}}",
        "takes too long",
    );
    check_refused("{{range 1000000}}{{$y := len (json $)}}{{end}}", "takes too long");
}

#[test]
fn bounds_size() {
    check_refused("{{range 1000000}}{{printf `%1000000d` 1}}{{end}}", "output exceeds");
    check_refused("{{$x := `x`}}{{range 64}}{{$x = print $x $x}}{{end}}", "takes too long");
    check_refused("{{pad `x` 1 99999999999}}", "text too large");
    let wide = format!("{{{{printf `{}` 1}}}}", "%1000000[1]d".repeat(70));
    check_refused(&wide, "text too large");
}

#[test]
fn bounds_depth() {
    check_refused(
        "{{define `r`}}{{template `r` .}}{{end}}{{template `r` .}}",
        "maximum template depth",
    );
    let nested = "{{if 1}}".repeat(100_000);
    check_refused(&nested, "nested deeper");
    let parens = format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000));
    check_refused(&parens, "nested deeper");
    let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000));
    check_refused(&chain, "nested deeper");
    let calls = "{{define `r`}}{{if 1}}{{with 1}}{{range 1}}{{print (print (print 1))}}\
                 {{template `r` .}}{{end}}{{end}}{{end}}{{end}}{{template `r` .}}";
    check_refused(calls, "maximum template depth");
    let deep = format!("{}x{}", "{{if 1}}".repeat(99), "{{end}}".repeat(99));
    assert_eq!(outcome(&deep, &Value::Nil, MissingKey::NoValue), Ok("x".into()));
    check_error("{{\u{202e}}}", "template: :1: unrecognized character in action: U+202E");
}

/// Pieces that are likely to mean something side by side.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "(",
    ")",
    "|",
    " ",
    ".",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "\"",
    "`",
    "'",
    ".Name",
    ".Mixed",
    ".Missing.X",
    ".State",
    "if ",
    "else",
    "else if ",
    "end",
    "range ",
    "with ",
    "define \"t\"",
    "template \"t\" ",
    "block \"t\" .",
    "break",
    "continue",
    "nil",
    "true",
    "0x",
    "1",
    "-1",
    "1.5e3",
    "9223372036854775808",
    "'x'",
    "\"%d %[2]*.*v\"",
    "\"%08.3f%#x%+q\"",
    "printf ",
    "print ",
    "html ",
    "index ",
    "slice ",
    "len ",
    "eq ",
    "lt ",
    "and ",
    "or ",
    "call ",
    "json ",
    "split ",
    "join ",
    "pad ",
    "truncate ",
    "title ",
    "/*",
    "*/",
    "\n",
    "\\",
    "é",
    "\u{0}",
    "text",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn survives_any_text(text in any::<String>()) {
        let _ = outcome(&text, &document(), MissingKey::NoValue);
        let _ = outcome(&format!("{{{{{text}}}}}"), &document(), MissingKey::NoValue);
        let _ = outcome(&format!("{{{{printf {text:?} 1 `x` .Mixed}}}}"), &document(), MissingKey::Error);
    }

    #[test]
    fn survives_any_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        let _ = outcome(&text, &document(), MissingKey::NoValue);
        let _ = outcome(&format!("{{{{{text}}}}}"), &document(), MissingKey::NoValue);
    }

    #[test]
    fn survives_any_format(format in "(%[-+# 0]{0,2}[0-9*]{0,3}(\\[[0-9]\\])?(\\.[0-9*]{0,3})?[a-zA-Z%é]){1,4}", number: i64, float: f64) {
        let data = Value::Map([
            ("f".to_owned(), Value::from(format)),
            ("i".to_owned(), Value::Int(number)),
            ("g".to_owned(), Value::Float(float)),
        ].into());
        let printed = outcome("{{printf .f .i .g .i .g .}}", &data, MissingKey::Error);
        prop_assert!(printed.is_ok());
    }

    #[test]
    fn prints_floats_that_read_back(float: f64) {
        prop_assume!(float.is_finite());
        let data = Value::Float(float);
        for template in ["{{.}}", "{{json .}}", "{{printf `%e` .}}"] {
            let printed = outcome(template, &data, MissingKey::NoValue).unwrap();
            if !template.contains("%e") {
                prop_assert_eq!(printed.parse::<f64>().unwrap(), float);
            }
        }
    }
}
