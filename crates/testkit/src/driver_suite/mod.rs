//! What every storage driver must pass: the contract of `store::Driver`, case by case.
//!
//! Each case is a function that takes a driver's name, so that a test runner shows which case of
//! which driver failed; [`cases!`](crate::driver_cases) makes a test of each. What a stack must
//! look like comes from the [oracle](crate::oracle), which shares nothing with the drivers.

mod evil;
mod large;
mod life;
mod odd;
mod trees;

pub use evil::{own_hostile_layers, shared_hostile_layers};
pub use large::{
    cut_in_the_padding, deep_stacks, folder_of_100_000, large_files, sparse_formats, stack_of_130,
    stack_of_500,
};
pub use life::{
    any_unpack_order, many_processes, many_threads, removal_while_mounted, shared_mounts,
    writes_are_refused,
};
pub use odd::{
    attributes_that_disagree, implied_folders, kinds_of_entries, long_and_odd_names,
    opaque_folders, whiteouts_of_nothing,
};
pub use trees::{compressed_forms, random_stacks, same_tree_in_all_drivers};

use store::DriverKind;

use crate::scratch::Scratch;

/// A store with the named driver, or nothing after saying why the test is skipped.
pub(crate) fn open(name: &str) -> Option<Scratch> {
    let Ok(kind) = name.parse::<DriverKind>() else {
        crate::skip(format!("there is no {name} driver"));
        return None;
    };
    match Scratch::with_driver(kind) {
        Ok(scratch) => Some(scratch),
        Err(why) => {
            crate::skip(format!("the {name} driver does not work here: {why}"));
            None
        }
    }
}

/// Makes a test of every case for one driver, in a module named after it.
#[macro_export]
macro_rules! driver_cases {
    ($($driver:ident),*) => {
        $(mod $driver {
            $crate::driver_cases!(@each $driver
                random_stacks same_tree_in_all_drivers compressed_forms
                kinds_of_entries long_and_odd_names implied_folders opaque_folders
                whiteouts_of_nothing attributes_that_disagree
                folder_of_100_000 large_files sparse_formats cut_in_the_padding deep_stacks stack_of_130 stack_of_500
                writes_are_refused any_unpack_order many_threads many_processes
                removal_while_mounted shared_mounts
                own_hostile_layers shared_hostile_layers);
        })*
    };
    (@each $driver:ident $($case:ident)*) => {
        $(#[test]
        fn $case() {
            $crate::driver_suite::$case(stringify!($driver));
        })*
    };
}
