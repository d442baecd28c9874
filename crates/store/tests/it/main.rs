//! The store, as rooms above use it.

// A test that unwraps what is not there fails, as it should.
#![allow(clippy::unwrap_used)]

mod blobs;
mod btrfs;
mod check;
mod crashes;
mod documents;
mod drivers;
mod events;
mod full_disk;
mod heal;
mod leases;
mod migrate;
mod reboot;
mod snapshots;
mod usage;
mod views;
mod whole;
