//! `mica serve`.

use std::path::PathBuf;
use std::time::Duration;

use engine::Settings;

use crate::context::Context;
use crate::doors::{ServeApi, ServeTls, Serving};
use crate::failure::{Failure, Outcome};

/// Where it listens if nobody says.
const SOCKET: &str = "unix:///run/mica.sock";
/// How long requests that are being answered get when the server is to end.
pub(super) const GRACE: Duration = Duration::from_secs(10);

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let path = |name| matches.string(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let inherited = inherited(context);
    let mut hosts = matches.list("host").to_vec();
    if hosts.is_empty() {
        hosts.push(if inherited > 0 { "fd://" } else { SOCKET }.to_owned());
    }
    let settings = context.settings()?;
    crate::rootless::enter(context, &settings)?;
    let plan = ServeApi {
        settings,
        hosts,
        inherited,
        group: matches.string("group").unwrap_or_default().to_owned(),
        tls: tls(matches.flag("tlsverify"), ["tlscacert", "tlscert", "tlskey"].map(path))?,
        plain_tcp: matches.flag("allow-plain-tcp"),
        buildkit: false,
        entitlements: vec!["network.host".to_owned()],
        pid_file: path("pidfile"),
        grace: GRACE,
    };
    (context.doors().serve_api)(plan, &Server { context })?;
    Ok(0)
}

/// A server that leaves containers alone when it ends.
struct Server<'a> {
    context: &'a Context,
}

impl Serving for Server<'_> {
    fn ready(&self, place: &str) {
        self.context.ui.warn(&format!("API listen on {place}"));
    }

    fn reload(&self) -> Option<Settings> {
        // Settings that cannot be used change nothing.
        match self.context.settings() {
            Ok(settings) => Some(settings),
            Err(failure) => {
                failure.tell(&self.context.ui);
                None
            }
        }
    }

    fn ending(&self) {}
}

/// How many sockets somebody has opened for this very process.
pub(super) fn inherited(context: &Context) -> usize {
    let number = |name| context.variable(name).and_then(|text| text.parse::<usize>().ok());
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() as usize => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

fn tls(wanted: bool, files: [Option<PathBuf>; 3]) -> Result<Option<ServeTls>, Failure> {
    let given = files.iter().any(Option::is_some);
    match (wanted, files) {
        (true, [authorities @ Some(_), Some(certificate), Some(key)]) => {
            Ok(Some(ServeTls { authorities, certificate, key }))
        }
        (false, _) if !given => Ok(None),
        _ => Err(Failure::new("--tlsverify, --tlscacert, --tlscert and --tlskey need each other")),
    }
}
