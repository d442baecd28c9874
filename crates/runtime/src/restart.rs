//! Whether a container that ended is started again, and when.

use std::time::Duration;

use spec::{RestartName, RestartPolicy};

/// The first wait before a restart; each one after it is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A container that ran for so long is counted as having worked: waiting begins anew.
const LONG_RUN: Duration = Duration::from_secs(10);

/// Whether a container that has run is started when the machine comes up: by whether somebody had
/// asked for its end. That the machine went down is no failure of the container's.
pub fn at_boot(policy: &RestartPolicy, stopped: bool) -> bool {
    match policy.name {
        RestartName::No | RestartName::OnFailure => false,
        RestartName::Always => true,
        RestartName::UnlessStopped => !stopped,
    }
}

/// A run that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its exit code.
    pub exit_code: i32,
    /// How long it was.
    pub lasted: Duration,
    /// Whether somebody asked for its end.
    pub stopped: bool,
}

/// What happened so far, as far as the next restart depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backoff {
    /// How many restarts there were.
    pub restarts: u32,
    wait: Duration,
}

/// How long to wait before a restart, and what to remember; `None` if there is none.
pub fn after(policy: &RestartPolicy, before: Backoff, run: Run) -> Option<(Duration, Backoff)> {
    let again = match policy.name {
        _ if run.stopped => false,
        RestartName::No => false,
        RestartName::Always | RestartName::UnlessStopped => true,
        RestartName::OnFailure => {
            let most = policy.maximum_retry_count;
            run.exit_code != 0 && (most == 0 || i64::from(before.restarts) < most)
        }
    };
    let wait = match before.wait {
        _ if run.lasted >= LONG_RUN => FIRST_WAIT,
        Duration::ZERO => FIRST_WAIT,
        wait => (wait * 2).min(LONGEST_WAIT),
    };
    again.then_some((wait, Backoff { restarts: before.restarts.saturating_add(1), wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> RestartPolicy {
        text.parse().unwrap()
    }

    fn failed(lasted: u64) -> Run {
        Run { exit_code: 1, lasted: Duration::from_secs(lasted), stopped: false }
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for lasted in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 10, 0] {
            let (wait, next) = after(&policy("always"), backoff, failed(lasted)).unwrap();
            waits.push(wait.as_millis());
            backoff = next;
        }
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 100, 200]
        );
        assert_eq!(backoff.restarts, 14);
    }

    #[test]
    fn policies_differ_in_when() {
        let restarts = |text: &str, exit_code, stopped, restarts| {
            let run = Run { exit_code, lasted: Duration::ZERO, stopped };
            after(&policy(text), Backoff { restarts, ..Backoff::default() }, run).is_some()
        };
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:2"] {
            assert!(!restarts(text, 1, true, 0), "{text} after a stop");
        }
        assert!(!restarts("no", 1, false, 0));
        assert!(restarts("always", 0, false, 1000) && restarts("unless-stopped", 0, false, 0));
        assert!(restarts("on-failure", 3, false, 1000) && !restarts("on-failure", 0, false, 0));
        assert!(restarts("on-failure:2", 1, false, 1));
        assert!(!restarts("on-failure:2", 1, false, 2));
    }

    #[test]
    fn a_boot_starts_what_its_policy_asks_for() {
        let starts = |text, stopped| at_boot(&policy(text), stopped);
        assert!(starts("always", true) && starts("always", false));
        assert!(starts("unless-stopped", false) && !starts("unless-stopped", true));
        assert!(!starts("on-failure", false) && !starts("no", false));
    }
}
