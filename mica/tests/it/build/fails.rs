//! Builds that fail: the words, the place, the exit code, and nothing left.

use super::Builds;

#[test]
fn a_failed_command_is_shown_where_it_stands() {
    let Some(it) = Builds::new() else { return };
    let run = it.build("FROM bb\nENV A=1\nRUN echo said; exit 42\nRUN never\n", "");
    assert_eq!(run.code, 1);
    let wanted = "------\n > [2/3] RUN echo said; exit 42:\nsaid\n------\nDockerfile:3\n--------------------\n   \
                  1 |     FROM bb\n   2 |     ENV A=1\n   3 | >>> RUN echo said; exit 42\n   4 |     RUN never\n   5 |     \n\
                  --------------------\nERROR: failed to build: failed to solve: process \"/bin/sh -c echo said; \
                  exit 42\" did not complete successfully: exit code: 42\n";
    assert!(run.err.ends_with(wanted), "{run}");
    assert_eq!(it.ok("images -q t"), "");
    assert!(!it.root().join("ingest").read_dir().unwrap().any(|_| true), "something is left");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let Some(it) = Builds::new() else { return };
    let check = |file: &str, flags: &str, words: &str| {
        let run = it.build(file, flags);
        assert!(run.code == 1 && run.err.contains(words), "{run}");
    };
    let device = "FROM bb\nRUN --device=nobody.example/class=one,required true\n";
    check(device, "--allow device", "required device nobody.example/class=one is not registered");
    check("FROM bb\n", "--isolation hyperv", "cannot build with --isolation");
    check("FROM bb\n", "--policy filename=x", "cannot build with --policy");
    check("FROM bb\n", "--builder farm", "no builder \"farm\" found");
    check("FROM bb\n", "--allow everything", "unknown entitlement everything");
    check("FROM bb\n", "--add-host name", "invalid host name");
    check("FROM bb\n", "--resource colour=red", "there is no resource \"colour\"");
    assert_eq!(it.build("FROM bb\n", "--isolation default --builder default").code, 0);
    let flags =
        "-D --builder mica --resource memory=64m,cpu-shares=512 --security-opt seccomp=unconfined";
    let run = it.build("FROM bb\nRUN grep Seccomp: /proc/self/status > /s\n", flags);
    run.works();
    assert_eq!(it.shows("cat /s"), "Seccomp:\t0");
}

#[test]
fn mistakes_are_told_with_their_line() {
    let Some(it) = Builds::new() else { return };
    let check = |file: &str, words: &str| {
        let run = it.build(file, "");
        assert!(run.code == 1 && run.err.contains(words), "{run}");
    };
    check(
        "FROM bb\nRUNN x\n",
        "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
    );
    check("FROM bb\nRUNN x\n", "   2 | >>> RUNN x");
    check("RUN x\n", "no build stage in current context");
    check("FROM bb\nCOPY nosuch /x\n", "\"/nosuch\": not found");
    check("FROM scratch\n", "No image was generated. Is your Dockerfile empty?");
    check("FROM bb\nRUN [\"/nosuch\"]\n", "exec: \"/nosuch\": no such file or directory");
    check("FROM bb\nUSER nosuch\nRUN true\n", "unable to find user nosuch");
    check("FROM bb\nRUN --network=host true\n", "network.host");
    let run = it.run("build -f ctx/nosuch ctx");
    run.complains(1, "failed to read dockerfile: open nosuch: no such file or directory");
    it.run("build").complains(1, "requires 1 argument");
    it.run("build nosuch").complains(1, "path \"nosuch\" not found");
}

#[test]
fn what_can_be_read_and_not_done_is_no_parse_error() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "");
    std::os::unix::fs::symlink("nowhere", it.path("ctx/lx")).unwrap();
    let check = |file: &str, words: &str| {
        let run = it.build(file, "");
        let wanted = format!("ERROR: failed to build: failed to solve: {words}");
        assert!(run.code == 1 && run.err.contains(&wanted), "{file}: {run}");
        assert!(!run.err.contains("parse error"), "{file}: {run}");
        run.err
    };
    it.ok("tag bb 10:1");
    check("FROM bb\nCOPY --from=10 /x /x\n", "invalid stage index 10\n");
    check("ARG A=1\n", "dockerfile contains no stages to build\n");
    check("", "the Dockerfile cannot be empty\n");
    check(
        "FROM BB\n",
        "failed to parse stage name \"BB\": invalid reference format: repository name (library/BB) must be lowercase\n",
    );
    check(
        "FROM bb:bad:tag\n",
        "failed to parse stage name \"bb:bad:tag\": invalid reference format\n",
    );
    let told = check(
        "FROM bb\nENV A=${B:?missing}\n",
        "failed to process \"${B:?missing}\": B: missing\n",
    );
    assert!(told.contains("   2 | >>> ENV A=${B:?missing}"), "{told}");
    let told = check("FROM bb\nSTOPSIGNAL NOPE\n", "invalid signal: NOPE\n");
    assert!(told.contains("   2 | >>> STOPSIGNAL NOPE"), "{told}");
    check("FROM bb\nCOPY http://127.0.0.1:1/f /\n", "source can't be a URL for COPY\n");
    check("FROM bb\nCOPY https://github.com/a/b.git /\n", "source can't be a git ref for COPY\n");
    check("FROM bb\nADD --checksum=sha256:00 f /\n", "checksum requires HTTP(S) or Git sources\n");
    let run = it.build("FROM bb\nCOPY lx /\n", "");
    run.complains(1, "\"/lx\": not found");
    // A check refuses the same, and knows what is meant to be called so.
    for (file, words) in [
        ("FROM BB\n", "failed to parse stage name"),
        ("FROM ${NOPE}\n", "base name (${NOPE}) should not be blank"),
        ("FROM bb\nCOPY --chmod=888 f /\n", "invalid chmod parameter: '888'"),
    ] {
        it.put("Dockerfile", file);
        let run = it.run("build --check ctx");
        assert!(run.code == 1 && run.out.contains(&format!("ERROR: {words}")), "{run}");
    }
    it.put("Dockerfile", "FROM BB\n");
    it.run("build --check --build-context BB=docker-image://bb ctx").works();
    it.run("build --network none --build-context BB=docker-image://bb ctx").works();
}

#[test]
fn quiet_builds_say_only_the_id() {
    let Some(it) = Builds::new() else { return };
    it.put("Dockerfile", "FROM bb\nRUN echo loud\n");
    let run = it.run("build -q --network none --iidfile id -t t -t u:2 ctx");
    assert!(run.code == 0 && run.err.is_empty(), "{run}");
    assert_eq!(run.out.trim_end(), it.id());
    assert_eq!(std::fs::read_to_string(it.path("id")).unwrap(), it.id());
    assert_eq!(it.ok("images -q --no-trunc u:2"), it.id());
    let raw = it.run("build --progress rawjson --network none ctx").err;
    let documents =
        raw.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert!(documents.into_iter().any(|status| status["vertexes"][0]["cached"] == true), "{raw}");
}
