//! What was told of builds: for clients that ask while a build is at work, or a little later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prost::Message;

use super::messages::control::StatusResponse;

/// So many builds that have ended can still be asked about, and fewer where much was told of them.
const ENDED: usize = 16;
const ENDED_BYTES: usize = 16 << 20;

/// What was told of one build, for whoever asks for it meanwhile or a little later.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    all: Vec<Arc<StatusResponse>>,
    ended: bool,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was told.
    pub(super) fn push(&self, response: StatusResponse) {
        self.state().all.push(Arc::new(response));
        self.changed.notify_all();
    }

    /// It has ended. Says how much was told.
    pub(super) fn end(&self) -> usize {
        let mut state = self.state();
        state.ended = true;
        self.changed.notify_all();
        state.all.iter().map(|response| response.encoded_len()).sum()
    }

    /// What was told after the first `known`, once there is something or the patience is over;
    /// nothing when no more will come.
    pub(super) fn after(
        &self,
        known: usize,
        patience: Duration,
    ) -> Option<Vec<Arc<StatusResponse>>> {
        let state = self.state();
        let waiting = |state: &mut Told| state.all.len() <= known && !state.ended;
        let waited = self.changed.wait_timeout_while(state, patience, waiting);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match state.all.get(known..).unwrap_or_default() {
            [] if state.ended => None,
            more => Some(more.to_vec()),
        }
    }
}

/// The boards of builds, by what clients call them.
#[derive(Default)]
pub(crate) struct Boards {
    state: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    all: HashMap<String, Arc<Board>>,
    /// Those that have ended, the oldest first, and how much was told of each.
    ended: VecDeque<(String, usize)>,
}

impl Boards {
    fn state(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A board for a build that begins; none if there is one of that name.
    pub(super) fn begin(&self, build: &str) -> Option<Arc<Board>> {
        let mut state = self.state();
        if state.all.contains_key(build) {
            return None;
        }
        let board = Arc::<Board>::default();
        state.all.insert(build.to_owned(), board.clone());
        self.changed.notify_all();
        Some(board)
    }

    /// A build has ended. It can be asked about until some others have ended too.
    pub(super) fn end(&self, build: &str) {
        let mut state = self.state();
        let bytes = state.all.get(build).map_or(0, |board| board.end());
        state.ended.push_back((build.to_owned(), bytes));
        let mut kept: usize = state.ended.iter().map(|(_, bytes)| bytes).sum();
        // The last one stays: its client may be about to ask.
        while state.ended.len() > 1 && (state.ended.len() > ENDED || kept > ENDED_BYTES) {
            let Some((oldest, bytes)) = state.ended.pop_front() else { return };
            state.all.remove(&oldest);
            kept -= bytes;
        }
    }

    /// The board of a build that has begun.
    pub(super) fn get(&self, build: &str) -> Option<Arc<Board>> {
        self.state().all.get(build).cloned()
    }

    /// The board of a build that may be about to begin.
    pub(super) fn wait(&self, build: &str, patience: Duration) -> Option<Arc<Board>> {
        let begin = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(board) = state.all.get(build) {
                return Some(board.clone());
            }
            let left = patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
