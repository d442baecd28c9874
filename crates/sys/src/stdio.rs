//! The standard streams as this process got them.
//!
//! A standard stream that is closed is replaced by `/dev/null` before anything else happens
//! ([`crate::entry!`]), and what is written there then is lost without an error. So what was there is
//! noted.

use std::sync::atomic::{AtomicBool, Ordering};

static OUTPUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this process was started without a standard output.
pub fn output_is_closed() -> bool {
    OUTPUT_IS_CLOSED.load(Ordering::Relaxed)
}

/// Notes whether it was.
pub(crate) fn note(closed: bool) {
    OUTPUT_IS_CLOSED.store(closed, Ordering::Relaxed);
}
