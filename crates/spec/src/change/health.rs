//! `HEALTHCHECK`, the one instruction with flags.

use super::line::{self, Arguments, Line};
use super::{ChangeError, syntax};
use crate::config::Healthcheck;
use crate::duration::{format_go_duration, parse_go_duration};

/// Docker's shortest time between health checks, in nanoseconds.
const SHORTEST_INTERVAL: i64 = 1_000_000;

pub(super) fn healthcheck(line: &Line) -> Result<Healthcheck, ChangeError> {
    let (kind, rest) = line::first_word(&line.rest);
    let mut check = Healthcheck::default();
    match kind.to_ascii_uppercase().as_str() {
        "" => return Err(syntax("HEALTHCHECK requires at least one argument")),
        "NONE" if rest.is_empty() => check.test = vec!["NONE".to_owned()],
        "NONE" => return Err(syntax("HEALTHCHECK NONE takes no arguments")),
        "CMD" => check.test = health_command(rest)?,
        other => {
            return Err(syntax(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")));
        }
    }
    let mut seen = Vec::new();
    for flag in &line.flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        if seen.contains(&name) {
            return Err(syntax(format!(
                "duplicate flag specified: {}",
                name.trim_start_matches('-')
            )));
        }
        seen.push(name);
        health_flag(&mut check, name, value, flag.contains('='))?;
    }
    Ok(check)
}

fn health_command(rest: &str) -> Result<Vec<String>, ChangeError> {
    let test = match line::arguments(rest)? {
        Arguments::List(list) => [vec!["CMD".to_owned()], list].concat(),
        Arguments::Text("") => Vec::new(),
        Arguments::Text(text) => vec!["CMD-SHELL".to_owned(), text.to_owned()],
    };
    if test.len() < 2 {
        return Err(syntax("Missing command after HEALTHCHECK CMD"));
    }
    Ok(test)
}

fn health_flag(
    check: &mut Healthcheck,
    flag: &str,
    value: &str,
    has_value: bool,
) -> Result<(), ChangeError> {
    let name = flag.trim_start_matches('-');
    let time = match name {
        "interval" => &mut check.interval,
        "timeout" => &mut check.timeout,
        "start-period" => &mut check.start_period,
        "start-interval" => &mut check.start_interval,
        "retries" => &mut check.retries,
        _ => return Err(syntax(format!("unknown flag: {flag}"))),
    };
    if !has_value {
        return Err(syntax(format!("missing a value on flag: {name}")));
    }
    *time = match name {
        _ if value.is_empty() => 0,
        "retries" => retries(value)?,
        _ => interval(name, value)?,
    };
    Ok(())
}

fn interval(name: &str, value: &str) -> Result<i64, ChangeError> {
    let nanos = parse_go_duration(value)?;
    if nanos != 0 && nanos < SHORTEST_INTERVAL {
        let shortest = format_go_duration(SHORTEST_INTERVAL);
        return Err(syntax(format!("Interval {name:?} cannot be less than {shortest}")));
    }
    Ok(nanos)
}

fn retries(value: &str) -> Result<i64, ChangeError> {
    let wrong = || syntax(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"));
    let retries: i32 = value.parse().map_err(|_| wrong())?;
    if retries < 0 {
        return Err(syntax(format!("--retries cannot be negative ({retries})")));
    }
    Ok(i64::from(retries))
}
