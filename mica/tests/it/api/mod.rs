//! `mica serve`, asked by the real docker client and by hand.

mod build;
mod buildkit;
mod census;
mod clients;
mod containers;
mod dockerd;
mod elsewhere;
mod files;
mod fuzz;
mod images;
mod llb;
mod load;
mod plugin;
mod requests;
mod resources;
mod streams;
mod support;
mod system;
mod ways;
