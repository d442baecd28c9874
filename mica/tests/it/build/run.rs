//! `RUN` and what surrounds it.

use super::{Builds, done};

#[test]
fn arguments_of_the_file_choose_bases() {
    let Some(it) = Builds::new() else { return };
    it.builds("ARG TAG=none\nARG UNUSED\nFROM bb:${TAG}\nRUN true\n", "--build-arg TAG=latest");
}

#[test]
fn commands_see_what_the_image_sets() {
    let Some(it) = Builds::new() else { return };
    let progress = it.builds(
        "FROM bb\nARG V=1\nENV A=\"x y\"\nWORKDIR /w/deep\nUSER bob\nRUN echo $V-$A-$(pwd)-$(id -u):$(id -g)-$HOME\n\
         USER root\nRUN [\"/bin/echo\", \"$V\"]\nSHELL [\"/bin/sh\", \"-xc\"]\nRUN echo traced\nRUN cd /tmp\nRUN pwd\n",
        "--build-arg V=2",
    );
    for line in [" 2-x y-/w/deep-1000:1001-/home/bob", " $V", " + echo traced", " /w/deep"] {
        assert!(progress.lines().any(|text| text.ends_with(line)), "{line:?} is not in {progress}");
    }
    // The base says no PATH.
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(it.ok("inspect -f '{{.Config.Env}}' t"), format!("[{path} A=x y]"));
    assert_eq!(it.shows("env | grep ^V= || echo none"), "none");
}

#[test]
fn changes_become_layers_and_nothing_else_does() {
    let Some(it) = Builds::new() else { return };
    it.builds(
        "FROM bb\nRUN echo new > /new; rm /etc/group; chmod 700 /filled\nRUN rm -r /filled; mkdir /filled\nRUN true\nENV X=1\nLABEL l=1\nCMD x\n",
        "",
    );
    assert_eq!(it.shows("cat /new; ls /filled; test ! -e /etc/group && echo gone"), "new\ngone");
    assert_eq!(it.ok("inspect -f '{{len .RootFS.Layers}}' t"), "4");
    assert_eq!(
        it.ok("image files t").lines().filter(|line| line.contains("/etc/hosts")).count(),
        0
    );
}

#[test]
fn scripts_in_the_dockerfile() {
    let Some(it) = Builds::new() else { return };
    it.builds(
        "FROM bb\nARG V=7\nRUN <<EOF\nset -e\necho shell $V > /a\nEOF\n\
         RUN <<EOF\n#!/bin/cat\nits own interpreter\nEOF\nRUN cat <<one > /b && cat <<two >> /b\n1\none\n2\ntwo\n",
        "",
    );
    assert_eq!(it.shows("cat /a /b"), "shell 7\n1\n2");
}

#[test]
fn mounts_are_seen_only_while_a_command_runs() {
    let Some(it) = Builds::new() else { return };
    it.put("src/f", "of the context");
    it.file("token", "secret word");
    it.builds(
        "FROM bb AS other\nRUN echo of a stage > /g\nFROM bb\n\
         RUN --mount=type=bind,source=src,target=/m cat /m/f > /a; touch /m/x || echo read only >> /a\n\
         RUN --mount=type=bind,from=other,source=/g,target=/m/g,rw cat /m/g >> /a; echo w > /m/g\n\
         RUN --mount=type=secret,id=tok cat /run/secrets/tok >> /a; stat -c %a /run/secrets/tok >> /a\n\
         RUN --mount=type=secret,id=tok,env=TOK echo $TOK | wc -c >> /a\n\
         RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent\n\
         RUN --mount=type=tmpfs,target=/t,size=1m mount | grep -c \"on /t type tmpfs\" >> /a\n",
        "--secret id=tok,src=token",
    );
    let wanted = "of the contextread only\nof a stage\nsecret word400\n12\n1";
    assert_eq!(it.shows("cat /a"), wanted);
    assert_eq!(
        it.shows("ls -d /m /run /t 2>/dev/null | wc -l"),
        "0",
        "what was mounted on is gone"
    );
    let run = it.build("FROM bb\nRUN --mount=type=secret,id=no,required=true true\n", "");
    run.complains(1, "secret no: not found");
}

#[test]
fn caches_survive_and_are_no_part_of_the_image() {
    let Some(it) = Builds::new() else { return };
    for count in 1..=3 {
        let line = format!(
            "RUN --mount=type=cache,target=/c,id=own,sharing=locked : {count}; echo x >> /c/n; wc -l < /c/n > /n"
        );
        it.builds(&format!("FROM bb\n{line}\n"), "");
        assert_eq!(it.shows("cat /n; test ! -e /c"), count.to_string());
    }
}

#[test]
fn stages_run_side_by_side_and_only_those_needed() {
    let Some(it) = Builds::new() else { return };
    let progress = it.builds(
        "FROM bb AS one\nRUN sleep 1; echo 1 > /o\nFROM bb AS two\nRUN sleep 1; echo 2 > /o\n\
         FROM bb AS unused\nRUN exit 1\nFROM scratch\nCOPY --from=one /o /1\nCOPY --from=two /o /2\n\
         COPY --from=bb /bin /bin\n",
        "",
    );
    assert!(!progress.contains("unused"), "{progress}");
    assert_eq!(it.shows("cat /1 /2"), "1\n2");
    let begun = |name: &str| progress.find(&format!("[{name} 2/2] RUN")).unwrap();
    let ended = progress.find("DONE 1.").unwrap();
    assert!(begun("one") < ended && begun("two") < ended, "{progress}");
}

#[test]
fn an_image_can_leave_instructions_for_those_built_on_it() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM bb\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n", "-t parent");
    it.put("f", "left");
    it.builds("FROM parent\nRUN cat /g\n", "");
    assert_eq!(it.shows("cat /g"), "left");
    assert_eq!(it.ok("inspect -f '{{.Config.OnBuild}}' t"), "[]");
}

#[test]
fn what_an_image_leaves_keeps_its_documents() {
    let Some(it) = Builds::new() else { return };
    let file = "FROM bb\nONBUILD RUN <<EOT\necho ran > /ran\nEOT\nONBUILD COPY <<-A <<\"B\" /docs/\n\
                \tone $V\n\tA\n$V\nB\nONBUILD ENV X=1\n";
    it.builds(file, "-t parent");
    let kept = it.ok("inspect -f '{{json .Config.OnBuild}}' t");
    let wanted = r#"["RUN <<EOT\necho ran > /ran\nEOT","COPY <<-A <<\"B\" /docs/\none $V\nA\n$V\nB","ENV X=1"]"#;
    assert_eq!(
        serde_json::from_str::<Vec<String>>(&kept).unwrap(),
        serde_json::from_str::<Vec<String>>(wanted).unwrap()
    );
    it.builds("FROM parent\nRUN cat /ran > /seen\n", "");
    assert_eq!(it.shows("cat /seen /docs/A /docs/B; echo $X"), "ran\none \n$V\n1");
}

#[test]
fn arguments_of_triggers_are_consumed() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM bb\nONBUILD ARG F\nONBUILD RUN echo $F > /f\n", "-t parent");
    let told = it.builds("FROM parent\nRUN true\n", "--build-arg F=x --build-arg G=y");
    assert!(told.contains("build-args [G] were not consumed"), "{told}");
    assert_eq!(it.shows("cat /f"), "x");
}

#[test]
fn the_host_is_called_what_an_argument_says() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM bb\nRUN hostname > /n\n", "--build-arg BUILDKIT_SANDBOX_HOSTNAME=here.local");
    assert_eq!(it.shows("cat /n"), "here.local");
    it.builds("FROM bb\nRUN hostname > /n\n", "--build-arg BUILDKIT_SANDBOX_HOSTNAME=other");
    assert_eq!(it.shows("cat /n"), "other");
    it.builds("FROM bb\nRUN hostname > /n\n", "");
    assert_eq!(it.shows("cat /n"), "buildkitsandbox");
}

#[test]
fn what_is_said_of_the_host_is_part_of_a_step() {
    let Some(it) = Builds::new() else { return };
    let runs = |options: &str| !done(&it.builds("FROM bb\nRUN true\n", options)).is_empty();
    for options in
        ["", "--shm-size 1m", "--shm-size 2m", "--ulimit nofile=99", "--add-host a:1.1.1.1"]
    {
        assert!(runs(options) && !runs(options), "{options}");
    }
    // Where a name leads is found out anew each time, as with BuildKit.
    assert!(!runs("--add-host a:1.1.1.2") && runs("--add-host b:1.1.1.1"));
    let run = it.run("build --progress plain --network host -t t ctx");
    assert!(run.code == 0 && !done(&run.err).is_empty(), "{run}");
}

#[test]
fn what_is_seen_of_mounts_is_part_of_a_step() {
    let Some(it) = Builds::new() else { return };
    it.file("key", "k");
    let secret = |how: &str| {
        let run = "stat -c \"%a %u:%g\" /run/secrets/x > /a";
        let file = format!("FROM bb\nRUN --mount=type=secret,id=x{how} {run}\n");
        it.builds(&file, "--secret id=x,src=key");
        it.shows("cat /a")
    };
    assert_eq!(secret(""), "400 0:0");
    assert_eq!(secret(",mode=0440"), "440 0:0");
    assert_eq!(secret(",uid=5,gid=6"), "400 5:6");
    let tmpfs = |how: &str| {
        let run = "df -k /m | awk \"END { print \\$2 }\" > /b";
        it.builds(&format!("FROM bb\nRUN --mount=type=tmpfs,target=/m{how} {run}\n"), "");
        it.shows("cat /b")
    };
    assert_eq!((tmpfs(",size=1m").as_str(), tmpfs(",size=2m").as_str()), ("1024", "2048"));
    let seeded = |seed: &str| {
        let mount = "--mount=type=cache,id=NAME,target=/c,from=one".replace("NAME", seed);
        let file = format!(
            "FROM bb AS one\nRUN echo {seed} > /f\nFROM bb\n\
                            RUN {mount} true\nRUN --mount=type=cache,id=own,target=/c,from=one true\n"
        );
        done(&it.builds(&file, "")).iter().filter(|step| step.contains("id=own")).count()
    };
    assert_eq!((seeded("x"), seeded("y"), seeded("x")), (1, 1, 0));
}

#[test]
fn a_cache_begins_with_files_of_a_context() {
    let Some(it) = Builds::new() else { return };
    it.file("more/in/seed", "of the context");
    it.file("more/in/not", "");
    it.file("more/.dockerignore", "in/not\n");
    it.builds(
        "FROM bb\nRUN --mount=type=cache,target=/c,from=more,source=in cat /c/seed > /a; ls /c >> /a\n",
        "--build-context more=more",
    );
    assert_eq!(it.shows("cat /a"), "of the contextseed");
}

#[test]
fn metadata_and_history_are_dockers() {
    let Some(it) = Builds::new() else { return };
    it.builds(
        "FROM bb\nARG V=1\nRUN true\nEXPOSE 80 53/udp\nVOLUME /data\nSTOPSIGNAL INT\nHEALTHCHECK --interval=5s CMD true\n\
         ENTRYPOINT [\"e\"]\nCMD c d\nLABEL a=1 b=\"2 3\"\nMAINTAINER me\n",
        "--label c=4",
    );
    let config: serde_json::Value =
        serde_json::from_str(&it.ok("inspect -f '{{json .Config}}' t")).unwrap();
    assert_eq!(config["ExposedPorts"], serde_json::json!({"53/udp": {}, "80/tcp": {}}));
    assert_eq!(config["Volumes"], serde_json::json!({"/data": {}}));
    assert_eq!(config["Labels"], serde_json::json!({"a": "1", "b": "2 3", "c": "4"}));
    assert_eq!(config["Cmd"], serde_json::json!(["/bin/sh", "-c", "c d"]));
    assert_eq!(config["StopSignal"], "INT");
    assert_eq!(it.ok("inspect -f '{{.Author}}' t"), "me");
    let rows = it.ok("history --no-trunc --format '{{.CreatedBy}}' t");
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows[0], "MAINTAINER me");
    assert!(rows.contains(&"RUN |1 V=1 /bin/sh -c true # buildkit"), "{rows:?}");
    assert!(rows.contains(&"ARG V=1") && rows.contains(&"CMD [\"/bin/sh\" \"-c\" \"c d\"]"));
}

#[test]
fn commands_reach_what_the_default_network_reaches() {
    let Some(it) = Builds::new() else { return };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfound");
        }
    });
    let gateway = "$(ip route | sed -n \"s/^default via \\([0-9.]*\\).*/\\1/p\")";
    let file =
        format!("FROM bb\nRUN wget -q -O /got http://{gateway}:{port}/ && ip addr > /addr\n");
    it.builds(&file, "--network default");
    assert_eq!(it.shows("cat /got"), "found");
    // A network of its own, which is gone when the build is.
    assert!(it.shows("cat /addr").contains("eth0"), "{}", it.shows("cat /addr"));
    assert!(it.ok("network inspect bridge -f '{{len .Containers}}'").ends_with('0'));
    let run = it.build(&file, "--no-cache");
    assert_ne!(run.code, 0, "without a network there is no gateway: {run}");
}

/// A clean-up takes nothing from a build that is at work.
#[test]
fn commands_reach_it_while_somebody_prunes() {
    let Some(it) = Builds::new() else { return };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut prune = it.command("system prune -f");
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 4096];
            let count = stream.read(&mut asked).unwrap_or_default();
            let pruned = match asked[..count].starts_with(b"GET /prune ") {
                true => prune.output().unwrap().status.success(),
                false => true,
            };
            let said: &[u8] = if pruned { b"found" } else { b"wrong" };
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n");
            let _ = stream.write_all(said);
        }
    });
    let gateway = "$(ip route | sed -n \"s/^default via \\([0-9.]*\\).*/\\1/p\")";
    let get = |path: &str| format!("wget -q -O /{path} http://{gateway}:{port}/{path}");
    let file = format!("FROM bb\nRUN {} && {}\n", get("prune"), get("after"));
    it.builds(&file, "--network default");
    assert_eq!(it.shows("cat /prune /after"), "foundfound");
}

#[test]
fn a_stage_hands_down_neither_triggers_nor_its_own_command() {
    let Some(it) = Builds::new() else { return };
    let shown = |file: &str, flags: &str| {
        it.builds(file, flags);
        it.ok("inspect -f '{{json .Config.OnBuild}} {{json .Config.Cmd}}' t")
    };
    let triggers = "FROM bb AS p\nONBUILD RUN echo once >> /once\nFROM p AS q\nENV a=b\n";
    assert_eq!(shown(triggers, ""), "null null");
    assert_eq!(shown(triggers, "--target p"), "[\"RUN echo once >> /once\"] null");
    let own = format!("{triggers}ONBUILD ENV c=d\nFROM q\nONBUILD LABEL e=f\n");
    assert_eq!(shown(&own, ""), "[\"LABEL e=f\"] null");
    assert_eq!(shown(&format!("{own}FROM q\n"), ""), "null null");
    assert_eq!(it.shows("cat /once"), "once");
    for step in ["", "RUN true\n", "COPY Dockerfile /\n", "WORKDIR /w\n", "ENV a=b\n"] {
        let file = format!("FROM bb AS p\nCMD [\"c\"]\nFROM p\n{step}ENTRYPOINT [\"e\"]\n");
        assert_eq!(shown(&file, ""), "null null", "{step}");
    }
    let file = "FROM bb AS p\nRUN true\nCMD [\"c\"]\nRUN true\nENTRYPOINT [\"e\"]\n";
    assert_eq!(shown(file, ""), "null [\"c\"]");
}

#[test]
fn a_proxy_is_known_by_both_of_its_names() {
    let Some(it) = Builds::new() else { return };
    let file = "FROM bb\nRUN echo $http_proxy $HTTP_PROXY $no_proxy $NO_PROXY > /seen\n";
    it.builds(file, "--build-arg HTTP_PROXY=p --build-arg no_proxy=h");
    assert_eq!(it.shows("cat /seen"), "p p h h");
    // What is found behind a proxy is the same.
    assert!(super::done(&it.builds(file, "--build-arg http_proxy=other")).is_empty());
}

#[test]
fn steps_are_called_as_buildkit_calls_them() {
    let Some(it) = Builds::new() else { return };
    it.put("Own.Dockerfile", "FROM bb AS b\nFROM scratch\nCOPY --from=b /etc/passwd /p\n");
    let run = it.run("build --progress plain --network none -f ctx/Own.Dockerfile ctx");
    run.works();
    for title in [
        "[internal] load build definition from Own.Dockerfile",
        "[b 1/1] FROM docker.io/library/bb:latest",
        "[stage-1 1/1] COPY --from=b /etc/passwd /p",
    ] {
        assert!(run.err.lines().any(|line| line.ends_with(title)), "{title}: {run}");
    }
}
