//! `mica system dial-stdio`: an engine's socket over standard input and output, for those who come by
//! ssh.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use client::{Client, Endpoint};
use rustix::net::{Shutdown, shutdown};

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::far::streams::write_all;

/// Where engines of this machine are, best first.
const SOCKETS: [&str; 2] = ["/run/mica.sock", "/var/run/docker.sock"];
/// So much is passed on at once.
const PART_BYTES: usize = 64 << 10;

pub(crate) fn run(context: &Context) -> Outcome {
    let socket = match context.elsewhere_if_any() {
        Some(client) => client.dial()?,
        None => own()?,
    };
    let failed = |error: io::Error| Failure::new(format!("error: {error}"));
    let far = socket.try_clone().map_err(failed)?;
    // It ends with the process: nobody waits for what is typed after the engine has said all.
    std::thread::spawn(move || {
        let _ = copy(&mut io::stdin(), far.as_fd());
        let _ = shutdown(&far, Shutdown::Write);
    });
    let mut from = &socket;
    copy(&mut from, io::stdout().as_fd()).map_err(failed)?;
    Ok(0)
}

fn own() -> Result<File, Failure> {
    for path in SOCKETS {
        let endpoint = Endpoint::Unix(path.into());
        if let Ok(socket) = Client::new(endpoint, "mica").dial() {
            return Ok(socket);
        }
    }
    let words = format!("error: nobody answers at {}", SOCKETS.join(" or "));
    Err(Failure::new(words).hint(
        "`mica serve` does, or the unit contrib/mica.socket; DOCKER_HOST names another place",
    ))
}

fn copy(from: &mut dyn Read, to: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let mut part = vec![0; PART_BYTES];
    loop {
        match from.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(count) => write_all(to, &part[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
