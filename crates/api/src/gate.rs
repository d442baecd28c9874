//! Those who wait for a container to start, and those who start it.
//!
//! Docker's client attaches to a container, and waits for its end, before it starts it. A container
//! that was never started has nobody whom one could attach to: its monitor comes with its start. So
//! they wait here, and whoever starts the container lets them speak to the monitor first. This is
//! no state: it is requests that are being answered.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use engine::{Engine, Spawned};
use runtime::attach::{Connection, Request};
use spec::ContainerId;

use crate::app::App;
use crate::refusal::Refusal;

/// How long a start waits for somebody who was let in and says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// A place where requests about the same container meet.
#[derive(Default)]
pub(crate) struct Gate {
    waiting: Mutex<Waiting>,
    monitors: Mutex<Vec<i32>>,
}

#[derive(Default)]
struct Waiting {
    /// The number of the one who came last.
    last: u64,
    all: BTreeMap<(ContainerId, u64), SyncSender<Admitted>>,
}

/// Somebody who waits, until it is dropped.
pub(crate) struct Ticket {
    app: Arc<App>,
    key: (ContainerId, u64),
    /// Gets a connection when the container is about to start.
    pub(crate) admitted: Receiver<Admitted>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.app.gate.waiting).all.remove(&self.key);
    }
}

/// A connection to the monitor of a container that is about to start. The start waits until this
/// is dropped, which is after all was asked that is to be asked before.
pub(crate) struct Admitted {
    /// The connection.
    pub(crate) connection: Connection,
    /// Whoever starts the container sees when this goes.
    pub(crate) asked: SyncSender<()>,
}

impl Gate {
    /// Waits for a start by this server.
    pub(crate) fn wait(app: &Arc<App>, id: &ContainerId) -> Ticket {
        let (sender, admitted) = sync_channel(1);
        let mut waiting = lock(&app.gate.waiting);
        waiting.last += 1;
        let key = (*id, waiting.last);
        waiting.all.insert(key, sender);
        Ticket { app: app.clone(), key, admitted }
    }

    fn take(&self, id: &ContainerId) -> Vec<SyncSender<Admitted>> {
        let mut waiting = lock(&self.waiting);
        let own = waiting.all.range((*id, 0)..=(*id, u64::MAX));
        let keys: Vec<_> = own.map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| waiting.all.remove(key)).collect()
    }

    /// Starts a container after letting in all who wait for that.
    pub(crate) fn start(&self, engine: &Engine, id: &ContainerId) -> Result<(), Refusal> {
        let Spawned { mut connection, monitor } = engine.spawn_monitor(id)?;
        self.keep(monitor);
        let waiting = self.take(id);
        if !waiting.is_empty() {
            // Its answer says that it takes connections.
            connection.call(&Request::State)?;
        }
        for sender in waiting {
            let (asked, done) = sync_channel(1);
            let admitted = Admitted { connection: engine.monitor(id)?, asked };
            if sender.send(admitted).is_ok() {
                // An error is that it has asked, or left.
                let _ = done.recv_timeout(PATIENCE);
            }
        }
        connection.call(&Request::Start)?;
        Ok(())
    }

    /// Monitors are children of this process, and nobody waits for them elsewhere.
    pub(crate) fn keep(&self, monitor: i32) {
        lock(&self.monitors).push(monitor);
    }

    /// Takes the ends of monitors that have ended.
    pub(crate) fn reap(&self) {
        lock(&self.monitors).retain(|pid| !sys::process::has_ended(*pid));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics with one of these in hand.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
