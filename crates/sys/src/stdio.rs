//! The standard streams as this process got them.
//!
//! Before `main`, Rust opens `/dev/null` in the place of a standard stream that is closed, and what is
//! written there then is lost without an error. So this is looked at still earlier.

use std::sync::atomic::{AtomicBool, Ordering};

static OUTPUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this process was started without a standard output.
pub fn output_is_closed() -> bool {
    OUTPUT_IS_CLOSED.load(Ordering::Relaxed)
}

// SAFETY: the C library calls the functions of this section one after the other, before `main` and
// before there is a second thread. Ours takes no arguments, which the calling convention allows, and
// needs nothing that is set up later: one system call and one atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: the call takes two numbers and touches no memory.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    OUTPUT_IS_CLOSED.store(flags < 0, Ordering::Relaxed);
}
