//! The binary: picks a door.

#![cfg_attr(not(test), no_main)]

mod api;
mod registry;

use std::collections::BTreeMap;
use std::ffi::OsString;

static DOORS: cli::Doors = cli::Doors {
    serve_registry: registry::serve,
    collect_registry: registry::collect,
    serve_api: api::serve,
};

#[cfg(not(test))]
sys::entry!(begin);

/// Runs what the command line asks for, and gives the exit code.
#[cfg_attr(test, allow(dead_code))]
fn begin() -> u8 {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default().to_string_lossy().into_owned();
    let text = |word: OsString| word.into_string().map_err(|word| cli::refuse_word(&word));
    let arguments = words.map(text).collect::<Result<Vec<_>, _>>();
    let mut environment = BTreeMap::new();
    for (key, value) in std::env::vars_os() {
        let (key, value) = (key.to_string_lossy(), value.to_string_lossy());
        environment.insert(key.into_owned(), value.into_owned());
    }
    match arguments {
        Ok(arguments) => cli::run(&program, &arguments, environment, &DOORS),
        Err(code) => code,
    }
}
