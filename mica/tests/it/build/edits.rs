//! Forty edits of one project, and what `--explain` names as the cause of what is done again.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::Builds;

const DOCKERFILE: &str = r#"FROM bb AS lib
ARG LIBV=1
COPY lib /lib/
RUN cat /lib/a > /built; echo $LIBV >> /built

FROM bb
ARG V=1
ARG FILE=one.txt
ENV E=1
WORKDIR /w
COPY src /src
COPY $FILE /picked
COPY --from=lib /built /lib/built
RUN --mount=type=bind,source=tools,target=/tools echo $V > /v; cat /src/a > /made
RUN echo last > /last
COPY <<E /doc
v=$V
E
LABEL l=1
CMD ["true"]
"#;

/// An edit: of the Dockerfile, of the context, and of the options.
struct Edit {
    name: &'static str,
    file: &'static [(&'static str, &'static str)],
    context: fn(&Builds),
    options: &'static str,
    /// What is named, what follows from it left out.
    causes: &'static [&'static str],
}

const NONE: Edit = Edit { name: "", file: &[], context: |_| {}, options: "", causes: &[] };

/// An edit of files alone.
const fn files(name: &'static str, context: fn(&Builds), causes: &'static [&'static str]) -> Edit {
    Edit { name, context, causes, ..NONE }
}

/// An edit of the Dockerfile alone.
const fn text(
    name: &'static str,
    file: &'static [(&'static str, &'static str)],
    causes: &'static [&'static str],
) -> Edit {
    Edit { name, file, causes, ..NONE }
}

/// Other options.
const fn options(
    name: &'static str,
    options: &'static str,
    causes: &'static [&'static str],
) -> Edit {
    Edit { name, options, causes, ..NONE }
}

const RUN: &str =
    "RUN --mount=type=bind,source=tools,target=/tools echo $V > /v; cat /src/a > /made";

const EDITS: &[Edit] = &[
    files("nothing", |_| {}, &[]),
    files("a time alone", |it| touch(it, "src/a"), &[]),
    files("the same bytes again", |it| it.put("src/a", "a"), &[]),
    files("a file", |it| it.put("src/a", "other"), &["file src/a changed"]),
    files(
        "a file longer by a byte",
        |it| it.put("src/deep/er/c", "cc"),
        &["file src/deep/er/c changed"],
    ),
    files(
        "two files",
        |it| {
            it.put("src/a", "1");
            it.put("src/b", "2");
        },
        &["file src/a changed", "file src/b changed"],
    ),
    files("a new file", |it| it.put("src/new", ""), &["file src/new was added"]),
    files(
        "a new folder",
        |it| fs::create_dir(it.path("ctx/src/dir")).unwrap(),
        &["file src/dir was added"],
    ),
    files(
        "a file gone",
        |it| fs::remove_file(it.path("ctx/src/b")).unwrap(),
        &["file src/b was deleted"],
    ),
    files(
        "a file renamed",
        |it| fs::rename(it.path("ctx/src/b"), it.path("ctx/src/z")).unwrap(),
        &["file src/z was added", "file src/b was deleted"],
    ),
    files(
        "a mode",
        |it| chmod(it, "src/a", 0o755),
        &["the mode of src/a changed from 0644 to 0755"],
    ),
    files("a link to elsewhere", |it| link(it, "b"), &["file src/link changed"]),
    files(
        "a link that became a file",
        |it| {
            fs::remove_file(it.path("ctx/src/link")).unwrap();
            it.put("src/link", "a");
        },
        &["src/link is another kind of file"],
    ),
    files("a file that nothing reads", |it| it.put("notes", "more"), &[]),
    files(
        "a file left out",
        |it| it.put(".dockerignore", "**/skip\nsrc/deep/er/c\n"),
        &["file src/deep/er/c is left out now, by .dockerignore"],
    ),
    files(
        "a file no longer left out",
        |it| it.put(".dockerignore", ""),
        &["file src/skip was added"],
    ),
    files("a file that was always left out", |it| it.put("src/skip", "other"), &[]),
    files("a file of the other stage", |it| it.put("lib/a", "other"), &["file lib/a changed"]),
    files(
        "a file picked by an argument",
        |it| it.put("one.txt", "other"),
        &["file one.txt changed"],
    ),
    files("a file that is mounted", |it| it.put("tools/t", "other"), &["file tools/t changed"]),
    options("an argument", "--build-arg V=2", &["argument V changed from \"1\" to \"2\""]),
    options("an argument to what it is", "--build-arg V=1", &[]),
    options(
        "an argument of the other stage",
        "--build-arg LIBV=2",
        &["argument LIBV changed from \"1\" to \"2\""],
    ),
    options(
        "an argument that picks a file",
        "--build-arg FILE=two.txt",
        &["argument FILE changed from \"one.txt\" to \"two.txt\""],
    ),
    options("a proxy", "--build-arg HTTP_PROXY=http://127.0.0.1:1", &[]),
    options("a label", "--label x=y", &[]),
    options(
        "times",
        "--build-arg SOURCE_DATE_EPOCH=1",
        &["argument SOURCE_DATE_EPOCH changed from \"…\" to \"1\""],
    ),
    options("no cache", "--no-cache", &["it was asked not to use what is remembered"]),
    options(
        "no cache for a stage",
        "--no-cache-filter lib",
        &["it was asked not to use what is remembered"],
    ),
    options("a target", "--target lib", &[]),
    text("a default", &[("ARG V=1", "ARG V=3")], &["argument V changed from \"1\" to \"3\""]),
    text("a variable", &[("ENV E=1", "ENV E=2")], &["variable E changed from \"1\" to \"2\""]),
    text("a variable more", &[("ENV E=1", "ENV E=1 F=1")], &["variable F is new"]),
    text(
        "a command",
        &[("echo last", "echo least")],
        &[
            "the instruction changed from \"RUN /bin/sh -c echo last > /last\" to \"RUN /bin/sh -c echo least > /last\"",
        ],
    ),
    text("a comment", &[("LABEL", "# nothing\nLABEL")], &[]),
    text("a label and a command to start", &[("l=1", "l=2"), ("\"true\"", "\"false\"")], &[]),
    text(
        "a step more",
        &[("RUN echo last", "RUN echo more > /more\nRUN echo last")],
        &["the instruction is new"],
    ),
    text("a step less", &[(RUN, "")], &[]),
    text(
        "a user",
        &[("WORKDIR /w", "WORKDIR /w\nUSER 0:0")],
        &["the user changed from \"\" to \"0:0\""],
    ),
    text(
        "a shell",
        &[("RUN echo last", "SHELL [\"/bin/sh\", \"-e\", \"-c\"]\nRUN echo last")],
        &[
            "the shell changed: it ran \"RUN /bin/sh -c echo last > /last\" and now runs \"RUN /bin/sh -e -c echo last > /last\"",
        ],
    ),
    text(
        "where it is put",
        &[("/picked", "/chosen")],
        &["the instruction changed from \"COPY one.txt /picked\" to \"COPY one.txt /chosen\""],
    ),
    Edit {
        name: "where it is put, and what is put there",
        file: &[("/picked", "/chosen")],
        options: "--build-arg FILE=two.txt",
        causes: &[
            "the instruction changed from \"COPY $FILE /picked\" to \"COPY $FILE /chosen\"",
            "argument FILE changed from \"one.txt\" to \"two.txt\"",
        ],
        ..NONE
    },
    text(
        "a document",
        &[("v=$V", "w=$V")],
        &["the document E changed from \"v=1\\n\" to \"w=1\\n\""],
    ),
    Edit {
        name: "a document and what is put into it",
        file: &[("v=$V", "w=$V")],
        options: "--build-arg V=9",
        causes: &["argument V changed from \"1\" to \"9\"", "the text of the document E changed"],
        ..NONE
    },
    text(
        "a flag",
        &[("COPY src", "COPY --chmod=600 src")],
        &["the instruction changed from \"COPY src /src\" to \"COPY --chmod=600 src /src\""],
    ),
    text(
        "a folder",
        &[("WORKDIR /w", "WORKDIR /work")],
        &[
            "the instruction changed from \"WORKDIR /w\" to \"WORKDIR /work\"",
            "the folder changed from \"/w\" to \"/work\"",
        ],
    ),
    text("another base", &[("FROM bb\n", "FROM other\n")], &["the base changed from bb to other"]),
    text(
        "a stage's name",
        &[("AS lib", "AS libs"), ("--from=lib", "--from=libs")],
        &[
            "the instruction changed from \"COPY --from=lib /built /lib/built\" to \"COPY --from=libs /built /lib/built\"",
        ],
    ),
];

/// What follows from something that was named for an earlier step.
const FOLLOWS: [&str; 2] = ["what it stands on changed", "what it takes from lib changed"];

fn touch(it: &Builds, name: &str) {
    let later = SystemTime::now() + Duration::from_secs(60);
    let file = fs::File::options().write(true).open(it.path(format!("ctx/{name}"))).unwrap();
    file.set_modified(later).unwrap();
}

fn chmod(it: &Builds, name: &str, mode: u32) {
    fs::set_permissions(it.path(format!("ctx/{name}")), Permissions::from_mode(mode)).unwrap();
}

fn link(it: &Builds, to: &str) {
    let path = it.path("ctx/src/link");
    let _ = fs::remove_file(&path);
    symlink(to, path).unwrap();
}

/// The context as it is before each edit.
fn lay_out(it: &Builds) {
    fs::remove_dir_all(it.path("ctx")).unwrap();
    let list = [
        (".dockerignore", "**/skip\n"),
        ("lib/a", "a"),
        ("notes", ""),
        ("one.txt", "1"),
        ("src/a", "a"),
        ("src/b", "b"),
        ("src/deep/er/c", "c"),
        ("src/skip", ""),
        ("tools/t", "t"),
        ("two.txt", "2"),
    ];
    for (name, content) in list {
        it.put(name, content);
        chmod(it, name, 0o644);
    }
    link(it, "a");
}

#[test]
fn each_edit_is_named_as_the_cause_and_nothing_else() {
    let Some(it) = Builds::new() else { return };
    assert!(EDITS.len() >= 40);
    it.put("Dockerfile", "");
    it.builds("FROM bb\nRUN echo other > /other\n", "-t other");
    let mut wrong = Vec::new();
    let epoch = it.variable("SOURCE_DATE_EPOCH");
    for edit in EDITS {
        lay_out(&it);
        it.builds(DOCKERFILE, "");
        let file = edit.file.iter().fold(DOCKERFILE.to_owned(), |file, (from, to)| {
            assert!(file.contains(from), "{}", edit.name);
            file.replace(from, to)
        });
        (edit.context)(&it);
        let told = it.builds(&file, &format!("--explain {}", edit.options));
        let mut causes: Vec<String> = Vec::new();
        for (_, cause) in told.lines().filter_map(|line| line.split_once(" not cached: ")) {
            let cause = cause.replace(&epoch, "…");
            if !FOLLOWS.contains(&cause.as_str()) && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        if causes != edit.causes {
            wrong.push(format!("{}:\n  said   {causes:?}\n  wanted {:?}", edit.name, edit.causes));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
