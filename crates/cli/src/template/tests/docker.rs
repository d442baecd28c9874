//! The functions of docker's `--format`.

use super::{check, check_error};

#[test]
fn prints() {
    check(
        "{{json .Name}} {{json .Size}} {{json .Ratio}} {{json .Nothing}} {{json .Missing}} {{json .Up}}",
        "\"web\" 1536 0.25 null null true",
    );
    check("{{json .Text}}", "\"a<b> & \\\"c\\\" 'd' \\\\ é\\n\"");
    check(
        "{{json .State}}",
        "{\"Health\":null,\"Log\":[{\"Code\":0},{\"Code\":1}],\"Pid\":41,\"Status\":\"running\"}",
    );
    check(
        "{{json .Labels}}{{json .NoList}}{{json .Mixed}}",
        "{\"a\":\"one\",\"b\":\"two\"}[][1,\"x\",null,true,2.5,[\"y\"]]",
    );
    check("{{json \"<>&\\u2028\\x01\\x7f\\b\\f\"}}", "\"<>&\\u2028\\u0001\u{7f}\\b\\f\"");
    check(
        "{{json .Huge}} {{json 1e20}} {{json 1e-7}} {{json 0.000001}} {{json 1.0}}",
        "1e+21 100000000000000000000 1e-7 0.000001 1",
    );
    check(
        "{{.State | json}}",
        "{\"Health\":null,\"Log\":[{\"Code\":0},{\"Code\":1}],\"Pid\":41,\"Status\":\"running\"}",
    );
    check(
        "{{split \"a,b,c\" \",\"}} {{len (split \"a,b\" \",\")}} {{split \"héy\" \"\"}} {{split \"\" \",\"}}",
        "[a b c] 2 [h é y] []",
    );
    check("{{join .Names \", \"}} {{join .NoList \",\"}}| {{join nil \",\"}}|", "web, db/web | |");
    check("{{join (split \"a-b-c\" \"-\") \"+\"}}", "a+b+c");
    check("{{\",\" | join .Names}}", "web,db/web");
    check("{{title \"hello wORLD foo-bar a_b it's ßx\"}}", "Hello WORLD Foo-Bar A_b It'S ßx");
    check("{{upper \"héßx\"}} {{lower \"HÉLLO\"}} {{.Name | upper}}", "HÉßX héllo WEB");
    check("{{title \"ǆa აა\"}} {{upper \"ǆა\"}} {{lower \"İΣ\"}}", "ǅa აა ǄᲐ iσ");
    check("[{{pad \"x\" 2 3}}] [{{pad \"\" 2 3}}] [{{pad .Name 0 1}}]", "[  x   ] [] [web ]");
    check("{{pad \"x\" 1.0 0}}|{{pad \"x\" '\\x01' 0}}", " x| x");
    check(
        "{{truncate \"abcdef\" 2}} {{truncate \"ab\" 5}} {{truncate \"ab\" 2}} [{{truncate \"ab\" 0}}]",
        "ab ab ab []",
    );
    check("{{range split \"x y\" \" \"}}<{{.}}>{{end}}", "<x><y>");
    check("{{range $k, $v := .Labels}}{{upper $k}}={{json $v}};{{end}}", "A=\"one\";B=\"two\";");
}

#[test]
fn refuses() {
    check_error(
        "{{json}}",
        "template: :1:2: executing \"\" at <json>: wrong number of args for json: want 1 got 0",
    );
    check_error(
        "{{json 1 2}}",
        "template: :1:2: executing \"\" at <json>: wrong number of args for json: want 1 got 2",
    );
    check_error(
        "{{split \"a\"}}",
        "template: :1:2: executing \"\" at <split>: wrong number of args for split: want 2 got 1",
    );
    check_error(
        "{{split 1 \",\"}}",
        "template: :1:8: executing \"\" at <1>: expected string; found 1",
    );
    check_error(
        "{{split .Size \",\"}}",
        "template: :1:8: executing \"\" at <.Size>: wrong type for value; expected string; got int",
    );
    check_error(
        "{{split nil \",\"}}",
        "template: :1:8: executing \"\" at <nil>: cannot assign nil to string",
    );
    check_error(
        "{{split .Missing \",\"}}",
        "template: :1:8: executing \"\" at <.Missing>: invalid value; expected string",
    );
    check_error(
        "{{join .Name \",\"}}",
        "template: :1:7: executing \"\" at <.Name>: wrong type for value; expected []string; got string",
    );
    check_error(
        "{{join \"a\" \",\"}}",
        "template: :1:7: executing \"\" at <\"a\">: can't handle \"a\" for arg of type []string",
    );
    check_error(
        "{{join .Size \",\"}}",
        "template: :1:7: executing \"\" at <.Size>: wrong type for value; expected []string; got int",
    );
    check_error(
        "{{join .Mixed \",\"}}",
        "template: :1:7: executing \"\" at <.Mixed>: wrong type for value; expected []string; got []interface {}",
    );
    check_error(
        "{{upper .Size}}",
        "template: :1:8: executing \"\" at <.Size>: wrong type for value; expected string; got int",
    );
    check_error(
        "{{upper .Nothing}}",
        "template: :1:8: executing \"\" at <.Nothing>: wrong type for value; expected string; got interface {}",
    );
    check_error(
        "{{pad \"x\" -1 0}}",
        "template: :1:2: executing \"\" at <pad \"x\" -1 0>: error calling pad: strings: negative Repeat count",
    );
    check_error(
        "{{pad \"x\" \"y\" 0}}",
        "template: :1:10: executing \"\" at <\"y\">: expected integer; found \"y\"",
    );
    check_error(
        "{{pad \"x\" 1.5 0}}",
        "template: :1:10: executing \"\" at <1.5>: expected integer; found 1.5",
    );
    check_error(
        "{{pad \"x\" nil 0}}",
        "template: :1:10: executing \"\" at <nil>: cannot assign nil to int",
    );
    check_error(
        "{{truncate \"abc\" -1}}",
        "template: :1:2: executing \"\" at <truncate \"abc\" -1>: error calling truncate: runtime error: slice bounds out of range [:-1]",
    );
    check_error(
        "{{truncate .Name .Ratio}}",
        "template: :1:17: executing \"\" at <.Ratio>: wrong type for value; expected int; got float64",
    );
    check_error(
        "{{upper true}}",
        "template: :1:8: executing \"\" at <true>: expected string; found true",
    );
    check_error(
        "{{true | upper}}",
        "template: :1:9: executing \"\" at <upper>: wrong type for value; expected string; got bool",
    );
}
