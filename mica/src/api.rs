//! `mica serve`: from the command line's door to the API's.

use std::error::Error;
use std::os::fd::AsFd;

use api::{ApiError, Listen, Settings, Tls};
use cli::{DoorError, ServeApi};
use sys::event::Signals;

/// What ends the server: SIGINT and SIGTERM.
const ENDING: [i32; 2] = [2, 15];

/// Serves until a signal comes.
pub(crate) fn serve(plan: ServeApi, ready: &dyn Fn(&str)) -> Result<(), DoorError> {
    // Before there is a thread: those that come after block them too.
    let signals = Signals::take(&ENDING).map_err(failed)?;
    let listen = plan.hosts.iter().map(|host| place(host, plan.inherited));
    let listen = listen.collect::<Result<_, DoorError>>()?;
    let tls = plan.tls.map(|[authorities, certificate, key]| Tls { authorities, certificate, key });
    let settings = Settings {
        tls,
        plain_tcp: plan.plain_tcp,
        group: plan.group,
        pid_file: plan.pid_file,
        ..Settings::new(plan.settings, listen)
    };
    let served = api::serve(settings, signals.as_fd(), ready).map_err(told);
    // What is not taken would still do what it does when nobody holds it back any more.
    while signals.next().map_err(failed)?.is_some() {}
    served
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
