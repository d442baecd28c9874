//! Templates, carried out by docker's own client and by mica over the same text.

use crate::need_programs;
use crate::support::{Mica, Run};

/// `X` stands for a field whose value is `default`.
const TEMPLATES: &[&str] = &[
    "{{X}}",
    "{{json X}} {{len X}} {{printf \"%q|%8s|%-8s|%.3s|%x\" X X X X X}}",
    "{{upper X}} {{lower \"ABC\"}} {{title X}} {{truncate X 3}} [{{pad X 2 3}}]",
    "{{range split X \"f\"}}<{{.}}>{{else}}none{{end}}",
    "{{range $i, $part := split X \"a\"}}{{if $i}}-{{end}}{{$part}}{{end}}",
    "{{range split \"a,b,c,d\" \",\"}}{{if eq . \"b\"}}{{continue}}{{end}}{{if eq . \"d\"}}{{break}}{{end}}{{.}}{{end}}",
    "{{join (split X \"\") \"+\"}} {{index (split X \"f\") 1}} {{slice X 2 5}}",
    "{{with X}}has {{.}}{{else}}nothing{{end}}{{with \"\"}}x{{else with \"y\"}}{{.}}{{end}}",
    "{{if and X (not \"\")}}yes{{else if or \"\" 0}}no{{end}}",
    "{{if ne X \"other\"}}{{if lt 1 2}}{{if ge 3 3}}all{{end}}{{end}}{{end}}",
    "{{$x := X}}{{$x = printf \"%s!\" $x}}{{$x | html}} {{urlquery \"a b&c\"}} {{js \"it's\"}}",
    "{{println X 1 true nil}}",
    "{{print 1 2 X X 3}} {{println 1 2}}",
    "{{/* a comment */ -}}   {{- X -}}   .",
    "{{define \"t\"}}[{{.}}]{{end}}{{template \"t\" X}}{{block \"b\" X}}({{.}}){{end}}",
    "{{X | printf \"%-10s|\" | upper | json}}",
    "{{eq X \"a\" \"b\" \"default\"}} {{not X}} {{len \"äö\"}} {{0x1f}} {{1e3}} {{'a'}}",
    "{{printf \"%d %5.2f %t %v %+v %T %c %U\" 42 3.14159 true X X X 97 97}}",
    "{{printf \"%d\" X}} {{printf \"%s\"}} {{printf \"%s\" X X}}",
    "{{\"<a & b>\" | json}} {{html \"<a & b>\"}}",
    // What cannot be read or carried out, and why.
    "{{X",
    "{{nope X}}",
    "{{if X}}",
    "{{end}}",
    "{{range X}}{{.}}{{end}}{{break}}",
    "{{X | }}",
    "{{$y}}",
    "{{\"abc}}",
    "{{index (split X \"f\") 7}}",
    "{{slice X 9 12}}",
    "{{lt X 1}}",
    "{{template \"none\"}}",
    "{{len 3}}",
    "{{upper 3}}",
    "{{printf 3}}",
    "{{define \"t\"}}",
    "{{else}}",
    "{{1 2}}",
    "{{(X}}",
];

#[test]
fn docker_and_mica_carry_out_the_same_templates_alike() {
    need_programs!("docker");
    let mica = Mica::new();
    mica.import("base:default");
    for template in TEMPLATES {
        // Without a daemon, the only list that docker's client has is that of its contexts. Fields
        // of the same length keep the places in messages the same.
        let docker = template.replace('X', ".Name");
        let mut command = mica.program("docker");
        let output = command.args(["context", "ls", "--format", &docker]).output().unwrap();
        let theirs = Run::of(&docker, output);
        let mut command = mica.command("images --format");
        let output = command.arg(template.replace('X', ".Tag ")).output().unwrap();
        let ours = Run::of(template, output);
        // Both are of the same type to the template, but not of the same name.
        let words = |run: &Run| {
            let err = run.err.replace("Name", "Tag").replace("*formatter.imageContext", "ROW");
            err.replace("*formatter.clientContextContext", "ROW")
        };
        assert_eq!(
            (&ours.out, words(&ours), ours.code),
            (&theirs.out, words(&theirs), theirs.code),
            "{template}"
        );
    }
}
