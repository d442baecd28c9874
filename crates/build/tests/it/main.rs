//! The language as its reference documents it, through the crate's public face.

mod arguments;
mod forms;
mod refusals;
