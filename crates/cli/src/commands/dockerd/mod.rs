//! `mica dockerd`: the API with the flags, the file and the habits of docker's engine, for scripts
//! and tools that start one themselves.

mod directives;
mod file;
mod log;
mod meaning;
mod plan;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use engine::{Engine, Settings, VERSION};

use super::serve::inherited;
use crate::context::Context;
use crate::doors::{ServeApi, Serving};
use crate::failure::{Failure, Outcome};
use directives::Directives;
use log::Log;

/// What makes this program one that is called so.
pub(crate) const PROGRAM: &str = "dockerd";
/// Where it listens if nobody says.
const SOCKET: &str = "unix:///var/run/docker.sock";
/// The file for the process id if nobody says.
const PID_FILE: &str = "/var/run/docker.pid";
/// The group that may use the socket if nobody says.
const GROUP: &str = "docker";
/// Containers have ended when connections are to: what is still said is soon said.
const GRACE: Duration = Duration::from_secs(1);

/// Whether a program of this name is docker's engine.
pub(crate) fn is_dockerd(program: &str) -> bool {
    program.rsplit('/').next() == Some(PROGRAM)
}

pub(crate) fn run(context: &Context) -> Outcome {
    if context.matches().flag("version") {
        context.ui.line(&format!("Docker version {VERSION}, build mica"));
        return Ok(0);
    }
    let told = read(context)?;
    let settings = plan::settings(context, &told)?;
    if context.matches().flag("validate") {
        context.ui.line("configuration OK");
        return Ok(0);
    }
    crate::rootless::enter(context, &settings)?;
    let (json, debug) = (told.log_format == "json", plan::is_debug(&settings));
    let log = Log { ui: &context.ui, json, debug };
    log.info("Starting up");
    meaning::idle(&told).iter().for_each(|line| log.debug(line));
    if told.oom_score_adjust != 0 {
        let score = told.oom_score_adjust.to_string();
        std::fs::write("/proc/self/oom_score_adj", score)
            .map_err(|error| plan::wrong(format!("oom-score-adjust: {error}")))?;
    }
    let serve = serve(context, &told, settings.clone());
    begin(&log, &settings)?;
    log.info("Daemon has completed initialization");
    let daemon = Daemon { context, log, told: RefCell::new(told), settings };
    (context.doors().serve_api)(serve, &daemon)?;
    Ok(0)
}

fn read(context: &Context) -> Result<Directives, Failure> {
    let flags = crate::tree::dockerd_flags();
    let told = file::read(context.matches(), flags)?;
    meaning::check(&told, crate::rootless::is_root(context))?;
    Ok(told)
}

/// Opens the store, so that what is wrong with it is told before anybody asks for anything, and
/// starts again what the last end has ended.
fn begin(log: &Log<'_>, settings: &Settings) -> Result<(), Failure> {
    let engine = Engine::open(settings.clone())?;
    let store = engine.store();
    log.debug(&format!("data root {}", engine.root().display()));
    log.debug(&format!("storage driver {}: {}", store.driver().kind(), store.driver_reason()));
    engine.define_default_network()?;
    for booted in engine.resume()? {
        match booted.started {
            Ok(()) => log.debug(&format!("started {} again", booted.name)),
            Err(error) => log.warn(&format!("cannot start {}: {error}", booted.name)),
        }
    }
    Ok(())
}

fn serve(context: &Context, told: &Directives, settings: Settings) -> ServeApi {
    let (tls, plain_tcp) = plan::tls(context, told);
    let mut hosts: Vec<String> = told.hosts.iter().map(|host| plan::host(host)).collect();
    if hosts.is_empty() {
        hosts.push(SOCKET.to_owned());
    }
    let pid_file = told.pidfile.as_deref().unwrap_or(PID_FILE);
    ServeApi {
        settings,
        hosts,
        inherited: inherited(context),
        group: told.group.as_deref().unwrap_or(GROUP).to_owned(),
        tls,
        plain_tcp,
        buildkit: false,
        entitlements: vec!["network.host".to_owned()],
        pid_file: Some(pid_file).filter(|path| !path.is_empty()).map(PathBuf::from),
        grace: GRACE,
    }
}

/// A server that has the containers: they end when it does, unless they are to go on.
struct Daemon<'a> {
    context: &'a Context,
    log: Log<'a>,
    told: RefCell<Directives>,
    settings: Settings,
}

impl Serving for Daemon<'_> {
    fn ready(&self, place: &str) {
        let place = place.strip_prefix("unix://").or(place.strip_prefix("tcp://")).unwrap_or(place);
        self.log.info(&format!("API listen on {place}"));
    }

    fn reload(&self) -> Option<Settings> {
        let read = read(self.context)
            .and_then(|told| plan::settings(self.context, &told).map(|settings| (told, settings)));
        match read {
            Ok((told, settings)) => {
                self.log.info("Reloaded configuration");
                self.told.replace(told);
                // Where everything lies is settled when it starts, and so is the default network.
                let Settings { data_root, run_root, storage_driver, networks, .. } =
                    self.settings.clone();
                Some(Settings { data_root, run_root, storage_driver, networks, ..settings })
            }
            Err(failure) => {
                self.log.warn(failure.first_line());
                None
            }
        }
    }

    fn ending(&self) {
        self.log.info("Processing signal 'terminated'");
        let told = self.told.borrow();
        if told.live_restore {
            return;
        }
        let ended = Engine::open(self.settings.clone())
            .and_then(|engine| engine.shut_down(plan::shutdown(&told)));
        if let Err(error) = ended {
            self.log.warn(&format!("cannot end all containers: {error}"));
        }
    }
}
