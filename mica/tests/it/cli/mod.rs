//! Every command and flag: what it prints, where, and how it ends.

mod bake;
mod build_call;
mod cache;
mod containers;
mod copy;
mod global;
mod help;
mod history;
mod images;
mod import;
mod inspect;
mod json;
mod load;
mod look;
mod migrate;
mod networks;
mod prune;
mod rmi;
mod save;
mod shipping;
mod sparse;
mod stream;
mod system;
mod tag;
mod terminal;
mod unprivileged;
