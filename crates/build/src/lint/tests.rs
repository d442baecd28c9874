use spec::{ContainerConfig, Platform};

use super::*;

/// What is known around the files of these tests; a row changes what it needs.
struct Around {
    inputs: Inputs,
    ignore: Option<Ignore>,
    bases: BTreeMap<String, ImageConfig>,
}

impl Around {
    fn new() -> Around {
        let amd64 = Platform::new("linux", "amd64", None);
        let inputs = Inputs {
            arguments: BTreeMap::new(),
            target_platform: amd64.clone(),
            build_platform: amd64,
            target: None,
        };
        Around { inputs, ignore: None, bases: BTreeMap::new() }
    }

    fn argument(mut self, name: &str, value: &str) -> Around {
        self.inputs.arguments.insert(name.to_owned(), value.to_owned());
        self
    }

    fn base(mut self, name: &str, architecture: &str, config: ContainerConfig) -> Around {
        let mut image =
            ImageConfig::parse(br#"{"os":"linux","rootfs":{"type":"layers"}}"#).unwrap();
        image.architecture = architecture.to_owned();
        image.config = Some(config);
        self.bases.insert(name.to_owned(), image);
        self
    }

    fn with<T>(&self, run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let Around { inputs, ignore, bases } = self;
        run(&Surroundings { inputs, ignore: ignore.as_ref(), has_context: true, bases })
    }

    /// BuildKit's findings, one line each: `line Rule: message`.
    fn warnings(&self, text: &str) -> Vec<String> {
        let report = self.with(|around| check(text, around)).unwrap();
        let line = |found: &Finding| {
            format!("{} {}: {}", found.span.first, found.rule.name, found.message)
        };
        report.warnings().map(line).collect()
    }

    fn advice(&self, text: &str) -> Vec<(usize, &'static str)> {
        let report = self.with(|around| check(text, around)).unwrap();
        report.advice().map(|found| (found.span.first, found.rule.name)).collect()
    }
}

/// Findings of one rule that the text alone gives.
#[track_caller]
fn finds(name: &str, text: &str, wanted: &[&str]) {
    let found = Around::new().warnings(text);
    let own = |line: &String| line.split([' ', ':']).nth(1) == Some(name);
    let own: Vec<String> = found.iter().filter(|line| own(line)).cloned().collect();
    let wanted: Vec<String> = wanted
        .iter()
        .map(|row| {
            let (line, message) = row.split_once(' ').unwrap();
            format!("{line} {name}: {message}")
        })
        .collect();
    assert_eq!(own, wanted, "{text:?}");
}

#[test]
fn stage_name_casing() {
    let name = "StageNameCasing";
    finds(name, "FROM a AS BuilderBase", &["1 Stage name 'BuilderBase' should be lowercase"]);
    finds(name, "FROM a AS builder-base", &[]);
    finds(name, "FROM a\nFROM b AS C", &["2 Stage name 'C' should be lowercase"]);
}

#[test]
fn from_as_casing() {
    let name = "FromAsCasing";
    finds(name, "FROM a as b", &["1 'as' and 'FROM' keywords' casing do not match"]);
    finds(name, "from a AS b", &["1 'AS' and 'from' keywords' casing do not match"]);
    finds(name, "FROM a As b", &["1 'As' and 'FROM' keywords' casing do not match"]);
    finds(name, "FROM a AS b\n", &[]);
    finds(name, "from a as b", &[]);
}

#[test]
fn no_empty_continuation() {
    let name = "NoEmptyContinuation";
    finds(name, "FROM a\nCOPY x \\\n\n  y", &["4 Empty continuation line"]);
    finds(name, "FROM a\nRUN a && \\\n\n\n  b && \\\n\n c\nUSER x", &["7 Empty continuation line"]);
    finds(name, "FROM a\nRUN a && \\\n  # about b\n  b", &[]);
    finds(name, "FROM a\nRUN <<E\n\nx\n\nE", &[]);
}

#[test]
fn consistent_instruction_casing() {
    let name = "ConsistentInstructionCasing";
    let entry = "Command 'EntryPoint' should match the case of the command majority (uppercase)";
    finds(name, "FROM a\nRUN b\nEntryPoint [\"c\"]", &[&format!("3 {entry}")]);
    finds(
        name,
        "from a\nrun b\nCMD c",
        &["3 Command 'CMD' should match the case of the command majority (lowercase)"],
    );
    finds(
        name,
        "From a",
        &["1 Command 'From' should match the case of the command majority (uppercase)"],
    );
    finds(name, "from a\nrun b", &[]);
}

#[test]
fn stage_names_are_unique_and_not_reserved() {
    let duplicate = "3 Duplicate stage name \"b\", stage names should be unique";
    finds("DuplicateStageName", "FROM a AS b\nRUN x\nFROM c AS B", &[duplicate]);
    finds("DuplicateStageName", "FROM a AS b\nFROM a AS c", &[]);
    let reserved = |name: &str| {
        format!("1 Stage name should not use the same name as reserved stage {name:?}")
    };
    finds("ReservedStageName", "FROM a AS scratch", &[&reserved("scratch")]);
    finds("ReservedStageName", "FROM a AS Context", &[&reserved("context")]);
    finds("ReservedStageName", "FROM scratch AS contexts", &[]);
}

#[test]
fn json_args_recommended() {
    let name = "JSONArgsRecommended";
    let said = |line: usize, word: &str| {
        format!(
            "{line} JSON arguments recommended for {word} to prevent unintended behavior related \
             to OS signals"
        )
    };
    finds(name, "FROM a\nENTRYPOINT my-program start", &[&said(2, "ENTRYPOINT")]);
    finds(name, "FROM a\nCMD x\nENTRYPOINT y", &[&said(2, "CMD"), &said(3, "ENTRYPOINT")]);
    finds(name, "FROM a\nENTRYPOINT [\"my-program\", \"start\"]", &[]);
    finds(name, "FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT echo x", &[]);
    finds(name, "FROM a AS b\nSHELL [\"sh\", \"-c\"]\nFROM b\nCMD x", &[]);
    finds(name, "FROM a\nHEALTHCHECK CMD curl x", &[]);
    finds(name, "FROM a\nRUN x", &[]);
}

#[test]
fn maintainer_deprecated() {
    let said = "2 Maintainer instruction is deprecated in favor of using label";
    finds("MaintainerDeprecated", "FROM a\nMAINTAINER x@y", &[said]);
    finds("MaintainerDeprecated", "FROM a\nLABEL org.opencontainers.image.authors=\"x\"", &[]);
}

#[test]
fn undefined_arg_in_from() {
    let name = "UndefinedArgInFrom";
    finds(name, "FROM node:22${VARIANT} AS x", &["1 FROM argument 'VARIANT' is not declared"]);
    finds(name, "ARG VARIANT=\"-alpine\"\nFROM node:22${VARIANT} AS x", &[]);
    finds(
        name,
        "FROM --platform=$BULIDPLATFORM a",
        &["1 FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"],
    );
    finds(name, "FROM --platform=$BUILDPLATFORM a", &[]);
    finds(name, "FROM a AS b-$TARGETARCH-x\n".replace("-$TARGETARCH-x", "").as_str(), &[]);
    finds(name, "FROM b-$TARGETARCH", &[]);
    finds(name, "FROM a:${tag:-1}", &[]);
    // An argument of a stage is no argument of the head.
    finds(name, "FROM a\nARG v=1\nFROM b:$v", &["3 FROM argument 'v' is not declared"]);
}

#[test]
fn invalid_default_arg_in_from() {
    let name = "InvalidDefaultArgInFrom";
    let said = |line: usize, base: &str| {
        format!("{line} Default value for ARG {base} results in empty or invalid base image name")
    };
    finds(name, "ARG TAG\nFROM busybox:${TAG}", &[&said(2, "busybox:${TAG}")]);
    finds(name, "ARG TAG=latest\nFROM busybox:${TAG}", &[]);
    finds(name, "ARG TAG\nFROM busybox:${TAG:-latest}", &[]);
    finds(name, "ARG BASE\nFROM $BASE", &[&said(2, "$BASE")]);
    finds(name, "ARG VARIANT\nFROM busybox:stable${VARIANT}", &[]);
    let given = Around::new().argument("TAG", "1").warnings("ARG TAG\nFROM busybox:${TAG}");
    assert_eq!(given.len(), 1, "the default is at fault whatever is given");
}

#[test]
fn workdir_relative_path() {
    let name = "WorkdirRelativePath";
    let said =
        "2 Relative workdir \"usr/share\" can have unexpected results if the base image changes";
    finds(name, "FROM nginx AS web\nWORKDIR usr/share", &[said]);
    finds(name, "FROM nginx\nWORKDIR /usr\nWORKDIR share", &[]);
    finds(name, "FROM nginx AS a\nWORKDIR /usr\nFROM a\nWORKDIR share", &[]);
    finds(name, "FROM nginx\nENV d=/x\nWORKDIR $d", &[]);
    finds(name, "FROM a\nWORKDIR /x\nFROM b\nWORKDIR usr/share", &[&said.replacen('2', "4", 1)]);
}

#[test]
fn undefined_var() {
    let name = "UndefinedVar";
    let said = |line: usize, word: &str| format!("{line} Usage of undefined variable '${word}'");
    finds(name, "FROM a AS base\nCOPY $foo .", &[&said(2, "foo")]);
    finds(name, "FROM a AS base\nARG foo\nCOPY $foo .", &[]);
    let meant = format!("{} (did you mean $PATH?)", said(2, "PAHT"));
    finds(name, "FROM a\nENV PATH=$PAHT:/app/bin", &[&meant]);
    finds(name, "FROM a\nENV PATH=$PATH:/app/bin", &[]);
    finds(name, "FROM a\nRUN echo $foo && echo ${bar}", &[]);
    finds(name, "FROM a\nCOPY ${foo:-x} ${bar+y} ${baz?z} .", &[]);
    finds(name, "FROM a\nCOPY ${foo#x} ${foo} .", &[&said(2, "foo")]);
    finds(name, "FROM a\nCOPY '$foo' \\$bar .", &[]);
    finds(name, "FROM a\nENV b=1 c=$b", &[&said(2, "b")]);
    finds(name, "FROM a\nENV b=1\nENV c=$b", &[]);
    finds(name, "FROM a AS x\nENV b=1\nFROM x\nLABEL c=$b", &[]);
    finds(name, "ARG v=1\nFROM a\nLABEL c=$v", &[&said(3, "v")]);
    finds(name, "ARG v=1\nFROM a\nARG v\nLABEL c=$v", &[]);
    finds(name, "FROM a\nLABEL c=$TARGETARCH", &[&said(2, "TARGETARCH")]);
    finds(
        name,
        "FROM a\nUSER $u\nEXPOSE $p\nVOLUME $v\nWORKDIR /$w\nSTOPSIGNAL $s",
        &[&said(2, "u"), &said(3, "p"), &said(4, "v"), &said(5, "w"), &said(6, "s")],
    );
    // A document is expanded unless its word is quoted; a command's is the shell's to read.
    finds(name, "FROM a\nCOPY <<E /f\n'$foo' \\$bar ${x:-y}\nE", &[&said(2, "foo")]);
    finds(
        name,
        "FROM a\nADD <<-E <<F /d/\n\t$foo\nE\n$bar\nF",
        &[&said(2, "foo"), &said(2, "bar")],
    );
    finds(name, "FROM a\nCOPY <<'E' /f\n$foo\nE", &[]);
    finds(name, "FROM a\nARG foo\nCOPY <<E /f\n$foo\nE", &[]);
    finds(name, "FROM a\nRUN <<E\necho $foo\nE", &[]);
    let env = vec!["NODE_VERSION=22".to_owned()];
    let known = Around::new().base("node", "amd64", ContainerConfig { env, ..Default::default() });
    assert_eq!(known.warnings("FROM node\nLABEL v=$NODE_VERSION"), [""; 0]);
}

#[test]
fn multiple_instructions_disallowed() {
    let name = "MultipleInstructionsDisallowed";
    let said = |line: usize, word: &str| {
        format!(
            "{line} Multiple {word} instructions should not be used in the same stage because only \
             the last one will be used"
        )
    };
    finds(name, "FROM a\nCMD [\"x\"]\nCMD [\"y\"]", &[&said(2, "CMD")]);
    finds(name, "FROM a\nCMD x\nCMD y\nCMD z", &[&said(2, "CMD"), &said(3, "CMD")]);
    finds(name, "FROM a\nHEALTHCHECK CMD x\nCMD y", &[]);
    finds(name, "FROM a\nHEALTHCHECK CMD x\nHEALTHCHECK NONE", &[&said(2, "HEALTHCHECK")]);
    finds(name, "FROM a\nENTRYPOINT x\nENTRYPOINT y", &[&said(2, "ENTRYPOINT")]);
    finds(name, "FROM a\nCMD x\nFROM b\nCMD y", &[]);
}

#[test]
fn legacy_key_value_format() {
    let name = "LegacyKeyValueFormat";
    let said = |line: usize, word: &str| {
        format!(
            "{line} \"{word} key=value\" should be used instead of legacy \"{word} key value\" format"
        )
    };
    finds(name, "FROM a\nENV DIR /x\nLABEL foo bar baz", &[&said(2, "ENV"), &said(3, "LABEL")]);
    finds(name, "FROM a\nLABEL maintainer = \"a and b\"", &[&said(2, "LABEL")]);
    finds(name, "FROM a\nENV DIR=/x A=b", &[]);
}

#[test]
fn platforms() {
    let redundant = |word: &str| {
        format!(
            "1 Setting platform to predefined {word} in FROM is redundant as this is the default \
             behavior"
        )
    };
    let name = "RedundantTargetPlatform";
    finds(name, "FROM --platform=$TARGETPLATFORM a", &[&redundant("$TARGETPLATFORM")]);
    finds(name, "FROM --platform=${TARGETPLATFORM} a", &[&redundant("${TARGETPLATFORM}")]);
    finds(name, "FROM --platform=$BUILDPLATFORM a", &[]);
    finds(name, "FROM --platform=linux/$TARGETARCH a", &[]);
    let constant = "1 FROM --platform flag should not use constant value \"linux/amd64\"";
    let name = "FromPlatformFlagConstDisallowed";
    finds(name, "FROM --platform=linux/amd64 a AS base", &[constant]);
    finds(name, "FROM --platform=linux/amd64 a", &[constant]);
    finds(name, "FROM --platform=linux/amd64 a AS build_amd64", &[]);
    finds(name, "FROM --platform=$BUILDPLATFORM a AS base", &[]);
    let arm = Around::new().base("a:1", "arm64", ContainerConfig::default());
    let said = "1 InvalidBaseImagePlatform: Base image a:1 was pulled with platform \
                \"linux/arm64\", expected \"linux/amd64\" for current build";
    assert_eq!(arm.warnings("FROM a:1"), [said]);
    assert_eq!(arm.warnings("FROM a:2"), [""; 0]);
    assert!(!arm.warnings("FROM --platform=linux/arm64 a:1").contains(&said.to_owned()));
}

#[test]
fn secrets_used_in_arg_or_env() {
    let name = "SecretsUsedInArgOrEnv";
    let said = |line: usize, word: &str| {
        format!("{line} Do not use ARG or ENV instructions for sensitive data ({word})")
    };
    finds(name, "FROM a\nARG AWS_SECRET_ACCESS_KEY", &[&said(2, "ARG \"AWS_SECRET_ACCESS_KEY\"")]);
    finds(name, "ARG token\nFROM a", &[&said(1, "ARG \"token\"")]);
    for secret in
        ["apikey", "AUTH", "MY_CREDENTIALS", "git_key", "password", "PASSWD", "A_SECRET_B"]
    {
        finds(name, &format!("FROM a\nENV {secret}=x"), &[&said(2, &format!("ENV {secret:?}"))]);
    }
    for plain in ["PUBLIC_KEY", "KEYBOARD", "monkey", "AUTHOR", "TOKENS_MAX", "public_token"] {
        finds(name, &format!("FROM a\nENV {plain}=x"), &[]);
    }
}

#[test]
fn copy_ignored_file() {
    let mut around = Around::new();
    around.ignore = Some(Ignore::parse("*/tmp/*\nsecret\n!secret/ok\nnode_modules").unwrap());
    let said = |verb: &str, file: &str| {
        format!(
            "2 CopyIgnoredFile: Attempting to {verb} file {file:?} that is excluded by .dockerignore"
        )
    };
    for (text, wanted) in [
        ("COPY ./a/tmp/x /x", Some(said("Copy", "./a/tmp/x"))),
        ("COPY node_modules/y /x", Some(said("Copy", "node_modules/y"))),
        ("ADD node_modules /x", Some(said("Add", "node_modules"))),
        ("COPY secret /x", None),
        ("COPY . /x", None),
        ("COPY tmp /x", None),
        ("COPY */tmp/* /x", None),
        ("COPY --from=b node_modules /x", None),
        ("ADD https://h.example/node_modules /x", None),
    ] {
        let found = around.warnings(&format!("FROM a\n{text}"));
        assert_eq!(found, wanted.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn invalid_definition_description() {
    let around = || Around::new().argument(ARGUMENT, "experimental=all");
    let text = "# something else\nFROM scratch AS base\n# and this\nARG VERSION=1";
    let wanted = [
        "2 InvalidDefinitionDescription: Comment for FROM should follow the format: `# base <description>`",
        "4 InvalidDefinitionDescription: Comment for ARG should follow the format: `# VERSION <description>`",
    ];
    assert_eq!(around().warnings(text), wanted);
    assert_eq!(Around::new().warnings(text), [""; 0]);
    let apart = "# something\n\nFROM scratch AS base\n# and\n\nARG VERSION=1";
    let right =
        "# base is for compiling\nFROM scratch AS base\n# VERSION the version\nARG VERSION=1";
    for text in [apart, right, "# anything\nFROM scratch"] {
        assert_eq!(around().warnings(text), [""; 0], "{text}");
    }
}

#[test]
fn exposed_ports() {
    let casing = "2 Defined protocol '80/TcP' in EXPOSE instruction should be lowercase";
    finds("ExposeProtoCasing", "FROM a\nEXPOSE 80/TcP", &[casing]);
    finds("ExposeProtoCasing", "FROM a\nEXPOSE 80/tcp 81", &[]);
    let format = |found: &str| {
        format!(
            "2 EXPOSE instruction should not define an IP address or host-port mapping, found '{found}'"
        )
    };
    let name = "ExposeInvalidFormat";
    finds(name, "FROM a\nEXPOSE 127.0.0.1:80:80", &[&format("127.0.0.1:80:80")]);
    finds(name, "FROM a\nEXPOSE 80:80 81", &[&format("80:80")]);
    finds(name, "FROM a\nEXPOSE 5000-5010/udp", &[]);
}

#[test]
fn checks_are_skipped_and_asked_for() {
    let text = "FROM a AS B\nCMD x";
    let count = |check: &str| {
        let directive = Around::new().warnings(&format!("# check={check}\n{text}")).len();
        let argument = Around::new().argument(ARGUMENT, check).warnings(text).len();
        assert_eq!(directive, argument, "{check}");
        directive
    };
    for (check, wanted) in [
        ("skip=all", 0),
        ("skip=ALL", 0),
        ("skip=StageNameCasing", 1),
        ("skip=stagenamecasing, JSONArgsRecommended", 0),
        ("skip=Nothing", 2),
        ("error=true", 2),
        ("skip=all;error=true", 0),
        ("experimental=all", 2),
    ] {
        assert_eq!(count(check), wanted, "{check}");
    }
    // The argument takes the directive's place.
    let both = Around::new().argument(ARGUMENT, "skip=none");
    assert_eq!(both.warnings(&format!("# check=skip=all\n{text}")).len(), 2);
    // A comment speaks for the instruction below it.
    let above = "FROM a AS b\n# check=skip=JSONArgsRecommended\nCMD x\nENTRYPOINT y";
    assert_eq!(Around::new().warnings(above).len(), 1);
    let described = "FROM a AS b\n# check=skip=NoEmptyContinuation\nRUN x \\\n\n y";
    assert_eq!(Around::new().warnings(described), [""; 0]);
}

#[test]
fn options_are_read_strictly() {
    for wrong in ["skip", "what=1", "error=perhaps", "error="] {
        assert!(Options::parse(wrong).is_err(), "{wrong}");
    }
    for right in ["", ";", "skip=", "error=1", "error=false;skip=all", " skip = all ; error = t "] {
        assert!(Options::parse(right).is_ok(), "{right}");
    }
}

#[test]
fn findings_can_stop_a_build() {
    let report = |text: &str| Around::new().with(|around| check(text, around)).unwrap();
    let error = report("# check=error=true\nFROM a AS B\nCMD x\nCMD y").error().unwrap();
    let wanted = "lint violation found for rules: StageNameCasing, JSONArgsRecommended, \
                  MultipleInstructionsDisallowed";
    assert_eq!(error.to_string(), wanted);
    assert!(report("FROM a AS B").error().is_none());
    assert!(report("# check=error=true\nFROM a").error().is_none(), "advice stops nothing");
}

#[test]
fn a_target_is_checked_with_what_it_needs() {
    let text = "FROM a AS one\nCMD x\nFROM a AS two\nCMD y\nFROM one\nCMD z";
    let mut around = Around::new();
    let lines = |around: &Around| {
        let found = around.warnings(text);
        found.iter().map(|line| line[..1].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&around), ["2", "4", "6"]);
    around.inputs.target = Some("two".to_owned());
    assert_eq!(lines(&around), ["4"]);
    around.inputs.target = Some("none".to_owned());
    assert!(around.with(|around| check(text, around)).is_err());
}

#[test]
fn every_rule_says_why_without_links() {
    assert_eq!(RULES.iter().filter(|rule| rule.class != Class::Advice).count(), 22);
    for rule in RULES {
        assert!(!rule.why.contains("http") && rule.why.len() > 30, "{}", rule.name);
        assert!(std::ptr::eq(super::rule(&rule.name.to_lowercase()).unwrap(), *rule));
    }
}

#[test]
fn advice() {
    for (text, wanted) in [
        ("RUN apt-get update", vec!["AptUpdateAlone"]),
        ("RUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*", vec![]),
        ("RUN apt-get update && apt-get install -y x", vec!["PackageCacheKept"]),
        (
            "RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y x",
            vec![],
        ),
        ("RUN <<E\napt-get update\nE", vec!["AptUpdateAlone"]),
        ("RUN <<E\n#!/usr/bin/python\napt-get update\nE", vec![]),
        ("RUN echo 'apt-get update'", vec![]),
        ("RUN apt-get install x", vec!["AptNeedsYes"]),
        ("RUN apt-get install -qqy x", vec![]),
        ("RUN DEBIAN_FRONTEND=x apt-get install -y x", vec![]),
        ("RUN apk add x", vec!["PackageCacheKept"]),
        ("RUN apk add --no-cache x", vec![]),
        ("RUN pip install x", vec!["PackageCacheKept"]),
        ("RUN dnf install -y x && dnf clean all", vec![]),
        ("RUN dnf install -y x", vec!["PackageCacheKept"]),
        ("RUN cd /app/bin", vec!["ShellStateLost"]),
        ("RUN cd /app && make", vec![]),
        ("RUN export A=b", vec!["ShellStateLost"]),
        ("RUN curl x | sh", vec!["PipeHidesFailure"]),
        ("RUN set -o pipefail; curl x | sh", vec![]),
        ("RUN curl x || true", vec![]),
        ("SHELL [\"bash\",\"-o\",\"pipefail\",\"-c\"]\nRUN curl x | sh", vec![]),
        ("ADD a /b", vec!["AddForLocalFile"]),
        ("ADD a.tar.gz /b", vec![]),
        ("ADD https://h.example/a /b", vec![]),
        ("ENV A=AKIAABCDEFGHIJKLMNOP", vec!["SecretValue"]),
        ("ARG U=https://me:pass@h.example/x", vec!["SecretValue"]),
        ("ENV U=https://h.example/x?a@b:c", vec![]),
        ("RUN a\nRUN b\nRUN c\nUSER x\nRUN d", vec!["CombineRuns"]),
        ("RUN a\nRUN --mount=type=cache,target=/x b\nRUN [\"c\"]", vec![]),
        ("COPY package.json .\nRUN npm ci\nCOPY src .", vec![]),
    ] {
        let found = Around::new().advice(&format!("FROM a:1\n{text}"));
        let names: Vec<&str> = found.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, wanted, "{text}");
    }
}

#[test]
fn advice_on_bases_and_contexts() {
    let mut around = Around::new();
    let bases = "FROM a\nFROM b:latest AS c\nFROM c\nFROM scratch\nFROM d:1\nFROM $e";
    let bases = bases.replace("FROM $e", "FROM x@sha256:".to_owned().as_str());
    let bases = format!("{bases}{}", "0".repeat(64));
    assert_eq!(around.advice(&bases), [(1, "UnpinnedBase"), (2, "UnpinnedBase")]);
    let copies = "FROM a:1\nCOPY . .\nRUN npm ci";
    assert_eq!(around.advice(copies), [(2, "CopyBeforeInstall"), (2, "MissingIgnoreFile")]);
    around.ignore = Some(Ignore::default());
    assert_eq!(around.advice(copies), [(2, "CopyBeforeInstall")]);
}

#[track_caller]
fn fixes(text: &str, wanted: &str) {
    let around = Around::new();
    let (fixed, _) = around.with(|around| fix(text, around)).unwrap();
    assert_eq!(fixed, wanted, "{text:?}");
    let again = around.with(|around| fix(&fixed, around)).unwrap();
    assert_eq!(again, (fixed, vec![]), "a fixed file is at rest");
}

#[test]
fn puts_right_what_needs_no_thinking() {
    for (text, wanted) in [
        ("FROM a:1 AS Build", "FROM a:1 AS build"),
        ("FROM a:1 as Build\n", "FROM a:1 AS build\n"),
        ("from a:1 AS b\nrun x\n", "from a:1 as b\nrun x\n"),
        ("FROM a:1\nRUN x\ncopy a b\nCmd [\"x\"]", "FROM a:1\nRUN x\nCOPY a b\nCMD [\"x\"]"),
        ("FROM a:1\nRUN x && \\\n\n\n  y\n", "FROM a:1\nRUN x && \\\n  y\n"),
        ("FROM a:1\r\nRUN x && \\\r\n\r\n  y\r\n", "FROM a:1\r\nRUN x && \\\r\n  y\r\n"),
        ("FROM a:1\nENV a b\nENV c d e\n", "FROM a:1\nENV a=b\nENV c=\"d e\"\n"),
        ("FROM a:1\nENV a \\\n b\n", "FROM a:1\nENV a \\\n b\n"),
        ("FROM a:1\nENV a \"b\"\n", "FROM a:1\nENV a \"b\"\n"),
        (
            "FROM a:1\nMAINTAINER A <a@b.example>\n",
            "FROM a:1\nLABEL org.opencontainers.image.authors=\"A <a@b.example>\"\n",
        ),
        ("FROM --platform=$TARGETPLATFORM a:1", "FROM a:1"),
        ("FROM a:1\nEXPOSE 80/TCP 8080:81/UDP", "FROM a:1\nEXPOSE 80/tcp 81/udp"),
        ("FROM a:1\nCMD node index.js", "FROM a:1\nCMD [\"node\", \"index.js\"]"),
        ("FROM a:1\nCMD node $X", "FROM a:1\nCMD node $X"),
        ("FROM a:1\nCMD exit 1", "FROM a:1\nCMD exit 1"),
        ("FROM a:1\nRUN apk add curl", "FROM a:1\nRUN apk add --no-cache curl"),
        ("FROM a:1\nRUN apt-get install \\\n  x", "FROM a:1\nRUN apt-get install -y \\\n  x"),
        (
            "FROM a:1\nRUN echo \"apk add\" && apk add x",
            "FROM a:1\nRUN echo \"apk add\" && apk add x",
        ),
        ("FROM a:1\nADD . /x", "FROM a:1\nCOPY . /x"),
        ("FROM a:1\nRUN cd /x\n", "FROM a:1\nWORKDIR /x\n"),
        ("FROM a:1\nRUN x\n", "FROM a:1\nRUN x\n"),
    ] {
        fixes(text, wanted);
    }
}

#[test]
fn a_fix_leaves_skipped_checks_alone() {
    fixes("# check=skip=all\nFROM a AS B\ncmd x", "# check=skip=all\nFROM a AS B\ncmd x");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(FROM|as|AS|RUN|apt-get|install|cd |COPY|ENV|EXPOSE|CMD|\\||[ \\n\\\\$\\{\\}<=\"'`#:/a-cé-]){0,60}") {
        let around = Around::new();
        for text in [text.clone(), format!("FROM a\n{text}")] {
            if around.with(|around| check(&text, around)).is_ok() {
                let (fixed, _) = around.with(|around| fix(&text, around)).unwrap();
                proptest::prop_assert!(crate::syntax::parse(&fixed).is_ok());
            }
        }
    }
}
