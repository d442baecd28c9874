//! The layers that are still to be unpacked, given out as long as there is room for their trees.

use std::slice::Iter;
use std::sync::{Condvar, Mutex, MutexGuard};

use image::archive::BundledLayer;

/// While the trees of layers that wait for those below them take as much memory, no further layer
/// is begun.
const WAITING_BYTES: usize = 8 << 20;

/// Layers in the order in which they are put on their stacks.
pub(super) struct Queue<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    left: Iter<'a, &'a BundledLayer>,
    /// What the trees take of layers that are unpacked and wait.
    waiting_bytes: usize,
    /// How many are being unpacked.
    under_way: usize,
    /// Whether somebody waits for a layer.
    is_asked: bool,
}

impl<'a> Queue<'a> {
    pub(super) fn new(layers: &'a [&'a BundledLayer]) -> Queue<'a> {
        let left = layers.iter();
        let state = State { left, waiting_bytes: 0, under_way: 0, is_asked: false };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next layer, when there is room for it, or when somebody waits and none is on its way.
    pub(super) fn next(&self) -> Option<&'a BundledLayer> {
        let is_full = |state: &mut State<'_>| {
            let is_needed = state.is_asked && state.under_way == 0;
            state.waiting_bytes >= WAITING_BYTES && !is_needed && state.left.len() > 0
        };
        let waited = self.changed.wait_while(self.state(), is_full);
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        let next = state.left.next().copied();
        state.under_way += usize::from(next.is_some());
        next
    }

    /// Says that a layer has come to whoever puts it on its stack, and what its tree takes.
    pub(super) fn arrived(&self, bytes: usize) {
        self.change(|state| {
            (state.under_way, state.waiting_bytes) =
                (state.under_way.saturating_sub(1), state.waiting_bytes + bytes)
        });
    }

    /// Says that a layer that had come waits no more.
    pub(super) fn taken(&self, bytes: usize) {
        self.change(|state| state.waiting_bytes = state.waiting_bytes.saturating_sub(bytes));
    }

    /// Says whether somebody waits for a layer.
    pub(super) fn ask(&self, is_asked: bool) {
        self.change(|state| state.is_asked = is_asked);
    }

    /// Gives nothing out any more.
    pub(super) fn close(&self) {
        self.change(|state| state.left = [].iter());
    }

    fn change(&self, change: impl FnOnce(&mut State<'a>)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
