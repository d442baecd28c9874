//! Expressions, templates and functions.

use super::*;

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
        ("homedir()", json!("/home/me")),
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
