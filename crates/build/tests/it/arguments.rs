//! Which variables an instruction sees, and what they are.

use std::collections::BTreeMap;

use build::graph::{Bases, Op, plan};
use build::instruction::Mount;
use build::scope::Inputs;
use build::stage::{Base, Stages};
use build::syntax::parse;
use spec::{ContainerConfig, Platform};

struct Known;

impl Bases for Known {
    fn config(&self, image: &str, _: Option<&str>) -> Option<ContainerConfig> {
        let env = vec!["BASE=from-image".to_owned(), "PATH=/bin".to_owned()];
        (image == "known").then(|| ContainerConfig { env, ..Default::default() })
    }
}

fn inputs(given: &[(&str, &str)]) -> Inputs {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs {
        arguments: given.iter().map(own).collect::<BTreeMap<_, _>>(),
        target_platform: Platform::new("linux", "arm", Some("v7")),
        build_platform: Platform::new("linux", "amd64", None),
        target: None,
    }
}

/// A word as the last `RUN` of a file sees it, arguments given.
fn seen(text: &str, given: &[(&str, &str)], word: &str) -> String {
    let inputs = inputs(given);
    let document = parse(text).expect("the rows can be read");
    let stages = Stages::read(&document, &inputs).expect("the rows have stages");
    let escape = stages.escape;
    let graph = plan(stages, &inputs, &Known).expect("the rows can be planned");
    let run = graph.steps.iter().rev().find_map(|step| match &step.op {
        Op::Run { scope, .. } => Some((scope, step.span)),
        _ => None,
    });
    let (scope, span) = run.expect("there is a RUN");
    scope.expand(word, span, escape).unwrap_or_else(|error| error.to_string())
}

#[test]
fn scopes() {
    for (text, given, word, wanted) in [
        ("FROM a\nARG v\nRUN x", &[][..], "$v", ""),
        ("FROM a\nARG v=1\nRUN x", &[], "$v", "1"),
        ("FROM a\nARG v=1\nRUN x", &[("v", "2")], "$v", "2"),
        ("FROM a\nARG v=1\nRUN x", &[("v", "")], "$v", ""),
        ("FROM a\nRUN x", &[("v", "2")], "$v", ""),
        ("ARG v=1\nFROM a\nRUN x", &[], "$v", ""),
        ("ARG v=1\nFROM a\nARG v\nRUN x", &[], "$v", "1"),
        ("ARG v=1\nFROM a\nARG v\nRUN x", &[("v", "2")], "$v", "2"),
        ("ARG v=1\nFROM a\nARG v=3\nRUN x", &[], "$v", "3"),
        ("ARG v=1\nFROM a\nARG v=3\nRUN x", &[("v", "2")], "$v", "2"),
        ("ARG a=1\nARG b=$a-2\nFROM c\nARG b\nRUN x", &[], "$b", "1-2"),
        ("ARG a=1\nARG b=$a-2\nFROM c\nARG b\nRUN x", &[("a", "9")], "$b", "9-2"),
        ("FROM a\nARG v=1\nENV v=2\nRUN x", &[], "$v", "2"),
        ("FROM a\nARG v=1\nENV v=2\nRUN x", &[("v", "3")], "$v", "2"),
        ("FROM a\nENV v=2\nARG v=1\nRUN x", &[("v", "3")], "$v", "2"),
        ("FROM a\nARG v=1\nENV w=${v:-x}\nRUN x", &[], "$w", "1"),
        ("FROM a\nENV w=${v:-x}\nRUN x", &[], "$w", "x"),
        ("FROM a\nENV a=1\nENV a=2 b=$a\nRUN x", &[], "$a$b", "21"),
        ("FROM a\nENV a=1 \\\n b=2\nRUN x", &[], "$a$b", "12"),
        (
            "FROM a\nENV a=hello\nENV b=$a\\ x c=\"$a y\" d='$a'\nRUN x",
            &[],
            "$b|$c|$d",
            "hello x|hello y|$a",
        ),
        ("FROM a\nENV a=\\$b\nRUN x", &[], "$a", "$b"),
        ("FROM a AS b\nARG v=1\nENV e=2\nFROM b\nRUN x", &[], "$v$e", "12"),
        ("FROM a AS b\nARG v=1\nFROM a\nRUN x", &[], "$v", ""),
        ("FROM known\nRUN x", &[], "$BASE", "from-image"),
        ("FROM known\nENV PATH=$PATH:/x\nRUN x", &[], "$PATH", "/bin:/x"),
        ("FROM known\nARG BASE=1\nRUN x", &[("BASE", "2")], "$BASE", "from-image"),
        (
            "FROM a\nARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT\nRUN x",
            &[],
            "$TARGETPLATFORM $TARGETOS $TARGETARCH $TARGETVARIANT",
            "linux/arm/v7 linux arm v7",
        ),
        (
            "FROM a\nARG BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT\nRUN x",
            &[],
            "$BUILDPLATFORM $BUILDOS $BUILDARCH $BUILDVARIANT",
            "linux/amd64 linux amd64 ",
        ),
        ("FROM a\nRUN x", &[], "$TARGETARCH", ""),
        ("FROM a\nARG TARGETARCH\nRUN x", &[("TARGETARCH", "s390x")], "$TARGETARCH", "s390x"),
        ("FROM a\nARG TARGETARCH=mine\nRUN x", &[], "$TARGETARCH", "mine"),
        ("FROM a\nARG TARGETSTAGE\nRUN x", &[], "$TARGETSTAGE", "default"),
        ("FROM a\nARG HTTP_PROXY\nRUN x", &[("HTTP_PROXY", "p")], "$HTTP_PROXY", "p"),
        (
            "FROM a\nARG BUILDKIT_SANDBOX_HOSTNAME\nRUN x",
            &[("BUILDKIT_SANDBOX_HOSTNAME", "h")],
            "$BUILDKIT_SANDBOX_HOSTNAME",
            "h",
        ),
        ("# escape=`\nFROM a\nENV a=`$b c=\\d\nRUN x", &[], "$a $c", "$b \\d"),
    ] {
        assert_eq!(seen(text, given, word), wanted, "{text:?} {given:?} {word}");
    }
}

#[test]
fn modifiers() {
    let text = "FROM a\nENV set=value empty= path=/usr/local/bin.tar.gz\nRUN x";
    for (word, wanted) in [
        ("$set", "value"),
        ("${set}", "value"),
        ("${set}_x", "value_x"),
        ("$set_x", ""),
        ("${set:-word}", "value"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${unset-word}", "word"),
        ("${unset:-$set}", "value"),
        ("${unset:-${other:-deep}}", "deep"),
        ("${set:+word}", "word"),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${unset:+word}", ""),
        ("${set:?no}", "value"),
        ("${path#*/}", "usr/local/bin.tar.gz"),
        ("${path##*/}", "bin.tar.gz"),
        ("${path%.*}", "/usr/local/bin.tar"),
        ("${path%%.*}", "/usr/local/bin"),
        ("${path/l/L}", "/usr/Local/bin.tar.gz"),
        ("${path//l/L}", "/usr/LocaL/bin.tar.gz"),
        ("\\$set", "$set"),
        ("'$set'", "$set"),
        ("\"$set\"", "value"),
        ("a\\ b", "a b"),
    ] {
        assert_eq!(seen(text, &[], word), wanted, "{word}");
    }
    for word in ["${unset:?is missing}", "${empty:?is missing}", "${set", "${}", "${set:x}", "\"a"]
    {
        let error = seen(text, &[], word);
        assert_eq!(error, format!("failed to process {word:?}"));
    }
}

#[test]
fn bases_and_platforms() {
    for (text, given, base, platform) in [
        ("ARG v=1\nFROM a:$v", &[][..], "a:1", None),
        ("ARG v=1\nFROM a:$v", &[("v", "2")], "a:2", None),
        ("ARG v\nFROM a:${v:-3}", &[], "a:3", None),
        ("ARG v=-x\nFROM a:1${v}", &[("v", "")], "a:1", None),
        ("ARG b=img\nARG full=$b:9\nFROM $full", &[], "img:9", None),
        ("FROM --platform=$BUILDPLATFORM a", &[], "a", Some("linux/amd64")),
        ("FROM --platform=$TARGETPLATFORM a", &[], "a", Some("linux/arm/v7")),
        ("FROM --platform=linux/$TARGETARCH a", &[], "a", Some("linux/arm")),
        ("ARG p=\nFROM --platform=$p a", &[], "a", None),
        ("FROM a-$TARGETARCH", &[], "a-arm", None),
        ("ARG TARGETARCH=x\nFROM a-$TARGETARCH", &[], "a-x", None),
    ] {
        let stages = Stages::read(&parse(text).unwrap(), &inputs(given)).unwrap();
        let stage = &stages.stages[0];
        assert_eq!(stage.base, Base::Image(base.to_owned()), "{text:?}");
        assert_eq!(stage.platform.as_deref(), platform, "{text:?}");
    }
    let blank = Stages::read(&parse("ARG v\nFROM $v").unwrap(), &inputs(&[])).unwrap_err();
    assert_eq!(blank.to_string(), "base name ($v) should not be blank");
    let alone = Stages::read(&parse("ARG v").unwrap(), &inputs(&[])).unwrap_err();
    assert_eq!(alone.to_string(), "dockerfile contains no stages to build");
    let by_name = "ARG which=two\nFROM x AS one\nFROM y AS two\nFROM $which";
    let stages = Stages::read(&parse(by_name).unwrap(), &inputs(&[])).unwrap();
    assert_eq!(stages.stages[2].base, Base::Stage(1));
}

#[test]
fn mounts_are_expanded() {
    let at = build::Span::new(1, 1);
    let expand =
        |word: &str| Ok(word.replace("$d", "/a,b").replace("$n", "7").replace("$s", "locked"));
    let mount = Mount::parse("type=cache,target=$d,uid=$n,mode=070$n,sharing=$s,id=x").unwrap();
    let expanded = mount.expanded(at, &expand).unwrap();
    assert_eq!(expanded.target.as_deref(), Some("/a,b"));
    assert_eq!((expanded.uid, expanded.mode), (Some(7), Some(0o707)));
    assert_eq!(format!("{:?}", expanded.sharing), "Locked");
    let wrong = Mount::parse("type=cache,target=/x,uid=$d").unwrap().expanded(at, &expand);
    assert!(wrong.unwrap_err().to_string().contains("invalid value /a,b for uid"));
    let tmpfs =
        Mount::parse("type=tmpfs,target=/x,size=$nm").unwrap().expanded(at, &expand).unwrap();
    assert_eq!(tmpfs.size_bytes, Some(7 << 20));
}
