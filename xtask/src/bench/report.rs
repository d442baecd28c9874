//! Medians, ratios, and the table that they are told in.

use std::fmt::Write;
use std::time::Duration;

use super::measure::Usage;

/// What one tool did at one job: its runs, or why there are none.
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) about: &'static str,
    pub(crate) tool: &'static str,
    pub(crate) outcome: Result<Vec<Usage>, String>,
}

/// The figures of one row.
pub(super) struct Figures {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    least_wall: Duration,
    pub(super) peak_kib: u64,
    runs: usize,
}

/// The figures of a row that has any.
pub(super) fn figures_of(row: &Row) -> Option<Figures> {
    row.outcome.as_ref().ok().and_then(|runs| figures(runs))
}

/// The rows as a table in markdown; a ratio says how many times mica's figure it is.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| job | tool | CPU | ÷ mica | wall, median | ÷ mica | wall, least | peak memory | runs |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let mica = rows
            .iter()
            .find(|other| other.case == row.case && other.tool == "mica")
            .and_then(figures_of);
        let line = match &row.outcome {
            Ok(runs) => figures(runs).map(|own| filled(row, &own, mica.as_ref())),
            Err(why) => Some(format!("| {} | {} | {why} | | | | | | |", row.case, row.tool)),
        };
        let _ = writeln!(table, "{}", line.unwrap_or_default());
    }
    table
}

/// What each job in the table means.
pub(crate) fn legend(rows: &[Row]) -> String {
    let mut legend = String::new();
    let mut last = "";
    for row in rows.iter().filter(|row| std::mem::replace(&mut last, row.case) != row.case) {
        let _ = writeln!(legend, "- {}: {}", row.case, row.about);
    }
    legend
}

fn filled(row: &Row, own: &Figures, mica: Option<&Figures>) -> String {
    let against = |pick: fn(&Figures) -> Duration| match mica {
        Some(mica) if row.tool != "mica" => ratio(pick(own), pick(mica)),
        _ => String::new(),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.case,
        row.tool,
        time(own.cpu),
        against(|figures| figures.cpu),
        time(own.wall),
        against(|figures| figures.wall),
        time(own.least_wall),
        memory(own.peak_kib),
        own.runs
    )
}

fn figures(runs: &[Usage]) -> Option<Figures> {
    Some(Figures {
        cpu: median(runs.iter().map(|run| run.cpu))?,
        wall: median(runs.iter().map(|run| run.wall))?,
        least_wall: runs.iter().map(|run| run.wall).min()?,
        peak_kib: runs.iter().map(|run| run.peak_kib).max()?,
        runs: runs.len(),
    })
}

fn median(values: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut values: Vec<Duration> = values.collect();
    values.sort();
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some((upper + lower) / 2)
}

pub(super) fn ratio(theirs: Duration, mine: Duration) -> String {
    let ratio = theirs.as_secs_f64() / mine.as_secs_f64().max(1e-6);
    if ratio < 10.0 { format!("{ratio:.1} x") } else { format!("{ratio:.0} x") }
}

pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        long if long >= 1.0 => format!("{long:.2} s"),
        short if short >= 0.01 => format!("{:.0} ms", short * 1e3),
        tiny => format!("{:.2} ms", tiny * 1e3),
    }
}

pub(super) fn memory(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(millis: u64) -> Usage {
        let time = Duration::from_millis(millis);
        Usage { wall: time, cpu: time / 2, peak_kib: 2048 }
    }

    fn row(tool: &'static str, outcome: Result<Vec<Usage>, String>) -> Row {
        Row { case: "load", about: "load it", tool, outcome }
    }

    #[test]
    fn tells_medians_and_ratios() {
        let rows = [
            row("mica", Ok(vec![run(20), run(40), run(30)])),
            row("podman", Ok(vec![run(300), run(900)])),
            row("skopeo", Err("not installed".to_string())),
        ];
        let table = table(&rows);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(lines[0], "| load | mica | 15 ms |  | 30 ms |  | 20 ms | 2.0 MiB | 3 |");
        assert_eq!(
            lines[1],
            "| load | podman | 300 ms | 20 x | 600 ms | 20 x | 300 ms | 2.0 MiB | 2 |"
        );
        assert_eq!(lines[2], "| load | skopeo | not installed | | | | | | |");
        assert_eq!(legend(&rows), "- load: load it\n");
    }

    #[test]
    fn a_peer_stands_alone_without_mica() {
        let table = table(&[row("tar", Ok(vec![run(2)]))]);
        assert!(
            table.ends_with("| load | tar | 1.00 ms |  | 2.00 ms |  | 2.00 ms | 2.0 MiB | 1 |\n")
        );
    }
}
