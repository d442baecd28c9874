//! The binary: picks a door.

#![cfg_attr(not(test), no_main)]

mod api;
mod registry;

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
    // Names of files are bytes; what is not UTF-8 in an argument would not be found anyway.
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    cli::run(&program, &arguments, environment.collect(), &DOORS)
}
