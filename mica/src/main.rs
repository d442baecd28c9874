//! The binary: picks a door.

fn main() {}
