use serde_json::json;

use super::*;

fn given(wanted: &[&str], overrides: &[&str], variables: &[(&str, &str)]) -> Given {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Given {
        variables: variables.iter().map(pair).collect(),
        overrides: own(overrides),
        wanted: own(wanted),
        context: "cwd://".to_owned(),
        platform: "linux/amd64".to_owned(),
        world: World { now: 1_700_000_000, seed: 1 },
    }
}

fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

fn hcl(text: &str, given: &Given) -> Result<Json, String> {
    let plan = plan(&[file("docker-bake.hcl", text)], given);
    plan.map(|plan| plan.document()).map_err(|error| error.to_string())
}

/// What an expression is, as an argument of a target.
fn value(expression: &str) -> Result<Json, String> {
    let text =
        format!("x = {expression}\ntarget \"default\" {{\n args = {{ v = jsonencode(x) }}\n}}");
    let document = hcl(&text, &given(&[], &[], &[]))?;
    let encoded = document["target"]["default"]["args"]["v"].as_str().unwrap().to_owned();
    Ok(serde_json::from_str(&encoded).unwrap())
}

#[track_caller]
fn is(expression: &str, wanted: Json) {
    assert_eq!(value(expression), Ok(wanted), "{expression}");
}

#[track_caller]
fn fails(expression: &str, words: &str) {
    let error = value(expression).expect_err(expression);
    assert!(error.contains(words), "{expression}: {error}");
}

#[test]
fn literals_and_operators() {
    for (expression, wanted) in [
        ("1", json!(1)),
        ("1.5e3", json!(1500)),
        ("-2 + 3 * 4", json!(10)),
        ("(2 + 3) * 4", json!(20)),
        ("7 % 3", json!(1)),
        ("7 / 2", json!(3.5)),
        ("1 - 1 - 1", json!(-1)),
        ("true && !false", json!(true)),
        ("false || 1 < 2", json!(true)),
        ("1 == 1 && 1 != 2", json!(true)),
        ("2 >= 2 ? \"y\" : \"n\"", json!("y")),
        ("false ? 1 : true ? 2 : 3", json!(2)),
        ("null", json!(null)),
        ("[1, \"a\", true,]", json!([1, "a", true])),
        ("[\n 1,\n 2\n]", json!([1, 2])),
        ("{ a = 1, \"b c\" = 2 }", json!({ "a": 1, "b c": 2 })),
        ("{\n a = 1\n b : 2\n}", json!({ "a": 1, "b": 2 })),
        ("{ (\"a\") = 1 }", json!({ "a": 1 })),
        ("[1, 2][1]", json!(2)),
        ("{ a = { b = [3] } }.a.b[0]", json!(3)),
        ("[{ a = 1 }, { a = 2 }][*].a", json!([1, 2])),
        ("[{ a = 1 }, { a = 2 }].*.a", json!([1, 2])),
        ("\"5\" + 1", json!(6)),
        ("[1] == [1]", json!(true)),
        ("1 /* c */ + 1 # c", json!(2)),
        ("false && nothing", json!(false)),
    ] {
        is(expression, wanted);
    }
    fails("1 / 0", "Division by zero");
    fails("1 +", "Expected the start of an expression");
    fails("[1, 2", "Expected \"]\"");
    fails("\"a", "Unterminated template string");
    fails("nothing", "There is no variable named \"nothing\".");
    fails("uper(\"a\")", "There is no function named \"uper\". Did you mean \"upper\"?");
    fails("[1][2]", "Invalid index");
    fails("{ a = 1 }.b", "does not have an attribute named \"b\"");
    fails("\"a\" + 1", "a number is required");
    fails(&format!("{}1{}", "(".repeat(500), ")".repeat(500)), "nested too deeply");
    fails(&format!("1{}", "+1".repeat(2000)), "too long");
    fails(&"!".repeat(2000), "nested too deeply");
}

#[test]
fn for_expressions() {
    is("[for v in [1, 2, 3] : v * 2 if v > 1]", json!([4, 6]));
    is("[for i, v in [\"a\", \"b\"] : \"${i}${v}\"]", json!(["0a", "1b"]));
    is("[for k, v in { a = 1, b = 2 } : \"${k}=${v}\"]", json!(["a=1", "b=2"]));
    is("{ for v in [\"a\", \"b\"] : v => upper(v) }", json!({ "a": "A", "b": "B" }));
    is(
        "{ for v in [\"ab\", \"ac\", \"b\"] : substr(v, 0, 1) => v... }",
        json!({ "a": ["ab", "ac"], "b": ["b"] }),
    );
    fails("{ for v in [1, 1] : v => v }", "Duplicate object key");
    fails("[for v in 1 : v]", "has no elements");
}

#[test]
fn templates() {
    for (expression, wanted) in [
        ("\"a${1 + 1}b\"", json!("a2b")),
        ("\"${[1]}\"", json!([1])),
        ("\"$${a} %%{b} $c 100%\"", json!("${a} %{b} $c 100%")),
        (r#""\n\t\"\\é""#, json!("\n\t\"\\é")),
        ("\"${true ? \"a${\"b\"}\" : \"\"}\"", json!("ab")),
        ("\"%{ if true }x%{ else }y%{ endif }z\"", json!("xz")),
        ("\"%{ for v in [1, 2] }<${v}>%{ endfor }\"", json!("<1><2>")),
        ("\"a  ${~ 1 ~}  b\"", json!("a1b")),
        ("<<E\n a\n  ${1}\nE\n", json!(" a\n  1\n")),
        ("<<-E\n  a\n   b\n\n  E\n", json!("a\n b\n\n")),
    ] {
        is(expression, wanted);
    }
    fails("\"${{}}x\"", "string required");
    fails("\"%{ if true }x\"", "Unclosed 'if'");
    fails("\"\\q\"", "Invalid escape");
    fails("<<E\nx", "heredoc is not closed");
    fails(&format!("\"{}\"", "%{ if true }".repeat(500)), "nested too deeply");
}

#[test]
fn functions_of_the_library() {
    for (expression, wanted) in [
        ("absolute(-3)", json!(3)),
        ("add(123, 1)", json!(124)),
        ("base64decode(base64encode(\"aé\"))", json!("aé")),
        ("basename(\"/a/b.txt\")", json!("b.txt")),
        ("basename(\"/\")", json!("/")),
        ("byteslen(\"é\")", json!(2)),
        ("bytesslice(\"hello\", 1, 3)", json!("ell")),
        ("can(1 / 0)", json!(false)),
        ("try(1 / 0, nothing, 3)", json!(3)),
        ("ceil(1.2)", json!(2)),
        ("chomp(\"a\\n\\n\")", json!("a")),
        ("chunklist([1, 2, 3], 2)", json!([[1, 2], [3]])),
        ("cidrhost(\"10.1.0.0/16\", 5)", json!("10.1.0.5")),
        ("cidrhost(\"10.1.0.0/16\", -1)", json!("10.1.255.255")),
        ("cidrnetmask(\"10.0.0.0/12\")", json!("255.240.0.0")),
        ("cidrsubnet(\"10.0.0.0/8\", 8, 2)", json!("10.2.0.0/16")),
        ("cidrsubnet(\"fd00::/48\", 16, 1)", json!("fd00:0:0:1::/64")),
        (
            "cidrsubnets(\"10.1.0.0/16\", 4, 4, 8)",
            json!(["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"]),
        ),
        ("coalesce(null, 2, 3)", json!(2)),
        ("coalescelist([], [1])", json!([1])),
        ("compact([\"a\", \"\", \"b\"])", json!(["a", "b"])),
        ("concat([1], [2, 3])", json!([1, 2, 3])),
        ("contains([1, 2], 2)", json!(true)),
        ("convert(\"5\", number)", json!(5)),
        ("convert([\"a\"], list(string))", json!(["a"])),
        ("csvdecode(\"a,b\\n1,\\\"x,y\\\"\\n\")", json!([{ "a": "1", "b": "x,y" }])),
        ("dirname(\"/a/b\")", json!("/a")),
        ("distinct([1, 2, 1])", json!([1, 2])),
        ("divide(10, 4)", json!(2.5)),
        ("element([1, 2, 3], 4)", json!(2)),
        ("equal(1, 1)", json!(true)),
        ("flatten([[1], [2, [3]]])", json!([1, 2, 3])),
        ("floor(1.8)", json!(1)),
        (
            "format(\"%s-%03d-%.2f-%q-%v-%t%%\", \"a\", 7, 1.5, \"b\", [1], true)",
            json!("a-007-1.50-\"b\"-[1]-true%"),
        ),
        ("format(\"%-5s|%5s|%x|%+d\", \"a\", \"b\", 255, 1)", json!("a    |    b|ff|+1")),
        (
            "formatdate(\"DD MMM YYYY hh:mm ZZZ\", \"2018-01-02T23:12:01Z\")",
            json!("02 Jan 2018 23:12 UTC"),
        ),
        (
            "formatdate(\"EEEE, D MMMM 'at' H:mmaa\", \"2024-02-29T15:04:05+02:00\")",
            json!("Thursday, 29 February at 3:04pm"),
        ),
        ("formatlist(\"%s=%s\", [\"a\", \"b\"], \"x\")", json!(["a=x", "b=x"])),
        ("greaterthan(2, 1)", json!(true)),
        ("hasindex([1], 1)", json!(false)),
        ("indent(2, \"a\\nb\")", json!("a\n  b")),
        ("index({ a = 1 }, \"a\")", json!(1)),
        ("indexof([\"a\", \"b\"], \"b\")", json!(1)),
        ("int(1.9)", json!(1)),
        ("join(\",\", [\"a\"], [\"b\"])", json!("a,b")),
        ("jsondecode(\"{\\\"a\\\":[1]}\")", json!({ "a": [1] })),
        ("keys({ b = 1, a = 2 })", json!(["a", "b"])),
        ("values({ b = 1, a = 2 })", json!([2, 1])),
        ("length([1, 2])", json!(2)),
        ("lessthanorequalto(2, 2)", json!(true)),
        ("log(8, 2)", json!(3)),
        ("lookup({ a = 1 }, \"b\", 2)", json!(2)),
        ("lower(\"AB\")", json!("ab")),
        ("max(1, 3, 2)", json!(3)),
        ("md5(\"a\")", json!("0cc175b9c0f1b6a831c399e269772661")),
        ("merge({ a = 1 }, { a = 2, b = 3 })", json!({ "a": 2, "b": 3 })),
        ("min(3, 1)", json!(1)),
        ("modulo(7, 4)", json!(3)),
        ("negate(1)", json!(-1)),
        ("not(true)", json!(false)),
        ("parseint(\"ff\", 16)", json!(255)),
        ("pow(2, 10)", json!(1024)),
        ("range(3)", json!([0, 1, 2])),
        ("range(1, 6, 2)", json!([1, 3, 5])),
        ("regex(\"[a-z]+\", \"12ab3\")", json!("ab")),
        ("regex(\"(a)(b)\", \"ab\")", json!(["a", "b"])),
        ("regex(\"(?P<x>a)b\", \"ab\")", json!({ "x": "a" })),
        ("regexall(\"[a-z]\", \"a1b\")", json!(["a", "b"])),
        ("regex_replace(\"-ab-axxb-\", \"a(x*)b\", \"$${1}W\")", json!("-W-xxW-")),
        ("replace(\"1.0\", \".\", \"-\")", json!("1-0")),
        ("reverse(\"abc\")", json!("cba")),
        ("reverselist([1, 2])", json!([2, 1])),
        ("sanitize(\"a.b/c d\")", json!("a_b_c_d")),
        ("setintersection([1, 2], [2, 3])", json!([2])),
        ("setproduct([1, 2], [\"a\"])", json!([[1, "a"], [2, "a"]])),
        ("setsubtract([1, 2], [2])", json!([1])),
        ("setsymmetricdifference([1, 2], [2, 3])", json!([1, 3])),
        ("setunion([2], [1, 2])", json!([1, 2])),
        ("sha1(\"a\")", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")),
        ("substr(sha256(\"a\"), 0, 8)", json!("ca978112")),
        ("strlen(sha512(\"a\"))", json!(128)),
        ("signum(-5)", json!(-1)),
        ("slice([1, 2, 3], 1, 3)", json!([2, 3])),
        ("sort([\"b\", \"a\"])", json!(["a", "b"])),
        ("split(\",\", \"a,b\")", json!(["a", "b"])),
        ("strlen(\"é\")", json!(1)),
        ("substr(\"hello\", -3, 2)", json!("ll")),
        ("subtract(3, 1)", json!(2)),
        ("timeadd(\"2023-12-31T23:59:00Z\", \"2m\")", json!("2024-01-01T00:01:00Z")),
        ("timestamp()", json!("2023-11-14T22:13:20Z")),
        ("title(\"ab cd\")", json!("Ab Cd")),
        ("trim(\"xxaxx\", \"x\")", json!("a")),
        ("trimprefix(\"v1\", \"v\")", json!("1")),
        ("trimsuffix(\"a.x\", \".x\")", json!("a")),
        ("trimspace(\" a \")", json!("a")),
        ("unixtimestampparse(0).weekday_name", json!("Thursday")),
        ("rfc3339parse(\"2024-12-30T00:00:00Z\").iso_year", json!(2025)),
        ("upper(\"a\")", json!("A")),
        ("urlencode(\"a b/c\")", json!("a+b%2Fc")),
        ("strlen(uuidv4())", json!(36)),
        ("uuidv5(\"dns\", \"www.example.com\")", json!("2ed6657d-e927-568b-95e1-2665a8aea6a2")),
        ("zipmap([\"a\"], [1])", json!({ "a": 1 })),
        ("concat([[1], [2]]...)", json!([1, 2])),
    ] {
        is(expression, wanted);
    }
    for (expression, words) in [
        ("add(1)", "2 argument(s) expected, not 1"),
        ("divide(1, 0)", "divide by zero"),
        ("element([], 0)", "empty list"),
        ("format(\"%d\")", "not enough arguments"),
        ("format(\"x\", 1)", "too many arguments"),
        ("range(100000000)", "more than 65536"),
        ("regex(\"(\", \"a\")", "failed"),
        ("parseint(\"z\", 10)", "cannot parse"),
        ("cidrhost(\"10.0.0.0/31\", 2)", "does not accommodate"),
        ("setproduct(range(60000), range(60000))", "combinations"),
        ("formatdate(\"Q\", timestamp())", "invalid date format verb"),
        ("timeadd(\"x\", \"1h\")", "RFC3339"),
    ] {
        fails(expression, words);
    }
}

#[test]
fn the_smallest_target() {
    let document = hcl("target \"default\" {}", &given(&[], &[], &[])).unwrap();
    let wanted = json!({ "target": { "default": { "context": ".", "dockerfile": "Dockerfile" } } });
    assert_eq!(document, wanted);
}

#[test]
fn inheritance_joins_and_the_last_wins() {
    let text = r#"
        target "app-dev" {
          args = { GO_VERSION = "1.20", BUILDX_EXPERIMENTAL = 1 }
          tags = ["docker.io/username/myapp"]
          dockerfile = "app.Dockerfile"
          labels = { "org.opencontainers.image.source" = "https://h.example/myapp" }
        }
        target "_release" {
          args = { BUILDKIT_CONTEXT_KEEP_GIT_DIR = 1, BUILDX_EXPERIMENTAL = 0 }
        }
        target "app-release" {
          inherits = ["app-dev", "_release"]
          platforms = ["linux/amd64", "linux/arm64"]
        }"#;
    let document = hcl(text, &given(&["app-release"], &[], &[])).unwrap();
    let wanted = r#"{
  "group": {
    "default": {
      "targets": [
        "app-release"
      ]
    }
  },
  "target": {
    "app-release": {
      "context": ".",
      "dockerfile": "app.Dockerfile",
      "args": {
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1",
        "BUILDX_EXPERIMENTAL": "0",
        "GO_VERSION": "1.20"
      },
      "labels": {
        "org.opencontainers.image.source": "https://h.example/myapp"
      },
      "tags": [
        "docker.io/username/myapp"
      ],
      "platforms": [
        "linux/amd64",
        "linux/arm64"
      ]
    }
  }
}"#;
    assert_eq!(format!("{document:#}"), wanted);
    let circle = "target \"a\" { inherits = [\"b\"] }\ntarget \"b\" { inherits = [\"a\"] }";
    assert!(hcl(circle, &given(&["a"], &[], &[])).unwrap_err().contains("infinite loop"));
}

#[test]
fn matrices_make_targets() {
    let names = |document: &Json| -> Vec<String> {
        document["target"].as_object().unwrap().keys().cloned().collect()
    };
    let text = "target \"app\" {\n name = \"app-${tgt}\"\n matrix = { tgt = [\"foo\", \"bar\"] }\n target = tgt\n}";
    let document = hcl(text, &given(&["app"], &[], &[])).unwrap();
    assert_eq!(
        document["group"],
        json!({ "app": { "targets": ["app-foo", "app-bar"] }, "default": { "targets": ["app"] } })
    );
    assert_eq!(document["target"]["app-bar"]["target"], "bar");
    let axes = "target \"app\" {\n name = \"app-${tgt}-${replace(version, \".\", \"-\")}\"\n matrix = {\n \
                tgt = [\"foo\", \"bar\"]\n version = [\"1.0\", \"2.0\"]\n }\n args = { VERSION = version }\n}";
    let document = hcl(axes, &given(&["app"], &[], &[])).unwrap();
    assert_eq!(
        document["group"]["app"]["targets"],
        json!(["app-foo-1-0", "app-foo-2-0", "app-bar-1-0", "app-bar-2-0"])
    );
    assert_eq!(document["target"]["app-foo-2-0"]["args"]["VERSION"], "2.0");
    let maps = "target \"app\" {\n name = \"app-${item.tgt}\"\n matrix = { item = [{ tgt = \"foo\" }, { tgt = \"bar\" }] }\n}";
    assert_eq!(names(&hcl(maps, &given(&["app"], &[], &[])).unwrap()), ["app-bar", "app-foo"]);
    for (text, words) in [
        ("target \"a\" { matrix = { x = [1] } }", "needs a name"),
        ("target \"a\" { name = \"b\" }", "Only a target with a matrix"),
        ("target \"a\" {\n matrix = { x = [1, 2] }\n name = \"same\"\n}", "twice"),
        ("target \"a\" {\n matrix = { x = range(60000) }\n name = \"a${x}\"\n}", "too many"),
        ("target \"a.b\" {}", "Invalid name"),
    ] {
        assert!(hcl(text, &given(&["a"], &[], &[])).unwrap_err().contains(words), "{text}");
    }
}

#[test]
fn variables() {
    let text = "variable \"TAG\" { default = \"latest\" }\nvariable \"N\" { default = 1 }\n\
                variable \"B\" { default = false }\nvariable \"NONE\" {}\n\
                target \"default\" {\n tags = [\"app:${TAG}\"]\n args = { n = N + 1, b = B, none = NONE }\n}";
    let args = |variables: &[(&str, &str)]| {
        let document = hcl(text, &given(&[], &[], variables))?;
        Ok::<_, String>((
            document["target"]["default"]["tags"][0].clone(),
            document["target"]["default"]["args"].clone(),
        ))
    };
    assert_eq!(args(&[]), Ok((json!("app:latest"), json!({ "n": "2", "b": "false" }))));
    assert_eq!(
        args(&[("TAG", "dev"), ("N", "41"), ("B", "true"), ("NONE", "x")]),
        Ok((json!("app:dev"), json!({ "n": "42", "b": "true", "none": "x" })))
    );
    assert!(args(&[("N", "many")]).unwrap_err().contains("Invalid value for variable N"));
    let built_in = "target \"default\" { args = { p = BAKE_LOCAL_PLATFORM } }";
    assert_eq!(
        hcl(built_in, &given(&[], &[], &[])).unwrap()["target"]["default"]["args"]["p"],
        "linux/amd64"
    );
}

#[test]
fn variables_of_a_type() {
    let show = |declared: &str, variables: &[(&str, &str)]| {
        let text = format!(
            "variable \"X\" {{\n{declared}\n}}\ntarget \"default\" {{ args = {{ v = jsonencode(X) }} }}"
        );
        let document = hcl(&text, &given(&[], &[], variables))?;
        Ok::<_, String>(document["target"]["default"]["args"]["v"].as_str().unwrap().to_owned())
    };
    for (declared, variables, wanted) in [
        ("type = number\ndefault = \"5\"", vec![], "5"),
        ("type = string\ndefault = 5", vec![], "\"5\""),
        ("type = list(string)", vec![("X", "a,b")], "[\"a\",\"b\"]"),
        ("type = list(number)\ndefault = [1]", vec![("X_JSON", "[2,3]")], "[2,3]"),
        ("type = set(string)\ndefault = [\"b\", \"a\", \"b\"]", vec![], "[\"a\",\"b\"]"),
        ("type = map(string)", vec![("X", "{\"a\":\"b\"}")], "{\"a\":\"b\"}"),
        ("type = object({ a = number })\ndefault = { a = 1, b = 2 }", vec![], "{\"a\":1}"),
        ("type = tuple([string, number])\ndefault = [1, \"2\"]", vec![], "[\"1\",2]"),
        ("type = bool", vec![("X", "1")], "true"),
    ] {
        assert_eq!(show(declared, &variables), Ok(wanted.to_owned()), "{declared}");
    }
    assert!(show("type = number\ndefault = \"x\"", &[]).unwrap_err().contains("Invalid default"));
    assert!(show("type = nothing", &[]).unwrap_err().contains("Invalid type specification"));
}

#[test]
fn validations() {
    let text = "variable \"X\" {\n default = \"a\"\n validation {\n  condition = X != \"\"\n  error_message = \"X must not be empty.\"\n }\n\
                validation {\n  condition = strlen(X) < 3\n }\n}\ntarget \"default\" {}";
    assert!(hcl(text, &given(&[], &[], &[])).is_ok());
    let error = hcl(text, &given(&[], &[], &[("X", "")])).unwrap_err();
    assert!(error.contains("X must not be empty."), "{error}");
    assert!(hcl(text, &given(&[], &[], &[("X", "long")])).is_err());
}

#[test]
fn references_and_circles() {
    let text = "a = b + 1\nb = 2\nfunction \"inc\" {\n params = [n]\n result = n + a\n}\n\
                function \"all\" {\n params = []\n variadic_params = rest\n result = join(\"-\", rest)\n}\n\
                target \"base\" { tags = [\"x:${inc(1)}\"] }\n\
                target \"default\" {\n tags = target.base.tags\n args = { all = all(\"p\", \"q\") }\n}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    assert_eq!(document["target"]["default"]["tags"], json!(["x:4"]));
    assert_eq!(document["target"]["default"]["args"]["all"], "p-q");
    for (text, words) in [
        ("a = b\nb = a\ntarget \"default\" { args = { a = a } }", "variable cycle not allowed"),
        (
            "function \"f\" {\n params = [x]\n result = f(x)\n}\ntarget \"default\" { args = { a = f(1) } }",
            "too deeply",
        ),
        ("target \"default\" { tags = target.default.tags }", "reference cycle"),
        (
            "function \"f\" {\n params = [x]\n result = x\n}\ntarget \"default\" { args = { a = f() } }",
            "expects 1 argument(s), not 0",
        ),
    ] {
        let error = hcl(text, &given(&[], &[], &[])).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn groups_and_links() {
    let text = "group \"default\" { targets = [\"alpine\", \"more\"] }\ngroup \"more\" { targets = [\"debian\"] }\n\
                target \"default\" { dockerfile-inline = \"FROM ubuntu\" }\ntarget \"alpine\" {}\ntarget \"debian\" {\n contexts = { b = \"target:base\" }\n}\ntarget \"base\" {}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    let names: Vec<&String> = document["target"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["alpine", "base", "debian"]);
    assert_eq!(
        document["group"],
        json!({ "default": { "targets": ["alpine", "more"] }, "more": { "targets": ["debian"] } })
    );
    let planned = plan(&[file("x.hcl", text)], &given(&["d*", "base"], &[], &[])).unwrap();
    assert_eq!(planned.in_order(), ["alpine", "base", "debian"]);
    let error = hcl(text, &given(&["alpin"], &[], &[])).unwrap_err();
    assert_eq!(error, "failed to find target alpin (did you mean alpine?)");
    let circle = "target \"a\" { contexts = { b = \"target:b\" } }\ntarget \"b\" { contexts = { a = \"target:a\" } }";
    assert!(hcl(circle, &given(&["a"], &[], &[])).unwrap_err().contains("infinite loop"));
}

#[test]
fn rows_are_objects() {
    let text = "target \"default\" {\n output = [\"type=image,name=foo\", \"out\", { type = \"tar\", dest = \"-\" }]\n cache-from = [\"user/app:cache\"]\n \
                secret = [\"type=env,id=KUBECONFIG\"]\n ssh = [\"default\", \"key=/a,/b\"]\n attest = [\"type=sbom\"]\n no-cache = 1\n pull = \"always\"\n}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    let target = &document["target"]["default"];
    assert_eq!(
        target["output"],
        json!([{ "name": "foo", "type": "image" }, { "dest": "out", "type": "local" }, { "dest": "-", "type": "tar" }])
    );
    assert_eq!(target["cache-from"], json!([{ "ref": "user/app:cache", "type": "registry" }]));
    assert_eq!(target["ssh"], json!([{ "id": "default" }, { "id": "key", "paths": ["/a", "/b"] }]));
    assert_eq!((&target["no-cache"], &target["pull"]), (&json!(true), &json!(true)));
    let planned = plan(&[file("x.hcl", text)], &given(&[], &[], &[])).unwrap();
    assert_eq!(planned.targets["default"].rows("output")[0], "name=foo,type=image");
}

#[test]
fn overrides() {
    let text = "group \"default\" { targets = [\"app\", \"db\"] }\ntarget \"app\" {\n tags = [\"a\"]\n args = { x = 1 }\n}\ntarget \"db\" {}";
    let show = |sets: &[&str]| hcl(text, &given(&[], sets, &[("FROM_ENV", "e")]));
    let app = |sets: &[&str]| show(sets).unwrap()["target"]["app"].clone();
    assert_eq!(app(&["app.args.x=2", "app.args.y=3"])["args"], json!({ "x": "2", "y": "3" }));
    assert_eq!(app(&["app.args.FROM_ENV"])["args"]["FROM_ENV"], "e");
    assert_eq!(
        app(&["*.platform=linux/arm64,linux/amd64"])["platforms"],
        json!(["linux/arm64", "linux/amd64"])
    );
    assert_eq!(app(&["app.tags=b", "app.tags=c"])["tags"], json!(["b", "c"]));
    assert_eq!(app(&["app.tags+=b"])["tags"], json!(["a", "b"]));
    assert_eq!(app(&["a*.output=type=registry"])["output"], json!([{ "type": "registry" }]));
    assert_eq!(app(&["*.no-cache", "*.load"])["no-cache"], json!(true));
    assert_eq!(app(&["app.secrets=id=k,src=f"])["secret"], json!([{ "id": "k", "src": "f" }]));
    assert_eq!(show(&["app.target=t"]).unwrap()["target"]["db"].get("target"), None);
    for (set, words) in [
        ("app", "expected target.name=value"),
        ("app.nothing=1", "unknown key: nothing"),
        ("app.tag=1", "did you mean tags?"),
        ("no*.target=x", "could not find any target matching 'no*'"),
        ("app.args=x", "expected target.name=value"),
        ("app.pull=perhaps", "invalid value for pull"),
    ] {
        assert!(show(&[set]).unwrap_err().contains(words), "{set}");
    }
}

#[test]
fn json_files_say_the_same() {
    let text = r#"{
        "variable": { "TAG": { "default": "latest" } },
        "function": { "inc": { "params": ["n"], "result": "n + 1" } },
        "group": { "default": { "targets": ["webapp"] } },
        "target": { "webapp": {
            "dockerfile": "Dockerfile",
            "tags": ["docker.io/username/webapp:${TAG}"],
            "args": { "n": "${inc(1)}", "none": null }
        } } }"#;
    let planned = plan(&[file("docker-bake.json", text)], &given(&[], &[], &[("TAG", "x")]));
    let document = planned.unwrap().document();
    assert_eq!(document["target"]["webapp"]["tags"], json!(["docker.io/username/webapp:x"]));
    assert_eq!(document["target"]["webapp"]["args"], json!({ "n": "2" }));
    let error = plan(&[file("x.json", "{\n \"a\"")], &given(&[], &[], &[])).unwrap_err();
    assert!(error.to_string().starts_with("x.json:2,"), "{error}");
}

#[test]
fn several_files_are_one() {
    let files = [
        file("compose.yaml", "services:\n  webapp:\n    build: .\n    image: from-compose\n"),
        file(
            "docker-bake.hcl",
            "variable \"V\" { default = 1 }\ntarget \"webapp\" {\n tags = [\"a\"]\n args = { a = V, c = 1 }\n}",
        ),
        file(
            "docker-bake.override.hcl",
            "variable \"V\" { default = 2 }\ntarget \"webapp\" {\n tags = [\"b\"]\n args = { b = V }\n}",
        ),
    ];
    let document = plan(&files, &given(&["webapp"], &[], &[])).unwrap().document();
    assert_eq!(document["target"]["webapp"]["tags"], json!(["b"]));
    assert_eq!(document["target"]["webapp"]["args"], json!({ "a": "2", "b": "2", "c": "1" }));
}

#[test]
fn compose_files() {
    let text = "
x-common: &common
  args: { COMMON: \"${C:-dflt}\" }
services:
  web.app:
    image: me/web:${TAG}
    build:
      <<: *common
      context: ./web
      dockerfile: web.Dockerfile
      cache_from: [me/cache]
      platforms: [linux/amd64]
      additional_contexts: [a=./a]
      extra_hosts: [\"h:1.2.3.4\"]
      x-bake:
        tags: [x]
        output: type=docker
  db:
    build: ./db
  none:
    image: postgres
";
    let document =
        plan(&[file("compose.yml", text)], &given(&[], &[], &[("TAG", "1")])).unwrap().document();
    assert_eq!(document["group"], json!({ "default": { "targets": ["web_app", "db"] } }));
    let wanted = json!({
        "context": "./web",
        "contexts": { "a": "./a" },
        "dockerfile": "web.Dockerfile",
        "args": { "COMMON": "dflt" },
        "tags": ["x"],
        "cache-from": [{ "ref": "me/cache", "type": "registry" }],
        "platforms": ["linux/amd64"],
        "output": [{ "type": "docker" }],
        "extra-hosts": { "h": "1.2.3.4" },
    });
    assert_eq!(document["target"]["web_app"], wanted);
    assert_eq!(document["target"]["db"]["context"], "./db");
    let list = "services:\n  a:\n    image: me/a\n    build:\n      context: .\n      args: [X=1, \"Y=$$2 'q'\"]\n";
    let document = plan(&[file("x.yaml", list)], &given(&["a"], &[], &[])).unwrap().document();
    assert_eq!(document["target"]["a"]["args"], json!({ "X": "1", "Y": "$2 'q'" }));
    assert_eq!(document["target"]["a"]["tags"], json!(["me/a"]));
    let bomb = format!(
        "a: &a [x, x]\n{}",
        (1..40)
            .map(|n| format!(
                "b{n}: &b{n} [*{0}, *{0}]\n",
                if n == 1 { "a".to_owned() } else { format!("b{}", n - 1) }
            ))
            .collect::<String>()
    );
    assert!(
        plan(&[file("x.yml", &bomb)], &given(&[], &[], &[]))
            .unwrap_err()
            .to_string()
            .contains("too large")
    );
}

#[test]
fn errors_show_their_line() {
    let text = "target \"default\" {\n  dockerfile-inline = \"FROM ${BASE_IMAGE}\"\n}\n";
    let error = plan(&[file("docker-bake.hcl", text)], &given(&[], &[], &[])).unwrap_err();
    let wanted =
        "docker-bake.hcl:2,31-41: Unknown variable; There is no variable named \"BASE_IMAGE\".";
    assert_eq!(error.to_string(), wanted);
    let BuildError::BakeFile { lines, .. } = error else { panic!("no place") };
    assert!(lines.contains("   2 | >>>   dockerfile-inline"), "{lines}");
    for (text, words) in [
        (
            "target \"default\" { tag = [\"x\"] }",
            "An argument named \"tag\" is not expected here. Did you mean \"tags\"?",
        ),
        ("targett \"default\" {}", "Did you mean \"target\"?"),
        ("target {}", "One label is required"),
        ("target \"a\" {", "no closing brace"),
        ("a = 1\na = 2", "Attribute redefined"),
        ("target \"default\" { tags = \"x\" }", "Incorrect value for tags; a list is required"),
        ("a = 1 2", "must end with a newline"),
    ] {
        let error = hcl(text, &given(&[], &[], &[])).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn lists_variables() {
    let text = "variable \"TAG\" {\n type = string\n default = \"x\"\n description = \"the tag\"\n}\nvariable \"L\" {\n type = list(string)\n default = [\"a\"]\n}\nvariable \"N\" {}";
    let (_, variables) = list(&[file("x.hcl", text)], &given(&[], &[], &[])).unwrap();
    let rows: Vec<_> = variables
        .iter()
        .map(|one| (one.name.as_str(), one.kind.as_deref(), one.value.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("L", Some("list(string)"), Some("[\"a\"]")),
            ("N", None, None),
            ("TAG", Some("string"), Some("x"))
        ]
    );
    assert_eq!(variables[2].description.as_deref(), Some("the tag"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(target|variable|\"a\"|=|for|in|if|<<E\n|\\$\\{|%\\{|format|[ \n\\[\\]{}().,:?!*\"\\\\a-c0-2~é-]){0,50}") {
        for text in [text.clone(), format!("target \"default\" {{ args = {{ a = {text} }} }}"), format!("a = \"{text}\"")] {
            let _ = hcl(&text, &given(&[], &[], &[]));
            let _ = plan(&[file("x.yaml", &text)], &given(&[], &[], &[]));
        }
    }
}
