//! What the process is: its command, environment, user, streams, health.

use std::collections::BTreeMap;

use spec::{ContainerConfig, Healthcheck, exposed_ports};

use super::{Parsed, lines, wrong_flag};
use crate::args::Matches;
use crate::failure::Failure;

pub(super) fn read(
    matches: &Matches,
    environment: &BTreeMap<String, String>,
) -> Parsed<ContainerConfig> {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let words = matches.positionals();
    let (image, command) =
        words.split_first().map_or((String::new(), &[][..]), |(image, rest)| (image.clone(), rest));
    let mut config = ContainerConfig {
        image,
        hostname: text("hostname"),
        domainname: text("domainname"),
        user: text("user"),
        working_dir: text("workdir"),
        tty: matches.flag("tty"),
        open_stdin: matches.flag("interactive"),
        env: lines::variables(matches.list("env-file"), matches.list("env"), environment)?,
        labels: lines::labels(matches.list("label-file"), matches.list("label"))?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        stop_signal: matches.string("stop-signal").unwrap_or_default().to_owned(),
        stop_timeout: matches.int("stop-timeout"),
        mac_address: mac_address(matches)?,
        healthcheck: health(matches)?,
        ..ContainerConfig::default()
    };
    if matches.given("entrypoint") {
        // An empty one takes the image's away.
        config.entrypoint = Some(vec![text("entrypoint")]);
    }
    for text in matches.list("expose") {
        let ports = exposed_ports(text).map_err(|error| Failure::new(error.to_string()))?;
        config.exposed_ports.extend(ports.iter().map(ToString::to_string));
    }
    streams(matches, &mut config)?;
    Ok(config)
}

/// Which streams are attached, once it is known whether anybody stays to see them.
fn streams(matches: &Matches, config: &mut ContainerConfig) -> Parsed<()> {
    let attached = matches.list("attach");
    for name in attached {
        match name.to_lowercase().as_str() {
            "stdin" => config.attach_stdin = true,
            "stdout" => config.attach_stdout = true,
            "stderr" => config.attach_stderr = true,
            _ => {
                let why = "valid streams are STDIN, STDOUT and STDERR";
                return Err(wrong_flag("-a, --attach", name, why));
            }
        }
    }
    if attached.is_empty() {
        (config.attach_stdout, config.attach_stderr) = (true, true);
    }
    // Who wants it kept open has something to say.
    config.attach_stdin |= config.open_stdin;
    config.stdin_once = config.open_stdin && config.attach_stdin;
    Ok(())
}

fn mac_address(matches: &Matches) -> Parsed<String> {
    let text = matches.string("mac-address").unwrap_or_default();
    match text.is_empty() || is_mac_address(text) {
        true => Ok(text.to_owned()),
        false => Err(Failure::new(format!("{text} is not a valid mac address"))),
    }
}

pub(super) fn is_mac_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let byte = |part: &&str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit());
    parts.len() == 6 && parts.iter().all(byte)
}

fn health(matches: &Matches) -> Parsed<Option<Healthcheck>> {
    let times = ["interval", "timeout", "start-period", "start-interval"];
    let time = |name: &str| matches.duration_nanos(&format!("health-{name}")).unwrap_or_default();
    let command = matches.string("health-cmd").unwrap_or_default();
    let retries = matches.int("health-retries").unwrap_or_default();
    let any = !command.is_empty() || retries != 0 || times.iter().any(|name| time(name) != 0);
    if matches.flag("no-healthcheck") {
        return match any {
            true => Err(Failure::new("--no-healthcheck conflicts with --health-* options")),
            false => {
                let test = vec!["NONE".to_owned()];
                Ok(Some(Healthcheck { test, ..Healthcheck::default() }))
            }
        };
    }
    if !any {
        return Ok(None);
    }
    if let Some(name) = times.iter().find(|name| time(name) < 0) {
        return Err(Failure::new(format!("--health-{name} cannot be negative")));
    }
    if retries < 0 {
        return Err(Failure::new("--health-retries cannot be negative"));
    }
    let test = match command {
        "" => Vec::new(),
        _ => vec!["CMD-SHELL".to_owned(), command.to_owned()],
    };
    Ok(Some(Healthcheck {
        test,
        interval: time("interval"),
        timeout: time("timeout"),
        start_period: time("start-period"),
        start_interval: time("start-interval"),
        retries,
    }))
}
