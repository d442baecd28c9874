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
        "[x 1/2] FROM a",
        "[x 2/2] RUN one",
        "FROM img",
        "[stage-2 5/5] RUN --mount=from=img,target=/t z",
    ];
    assert_eq!(titles, wanted);
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
