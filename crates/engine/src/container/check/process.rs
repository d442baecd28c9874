//! How the process runs.

use spec::{ContainerConfig, Healthcheck, parse_signal};

use super::refuse;
use crate::error::Result;

/// The shortest time that a health check may be told.
const LEAST_NANOS: i64 = 1_000_000;

pub(super) fn check(config: &ContainerConfig) -> Result<()> {
    let folder = &config.working_dir;
    if !folder.is_empty() && !folder.starts_with('/') {
        return refuse(format!(
            "the working directory '{folder}' is invalid, it needs to be an absolute path"
        ));
    }
    config.healthcheck.as_ref().map_or(Ok(()), health)?;
    let signal = &config.stop_signal;
    if !signal.is_empty() && parse_signal(signal).is_none() {
        return refuse(format!("invalid signal: {signal}"));
    }
    match config.env.iter().find(|line| line.is_empty() || line.starts_with('=')) {
        Some(line) => refuse(format!("invalid environment variable: {line}")),
        None => Ok(()),
    }
}

fn health(check: &Healthcheck) -> Result<()> {
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    if let Some((name, _)) = times.iter().find(|(_, time)| *time != 0 && *time < LEAST_NANOS) {
        return refuse(format!("{name} in Healthcheck cannot be less than 1ms"));
    }
    match check.retries < 0 {
        true => refuse("Retries in Healthcheck cannot be negative"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;
    use super::*;

    #[test]
    fn a_process_has_a_folder_a_signal_and_variables_that_there_can_be() {
        refused(|_, _| {}, "");
        refused(|config, _| config.working_dir = "/srv".to_owned(), "");
        refused(|config, _| config.working_dir = "srv".to_owned(), "directory 'srv' is invalid");
        refused(|config, _| config.stop_signal = "NONE".to_owned(), "invalid signal: NONE");
        let env = vec!["A=b".to_owned(), "=x".to_owned()];
        refused(|config, _| config.env = env, "variable: =x");
    }

    #[test]
    fn health_checks_are_looked_at() {
        let health =
            |interval, retries| Some(Healthcheck { interval, retries, ..Healthcheck::default() });
        refused(|config, _| config.healthcheck = health(LEAST_NANOS, 1), "");
        refused(|config, _| config.healthcheck = health(1, 1), "Interval in Healthcheck cannot");
        refused(|config, _| config.healthcheck = health(0, -1), "Retries in Healthcheck cannot");
    }
}
