//! A container that was made a moment ago: what is known of it is told to its monitor, which would
//! otherwise read it all again.

use std::io;

use runtime::attach::{AttachRequest, Request};
use runtime::state::Hold;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::ContainerId;
use store::{Event, Stacked};

use super::ContainerRecord;
use super::create::Created;
use super::start::Starting;
use crate::Engine;
use crate::error::{EngineError, Result};

/// A container that was just made, and of which nobody was told yet. Either it is started
/// ([`Engine::begin_fresh`]), and its monitor writes down that it was made, or it is left as it is
/// ([`Engine::tell_made`]).
pub struct Fresh {
    /// What its user should know.
    pub warnings: Vec<String>,
    pub(super) told: Told,
    /// The right to write its state: nobody else starts or removes it meanwhile.
    pub(super) hold: Option<Hold>,
}

/// What a monitor is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) record: ContainerRecord,
    /// The layers of its image, bottom first.
    pub(super) stack: Vec<Stacked>,
    /// That it was made.
    pub(super) made: Event,
    /// The boot in which it was.
    pub(super) boot: String,
}

impl Told {
    /// What was told, if it is of this container.
    pub(super) fn read(words: Value, id: &ContainerId) -> Option<Told> {
        let told: Told = serde_json::from_value(words).ok()?;
        (told.record.id == *id).then_some(told)
    }
}

impl Fresh {
    /// The container's id.
    pub fn id(&self) -> ContainerId {
        self.told.record.id
    }
}

impl Engine {
    /// Writes down that a container was made which is not started now.
    pub fn tell_made(&self, fresh: Fresh) -> Created {
        self.store.record_events(&[fresh.told.made]);
        Created { id: fresh.told.record.id, warnings: fresh.warnings }
    }

    /// As [`Engine::begin_start`], of a container that was just made. Once there is a monitor, it
    /// writes down that the container was made, whatever it hears of us.
    pub fn begin_fresh(&self, mut fresh: Fresh, attach: Option<AttachRequest>) -> Result<Starting> {
        let id = fresh.id();
        // More than a message takes is read by the monitor from where it lies.
        let words = serde_json::to_value(&fresh.told).map_err(io::Error::from);
        let words = words.map_err(EngineError::io("speak to", "the container's monitor"))?;
        let made = Request::Made(words);
        if !made.fits() {
            self.tell_made(fresh);
            return self.begin_start(&id, attach);
        }
        // Said before there is a monitor, which then need not wait for it.
        let said = Engine::pair().and_then(|(mut connection, client)| {
            let lost = EngineError::io("speak to", "the container's monitor");
            connection.add(&made).map_err(lost)?;
            fresh.hold.take().into_iter().for_each(|hold| connection.give(hold.hand_over()));
            Ok((Engine::ask_start(connection, attach)?, client))
        });
        let started =
            said.and_then(|(starting, client)| Ok((self.spawn_told(&id, client)?, starting)));
        match started {
            Ok(((), starting)) => Ok(starting),
            Err(error) => {
                self.tell_made(fresh);
                Err(error)
            }
        }
    }

    /// Starts a container that was just made and waits until it runs.
    pub fn start_fresh(&self, fresh: Fresh) -> Result<()> {
        let Starting { mut connection, start, .. } = self.begin_fresh(fresh, None)?;
        connection.answer(start).map_err(super::start::monitor)?;
        Ok(())
    }
}
