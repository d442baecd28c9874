//! What mica must reach, beside what it reached in the same run.

use std::fmt::Write;
use std::time::Duration;

use super::calls::Calls;
use super::idle::IDLE;
use super::report::{Figures, Row, figures_of, memory, ratio, time};

/// One requirement.
struct Goal {
    case: &'static str,
    need: Need,
}

enum Need {
    /// So many times less CPU time than a tool at the same job.
    LessCpu(&'static str, f64),
    /// So many times less wall time.
    Faster(&'static str, f64),
    /// Less CPU time than this.
    Cpu(Duration),
    /// Less wall time than this.
    Wall(Duration),
    /// At most so much more wall time than a tool at the same job.
    Beside(&'static str, Duration),
    /// Less memory than this, in KiB.
    Memory(u64),
}

const MS: fn(u64) -> Duration = Duration::from_millis;

const fn goal(case: &'static str, need: Need) -> Goal {
    Goal { case, need }
}

fn goals() -> Vec<Goal> {
    use Need::{Beside, Cpu, Faster, LessCpu, Memory, Wall};
    let mut goals = vec![
        goal("load-gzip", LessCpu("podman", 4.0)),
        goal("load-gzip", LessCpu("skopeo", 4.0)),
        goal("load-gzip", LessCpu("tar", 1.0)),
        goal("load-gzip", Faster("tar", 1.0)),
        // Reading the tar and writing its index comes on top of the copy.
        goal("load-plain", LessCpu("copy", 0.75)),
        goal("index", Cpu(MS(400))),
        goal("save", LessCpu("podman", 5.0)),
        goal("save", Faster("podman", 5.0)),
        goal("rmi", Cpu(MS(10))),
        goal("run", Faster("crun", 1.0 / 1.5)),
        goal("run", Faster("podman", 8.0)),
        goal("run-bridge", Faster("podman", 6.0)),
        goal("exec", Faster("podman", 8.0)),
        goal("commit", Faster("podman", 5.0)),
        goal("changes", Faster("podman", 8.0)),
        goal("ps", Wall(MS(20))),
        goal("parallel", Faster("podman", 6.0)),
        goal("pull", Faster("podman", 2.0)),
        goal("pull", Memory(128 << 10)),
        goal("push", Faster("podman", 2.0)),
        goal("push", Memory(128 << 10)),
        goal("push-again", Wall(MS(50))),
        goal("serve-manifests", Faster("docker-registry", 2.0)),
        goal("serve-small", Faster("docker-registry", 2.0)),
        goal("serve-layers", Faster("docker-registry", 1.0)),
        goal(IDLE, Memory(4 << 10)),
        // A thousand times 1 ms, twenty times 30 ms, and twenty times 3 ms more.
        goal("api-ping", Wall(MS(1000))),
        goal("api-list", Wall(MS(600))),
        goal("api-run", Beside("command", MS(60))),
        goal("build-again", Wall(MS(15))),
        goal("build-again-10k", Cpu(MS(30))),
        goal("build-again-100k", Cpu(MS(250))),
        // As long as one hashed copy, and a tenth more for the index.
        goal("build-large", Faster("copy", 0.9)),
        goal("build-stages", Wall(MS(1100))),
    ];
    for (case, times) in
        [("build-again", 10.0), ("build-runs", 4.0), ("build-copy", 5.0), ("build-touch", 8.0)]
    {
        goals.push(goal(case, Faster("buildah", times)));
        goals.push(goal(case, Faster("podman", times)));
    }
    for case in ["images", "inspect", "tag", "history"] {
        goals.push(goal(case, Cpu(MS(3))));
        goals.push(goal(case, LessCpu("podman", 8.0)));
        goals.push(goal(case, Faster("podman", 8.0)));
    }
    goals
}

/// The most memory that any job may take.
const PEAK_KIB: u64 = 64 << 10;

/// The most system calls that a container without a network may take from its start to its end.
const RUN_CALLS: u64 = 300;

/// The most that a build in which nothing changed may take for each file of its context.
const FILE_CALLS: f64 = 3.0;

/// The requirements as a table in markdown.
pub(super) fn table(rows: &[Row], calls: &Calls) -> String {
    let mut table = String::from("| required of mica | measured | reached |\n|---|---:|---|\n");
    for goal in goals() {
        let (words, verdict) = judged(&goal, rows);
        line(&mut table, &words, verdict);
    }
    let words = format!("run: at most {RUN_CALLS} system calls of all processes");
    line(&mut table, &words, calls.run.map(|calls| (calls.to_string(), calls <= RUN_CALLS)));
    let words = format!("build-again-10k: at most {FILE_CALLS} system calls for each file");
    line(&mut table, &words, calls.build.map(|calls| (format!("{calls:.2}"), calls <= FILE_CALLS)));
    let peaks = rows.iter().filter(|row| row.tool == "mica");
    let peak = peaks.filter_map(figures_of).map(|figures| figures.peak_kib).max();
    let words = format!("peak memory of every job below {}", memory(PEAK_KIB));
    line(&mut table, &words, peak.map(|peak| (memory(peak), peak < PEAK_KIB)));
    table
}

fn line(table: &mut String, words: &str, verdict: Option<(String, bool)>) {
    let (measured, reached) = match verdict {
        Some((measured, true)) => (measured, "yes"),
        Some((measured, false)) => (measured, "**no**"),
        None => ("not measured".to_owned(), ""),
    };
    let _ = writeln!(table, "| {words} | {measured} | {reached} |");
}

/// A requirement in words, and what was measured and whether that is enough.
fn judged(goal: &Goal, rows: &[Row]) -> (String, Option<(String, bool)>) {
    let of = |tool: &str| -> Option<Figures> {
        figures_of(rows.iter().find(|row| row.case == goal.case && row.tool == tool)?)
    };
    let against = |tool: &str, least: f64, pick: fn(&Figures) -> Duration| {
        let (mine, theirs) = (pick(&of("mica")?), pick(&of(tool)?));
        let times = theirs.as_secs_f64() / mine.as_secs_f64().max(1e-6);
        Some((ratio(theirs, mine), times >= least))
    };
    let case = goal.case;
    match goal.need {
        Need::LessCpu(tool, least) => (
            format!("{case}: {tool}'s CPU time ÷ mica's at least {least}"),
            against(tool, least, |figures| figures.cpu),
        ),
        Need::Faster(tool, least) => (
            match least.fract() == 0.0 {
                true => format!("{case}: {tool}'s wall time ÷ mica's at least {least}"),
                false => format!("{case}: {tool}'s wall time ÷ mica's at least {least:.2}"),
            },
            against(tool, least, |figures| figures.wall),
        ),
        Need::Cpu(most) => (
            format!("{case}: CPU time below {}", time(most)),
            of("mica").map(|mica| (time(mica.cpu), mica.cpu < most)),
        ),
        Need::Wall(most) => (
            format!("{case}: wall time below {}", time(most)),
            of("mica").map(|mica| (time(mica.wall), mica.wall < most)),
        ),
        Need::Beside(tool, most) => (
            format!("{case}: at most {} more wall time than {tool}", time(most)),
            of("mica").zip(of(tool)).map(|(mine, theirs)| {
                let more = mine.wall.saturating_sub(theirs.wall);
                (time(more), more <= most)
            }),
        ),
        Need::Memory(most) => (
            format!("{case}: memory below {}", memory(most)),
            of("mica").map(|mica| (memory(mica.peak_kib), mica.peak_kib < most)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Usage;
    use super::*;

    #[test]
    fn says_what_is_reached_and_what_is_not() {
        let row = |case, tool, millis| {
            let time = MS(millis);
            let run = Usage { wall: time, cpu: time, peak_kib: 2048 };
            Row { case, about: "", tool, outcome: Ok(vec![run]) }
        };
        let rows = [
            row("images", "mica", 2),
            row("images", "podman", 40),
            row("tag", "mica", 4),
            row("tag", "podman", 20),
        ];
        let table = table(&rows, &Calls { run: Some(299), build: Some(2.5) });
        let has = |line: &str| assert!(table.contains(line), "{line}\n{table}");
        has("| images: CPU time below 3.00 ms | 2.00 ms | yes |");
        has("| images: podman's CPU time ÷ mica's at least 8 | 20 x | yes |");
        has("| tag: CPU time below 3.00 ms | 4.00 ms | **no** |");
        has("| tag: podman's wall time ÷ mica's at least 8 | 5.0 x | **no** |");
        has("| save: podman's CPU time ÷ mica's at least 5 | not measured |  |");
        has("| build-again-10k: at most 3 system calls for each file | 2.50 | yes |");
        has("| run: at most 300 system calls of all processes | 299 | yes |");
        has("| peak memory of every job below 64.0 MiB | 2.0 MiB | yes |");
    }
}
