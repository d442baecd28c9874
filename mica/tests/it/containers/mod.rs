//! Containers, as somebody who types `docker` meets them.

mod blows;
mod boot;
mod bundle;
mod cost;
mod devices;
mod events;
mod faults;
mod gateways;
mod life;
mod links;
mod logs;
mod network;
mod pull;
mod refusals;
mod run;
mod runtimes;
mod security;
mod settings;
mod storage;
pub(crate) mod support;
mod systemd;
pub(crate) mod terminal;
mod usage;
mod users;
mod volumes;
mod words;
