//! Every instruction in every form: what is written, and what is understood.

use build::instruction::{Command, CopyFlags, Kind, Mount, Pairs, Source, read};
use build::syntax::parse;

/// The last instruction of a file in short words.
fn understood(text: &str) -> String {
    let document = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let mut all = read(&document).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    shown(&all.pop().expect("there is one").kind)
}

fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Add { flags, sources, target } => format!("add {}", copied(flags, sources, target)),
        Kind::Copy { flags, sources, target } => format!("copy {}", copied(flags, sources, target)),
        Kind::Arg(list) => {
            let one = |(name, value): &(String, Option<String>)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            };
            format!("arg {}", list.iter().map(one).collect::<Vec<_>>().join("|"))
        }
        Kind::Cmd(command) => format!("cmd {}", ran(command)),
        Kind::Entrypoint(command) => format!("entrypoint {}", ran(command)),
        Kind::Env(pairs) => format!("env {}", paired(pairs)),
        Kind::Label(pairs) => format!("label {}", paired(pairs)),
        Kind::Expose(list) => format!("expose {}", list.join("|")),
        Kind::From { base, name, platform, .. } => format!(
            "from {base}{}{}",
            name.as_ref().map(|name| format!(" as {name}")).unwrap_or_default(),
            platform.as_ref().map(|platform| format!(" on {platform}")).unwrap_or_default()
        ),
        Kind::Healthcheck(check) => {
            let times = [check.interval, check.timeout, check.start_period, check.start_interval];
            let times = times.map(|nanos| (nanos / 1_000_000).to_string()).join(",");
            format!("healthcheck {:?} {times} {}", check.test, check.retries)
        }
        Kind::Maintainer(name) => format!("maintainer {name}"),
        Kind::OnBuild { trigger, .. } => format!("onbuild {}", shown(&trigger.kind)),
        Kind::Run(run) => {
            let mounts: String = run.mounts.iter().map(mounted).collect();
            let network = run.network.as_ref().map(|n| format!("net={n} ")).unwrap_or_default();
            let insecure = if run.insecure { "insecure " } else { "" };
            let devices =
                run.devices.iter().map(|d| format!("dev={} ", d.name)).collect::<String>();
            let here: String =
                run.heredocs.iter().map(|h| format!(" <<{}={:?}", h.name, h.content)).collect();
            format!("run {mounts}{network}{insecure}{devices}{}{here}", ran(&run.command))
        }
        Kind::Shell(list) => format!("shell {list:?}"),
        Kind::StopSignal(word) => format!("stopsignal {word}"),
        Kind::User(word) => format!("user {word}"),
        Kind::Volume(list) => format!("volume {}", list.join("|")),
        Kind::Workdir(word) => format!("workdir {word}"),
    }
}

fn ran(command: &Command) -> String {
    match command {
        Command::Shell(text) => format!("sh {text}"),
        Command::Exec(list) => format!("{list:?}"),
    }
}

fn paired(pairs: &Pairs) -> String {
    let one = |(name, value): &(String, String)| format!("{name}={value}");
    pairs.pairs.iter().map(one).collect::<Vec<_>>().join("|")
}

fn copied(flags: &CopyFlags, sources: &[Source], target: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let texts = [
        ("from", &flags.from),
        ("chown", &flags.chown),
        ("chmod", &flags.chmod),
        ("checksum", &flags.checksum),
    ];
    words.extend(
        texts.iter().filter_map(|(name, text)| text.as_ref().map(|text| format!("{name}={text}"))),
    );
    let bools = [("link", flags.link), ("parents", flags.parents)];
    words.extend(bools.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()));
    words.extend(flags.exclude.iter().map(|pattern| format!("not={pattern}")));
    words.extend(flags.keep_git_dir.map(|yes| format!("git={yes}")));
    words.extend(flags.unpack.map(|yes| format!("unpack={yes}")));
    words.extend(sources.iter().map(|source| match source {
        Source::Path(path) => path.clone(),
        Source::Inline(here) => format!("<{}:{:?}:{}>", here.name, here.content, here.expand),
    }));
    format!("{} > {target}", words.join(" "))
}

fn mounted(mount: &Mount) -> String {
    let mut words = vec![mount.kind.as_str().to_owned()];
    let texts = [
        ("target", &mount.target),
        ("source", &mount.source),
        ("from", &mount.from),
        ("id", &mount.id),
        ("env", &mount.env),
    ];
    words.extend(
        texts.iter().filter_map(|(name, text)| text.as_ref().map(|text| format!("{name}={text}"))),
    );
    words.push(if mount.read_only { "ro" } else { "rw" }.to_owned());
    words.extend(mount.required.then(|| "required".to_owned()));
    let numbers = [("uid", mount.uid), ("gid", mount.gid)];
    words.extend(numbers.iter().filter_map(|(name, n)| n.map(|n| format!("{name}={n}"))));
    words.extend(mount.mode.map(|mode| format!("mode={mode:o}")));
    words.extend(mount.size_bytes.map(|bytes| format!("size={bytes}")));
    if format!("{:?}", mount.sharing) != "Shared" {
        words.push(format!("{:?}", mount.sharing).to_lowercase());
    }
    format!("[{}] ", words.join(" "))
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        let file =
            match text.trim_start_matches(['\u{feff}', ' ']).to_lowercase().starts_with("from") {
                true => (*text).to_owned(),
                false => format!("FROM a\n{text}"),
            };
        assert_eq!(understood(&file), *wanted, "{text:?}");
    }
}

#[test]
fn from() {
    table(&[
        ("FROM a", "from a"),
        ("from a", "from a"),
        ("FrOm a", "from a"),
        ("  FROM   a  ", "from a"),
        ("FROM a:1", "from a:1"),
        ("FROM h.example:5000/a/b:1.0", "from h.example:5000/a/b:1.0"),
        ("FROM scratch", "from scratch"),
        ("FROM a AS b", "from a as b"),
        ("FROM a as b", "from a as b"),
        ("FROM a aS B-1.x_y", "from a as b-1.x_y"),
        ("FROM --platform=linux/arm64 a", "from a on linux/arm64"),
        ("FROM --platform=$BUILDPLATFORM a AS b", "from a as b on $BUILDPLATFORM"),
        ("FROM ${a}:${b:-1}", "from ${a}:${b:-1}"),
        ("FROM a \\\n  AS \\\n  b", "from a as b"),
    ]);
}

#[test]
fn run() {
    table(&[
        ("RUN echo a", "run sh echo a"),
        ("RUN  echo   a ", "run sh echo   a"),
        ("RUN echo \"a\" 'b' $c \\$d", "run sh echo \"a\" 'b' $c \\$d"),
        ("RUN [\"a\", \"b c\"]", "run [\"a\", \"b c\"]"),
        ("RUN ['a']", "run sh ['a']"),
        ("RUN [\"a\"", "run sh [\"a\""),
        ("RUN [ -f x ] || y", "run sh [ -f x ] || y"),
        ("RUN a && \\\n    b", "run sh a &&     b"),
        ("RUN a && \\\n# c\n    b", "run sh a &&     b"),
        ("RUN a # b", "run sh a # b"),
        ("RUN --network=none a", "run net=none sh a"),
        ("RUN --network=host --security=insecure a", "run net=host insecure sh a"),
        ("RUN --security=sandbox a", "run sh a"),
        ("RUN --device=vendor.example/class=x a", "run dev=vendor.example/class=x sh a"),
        ("RUN -- --a", "run sh --a"),
        ("RUN <<EOF\na\nb\nEOF", "run sh <<EOF <<EOF=\"a\\nb\\n\""),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", "run sh <<-EOF <<EOF=\"a\\nb\\n\""),
        ("RUN <<EOF cat\n#!/bin/x\nEOF", "run sh <<EOF cat <<EOF=\"#!/bin/x\\n\""),
        ("RUN cat <<a <<b\n1\na\n2\nb", "run sh cat <<a <<b <<a=\"1\\n\" <<b=\"2\\n\""),
        ("RUN 3<<EOF cat <&3\nx\nEOF", "run sh 3<<EOF cat <&3 <<EOF=\"x\\n\""),
        ("RUN x <<< y", "run sh x <<< y"),
        ("RUN [\"x\", \"<<EOF\"]", "run [\"x\", \"<<EOF\"]"),
        ("RUN --network=none <<'E'\n$a\nE", "run net=none sh <<'E' <<E=\"$a\\n\""),
        ("RUN <<E\n\nE", "run sh <<E <<E=\"\\n\""),
        ("RUN <<E\nE", "run sh <<E <<E=\"\""),
    ]);
}

#[test]
fn mounts() {
    table(&[
        ("RUN --mount=target=/t a", "run [bind target=/t ro] sh a"),
        (
            "RUN --mount=type=bind,dst=/t,src=/s,from=b a",
            "run [bind target=/t source=/s from=b ro] sh a",
        ),
        ("RUN --mount=destination=/t,rw a", "run [bind target=/t rw] sh a"),
        ("RUN --mount=target=/t,readwrite=true a", "run [bind target=/t rw] sh a"),
        ("RUN --mount=target=/t,readonly=false a", "run [bind target=/t rw] sh a"),
        ("RUN --mount=type=cache,target=/t a", "run [cache target=/t rw] sh a"),
        (
            "RUN --mount=type=cache,target=/t,sharing=locked a",
            "run [cache target=/t rw locked] sh a",
        ),
        (
            "RUN --mount=type=cache,target=/t,sharing=private,id=x,ro a",
            "run [cache target=/t id=x ro private] sh a",
        ),
        (
            "RUN --mount=type=cache,target=/t,uid=1,gid=2,mode=0700 a",
            "run [cache target=/t rw uid=1 gid=2 mode=700] sh a",
        ),
        (
            "RUN --mount=type=tmpfs,target=/t,size=10m a",
            "run [tmpfs target=/t rw size=10485760] sh a",
        ),
        ("RUN --mount=type=secret,id=k a", "run [secret id=k ro] sh a"),
        (
            "RUN --mount=type=secret,id=k,env=K,required a",
            "run [secret id=k env=K ro required] sh a",
        ),
        (
            "RUN --mount=type=secret,target=/k,mode=0440,required=false a",
            "run [secret target=/k ro mode=440] sh a",
        ),
        ("RUN --mount=type=ssh a", "run [ssh ro] sh a"),
        ("RUN --mount=type=ssh,id=k,required=true a", "run [ssh id=k ro required] sh a"),
        ("RUN --mount=TYPE=bind,Target=/t a", "run [bind target=/t ro] sh a"),
        ("RUN --mount='type=bind,target=/a b' a", "run [bind target=/a b ro] sh a"),
        (
            "RUN --mount=target=/a --mount=type=tmpfs,target=/b x",
            "run [bind target=/a ro] [tmpfs target=/b rw] sh x",
        ),
        ("RUN --mount=type=cache,target=$d,mode=$m a", "run [cache target=$d rw] sh a"),
    ]);
}

#[test]
fn copy_and_add() {
    table(&[
        ("COPY a b", "copy a > b"),
        ("COPY a b c/", "copy a b > c/"),
        ("COPY [\"a b\", \"c\"]", "copy a b > c"),
        ("COPY --from=x a b", "copy from=x a > b"),
        ("COPY --from=0 a b", "copy from=0 a > b"),
        ("COPY --chown=1:2 a b", "copy chown=1:2 a > b"),
        ("COPY --chown=u a b", "copy chown=u a > b"),
        ("COPY --chmod=755 a b", "copy chmod=755 a > b"),
        ("COPY --chmod=u=rwX,go=rX a b", "copy chmod=u=rwX,go=rX a > b"),
        ("COPY --chmod=+x a b", "copy chmod=+x a > b"),
        ("COPY --chmod=$m a b", "copy chmod=$m a > b"),
        ("COPY --link a b", "copy link a > b"),
        ("COPY --link=false a b", "copy a > b"),
        ("COPY --parents ./x/./y* /z/", "copy parents ./x/./y* > /z/"),
        ("COPY --exclude=*.txt --exclude=b/** . /x", "copy not=*.txt not=b/** . > /x"),
        ("COPY $a ${b:-c} d", "copy $a ${b:-c} > d"),
        ("COPY *.go /x/", "copy *.go > /x/"),
        ("COPY arr[[]0].txt /x/", "copy arr[[]0].txt > /x/"),
        ("COPY <<E /f\nx\nE", "copy <E:\"x\\n\":true> > /f"),
        ("COPY <<'E' /f\n$x\nE", "copy <E:\"$x\\n\":false> > /f"),
        (
            "COPY <<\"E\" a <<-F /d/\n1\nE\n\t2\n\tF",
            "copy <E:\"1\\n\":false> a <F:\"2\\n\":true> > /d/",
        ),
        ("COPY --chmod=755 <<E /f\nE", "copy chmod=755 <E:\"\":true> > /f"),
        ("ADD a b", "add a > b"),
        ("ADD https://h.example/x /y", "add https://h.example/x > /y"),
        (
            "ADD --checksum=sha256:aa https://h.example/x /y",
            "add checksum=sha256:aa https://h.example/x > /y",
        ),
        (
            "ADD --keep-git-dir=true https://h.example/x.git#v1:sub /y",
            "add git=true https://h.example/x.git#v1:sub > /y",
        ),
        ("ADD --keep-git-dir git@h.example:x.git /y", "add git=true git@h.example:x.git > /y"),
        (
            "ADD --unpack=true https://h.example/x.tgz /y",
            "add unpack=true https://h.example/x.tgz > /y",
        ),
        ("ADD --unpack=false x.tgz /y", "add unpack=false x.tgz > /y"),
        (
            "ADD --link --chown=1 --chmod=600 --exclude=z a b",
            "add chown=1 chmod=600 link not=z a > b",
        ),
        ("ADD <<E /f\nx\nE", "add <E:\"x\\n\":true> > /f"),
    ]);
}

#[test]
fn pairs() {
    table(&[
        ("ENV a=b", "env a=b"),
        ("ENV a=b c=d", "env a=b|c=d"),
        ("ENV a=\"b c\" d=e\\ f g='h i'", "env a=\"b c\"|d=e\\ f|g='h i'"),
        ("ENV a=b \\\n    c=d", "env a=b|c=d"),
        ("ENV a=", "env a="),
        ("ENV a=b=c", "env a=b=c"),
        ("ENV a b", "env a=b"),
        ("ENV a b c = d", "env a=b c = d"),
        ("ENV a=$b${c}", "env a=$b${c}"),
        ("LABEL a=b", "label a=b"),
        ("LABEL \"a b\"=c", "label \"a b\"=c"),
        ("LABEL a.b-c=\"d \\\n e\"", "label a.b-c=\"d  e\""),
        ("LABEL maintainer = \"a b\"", "label maintainer== \"a b\""),
        ("ARG a", "arg a"),
        ("ARG a=b", "arg a=b"),
        ("ARG a b=c d=", "arg a|b=c|d="),
        ("ARG a=\"b c\"", "arg a=\"b c\""),
        ("ARG a=${b:-c}", "arg a=${b:-c}"),
    ]);
}

#[test]
fn commands() {
    table(&[
        ("CMD a b", "cmd sh a b"),
        ("CMD [\"a\", \"b\"]", "cmd [\"a\", \"b\"]"),
        ("CMD []", "cmd []"),
        ("CMD", "cmd sh "),
        ("CMD [\"é\\u00e9\\\"\"]", "cmd [\"éé\\\"\"]"),
        ("ENTRYPOINT a", "entrypoint sh a"),
        ("ENTRYPOINT [\"a\"]", "entrypoint [\"a\"]"),
        ("SHELL [\"/bin/bash\", \"-c\"]", "shell [\"/bin/bash\", \"-c\"]"),
        ("HEALTHCHECK NONE", "healthcheck [\"NONE\"] 0,0,0,0 0"),
        ("HEALTHCHECK none", "healthcheck [\"NONE\"] 0,0,0,0 0"),
        ("HEALTHCHECK CMD a b", "healthcheck [\"CMD-SHELL\", \"a b\"] 0,0,0,0 0"),
        ("HEALTHCHECK CMD [\"a\"]", "healthcheck [\"CMD\", \"a\"] 0,0,0,0 0"),
        (
            "HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=4 \\\n  CMD a",
            "healthcheck [\"CMD-SHELL\", \"a\"] 300000,3000,90000,500 4",
        ),
        ("HEALTHCHECK --interval=0s CMD a", "healthcheck [\"CMD-SHELL\", \"a\"] 0,0,0,0 0"),
        ("ONBUILD RUN a", "onbuild run sh a"),
        ("ONBUILD COPY --from=x a b", "onbuild copy from=x a > b"),
        ("ONBUILD copy a b", "onbuild copy a > b"),
        ("ONBUILD RUN <<E\na\nE", "onbuild run sh <<E <<E=\"a\\n\""),
        ("ONBUILD ENV a=b", "onbuild env a=b"),
    ]);
}

#[test]
fn others() {
    table(&[
        ("EXPOSE 80", "expose 80"),
        ("EXPOSE 80/tcp 81/udp 82-85 $p", "expose 80/tcp|81/udp|82-85|$p"),
        ("VOLUME /a", "volume /a"),
        ("VOLUME /a /b", "volume /a|/b"),
        ("VOLUME [\"/a\", \"/b c\"]", "volume /a|/b c"),
        ("USER a", "user a"),
        ("USER 1:2", "user 1:2"),
        ("USER ${u:-x}", "user ${u:-x}"),
        ("WORKDIR /a", "workdir /a"),
        ("WORKDIR /a b", "workdir /a b"),
        ("WORKDIR b", "workdir b"),
        ("STOPSIGNAL SIGKILL", "stopsignal SIGKILL"),
        ("STOPSIGNAL 9", "stopsignal 9"),
        ("MAINTAINER A <a@b>", "maintainer A <a@b>"),
    ]);
}

#[test]
fn lines() {
    table(&[
        ("\u{feff}FROM a", "from a"),
        ("FROM a\r\nRUN b \\\r\n c\r\n", "run sh b  c"),
        ("FROM a\nRUN b \\ \t\n c", "run sh b  c"),
        ("FROM a\nRUN b \\\n\n c", "run sh b  c"),
        ("FROM a\nRUN b \\\\\nUSER c", "user c"),
        ("FROM a\nRUN b \\", "run sh b"),
        ("FROM a\n\trun b", "run sh b"),
        ("FROM a\n # c\nRUN b", "run sh b"),
        ("FROM a\nRUN b \\\n # c\\\n d", "run sh b  d"),
    ]);
    for (text, wanted) in [
        ("# escape=`\nFROM a\nWORKDIR C:\\x\\", "workdir C:\\x\\"),
        ("# escape=`\nFROM a\nRUN b `\n c", "run sh b  c"),
        ("#escape=`\nFROM a\nRUN b \\\nUSER c", "user c"),
        ("# ESCAPE = `\nFROM a\nRUN b `\n c", "run sh b  c"),
        ("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN b `\n c", "run sh b  c"),
        ("# a comment\n# escape=`\nFROM a\nRUN b \\\n c", "run sh b  c"),
        ("# unknown=x\n# escape=`\nFROM a\nRUN b \\\n c", "run sh b  c"),
        ("\n# escape=`\nFROM a\nRUN b \\\n c", "run sh b  c"),
        ("FROM a\n# escape=`\nRUN b \\\n c", "run sh b  c"),
        ("#!/usr/bin/x\n# escape=`\nFROM a\nRUN b \\\n c", "run sh b  c"),
        ("ARG a\nARG b=1\nFROM c", "from c"),
        ("# Version: 0.0.1\nFROM a", "from a"),
    ] {
        assert_eq!(understood(text), wanted, "{text:?}");
    }
}
