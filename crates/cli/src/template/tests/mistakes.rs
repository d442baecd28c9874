//! What is no template at all.

use super::check_error;

#[test]
fn refuses() {
    check_error("{{", "template: :1: unclosed action");
    check_error("{{.A", "template: :1: unclosed action");
    check_error("a\n{{.A", "template: :2: unclosed action");
    check_error("{{.A\n\n", "template: :3: unclosed action started at :1");
    check_error("{{\"abc", "template: :1: unterminated quoted string");
    check_error("{{`abc", "template: :1: unterminated raw quoted string");
    check_error("{{'a", "template: :1: unterminated character constant");
    check_error("{{'ab'}}", "template: :1: malformed character constant: 'ab'");
    check_error("{{/* x", "template: :1: unclosed comment");
    check_error("{{/* x */ }}", "template: :1: comment ends before closing delimiter");
    check_error("{{(.A}}", "template: :1: unclosed left paren");
    check_error("{{.A)}}", "template: :1: unexpected right paren");
    check_error("{{()}}", "template: :1: missing value for parenthesized pipeline");
    check_error("{{}}", "template: :1: missing value for command");
    check_error("{{if}}", "template: :1: missing value for if");
    check_error("{{range}}x{{end}}", "template: :1: missing value for range");
    check_error("{{if .A}}", "template: :1: unexpected EOF");
    check_error("{{range .A}}x", "template: :1: unexpected EOF");
    check_error("{{end}}", "template: :1: unexpected {{end}}");
    check_error("{{else}}", "template: :1: unexpected {{else}}");
    check_error("{{if 1}}{{else}}{{else}}{{end}}", "template: :1: expected end; found {{else}}");
    check_error("{{range 1}}{{else if 2}}{{end}}", "template: :1: unexpected <if> in input");
    check_error("{{with 1}}{{else if 2}}{{end}}", "template: :1: unexpected <if> in input");
    check_error("{{foo}}", "template: :1: function \"foo\" not defined");
    check_error("{{.A | foo}}", "template: :1: function \"foo\" not defined");
    check_error("{{foo.Bar}}", "template: :1: function \"foo\" not defined");
    check_error("{{$x}}", "template: :1: undefined variable \"$x\"");
    check_error("{{if $x := 1}}{{end}}{{$x}}", "template: :1: undefined variable \"$x\"");
    check_error("{{define \"t\"}}{{$x}}{{end}}", "template: :1: undefined variable \"$x\"");
    check_error(
        "{{$x := 1}}{{define \"t\"}}{{$x}}{{end}}",
        "template: :1: undefined variable \"$x\"",
    );
    check_error("{{$x, $y := 1}}", "template: :1: too many declarations in command");
    check_error("{{range $a, $b, $c := 1}}{{end}}", "template: :1: too many declarations in range");
    check_error("{{range $a, 1}}{{end}}", "template: :1: range can only initialize variables");
    check_error("{{1 | 2}}", "template: :1: non executable command in pipeline stage 2");
    check_error("{{.A | \"x\"}}", "template: :1: non executable command in pipeline stage 2");
    check_error("{{.A | .}}", "template: :1: non executable command in pipeline stage 2");
    check_error("{{.A..B}}", "template: :1: unexpected <.> in operand");
    check_error("{{\"a\".B}}", "template: :1: unexpected . after term \"\\\"a\\\"\"");
    check_error("{{1.A}}", "template: :1: bad number syntax: \"1.A\"");
    check_error("{{true.A}}", "template: :1: unexpected . after term \"true\"");
    check_error("{{nil.A}}", "template: :1: unexpected . after term \"nil\"");
    check_error("{{1a}}", "template: :1: bad number syntax: \"1a\"");
    check_error("{{0x}}", "template: :1: illegal number syntax: \"0x\"");
    check_error("{{08}}", "template: :1: integer overflow: \"08\"");
    check_error("{{1__0}}", "template: :1: illegal number syntax: \"1__0\"");
    check_error("{{1-2}}", "template: :1: bad number syntax: \"1-2\"");
    check_error(
        "{{18446744073709551616}}",
        "template: :1: integer overflow: \"18446744073709551616\"",
    );
    check_error("{{\"\\q\"}}", "template: :1: invalid syntax");
    check_error("{{@}}", "template: :1: unexpected \"@\" in command");
    check_error("{{.A!}}", "template: :1: bad character U+0021 '!'");
    check_error("{{☃}}", "template: :1: unrecognized character in action: U+2603 '☃'");
    check_error("{{\u{1}}}", "template: :1: unrecognized character in action: U+0001");
    check_error("{{:}}", "template: :1: expected :=");
    check_error("{{,}}", "template: :1: unexpected \",\" in command");
    check_error("{{.A,.B}}", "template: :1: unexpected \",\" in operand");
    check_error("{{.A\"x\"}}", "template: :1: bad character U+0022 '\"'");
    check_error("{{| .A}}", "template: :1: unexpected \"|\" in command");
    check_error("{{$x=1}}", "template: :1: bad character U+003D '='");
    check_error("{{break}}", "template: :1: {{break}} outside {{range}}");
    check_error("{{continue}}", "template: :1: {{continue}} outside {{range}}");
    check_error("{{range 1}}{{break 1}}{{end}}", "template: :1: unexpected \"1\" in {{break}}");
    check_error("{{end 1}}", "template: :1: unexpected \"1\" in end");
    check_error("{{template}}", "template: :1: unexpected \"}}\" in template clause");
    check_error("{{template 1}}", "template: :1: unexpected \"1\" in template clause");
    check_error("{{define}}{{end}}", "template: :1: unexpected \"}}\" in define clause");
    check_error("{{define 1}}{{end}}", "template: :1: unexpected \"1\" in define clause");
    check_error("{{define \"x\"}}", "template: :1: unexpected EOF");
    check_error("{{define \"x\" 1}}{{end}}", "template: :1: unexpected \"1\" in define clause");
    check_error(
        "{{define \"x\"}}{{else}}{{end}}",
        "template: :1: unexpected {{else}} in define clause",
    );
    check_error(
        "{{if 1}}{{define \"x\"}}{{end}}{{end}}",
        "template: :1: unexpected <define> in command",
    );
    check_error("{{block \"x\"}}{{end}}", "template: :1: missing value for block clause");
    check_error(
        "{{block \"x\" 1}}{{else}}{{end}}",
        "template: :1: unexpected {{else}} in block clause",
    );
    check_error(
        "{{define \"x\"}}1{{end}}{{define \"x\"}}2{{end}}",
        "template: :1: template: multiple definition of template \"x\"",
    );
    check_error(
        "{{template \"x\" . .}}",
        "template: :1:11: executing \"\" at <{{template \"x\" . .}}>: template \"x\" not defined",
    );
    check_error(
        "{{range 1}}{{define \"q\"}}{{end}}{{end}}",
        "template: :1: unexpected <define> in command",
    );
    check_error("{{define \"q\"}}{{break}}{{end}}", "template: :1: {{break}} outside {{range}}");
    check_error("{{if 1}}\n\n{{foo}}", "template: :3: function \"foo\" not defined");
    check_error("{{len \"abcdefghijklmnop\" %}}", "template: :1: unexpected \"%\" in operand");
    check_error("{{if 1}}{{end}}{{end}}", "template: :1: unexpected {{end}}");
    check_error("{{.abcdefghijklmnopq abc}}", "template: :1: function \"abc\" not defined");
    check_error("{{else if 1}}", "template: :1: unexpected {{else}}");
    check_error("{{nil | len}}{{x}}", "template: :1: function \"x\" not defined");
}
