//! The Dockerfiles that are built by both: small ones, each about one thing.

/// A build.
pub(super) struct Case {
    /// What it is about.
    pub(super) name: &'static str,
    /// The Dockerfile.
    pub(super) file: &'static str,
    /// What is said to both builders.
    pub(super) options: &'static [&'static str],
    /// Places where the results are meant to differ, and why: a path, or `config FIELD`.
    pub(super) differs: &'static [(&'static str, &'static str)],
}

/// Docker changes a variable where it stands.
const ORDER: (&str, &str) = ("config Env", "buildah puts a variable that changes last");
/// As docker does, what an archive says of its top says nothing of the folder it is unpacked into.
const TOP: (&str, &str) = ("/to", "buildah gives the folder what the archive says of its top");

const fn case(name: &'static str, file: &'static str) -> Case {
    Case { name, file, options: &[], differs: &[] }
}

impl Case {
    const fn with(self, options: &'static [&'static str]) -> Case {
        Case { options, ..self }
    }

    const fn but(self, differs: &'static [(&'static str, &'static str)]) -> Case {
        Case { differs, ..self }
    }
}

/// As BuildKit has it, what begins with nothing begins in `/`.
const FOLDER: (&str, &str) = ("config WorkingDir", "buildah says nothing of a folder");

/// The context of all of them: a path and what is there. A path that ends in a slash is a folder,
/// `-> ` begins a link's target, and `+x ` what a program holds.
pub(super) const CONTEXT: &[(&str, &str)] = &[
    ("a.txt", "a\n"),
    ("b.txt", "b\n"),
    ("empty", ""),
    ("run.sh", "+x #!/bin/sh\necho ran\n"),
    ("dir/one", "1\n"),
    ("dir/two", "22\n"),
    ("dir/deep/three", "333\n"),
    ("dir/hollow/", ""),
    ("dir/link", "-> one"),
    ("dir/up", "-> ../a.txt"),
    ("dangling", "-> nowhere"),
    ("spaces/a b.txt", "blank\n"),
    ("sub/Dockerfile.other", "FROM bb\nCOPY a.txt /other\n"),
    ("ignored/kept.txt", "kept\n"),
    ("ignored/dropped.log", "dropped\n"),
    (".dockerignore", "**/*.log\n.dockerignore\n"),
];

/// All of them.
pub(super) const CASES: &[Case] = &[
    // FROM, ARG, ENV.
    case("base alone", "FROM bb\n"),
    case("base with a name", "FROM bb AS x\nLABEL a=1\n"),
    case("base by argument", "ARG BASE=bb\nFROM $BASE\nLABEL a=1\n"),
    case("base by given argument", "ARG BASE=nothing\nFROM ${BASE}\nLABEL a=1\n")
        .with(&["--build-arg", "BASE=bb"]),
    case("scratch", "FROM scratch\nCOPY a.txt /\n").but(&[FOLDER]),
    case("argument seen by a command", "FROM bb\nARG A=1\nRUN echo $A > /a\n"),
    case("given argument seen by a command", "FROM bb\nARG A=1\nRUN echo $A > /a\n")
        .with(&["--build-arg", "A=two"]),
    case("global argument taken into a stage", "ARG A=1\nFROM bb\nARG A\nRUN echo x$A > /a\n"),
    case("global argument not taken", "ARG A=1\nFROM bb\nRUN echo x$A > /a\n"),
    case("argument hidden by a variable", "FROM bb\nARG A=1\nENV A=2\nRUN echo $A > /a\n"),
    case(
        "environment in both forms",
        "FROM bb\nENV A=1 B=\"two words\" C=three\\ words\nENV D one two\n",
    ),
    case(
        "environment expanded",
        "FROM bb\nENV A=1\nENV B=${A}2 C=${X:-none} D=${A:+set}\nRUN env | grep ^[BCD]= > /env\n",
    ),
    case("environment changed twice", "FROM bb\nENV A=1\nENV A=2\nENV PATH=/own:$PATH\n")
        .but(&[ORDER]),
    case(
        "quotes in the environment",
        "FROM bb\nENV A='single $X' B=\"double \\\"x\\\"\" C=\\$plain\nRUN echo \"$A|$B|$C\" > /a\n",
    ),
    // RUN.
    case("command by a shell", "FROM bb\nRUN echo 1 > /one && echo 2 > /two\n"),
    case("command by words", "FROM bb\nRUN [\"/bin/touch\", \"/made\"]\n"),
    case("command over lines", "FROM bb\nRUN echo 1 \\\n  2 \\\n  # a comment\n  3 > /a\n"),
    case(
        "files changed and removed",
        "FROM bb\nRUN echo changed > /filled/from-image\nRUN rm /etc/group && rmdir /tmp\n",
    ),
    case("folder replaced", "FROM bb\nRUN rm -r /filled && mkdir /filled && touch /filled/new\n"),
    case("folder replaced by a file", "FROM bb\nRUN rm -r /filled && echo file > /filled\n"),
    case(
        "modes and owners",
        "FROM bb\nRUN touch /a /b && chmod 4751 /a && chown 1000:50 /b && mkdir -m 1777 /t\n",
    ),
    case("links", "FROM bb\nRUN echo x > /a && ln /a /b && ln -s a /c && ln -s /nowhere /d\n"),
    case("pipes and devices", "FROM bb\nRUN mkfifo /pipe\n"),
    case("link changed to a file", "FROM bb\nRUN ln -s a.txt /l\nRUN rm /l && echo file > /l\n"),
    case(
        "folder emptied in a later step",
        "FROM bb\nRUN mkdir /d && touch /d/a /d/b\nRUN rm /d/a /d/b\n",
    ),
    case("names of all letters", "FROM bb\nRUN touch '/a b' '/ä' '/q\"q' '/*'\n"),
    case(
        "command as somebody",
        "FROM bb\nRUN mkdir -m 777 /w\nUSER bob\nRUN id -u > /w/id && id -g >> /w/id\n",
    ),
    case(
        "command as a number",
        "FROM bb\nRUN mkdir -m 777 /w\nUSER 1234:50\nRUN id -u > /w/id; id -g >> /w/id\n",
    ),
    case("shell of the file's own", "FROM bb\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN echo $0-$- > /a\n"),
    case("bound files", "FROM bb\nRUN --mount=type=bind,target=/c cp /c/a.txt /got\n"),
    case(
        "bound files of a stage",
        "FROM bb AS x\nRUN echo x > /x\nFROM bb\nRUN --mount=type=bind,from=x,target=/c cp /c/x /got\n",
    ),
    case("tmpfs leaves nothing", "FROM bb\nRUN --mount=type=tmpfs,target=/t touch /t/a\n"),
    case("cache leaves nothing", "FROM bb\nRUN --mount=type=cache,target=/t touch /t/a\n"),
    // WORKDIR, USER.
    case("folders by WORKDIR", "FROM bb\nWORKDIR /a/b\nWORKDIR c\nRUN pwd > /pwd && touch here\n"),
    case("folder by variable", "FROM bb\nENV W=/w\nWORKDIR $W/x\nCOPY a.txt .\n"),
    case("folder that is there", "FROM bb\nWORKDIR /filled\nCOPY a.txt ./\n"),
    case("user by variable", "FROM bb\nARG U=bob\nUSER $U\n"),
    // COPY.
    case("one file", "FROM bb\nCOPY a.txt /to\n"),
    case("one file into a folder", "FROM bb\nCOPY a.txt /to/\n"),
    case("one file into a folder that is there", "FROM bb\nCOPY a.txt /filled\n"),
    case("several files", "FROM bb\nCOPY a.txt b.txt /to/\n"),
    case("by a pattern", "FROM bb\nCOPY *.txt /to/\n"),
    case("by a pattern with a set", "FROM bb\nCOPY [ab].t?t /to/\n"),
    case("a folder's contents", "FROM bb\nCOPY dir /to\n"),
    case("a folder's contents into a new folder", "FROM bb\nCOPY dir/ /to/deep/\n"),
    case(
        "a folder over a folder",
        "FROM bb\nRUN mkdir -p /to/deep && echo x > /to/one && echo y > /to/own\nCOPY dir /to\n",
    ),
    case("everything", "FROM bb\nCOPY . /all\n"),
    case("by words", "FROM bb\nCOPY [\"spaces/a b.txt\", \"/to here/\"]\n"),
    case("from a folder in a folder", "FROM bb\nCOPY dir/deep/three /x/y/z\n"),
    case("programs stay programs", "FROM bb\nCOPY run.sh /bin/run\nRUN /bin/run > /said\n"),
    case("owner by name", "FROM bb\nCOPY --chown=bob:staff a.txt dir /to/\n"),
    case("owner by number", "FROM bb\nCOPY --chown=7:8 a.txt /to/\n"),
    case("owner without group", "FROM bb\nCOPY --chown=bob a.txt /to/\n"),
    case("permissions", "FROM bb\nCOPY --chmod=640 a.txt /a\n"),
    case(
        "from a stage",
        "FROM bb AS x\nRUN mkdir /d && echo x > /d/f && chown 5:6 /d/f && chmod 600 /d/f\nFROM bb\nCOPY --from=x /d/f /got\nCOPY --from=x /d /all\n",
    ),
    case("from a stage by number", "FROM bb\nRUN echo x > /x\nFROM scratch\nCOPY --from=0 /x /x\n").but(&[FOLDER]),
    case("from an image", "FROM scratch\nCOPY --from=bb /etc/passwd /etc/\n").but(&[FOLDER]),
    case(
        "links of a stage",
        "FROM bb AS x\nRUN mkdir /d && ln -s f /d/l && echo f > /d/f\nFROM scratch\nCOPY --from=x /d /d\n",
    ).but(&[FOLDER]),
    case("by a link's name in the target", "FROM bb\nRUN ln -s /filled /l\nCOPY a.txt /l/\n"),
    case("a file over a file", "FROM bb\nRUN echo old > /f && chmod 777 /f\nCOPY a.txt /f\n"),
    // ADD.
    case("a file added", "FROM bb\nADD a.txt /to/\n"),
    case("an archive added", "FROM bb\nADD tree.tar /to/\n").but(&[TOP]),
    case("a packed archive added", "FROM bb\nADD tree.tar.gz /to\n").but(&[TOP]),
    case("an archive copied", "FROM bb\nCOPY tree.tar /to/\n"),
    case("an archive added to somebody", "FROM bb\nADD --chown=7:8 a.txt /to/\n"),
    // What is only said.
    case("command and entrypoint", "FROM bb\nENTRYPOINT [\"echo\"]\nCMD [\"a\", \"b\"]\n"),
    case("command by a shell for a container", "FROM bb\nCMD echo $HOME\n"),
    case("entrypoint by a shell", "FROM bb\nENTRYPOINT exec top -b\n"),
    case(
        "entrypoint drops an inherited command",
        "FROM bb AS x\nCMD [\"x\"]\nFROM x\nENTRYPOINT [\"y\"]\n",
    ),
    case("labels", "FROM bb\nLABEL a=1 \"b c\"=\"d e\" f='g'\nLABEL a=2\n"),
    case("ports", "FROM bb\nEXPOSE 80 443/tcp 53/udp\n"),
    case("volumes", "FROM bb\nVOLUME /data /more\nVOLUME [\"/third\"]\n")
        .but(&[("/third", "buildah makes the folder of a volume")]),
    case("signal", "FROM bb\nSTOPSIGNAL SIGTERM\n"),
    case("health", "FROM bb\nHEALTHCHECK --interval=5s --retries=2 CMD [\"true\"]\n"),
    case("no health", "FROM bb\nHEALTHCHECK NONE\n"),
    case("author", "FROM bb\nMAINTAINER me\n"),
    case("for later", "FROM bb\nONBUILD LABEL a=1\nONBUILD ENV B=2\n"),
    case(
        "target of several",
        "FROM bb AS one\nRUN echo 1 > /one\nFROM bb AS two\nRUN echo 2 > /two\n",
    )
    .with(&["--target", "one"]),
    case("label of the command line", "FROM bb\nLABEL a=1\n")
        .with(&["--label", "a=2", "--label", "b=3"]),
    case("another file", "FROM scratch\n").with(&["--file", "sub/Dockerfile.other"]),
    case(
        "stages on each other",
        "FROM bb AS a\nRUN echo a > /a\nFROM a AS b\nRUN echo b > /b\nFROM b\nCOPY --from=a /a /again\n",
    ),
    case(
        "comments and blank lines",
        "# one\n\nFROM bb\n\n# two\nRUN echo \\\n\n  1 > /a\n# three\n",
    ),
    case("another escape", "# escape=`\nFROM bb\nRUN echo 1 `\n  2 > /a\n"),
];
