//! Fields, variables and what is not there.

use super::{check, check_error};

#[test]
fn prints() {
    check("{{.Name}}", "web");
    check("{{.State.Status}}", "running");
    check("{{.State.Log}}", "[map[Code:0] map[Code:1]]");
    check("{{.Missing}}", "<no value>");
    check("{{.Missing.Deeper.Still}}", "<no value>");
    check("{{.Nothing}}", "<no value>");
    check("{{.State.Health}}", "<no value>");
    check("{{$.Name}}", "web");
    check("{{$.State.Pid}}", "41");
    check("{{(.State).Pid}}", "41");
    check("{{((.State)).Status}}", "running");
    check("{{(index .State.Log 1).Code}}", "1");
    check("{{$x := .State}}{{$x.Status}}", "running");
    check("{{$x := 1}}{{$x = 2}}{{$x}}", "2");
    check("{{$x := 1}}{{if true}}{{$x = 5}}{{end}}{{$x}}", "5");
    check("{{$x := 1}}{{if true}}{{$x := 5}}{{$x}}{{end}}{{$x}}", "51");
    check("{{$x := .Nothing}}[{{$x.Any}}]", "[<no value>]");
    check("{{.Up}} {{.Size}} {{.Ratio}} {{.Huge}} {{.Minus}}", "true 1536 0.25 1e+21 -7");
    check("{{.Labels}}", "map[a:one b:two]");
    check("{{.NoLabels}} {{.NoList}}", "map[] []");
    check("{{.Mixed}}", "[1 x <nil> true 2.5 [y]]");
    check("{{.Ports}}", "map[443/tcp:<nil> 80/tcp:[map[HostIp:0.0.0.0 HostPort:8080]]]");
    check("{{.Names}}", "[web db/web]");
    check("{{.Name | print}}", "web");
    check("{{.Name|printf \"%s-%s\" \"x\"}}", "x-web");
    check("{{printf \"%v\" .Nothing}}", "<nil>");
    check("{{printf \"%v\" .Missing}}", "<nil>");
    check(
        "{{$}}",
        "map[Down:false Empty: Huge:1e+21 ID:4f0a Labels:map[a:one b:two] Minus:-7 Mixed:[1 x <nil> true 2.5 [y]] Name:web Names:[web db/web] NoLabels:map[] NoList:[] Nothing:<nil> Ports:map[443/tcp:<nil> 80/tcp:[map[HostIp:0.0.0.0 HostPort:8080]]] Ratio:0.25 Size:1536 State:map[Health:<nil> Log:[map[Code:0] map[Code:1]] Pid:41 Status:running] Text:a<b> & \"c\" 'd' \\ é\n Up:true Zero:0]",
    );
    check("{{with .State}}{{$.Name}}:{{.Pid}}{{end}}", "web:41");
    check("{{.Labels.a}} {{.Labels.zzz}}", "one <no value>");
    check("{{print nil}}", "<nil>");
    check("{{.Name |}}", "web");
}

#[test]
fn refuses() {
    check_error(
        "{{.State.Status.Deeper}}",
        "template: :1:8: executing \"\" at <.State.Status.Deeper>: can't evaluate field Deeper in type interface {}",
    );
    check_error(
        "{{.State.Health.Status}}",
        "template: :1:8: executing \"\" at <.State.Health.Status>: nil pointer evaluating interface {}.Status",
    );
    check_error(
        "{{.Name.X}}",
        "template: :1:7: executing \"\" at <.Name.X>: can't evaluate field X in type interface {}",
    );
    check_error(
        "{{(.Name).X}}",
        "template: :1:3: executing \"\" at <.Name>: can't evaluate field X in type string",
    );
    check_error(
        "{{$x := .Name}}{{$x.Y}}",
        "template: :1:19: executing \"\" at <$x.Y>: can't evaluate field Y in type string",
    );
    check_error(
        "{{.Name 1}}",
        "template: :1:2: executing \"\" at <.Name>: Name is not a method but has arguments",
    );
    check_error(
        "{{.Missing 1}}",
        "template: :1:2: executing \"\" at <.Missing>: Missing is not a method but has arguments",
    );
    check_error(
        "{{1 2}}",
        "template: :1:2: executing \"\" at <1>: can't give argument to non-function 1",
    );
    check_error(
        "{{$ 1}}",
        "template: :1:2: executing \"\" at <$>: can't give argument to non-function $",
    );
    check_error("{{nil}}", "template: :1:2: executing \"\" at <nil>: nil is not a command");
    check_error(
        "{{\"a\" | .Name}}",
        "template: :1:8: executing \"\" at <.Name>: Name is not a method but has arguments",
    );
    check_error(
        "{{(1) 2}}",
        "template: :1:2: executing \"\" at <(1) 2>: can't give argument to non-function 1",
    );
    check_error(
        "line\n  {{.Name.X}}",
        "template: :2:9: executing \"\" at <.Name.X>: can't evaluate field X in type interface {}",
    );
    check_error("{{$x = 3}}", "template: :1:7: executing \"\" at <3>: undefined variable: $x");
    check_error(
        "{{9223372036854775808}}",
        "template: :1:2: executing \"\" at <9223372036854775808>: 9223372036854775808 overflows int",
    );
    check_error("{{(nil)}}", "template: :1:3: executing \"\" at <nil>: nil is not a command");
    check_error(
        "é{{.Name.X}}",
        "template: :1:9: executing \"\" at <.Name.X>: can't evaluate field X in type interface {}",
    );
}
