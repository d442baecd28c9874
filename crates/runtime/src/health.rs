//! Whether a container is well: when to ask, and what an answer means. Docker's rules.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spec::{Healthcheck, Timestamp, format_go_duration};

/// How many results are kept.
pub const KEPT_RESULTS: usize = 5;
/// How much is kept of what a check prints.
pub const KEPT_OUTPUT_BYTES: usize = 4096;

/// How a container is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It was never well yet.
    Starting,
    /// The last check passed, or not enough have failed since.
    Healthy,
    /// Too many checks in a row failed, or nobody checks any more.
    Unhealthy,
}

impl Health {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// One check that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckResult {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The exit code; -1 if it did not end by itself.
    pub exit_code: i32,
    /// What it printed, cut to [`KEPT_OUTPUT_BYTES`].
    pub output: String,
}

/// How a container is and was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthState {
    /// How it is.
    pub status: Health,
    /// How many checks failed in a row.
    pub failing_streak: u32,
    /// The last checks, the oldest first.
    pub log: Vec<CheckResult>,
}

impl Default for HealthState {
    fn default() -> HealthState {
        HealthState { status: Health::Starting, failing_streak: 0, log: Vec::new() }
    }
}

/// The times and counts of checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthRules {
    /// The time between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
    /// The time between two checks during that period.
    pub start_interval: Duration,
    /// How many failures in a row make it unwell.
    pub retries: u32,
}

impl HealthRules {
    /// The rules that an image or a command line asks for; what they leave out is docker's default.
    pub fn of(check: &Healthcheck) -> HealthRules {
        let time = |nanos: i64, default: u64| match u64::try_from(nanos) {
            Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
            _ => Duration::from_secs(default),
        };
        HealthRules {
            interval: time(check.interval, 30),
            timeout: time(check.timeout, 30),
            start_period: time(check.start_period, 0),
            start_interval: time(check.start_interval, 5),
            retries: u32::try_from(check.retries).ok().filter(|count| *count > 0).unwrap_or(3),
        }
    }

    /// How long to wait before the next check, so long after the start.
    pub fn wait(&self, status: Health, since_start: Duration) -> Duration {
        match status {
            Health::Starting if since_start < self.start_period => self.start_interval,
            _ => self.interval,
        }
    }
}

/// The program that a check runs; `None` if there is none. A shell is given for `CMD-SHELL`.
pub fn program(check: &Healthcheck, shell: Option<&[String]>) -> Option<Vec<String>> {
    let (kind, rest) = check.test.split_first()?;
    match kind.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" => {
            let plain = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
            let mut words = shell.map_or_else(plain, <[String]>::to_vec);
            words.extend(rest.first().cloned());
            Some(words)
        }
        _ => None,
    }
}

impl HealthState {
    /// Takes in a result, whose check began so long after the container did, and says how the
    /// container is now if that has changed.
    pub fn take(
        &mut self,
        rules: &HealthRules,
        result: CheckResult,
        since_start: Duration,
    ) -> Option<Health> {
        let before = self.status;
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = Health::Healthy;
        } else if self.status != Health::Starting || since_start >= rules.start_period {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= rules.retries {
                self.status = Health::Unhealthy;
            }
        }
        self.log.push(result);
        let beyond = self.log.len().saturating_sub(KEPT_RESULTS);
        self.log.drain(..beyond);
        (self.status != before).then_some(self.status)
    }
}

/// What a check prints, as much of it as is kept.
#[derive(Clone, Debug, Default)]
pub struct KeptOutput {
    bytes: Vec<u8>,
    cut: bool,
}

impl KeptOutput {
    /// Adds what was printed.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = KEPT_OUTPUT_BYTES - self.bytes.len();
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What was printed.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.cut { text + "..." } else { text }
    }

    /// What is told of a check that took too long.
    pub fn timed_out(&self, timeout: Duration) -> String {
        let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        let text = format!("Health check exceeded timeout ({})", format_go_duration(nanos));
        if self.bytes.is_empty() { text } else { format!("{text}: {}", self.text()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(start_period: u64) -> HealthRules {
        let check = Healthcheck {
            start_period: start_period as i64 * 1_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        };
        HealthRules::of(&check)
    }

    fn result(exit_code: i32) -> CheckResult {
        let time = Timestamp::UNIX_EPOCH;
        CheckResult { start: time, end: time, exit_code, output: String::new() }
    }

    /// Takes results at times after the start, and says how the container is after each.
    #[track_caller]
    fn check(rules: HealthRules, results: &[(u64, i32)], expected: &str) {
        let mut state = HealthState::default();
        let mut seen = String::new();
        for (at, code) in results {
            let before = state.status;
            let changed = state.take(&rules, result(*code), Duration::from_secs(*at));
            assert_eq!(changed.is_some(), before != state.status);
            seen.push(state.status.name().as_bytes()[0] as char);
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn failures_in_a_row_make_it_unwell() {
        check(rules(0), &[(1, 1), (2, 1), (3, 0), (4, 1), (5, 0), (6, -1), (7, 2)], "suhhhhu");
    }

    #[test]
    fn failures_do_not_count_while_it_starts() {
        check(rules(10), &[(1, 1), (2, 1), (9, 1), (10, 1), (11, 1)], "ssssu");
        check(rules(10), &[(1, 0), (2, 1), (3, 1)], "hhu");
    }

    #[test]
    fn five_results_are_kept() {
        let mut state = HealthState::default();
        for code in 0..8 {
            state.take(&rules(0), result(code), Duration::ZERO);
        }
        let codes: Vec<_> = state.log.iter().map(|result| result.exit_code).collect();
        assert_eq!(codes, [3, 4, 5, 6, 7]);
        assert_eq!(state.failing_streak, 7);
    }

    #[test]
    fn checks_come_more_often_while_it_starts() {
        let rules = rules(10);
        let seconds = |status, at| rules.wait(status, Duration::from_secs(at)).as_secs();
        assert_eq!(seconds(Health::Starting, 9), 5);
        assert_eq!(seconds(Health::Starting, 10), 30);
        assert_eq!(seconds(Health::Healthy, 1), 30);
    }

    #[test]
    fn programs_are_found_as_docker_writes_them() {
        let words = |test: &[&str], shell: Option<&[String]>| {
            let test = test.iter().map(|&word| word.to_owned()).collect();
            program(&Healthcheck { test, ..Healthcheck::default() }, shell)
                .map(|words| words.join(" "))
        };
        assert_eq!(words(&["CMD", "a", "b"], None).unwrap(), "a b");
        assert_eq!(words(&["CMD-SHELL", "a b"], None).unwrap(), "/bin/sh -c a b");
        let shell = ["bash".to_owned(), "-c".to_owned()];
        assert_eq!(words(&["CMD-SHELL", "a b"], Some(&shell)).unwrap(), "bash -c a b");
        for none in [&[][..], &["NONE"], &["CMD"], &["OTHER", "x"]] {
            assert_eq!(words(none, None), None);
        }
    }

    #[test]
    fn output_is_cut() {
        let mut output = KeptOutput::default();
        output.push(&[b'x'; 4000]);
        assert_eq!(output.text().len(), 4000);
        output.push(&[b'y'; 200]);
        assert_eq!(output.text().len(), 4099);
        let late = KeptOutput::default().timed_out(Duration::from_millis(1500));
        assert_eq!(late, "Health check exceeded timeout (1.5s)");
        assert!(output.timed_out(Duration::from_secs(1)).contains("(1s): xxx"));
    }
}
