//! Every storage driver keeps its contract.

testkit::driver_cases!(erofs, overlay, vfs, btrfs);
