//! Steps that several builds of a session need: one of them does the work, the others wait for it.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};

use spec::Digest;
use store::StepLayer;

/// The steps of a session, by the names of all that they depend on.
#[derive(Default)]
pub(super) struct Flights {
    steps: Mutex<HashMap<Digest, State>>,
    changed: Condvar,
}

/// How far a step is.
#[derive(Clone, Copy)]
enum State {
    /// Somebody is at it.
    Begun,
    /// It made this layer, or none.
    Done(Option<StepLayer>),
}

/// What is to be done about a step.
pub(super) enum Turn<'a> {
    /// It is ours to do.
    Ours(Flight<'a>),
    /// It was done in this session.
    Done(Option<StepLayer>),
}

/// A step that is ours. Dropped without an outcome, it is the next one's.
pub(super) struct Flight<'a> {
    all: &'a Flights,
    key: Digest,
    outcome: Option<State>,
}

impl Flights {
    /// Waits for whoever is at a step, and says what is left to do.
    pub(super) fn take(&self, key: Digest) -> Turn<'_> {
        let mut steps = self.steps();
        loop {
            match steps.get(&key) {
                Some(State::Done(layer)) => return Turn::Done(*layer),
                Some(State::Begun) => {
                    let waited = self.changed.wait(steps);
                    steps = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                None => {
                    steps.insert(key, State::Begun);
                    return Turn::Ours(Flight { all: self, key, outcome: None });
                }
            }
        }
    }

    fn steps(&self) -> MutexGuard<'_, HashMap<Digest, State>> {
        self.steps.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Flight<'_> {
    /// It is done.
    pub(super) fn land(mut self, layer: Option<StepLayer>) {
        self.outcome = Some(State::Done(layer));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut steps = self.all.steps();
        match self.outcome {
            Some(done) => steps.insert(self.key, done),
            None => steps.remove(&self.key),
        };
        drop(steps);
        self.all.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_does_the_work_and_a_failure_is_the_next_ones() {
        let (flights, done, tried) = (Flights::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| match flights.take(Digest::of(b"step")) {
                    Turn::Done(layer) => assert!(layer.is_none()),
                    // The first two fail.
                    Turn::Ours(flight) if tried.fetch_add(1, Ordering::SeqCst) < 2 => drop(flight),
                    Turn::Ours(flight) => {
                        done.fetch_add(1, Ordering::SeqCst);
                        flight.land(None);
                    }
                });
            }
        });
        assert_eq!((done.into_inner(), tried.into_inner()), (1, 3));
    }
}
