//! The store, as rooms above use it.

mod drivers;
