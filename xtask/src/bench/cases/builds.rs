//! Jobs with Dockerfiles: from nothing, again with nothing changed, and after a small change.
//!
//! All begin with a root made of busybox. buildah keeps layers and isolates with `chroot`, which is
//! the quickest that it has; podman builds as it does unless told otherwise.

use super::Contender;
use super::containers::root;
use crate::bench::tools::{Lab, Step};

/// The name of mica's and of podman's store for builds.
pub(in crate::bench) const STORE: &str = "build";

/// Twelve instructions.
const TWELVE: &str = "FROM localhost/bb:1\nARG WHO=bench\nENV A=1 B=2\nWORKDIR /app\nCOPY one two ./\nRUN echo $WHO > who\nRUN echo more > more\nCOPY three .\nLABEL made=here\nEXPOSE 80\nUSER 1000\nCMD [\"true\"]\n";
const TEN_RUNS: &str = "FROM localhost/bb:1\nRUN echo 1 > /1\nRUN echo 2 > /2\nRUN echo 3 > /3\nRUN echo 4 > /4\nRUN echo 5 > /5\nRUN echo 6 > /6\nRUN echo 7 > /7\nRUN echo 8 > /8\nRUN echo 9 > /9\nRUN echo 10 > /10\n";
const COPY_ALL: &str = "FROM localhost/bb:1\nCOPY . /all\n";
const FOUR_STAGES: &str = "FROM localhost/bb:1 AS a\nRUN sleep 1; echo > /a\nFROM localhost/bb:1 AS b\nRUN sleep 1; echo > /b\nFROM localhost/bb:1 AS c\nRUN sleep 1; echo > /c\nFROM localhost/bb:1 AS d\nRUN sleep 1; echo > /d\nFROM localhost/bb:1\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\nCOPY --from=d /d /\n";

/// Makes a context: `$1` is its folder, `$2` the Dockerfile, `$3` how many hundreds of small files
/// it has.
const CONTEXT: &str = r#"
rm -rf "$1"; mkdir -p "$1"
printf '%s' "$2" > "$1/Dockerfile"
echo Dockerfile > "$1/.dockerignore"
for name in one two three; do echo "$name" > "$1/$name"; done
for folder in $(seq "$3"); do
    mkdir "$1/$folder"
    (cd "$1/$folder" && seq 100 | split -l 1 -a 2 -d - f)
done
# At rest, so that what is in them may be remembered.
sleep 0.1
"#;
/// The same with one large file.
const LARGE: &str = r#"
rm -rf "$1"; mkdir -p "$1"
printf '%s' "$2" > "$1/Dockerfile"
echo Dockerfile > "$1/.dockerignore"
head -c 1073741824 /dev/urandom > "$1/large"
"#;
/// Changes one file.
const TOUCH: &str = r#"date +%N > "$1/1/f00""#;

/// What is timed, by its name, and how it builds a context.
struct Side {
    tool: &'static str,
    call: fn(&Lab, &[&str]) -> Step,
    build: &'static [&'static str],
    /// What makes it forget all that it built.
    forget: &'static [&'static [&'static str]],
}

const SIDES: [Side; 3] = [
    Side {
        tool: "mica",
        call: |lab, words| lab.mica(STORE, words),
        build: &["build", "-q", "--network", "none", "-t", "built"],
        forget: &[&["rmi", "-f", "built"], &["image", "prune", "-f"], &["builder", "prune", "-af"]],
    },
    Side {
        tool: "buildah",
        call: |lab, words| lab.buildah(STORE, words),
        build: &["build", "-q", "--isolation", "chroot", "--layers", "--jobs", "4", "-t", "built"],
        forget: &[&["rmi", "--prune", "--force"]],
    },
    Side {
        tool: "podman",
        call: |lab, words| lab.podman(STORE, words),
        build: &["build", "-q", "--network", "none", "--jobs", "4", "-t", "built"],
        forget: &[&["rmi", "-f", "built"]],
    },
];

impl Side {
    /// A build of a context by one that has the base.
    fn contender(&self, lab: &Lab, context: &Step, words: &[&str]) -> Contender {
        let tar = lab.path("bundle/root.tar");
        let import = match self.tool {
            "mica" => lab.mica(STORE, &["import", tar.as_str(), "localhost/bb:1"]),
            // podman's and buildah's store is one.
            _ => lab.podman(STORE, &["import", tar.as_str(), "localhost/bb:1"]),
        };
        let built = self.built(lab, words);
        Contender::new(self.tool, built).once(root(lab)).once(import).once(context.clone())
    }

    fn built(&self, lab: &Lab, words: &[&str]) -> Step {
        let context = lab.path("context");
        (self.call)(lab, &[self.build, words, &[&context]].concat())
    }

    /// One that does all of it each time.
    fn cold(&self, lab: &Lab, context: &Step) -> Contender {
        let contender = self.contender(lab, context, &["--no-cache"]);
        let forget = self.forget.iter().map(|words| (self.call)(lab, words).or_not());
        let contender = forget.fold(contender, Contender::after);
        match self.tool {
            // What it knows of the context's files goes too.
            "mica" => contender.after(lab.delete(&format!("mica-{STORE}/data/build/contexts"))),
            _ => contender,
        }
    }

    /// One that has built it already.
    fn warm(&self, lab: &Lab, context: &Step) -> Contender {
        self.contender(lab, context, &[]).once(self.built(lab, &[]))
    }
}

fn context(lab: &Lab, file: &str, hundreds: usize) -> Step {
    Step::shell(CONTEXT, &[&lab.path("context"), file, &hundreds.to_string()])
}

fn all(each: impl Fn(&Side) -> Contender) -> Vec<Contender> {
    SIDES.iter().map(each).map(forgetting_last).collect()
}

/// The next case has another context in the same place.
fn forgetting_last(contender: Contender) -> Contender {
    contender.last(Step::new("true", &[]))
}

pub(super) fn again(lab: &Lab) -> Vec<Contender> {
    all(|side| side.warm(lab, &context(lab, TWELVE, 0)))
}

pub(super) fn again_ten_thousand(lab: &Lab) -> Vec<Contender> {
    all(|side| side.warm(lab, &context(lab, COPY_ALL, 100)))
}

/// The others would need minutes.
pub(super) fn again_hundred_thousand(lab: &Lab) -> Vec<Contender> {
    let warm = |side: &Side| side.warm(lab, &context(lab, COPY_ALL, 1000));
    SIDES.iter().take(1).map(warm).map(forgetting_last).collect()
}

pub(super) fn runs(lab: &Lab) -> Vec<Contender> {
    all(|side| side.cold(lab, &context(lab, TEN_RUNS, 0)))
}

pub(super) fn copy(lab: &Lab) -> Vec<Contender> {
    all(|side| side.cold(lab, &context(lab, COPY_ALL, 100)))
}

pub(super) fn large(lab: &Lab) -> Vec<Contender> {
    let large = Step::shell(LARGE, &[&lab.path("context"), COPY_ALL]);
    let (from, to) = (lab.path("context/large"), lab.path("copied"));
    let copied = Contender::new("copy", lab.hashed_copy(&from, &to)).once(large.clone());
    let mut contenders = all(|side| side.cold(lab, &large));
    contenders.push(copied.after(lab.delete("copied")));
    contenders
}

pub(super) fn touch(lab: &Lab) -> Vec<Contender> {
    let touch = Step::shell(TOUCH, &[&lab.path("context")]);
    all(|side| side.warm(lab, &context(lab, COPY_ALL, 100)).before(touch.clone()))
}

pub(super) fn stages(lab: &Lab) -> Vec<Contender> {
    all(|side| side.cold(lab, &context(lab, FOUR_STAGES, 0)))
}

/// How many files are in the context whose calls are counted.
pub(in crate::bench) const COUNTED_FILES: u64 = 10_000;

/// A build in which nothing changed, for counting its system calls, and what comes before.
pub(in crate::bench) fn counted(lab: &Lab) -> (Vec<Step>, Step) {
    let contender = SIDES[0].warm(lab, &context(lab, COPY_ALL, (COUNTED_FILES / 100) as usize));
    (contender.once, contender.timed)
}
