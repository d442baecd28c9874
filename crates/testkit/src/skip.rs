//! Tests that cannot run here say so in a line that the test runner counts.

/// Says that a test does nothing here, and why.
#[allow(clippy::print_stdout)] // The runner reads the line out of the test's output.
pub fn skip(reason: impl AsRef<str>) {
    println!("skipped: {}", reason.as_ref());
}

/// Whether tests may mount and own things.
pub fn is_root() -> bool {
    sys::host::is_root()
}

/// Leaves the test, counted as skipped, unless it runs as root.
#[macro_export]
macro_rules! need_root {
    () => {
        if !$crate::is_root() {
            return $crate::skip("needs root");
        }
    };
}
