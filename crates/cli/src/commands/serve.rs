//! `mica serve`.

use std::path::PathBuf;

use crate::context::Context;
use crate::doors::ServeApi;
use crate::failure::{Failure, Outcome};

/// Where it listens if nobody says.
const SOCKET: &str = "unix:///run/mica.sock";

pub(crate) fn run(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let path = |name| matches.string(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let inherited = inherited(context);
    let mut hosts = matches.list("host").to_vec();
    if hosts.is_empty() {
        hosts.push(if inherited > 0 { "fd://" } else { SOCKET }.to_owned());
    }
    let plan = ServeApi {
        settings: context.settings()?,
        hosts,
        inherited,
        group: matches.string("group").unwrap_or_default().to_owned(),
        tls: tls(matches.flag("tlsverify"), ["tlscacert", "tlscert", "tlskey"].map(path))?,
        plain_tcp: matches.flag("allow-plain-tcp"),
        pid_file: path("pidfile"),
    };
    let ready = |place: &str| ui.warn(&format!("API listen on {place}"));
    (context.doors().serve_api)(plan, &ready).map_err(Failure::from)?;
    Ok(0)
}

/// How many sockets somebody has opened for this very process.
fn inherited(context: &Context) -> usize {
    let number = |name| context.variable(name).and_then(|text| text.parse::<usize>().ok());
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() as usize => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

fn tls(wanted: bool, files: [Option<PathBuf>; 3]) -> Result<Option<[PathBuf; 3]>, Failure> {
    let given = files.iter().any(Option::is_some);
    match (wanted, files) {
        (true, [Some(authorities), Some(certificate), Some(key)]) => {
            Ok(Some([authorities, certificate, key]))
        }
        (false, _) if !given => Ok(None),
        _ => Err(Failure::new("--tlsverify, --tlscacert, --tlscert and --tlskey need each other")),
    }
}
