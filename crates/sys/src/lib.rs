//! The Linux kernel, one function a call, and the only `unsafe` in the house.
//!
//! Thin on purpose: typed arguments, `io::Result`, no policy. What the kernel may lack is asked
//! for once, in [`support`].

pub mod btrfs;
pub mod clone;
pub mod fs;
pub mod host;
pub mod lock;
pub mod mount;
pub mod process;
pub mod seccomp;
pub mod support;
pub mod task;
pub mod trace;
