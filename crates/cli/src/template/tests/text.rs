//! What stands around actions: blanks, comments, trim marks; and literals.

use super::{check, check_error};

#[test]
fn prints() {
    check("", "");
    check("plain", "plain");
    check("a{{/* note */}}b", "ab");
    check("a {{- /* note */ -}} b", "ab");
    check("a {{- \"x\" -}} b", "axb");
    check(" \n {{- \"x\"}} ", "x ");
    check("{{\"x\" -}} \n\t y", "xy");
    check("{{- \"x\" -}}", "x");
    check("a{{ \"x\" }}b", "axb");
    check("{{\"{{\"}}{{\"}}\"}}", "{{}}");
    check("}}", "}}");
    check("{ {", "{ {");
    check("{{`raw \\n {{text}}`}}", "raw \\n {{text}}");
    check("{{\"tab\\tquote\\\"end\"}}", "tab\tquote\"end");
    check("{{\"\\u00e9\\x41\\101\\U0001F600\"}}", "éAA😀");
    check("{{'a'}} {{'\\n'}} {{'é'}} {{'\\''}}", "97 10 233 39");
    check("{{12}} {{-12}} {{+12}}", "12 -12 12");
    check("{{0x1F}} {{0X1f}} {{0b101}} {{0o17}} {{017}} {{0}}", "31 31 5 15 15 0");
    check("{{1_000_000}} {{0x_ff}}", "1000000 255");
    check("{{1.5}} {{.5}} {{1e3}} {{1.5e-7}} {{0x1p4}} {{0x1.8p1}}", "1.5 0.5 1000 1.5e-07 16 3");
    check(
        "{{1e6}} {{1e20}} {{123456789.0}} {{100000.0}} {{0.0001}} {{0.00001}}",
        "1e+06 1e+20 1.23456789e+08 100000 0.0001 1e-05",
    );
    check("{{true}} {{false}}", "true false");
    check("{{-3 -}} x", "-3x");
    check("{{- 3 -}}", "3");
    check("{{\n\"x\"\n}}", "x");
    check(
        "{{9223372036854775807}} {{-9223372036854775808}}",
        "9223372036854775807 -9223372036854775808",
    );
}

#[test]
fn refuses() {
    check_error("{{-}}", "template: :1: illegal number syntax: \"-\"");
}
