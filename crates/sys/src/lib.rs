//! The Linux kernel, one function a call, and the only `unsafe` in the house.
//!
//! Thin on purpose: typed arguments, `io::Result`, no policy. What the kernel may lack is asked
//! for once, in [`support`].

pub mod bpf;
pub mod btrfs;
pub mod classic;
pub mod clone;
pub mod datagram;
pub mod entry;
pub mod event;
pub mod fs;
pub mod hold;
pub mod host;
pub mod lock;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod owner;
pub mod process;
pub mod read;
pub mod seccomp;
pub mod socket;
pub mod stdio;
pub mod support;
pub mod task;
pub mod terminal;
pub mod trace;
pub mod watched;
