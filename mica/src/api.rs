//! `mica serve` and `mica dockerd`: from the command line's door to the API's.

use std::error::Error;
use std::os::fd::AsFd;

use api::{ApiError, Listen, Next, Settings, Speech, Tls, Watch};
use cli::{DoorError, ServeApi, ServeTls, Serving};
use sys::event::Signals;

/// What has the settings read anew.
const HANGUP: i32 = 1;
/// What ends the server: SIGINT and SIGTERM.
const ENDING: [i32; 2] = [2, 15];

/// Serves until a signal ends it.
pub(crate) fn serve(plan: ServeApi, serving: &dyn Serving) -> Result<(), DoorError> {
    // Before there is a thread: those that come after block them too.
    let signals = Signals::take(&[HANGUP, ENDING[0], ENDING[1]]).map_err(failed)?;
    let listen = plan.hosts.iter().map(|host| place(host, plan.inherited));
    let listen = listen.collect::<Result<_, DoorError>>()?;
    let certificates =
        |ServeTls { authorities, certificate, key }| Tls { authorities, certificate, key };
    let settings = Settings {
        tls: plan.tls.map(certificates),
        plain_tcp: plan.plain_tcp,
        group: plan.group,
        speech: if plan.buildkit { Speech::BuildKit } else { Speech::Docker },
        entitlements: plan.entitlements,
        pid_file: plan.pid_file,
        grace: plan.grace,
        ..Settings::new(plan.settings, listen)
    };
    let watch = Watching { signals: &signals, serving };
    let served = api::serve(settings, signals.as_fd(), &watch).map_err(told);
    // What is not taken would still do what it does when nobody holds it back any more.
    signals.come().map_err(failed)?;
    served
}

struct Watching<'a> {
    signals: &'a Signals,
    serving: &'a dyn Serving,
}

impl Watch for Watching<'_> {
    fn ready(&self, place: &str) {
        self.serving.ready(place);
    }

    fn signalled(&self) -> Next {
        match self.signals.come() {
            Ok(numbers) if numbers.is_empty() => Next::Stay,
            Ok(numbers) if numbers.iter().all(|number| *number == HANGUP) => {
                match self.serving.reload() {
                    Some(settings) => Next::Change(Box::new(settings)),
                    None => Next::Stay,
                }
            }
            // Without signals nobody could end it.
            Ok(_) | Err(_) => {
                self.serving.ending();
                Next::End
            }
        }
    }
}

fn place(host: &str, inherited: usize) -> Result<Listen, DoorError> {
    match host.split_once("://") {
        Some(("unix", path)) if !path.is_empty() => Ok(Listen::Unix(path.into())),
        Some(("tcp", address)) if !address.is_empty() => Ok(Listen::Tcp(address.to_owned())),
        Some(("fd", _)) => {
            let sockets = sys::process::inherited_sockets(inherited).map_err(failed)?;
            Ok(Listen::Inherited(sockets))
        }
        _ => Err(told(ApiError::Place(host.to_owned()))),
    }
}

fn failed(error: impl Error + Send + Sync + 'static) -> DoorError {
    DoorError { error: error.into(), hint: None }
}

fn told(error: ApiError) -> DoorError {
    let hint = error.hint();
    DoorError { error: error.into(), hint }
}
