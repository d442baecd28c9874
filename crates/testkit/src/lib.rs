//! Fixtures for tests, and nobody's dependency outside of them.
//!
//! - [`Layer`] builds a layer's tar, [`random`] builds stacks of them out of a number;
//! - [`oracle`] says what a stack of layers must look like, [`Tree`] is how it looks, compared
//!   entry by entry;
//! - [`Scratch`] is a store of its own that leaves nothing behind;
//! - [`driver_suite`] is what every storage driver must pass.

pub mod driver_suite;
pub mod hostile;
pub mod oracle;
pub mod random;

mod child;
mod layer;
mod port;
mod scratch;
mod skip;
mod tree;
#[path = "../../spec/src/vectors.rs"]
mod vectors;
mod walk;

pub use child::{Child, child};
pub use layer::{Item, Layer};
pub use port::free_port;
pub use random::Random;
pub use scratch::{Mounted, Scratch, folder_in_memory};
pub use skip::{is_root, skip};
pub use tree::{Kind, Node, Tree};
