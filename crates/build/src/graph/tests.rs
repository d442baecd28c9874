use std::collections::BTreeMap;

use spec::{ContainerConfig, Platform};

use super::*;

struct Known;

impl Bases for Known {
    fn config(&self, image: &str, _: Option<&str>) -> Option<ContainerConfig> {
        let on_build = vec!["COPY --from=late /x /y".to_owned()];
        let env = vec!["P=/p".to_owned()];
        (image == "trigger").then(|| ContainerConfig { on_build, env, ..Default::default() })
    }

    fn is_context(&self, name: &str) -> bool {
        name == "files"
    }

    fn is_repository(&self, source: &str) -> bool {
        source.ends_with(".git")
    }
}

fn graph(text: &str) -> Result<Graph, BuildError> {
    let inputs = Inputs {
        arguments: BTreeMap::new(),
        target_platform: Platform::new("linux", "amd64", None),
        build_platform: Platform::new("linux", "amd64", None),
        target: None,
    };
    let stages = Stages::read(&crate::syntax::parse(text)?, &inputs)?;
    plan(stages, &inputs, &Known)
}

#[test]
fn plans_only_what_is_needed() {
    let text = "FROM a AS x\nRUN one\nFROM b AS unused\nRUN two\nFROM scratch\nARG d=/d\n\
                WORKDIR $d\nCOPY --from=x /a $d\nCOPY --from=img /b /c\nRUN --mount=from=img,target=/t z\nCMD q";
    let wanted = "0: base a\n1 on 0: run one\n2: scratch\n3 on 2: config ARG d=/d\n\
                  4 on 3: workdir /d\n5 on 4 from 1: copy to /d\n6: base img\n\
                  7 on 5 from 6: copy to /c\n8 on 7 from 6: run z\n9 on 8: config CMD q\n";
    let graph = graph(text).unwrap();
    assert_eq!(graph.render(), wanted);
    assert_eq!(graph.target, 9);
    let titles: Vec<_> = [0, 1, 6, 8].map(|at: usize| graph.steps[at].title.as_str()).into();
    let wanted = [
        "[x 1/2] FROM docker.io/library/a:latest",
        "[x 2/2] RUN one",
        "FROM docker.io/library/img:latest",
        "[stage-2 4/4] RUN --mount=from=img,target=/t z",
    ];
    assert_eq!(titles, wanted);
}

#[test]
fn titles_count_what_is_done() {
    let titles = |text: &str| -> Vec<String> {
        let graph = graph(text).unwrap();
        let work = graph.steps.into_iter().filter(Step::is_work);
        work.map(|step| step.title).collect()
    };
    let text = "FROM files\nFROM h:5000/a:1\nFROM scratch\nCOPY --from=1 /a /";
    let wanted = ["[stage-1 1/1] FROM h:5000/a:1", "[stage-2 1/1] COPY --from=1 /a /"];
    assert_eq!(titles(text), wanted);
    assert_eq!(titles("FROM files"), ["[1/1] FROM files"]);
}

#[test]
fn what_is_known_once_words_are_expanded_is_refused() {
    let check = |line: &str, words: &str| {
        let error = graph(&format!("FROM a\nENV E= M=888 U=http://h/f\n{line}")).unwrap_err();
        assert_eq!(error.to_string(), words, "{line}");
        assert_eq!(error.span(), Some(Span::new(3, 3)), "{line}");
    };
    let mode = |mode: &str| {
        format!(
            "invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
        )
    };
    for wrong in ["888", "u", "9", "10000", "a+?"] {
        check(&format!("COPY --chmod={wrong} a b"), &mode(wrong));
    }
    check("ADD --chmod=$M a b", &mode("888"));
    check("COPY http://h/f /", "source can't be a URL for COPY");
    check("COPY a $U /", "source can't be a URL for COPY");
    check("COPY https://h/r.git /", "source can't be a git ref for COPY");
    let only = "checksum requires HTTP(S) or Git sources";
    check("ADD --checksum=sha256:00 a /", only);
    check(
        "ADD --checksum=sha256:00 https://h/f a /",
        "checksum can't be specified for multiple sources",
    );
    for right in [
        "COPY --chmod=$E --chown=$E a b",
        "COPY --chmod=u+x,g=rX a b",
        "COPY --chmod=04755 a b",
        "ADD --checksum=sha256:00 $U /",
        "ADD --checksum=00 https://h/r.git /",
        "ADD --checksum=$E a b c /",
        "ADD http://h/f https://h/r.git /",
    ] {
        let graph = graph(&format!("FROM a\nENV E= U=http://h/f\n{right}"));
        let graph = graph.unwrap_or_else(|error| panic!("{right}: {error}"));
        let Op::Copy { flags, .. } = &graph.steps[graph.target].op else { panic!("{right}") };
        assert!(flags.chown.is_none() && flags.chmod.as_deref() != Some(""), "{right}");
    }
}

#[test]
fn triggers_bring_their_stages() {
    let graph = graph("FROM x AS late\nFROM trigger\nWORKDIR $P").unwrap();
    let wanted = "0: base x\n1: base trigger\n2 on 1 from 0: copy to /y\n3 on 2: workdir /p\n";
    assert_eq!(graph.render(), wanted);
}

#[test]
fn many_steps_and_stages() {
    let mut text = "FROM x AS s0\n".to_owned();
    for at in 1..300 {
        text.push_str(&format!("FROM s{} AS s{at}\nENV E{at}=1\nRUN $E{at}\n", at - 1));
    }
    text.push_str(&"RUN x\n".repeat(1000));
    assert_eq!(graph(&text).unwrap().steps.len(), 1 + 299 * 2 + 1000);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(FROM|RUN|COPY|ENV|ARG|ONBUILD|[ \\n\\\\$\\{\\}<=\"'`#a-c-]){0,60}") {
        let _ = graph(&text);
        let _ = graph(&format!("FROM a\n{text}"));
        if let Ok(ignore) = crate::ignore::Ignore::parse(&text) {
            ignore.skips_folder(&text);
        }
    }
}
