//! A client of ours against the services, without docker and without a process of its own.

mod builds;
mod client;
mod folders;
mod inputs;
