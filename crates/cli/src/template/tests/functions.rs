//! Go's own functions.

use super::{check, check_error};

#[test]
fn prints() {
    check("{{and 1 2 3}} {{and 1 0 3}} {{and .Up .Missing}}", "3 0 <no value>");
    check("{{or 0 \"\" \"x\"}} {{or 0 \"\"}}| {{or .Missing .Name}}", "x | web");
    check("{{and .Nothing .Nothing.X.Y}}", "<no value>");
    check("{{or 1 (index .Names 99)}}", "1");
    check("{{and 1 2 | print}} {{3 | and 1 2}} {{3 | or 0}}", "2 3 3");
    check("{{not 0}} {{not \"x\"}} {{not .Missing}} {{not .Labels}}", "true false true false");
    check(
        "{{len .Name}} {{len .Names}} {{len .Labels}} {{len \"é\"}} {{len .NoList}}",
        "3 2 2 2 0",
    );
    check("{{index .Names 1}} {{index .Labels \"a\"}} {{index \"abc\" 1}}", "db/web one 98");
    check("{{index .State \"Pid\"}} {{index .State \"Log\" 1 \"Code\"}}", "41 1");
    check(
        "[{{index .Labels \"zzz\"}}] [{{index .State \"zzz\"}}] [{{index .NoLabels \"x\"}}]",
        "[] [<no value>] []",
    );
    check("{{index .Names}}", "[web db/web]");
    check("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
    check(
        "{{slice .Name 1}} {{slice .Name 1 2}} {{slice .Names 1}} {{slice \"abc\"}}",
        "eb e [db/web] abc",
    );
    check("{{slice .Mixed 1 3}} {{slice .Names 0 1 2}} {{slice .Names 2}}", "[x <nil>] [web] []");
    check(
        "{{print 1 2 \"x\" 3 4}} {{print \"a\" \"b\"}} {{print}}{{print nil .Up}}",
        "1 2x3 4 ab <nil> true",
    );
    check("{{println 1 \"x\"}}|{{println}}|", "1 x\n|\n|");
    check("{{html .Text}}", "a&lt;b&gt; &amp; &#34;c&#34; &#39;d&#39; \\ é\n");
    check(
        "{{js .Text}} {{js \"=\\x01\\u2028\"}}",
        "a\\u003Cb\\u003E \\u0026 \\\"c\\\" \\'d\\' \\\\ é\\u000A \\u003D\\u0001\\u2028",
    );
    check("{{urlquery \"a b&c=d/é~\"}}", "a+b%26c%3Dd%2F%C3%A9~");
    check(
        "{{html 1 2 \"<\"}} {{html .Missing}} {{urlquery .Names}}",
        "1 2&lt; &lt;no value&gt; %5Bweb+db%2Fweb%5D",
    );
    check("{{\"<i>\" | html | js}}", "\\u0026lt;i\\u0026gt;");
    check(
        "{{eq 1 1}} {{eq 1 2}} {{eq \"a\" \"b\" \"a\"}} {{eq .Up true}} {{eq 1.5 1.5}}",
        "true false true true true",
    );
    check("{{ne 1 2}} {{ne \"a\" \"a\"}}", "true false");
    check(
        "{{lt 1 2}} {{le 2 2}} {{gt 2 1}} {{ge 1 2}} {{lt \"a\" \"b\"}} {{lt 1.5 2.5}}",
        "true true true false true true",
    );
    check(
        "{{eq .Nothing nil}} {{eq .Missing nil}} {{eq .Name nil}} {{eq .Labels nil}}",
        "true true false false",
    );
    check("{{ne .State.Status \"exited\"}}", "true");
    check("{{eq (len .Names) 2}}", "true");
    check("{{.Names | len | printf \"%03d\"}}", "002");
    check("{{print .Nothing .Missing}}", "<nil> <nil>");
    check("{{printf \"%s\" (print 1 2)}}", "1 2");
    check("{{\"x\" | printf \"%s%s\" \"y\"}}", "yx");
    check("{{print (1) (\"x\")}}", "1x");
    check("{{len (printf \"%5s\" \"x\")}}", "5");
}

#[test]
fn refuses() {
    check_error(
        "{{len 3}}",
        "template: :1:2: executing \"\" at <len 3>: error calling len: len of type int",
    );
    check_error(
        "{{len nil}}",
        "template: :1:2: executing \"\" at <len nil>: error calling len: reflect: call of reflect.Value.Type on zero Value",
    );
    check_error(
        "{{len .Nothing}}",
        "template: :1:2: executing \"\" at <len .Nothing>: error calling len: len of nil pointer",
    );
    check_error(
        "{{index .Names 2}}",
        "template: :1:2: executing \"\" at <index .Names 2>: error calling index: reflect: slice index out of range",
    );
    check_error(
        "{{index .Names 3}}",
        "template: :1:2: executing \"\" at <index .Names 3>: error calling index: index out of range: 3",
    );
    check_error(
        "{{index .Names -1}}",
        "template: :1:2: executing \"\" at <index .Names -1>: error calling index: index out of range: -1",
    );
    check_error(
        "{{index .Names \"a\"}}",
        "template: :1:2: executing \"\" at <index .Names \"a\">: error calling index: cannot index slice/array with type string",
    );
    check_error(
        "{{index .Labels 1}}",
        "template: :1:2: executing \"\" at <index .Labels 1>: error calling index: value has type int; should be string",
    );
    check_error(
        "{{index .Labels nil}}",
        "template: :1:2: executing \"\" at <index .Labels nil>: error calling index: value is nil; should be of type string",
    );
    check_error(
        "{{index nil 1}}",
        "template: :1:2: executing \"\" at <index nil 1>: error calling index: index of untyped nil",
    );
    check_error(
        "{{index .Size 1}}",
        "template: :1:2: executing \"\" at <index .Size 1>: error calling index: can't index item of type int",
    );
    check_error(
        "{{index .State \"Health\" \"X\"}}",
        "template: :1:2: executing \"\" at <index .State \"Health\" \"X\">: error calling index: index of nil pointer",
    );
    check_error(
        "{{slice .Name 2 1}}",
        "template: :1:2: executing \"\" at <slice .Name 2 1>: error calling slice: invalid slice index: 2 > 1",
    );
    check_error(
        "{{slice .Name 9}}",
        "template: :1:2: executing \"\" at <slice .Name 9>: error calling slice: index out of range: 9",
    );
    check_error(
        "{{slice .Name 0 1 2}}",
        "template: :1:2: executing \"\" at <slice .Name 0 1 2>: error calling slice: cannot 3-index slice a string",
    );
    check_error(
        "{{slice .Names 1 2 3 4 5}}",
        "template: :1:2: executing \"\" at <slice .Names 1 2 3 4 5>: error calling slice: too many slice indexes: 5",
    );
    check_error(
        "{{slice .Labels 1}}",
        "template: :1:2: executing \"\" at <slice .Labels 1>: error calling slice: can't slice item of type map[string]string",
    );
    check_error(
        "{{slice nil}}",
        "template: :1:2: executing \"\" at <slice nil>: error calling slice: slice of untyped nil",
    );
    check_error(
        "{{eq 1}}",
        "template: :1:2: executing \"\" at <eq 1>: error calling eq: missing argument for comparison",
    );
    check_error(
        "{{eq .Labels .Labels}}",
        "template: :1:2: executing \"\" at <eq .Labels .Labels>: error calling eq: non-comparable type map[a:one b:two]: map[string]string",
    );
    check_error(
        "{{eq .Labels .Names}}",
        "template: :1:2: executing \"\" at <eq .Labels .Names>: error calling eq: non-comparable types map[a:one b:two]: map[string]string, []string: [web db/web]",
    );
    check_error(
        "{{lt true false}}",
        "template: :1:2: executing \"\" at <lt true false>: error calling lt: invalid type for comparison",
    );
    check_error(
        "{{lt .Names .Names}}",
        "template: :1:2: executing \"\" at <lt .Names .Names>: error calling lt: invalid type for comparison",
    );
    check_error(
        "{{lt nil 1}}",
        "template: :1:2: executing \"\" at <lt nil 1>: error calling lt: invalid type for comparison",
    );
    check_error(
        "{{not}}",
        "template: :1:2: executing \"\" at <not>: wrong number of args for not: want 1 got 0",
    );
    check_error(
        "{{not 1 2}}",
        "template: :1:2: executing \"\" at <not>: wrong number of args for not: want 1 got 2",
    );
    check_error(
        "{{and}}",
        "template: :1:2: executing \"\" at <and>: wrong number of args for and: want at least 1 got 0",
    );
    check_error(
        "{{ne 1 2 3}}",
        "template: :1:2: executing \"\" at <ne>: wrong number of args for ne: want 2 got 3",
    );
    check_error(
        "{{call 1}}",
        "template: :1:2: executing \"\" at <call 1>: error calling call: non-function 1 of type int",
    );
    check_error(
        "{{call .Name 2}}",
        "template: :1:2: executing \"\" at <call .Name 2>: error calling call: non-function .Name of type string",
    );
    check_error(
        "{{call nil}}",
        "template: :1:2: executing \"\" at <call nil>: error calling call: call of nil",
    );
    check_error(
        "{{.Name | call}}",
        "template: :1:10: executing \"\" at <call>: error calling call: non-function web of type string",
    );
    check_error(
        "{{printf}}",
        "template: :1:2: executing \"\" at <printf>: wrong number of args for printf: want at least 1 got 0",
    );
    check_error("{{printf 3}}", "template: :1:9: executing \"\" at <3>: expected string; found 3");
    check_error(
        "{{printf .Size}}",
        "template: :1:9: executing \"\" at <.Size>: wrong type for value; expected string; got int",
    );
    check_error(
        "{{printf nil}}",
        "template: :1:9: executing \"\" at <nil>: cannot assign nil to string",
    );
    check_error(
        "{{printf .Missing}}",
        "template: :1:9: executing \"\" at <.Missing>: invalid value; expected string",
    );
    check_error(
        "{{print (len 3)}}",
        "template: :1:9: executing \"\" at <len 3>: error calling len: len of type int",
    );
    check_error(
        "{{.Size | printf}}",
        "template: :1:10: executing \"\" at <printf>: wrong type for value; expected string; got int",
    );
    check_error(
        "{{slice .Names 0 2 1}}",
        "template: :1:2: executing \"\" at <slice .Names 0 2 1>: error calling slice: invalid slice index: 2 > 1",
    );
}
