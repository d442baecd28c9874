//! All containers end, because the server that has them does.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use runtime::attach::{Connection, Request};
use sys::event::{Interest, poll};

use crate::Engine;
use crate::error::Result;

/// The signal that no process can refuse; on Linux it has this number everywhere.
const SIGKILL: i32 = 9;
/// So long those that are killed have to be gone.
const KILLING: Duration = Duration::from_secs(10);

impl Engine {
    /// Ends all containers as when the machine goes down: [`Engine::resume`] starts those again whose
    /// policy asks for it. Each has its own time to end, and all together no more than `most`; what
    /// is left then is killed.
    pub fn shut_down(&self, most: Option<Duration>) -> Result<()> {
        let mut ending = Vec::new();
        for record in self.containers().list()? {
            if !self.container_state(&record.id)?.status.is_alive() {
                continue;
            }
            // One that ends by itself just now needs no word.
            if let Ok(mut connection) = self.monitor(&record.id)
                && connection.ask(&Request::ShutDown).is_ok()
            {
                ending.push(connection);
            }
        }
        await_ends(&mut ending, most);
        for connection in &mut ending {
            // Whoever cannot be spoken to has gone.
            let _ = connection.ask(&Request::Kill { signal: SIGKILL });
        }
        await_ends(&mut ending, Some(KILLING));
        Ok(())
    }
}

/// Waits until the monitors have gone; those that have not are left.
fn await_ends(all: &mut Vec<Connection>, patience: Option<Duration>) {
    let due = patience.and_then(|patience| Instant::now().checked_add(patience));
    // One that cannot be waited for is as good as gone.
    all.retain_mut(|connection| await_end(connection, due).is_ok_and(|ended| !ended));
}

fn await_end(connection: &mut Connection, due: Option<Instant>) -> io::Result<bool> {
    while connection.receive()? {
        while connection.next_frame().is_some() {}
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        connection.flush_some()?;
        let interest = Interest { read: true, write: connection.waiting_bytes() > 0 };
        poll([(Some(connection.as_fd()), interest)], left)?;
    }
    Ok(true)
}
