//! Conditions, loops and templates in templates.

use super::{check, check_error};

#[test]
fn prints() {
    check("{{if .Up}}yes{{end}}", "yes");
    check("{{if .Down}}yes{{else}}no{{end}}", "no");
    check("{{if .Down}}1{{else if .Up}}2{{else}}3{{end}}", "2");
    check("{{if .Zero}}1{{else if .Empty}}2{{else if .NoList}}3{{else}}4{{end}}", "4");
    check("{{if .Nothing}}1{{else}}2{{end}}{{if .Missing}}1{{else}}2{{end}}", "22");
    check(
        "{{if .Ratio}}f{{end}}{{if .Name}}s{{end}}{{if .Names}}l{{end}}{{if .Labels}}m{{end}}{{if 0.0}}z{{end}}",
        "fslm",
    );
    check("{{if $x := .Name}}{{$x}}{{end}}", "web");
    check("{{with .Name}}<{{.}}>{{end}}", "<web>");
    check("{{with .Missing}}1{{else}}2{{.Name}}{{end}}", "2web");
    check("{{with $x := .State}}{{$x.Pid}}{{.Pid}}{{end}}", "4141");
    check("{{with .Missing}}1{{else with .Name}}{{.}}{{else}}3{{end}}", "web");
    check("{{with .Missing}}1{{else with .Empty}}2{{else}}3{{end}}", "3");
    check("{{range .Names}}[{{.}}]{{end}}", "[web][db/web]");
    check("{{range $e := .Names}}[{{$e}}{{.}}]{{end}}", "[webweb][db/webdb/web]");
    check("{{range $i, $e := .Names}}{{$i}}={{$e}} {{end}}", "0=web 1=db/web ");
    check("{{range .Labels}}{{.}} {{end}}", "one two ");
    check("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=one b=two ");
    check("{{range $p, $c := .Ports}}{{$p}} -> {{$c}}{{break}}{{end}}", "443/tcp -> <no value>");
    check(
        "{{range $p, $conf := .Ports}}{{if $conf}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}{{end}}",
        "80/tcp -> 8080",
    );
    check("{{range .NoList}}1{{else}}none{{end}}", "none");
    check("{{range .Nothing}}1{{else}}none{{end}}", "none");
    check("{{range .Missing}}1{{else}}none{{end}}", "none");
    check("{{range 3}}{{.}}{{end}}", "012");
    check("{{range $i := 3}}{{$i}}{{end}}", "012");
    check("{{range 0}}1{{else}}none{{end}}", "none");
    check("{{range -2}}1{{else}}none{{end}}", "none");
    check("{{range .Mixed}}{{.}};{{end}}", "1;x;<no value>;true;2.5;[y];");
    check(
        "{{range 9}}{{if eq . 3}}{{continue}}{{end}}{{if eq . 6}}{{break}}{{end}}{{.}}{{end}}",
        "01245",
    );
    check("{{range 2}}{{range 3}}{{if eq . 1}}{{break}}{{end}}{{.}}{{end}};{{end}}", "0;0;");
    check("{{$x := 0}}{{range .Names}}{{$x = .}}{{end}}{{$x}}", "db/web");
    check("{{$x := 0}}{{range $x = .Names}}{{$x}} {{end}}{{$x}}", "web db/web db/web");
    check("{{$i := 9}}{{$e := 9}}{{range $i, $e = .Names}}{{end}}{{$i}}{{$e}}", "1db/web");
    check("{{range .State.Log}}{{.Code}}{{end}}", "01");
    check(
        "{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .Name}}{{template \"t\"}}",
        "<web><<no value>>",
    );
    check("{{define \"t\"}}{{$}}{{end}}{{range .Names}}{{template \"t\" .}}{{end}}", "webdb/web");
    check("{{block \"b\" .Name}}[{{.}}]{{end}}", "[web]");
    check(
        "{{define \"a\"}}{{template \"b\" .}}!{{end}}{{define \"b\"}}{{.}}?{{end}}{{template \"a\" 7}}",
        "7?!",
    );
    check("{{define \"a\"}} {{end}}{{define \"a\"}}x{{end}}{{template \"a\"}}", "x");
    check(
        "{{define \"r\"}}{{if .}}{{len .}}{{template \"r\" (slice . 1)}}{{end}}{{end}}{{template \"r\" \"abc\"}}",
        "321",
    );
    check("{{range $i, $e := .Names}}{{if $i}}, {{end}}{{$e}}{{end}}", "web, db/web");
    check("{{if and .Up (not .Down)}}ok{{end}}", "ok");
    check("{{if eq .State.Status \"running\"}}up{{end}}", "up");
    check("{{- range .Names }}\n- {{ . }}\n{{- end }}", "\n- web\n- db/web");
    check("{{range $x := .Names}}{{with .}}{{$x}}{{end}}{{end}}", "webdb/web");
    check("{{with 1}}{{with 2}}{{.}}{{end}}{{.}}{{end}}", "21");
}

#[test]
fn refuses() {
    check_error(
        "{{range .Name}}{{end}}",
        "template: :1:8: executing \"\" at <.Name>: range can't iterate over web",
    );
    check_error(
        "{{range .Size.X}}{{end}}",
        "template: :1:13: executing \"\" at <.Size.X>: can't evaluate field X in type interface {}",
    );
    check_error(
        "{{range $i, $e := 3}}{{end}}",
        "template: :1:18: executing \"\" at <3>: can't use 3 to iterate over more than one variable",
    );
    check_error(
        "{{range 1.5}}{{end}}",
        "template: :1:8: executing \"\" at <1.5>: range can't iterate over 1.5",
    );
    check_error(
        "{{range true}}{{end}}",
        "template: :1:8: executing \"\" at <true>: range can't iterate over true",
    );
    check_error(
        "{{template \"gone\"}}",
        "template: :1:11: executing \"\" at <{{template \"gone\"}}>: template \"gone\" not defined",
    );
    check_error(
        "{{template \"gone\" .Name}}",
        "template: :1:11: executing \"\" at <{{template \"gone\" .Name}}>: template \"gone\" not defined",
    );
    check_error(
        "{{define \"t\"}}\n {{.X}}{{end}}{{template \"t\" 1}}",
        "template: :2:3: executing \"t\" at <.X>: can't evaluate field X in type int",
    );
    check_error(
        "{{block \"b\" .Name}}{{.Y}}{{end}}",
        "template: :1:21: executing \"b\" at <.Y>: can't evaluate field Y in type string",
    );
}
