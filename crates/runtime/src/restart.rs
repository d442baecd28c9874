//! Whether a container that ended is started again, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The first wait before a restart; each one after it is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A container that ran for so long is counted as having worked: waiting begins anew.
const LONG_RUN: Duration = Duration::from_secs(10);

/// When a container is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends; and after a boot even if somebody had stopped it.
    Always,
    /// Whenever it ends, unless somebody stopped it.
    UnlessStopped,
    /// When its exit code is not 0; with a number, so many times at most.
    OnFailure(Option<u32>),
}

/// Why a text is no policy; docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is a count and no name.
    #[error("invalid restart policy format: no policy provided before colon")]
    NoName,
    /// What follows the colon is no number.
    #[error("invalid restart policy format: maximum retry count must be an integer")]
    NoNumber,
    /// The number is below nothing.
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    Negative,
    /// Only `on-failure` counts.
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    Uncounted,
    /// The name is none.
    #[error(
        "invalid restart policy: unknown policy '{0}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown(String),
}

impl FromStr for RestartPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<RestartPolicy, PolicyError> {
        let (name, count) = match text.split_once(':') {
            None => (text, None),
            Some(("", _)) => return Err(PolicyError::NoName),
            Some((name, count)) => {
                (name, Some(count.parse::<i64>().map_err(|_| PolicyError::NoNumber)?))
            }
        };
        let policy = match name {
            "" | "no" => RestartPolicy::No,
            "always" => RestartPolicy::Always,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "on-failure" => {
                let count = count.unwrap_or(0);
                let count = u32::try_from(count).map_err(|_| match count < 0 {
                    true => PolicyError::Negative,
                    false => PolicyError::NoNumber,
                })?;
                return Ok(RestartPolicy::OnFailure((count > 0).then_some(count)));
            }
            _ => return Err(PolicyError::Unknown(name.to_owned())),
        };
        match count {
            None | Some(0) => Ok(policy),
            Some(..0) => Err(PolicyError::Negative),
            Some(_) => Err(PolicyError::Uncounted),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::No => f.write_str("no"),
            RestartPolicy::Always => f.write_str("always"),
            RestartPolicy::UnlessStopped => f.write_str("unless-stopped"),
            RestartPolicy::OnFailure(None) => f.write_str("on-failure"),
            RestartPolicy::OnFailure(Some(count)) => write!(f, "on-failure:{count}"),
        }
    }
}

impl RestartPolicy {
    /// Whether a container that has run is started when the machine comes up: by whether somebody
    /// had asked for its end. That the machine went down is no failure of the container's.
    pub fn at_boot(self, stopped: bool) -> bool {
        match self {
            RestartPolicy::No | RestartPolicy::OnFailure(_) => false,
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !stopped,
        }
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
pub fn after(policy: RestartPolicy, before: Backoff, run: Run) -> Option<(Duration, Backoff)> {
    let again = match policy {
        _ if run.stopped => false,
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(most) => {
            run.exit_code != 0 && most.is_none_or(|most| before.restarts < most)
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
    use RestartPolicy::{Always, No, OnFailure, UnlessStopped};

    #[test]
    fn reads_dockers_policies() {
        for (text, policy) in [
            ("", No),
            ("no", No),
            ("always", Always),
            ("always:0", Always),
            ("unless-stopped", UnlessStopped),
            ("on-failure", OnFailure(None)),
            ("on-failure:0", OnFailure(None)),
            ("on-failure:3", OnFailure(Some(3))),
        ] {
            assert_eq!(text.parse(), Ok(policy), "{text}");
            let shown: RestartPolicy = policy.to_string().parse().unwrap();
            assert_eq!(shown, policy);
        }
        for (text, error) in [
            (":1", PolicyError::NoName),
            ("on-failure:x", PolicyError::NoNumber),
            ("on-failure:", PolicyError::NoNumber),
            ("on-failure:1:2", PolicyError::NoNumber),
            ("on-failure:99999999999", PolicyError::NoNumber),
            ("on-failure:-1", PolicyError::Negative),
            ("always:-1", PolicyError::Negative),
            ("always:2", PolicyError::Uncounted),
            ("often", PolicyError::Unknown("often".into())),
        ] {
            assert_eq!(text.parse::<RestartPolicy>(), Err(error), "{text}");
        }
    }

    fn failed(lasted: u64) -> Run {
        Run { exit_code: 1, lasted: Duration::from_secs(lasted), stopped: false }
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for lasted in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 10, 0] {
            let (wait, next) = after(Always, backoff, failed(lasted)).unwrap();
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
        let restarts = |policy, exit_code, stopped, restarts| {
            let run = Run { exit_code, lasted: Duration::ZERO, stopped };
            after(policy, Backoff { restarts, ..Backoff::default() }, run).is_some()
        };
        for policy in [No, Always, UnlessStopped, OnFailure(None), OnFailure(Some(2))] {
            assert!(!restarts(policy, 1, true, 0), "{policy} after a stop");
        }
        assert!(!restarts(No, 1, false, 0));
        assert!(restarts(Always, 0, false, 1000) && restarts(UnlessStopped, 0, false, 0));
        assert!(
            restarts(OnFailure(None), 3, false, 1000) && !restarts(OnFailure(None), 0, false, 0)
        );
        assert!(restarts(OnFailure(Some(2)), 1, false, 1));
        assert!(!restarts(OnFailure(Some(2)), 1, false, 2));
    }

    #[test]
    fn a_boot_starts_what_its_policy_asks_for() {
        assert!(Always.at_boot(true) && Always.at_boot(false));
        assert!(UnlessStopped.at_boot(false) && !UnlessStopped.at_boot(true));
        assert!(!OnFailure(None).at_boot(false) && !No.at_boot(false));
    }
}
