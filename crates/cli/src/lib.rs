//! The docker command line over the engine: one file a command, and nothing decided here that
//! another door would want to decide too.

pub mod args;
mod commands;
mod context;
mod doors;
mod failure;
mod far;
mod plugin;
mod progress;
mod rootless;
mod show;
pub mod table;
pub mod template;
mod tree;
mod ui;

pub use doors::{
    CollectRegistry, CollectedRegistry, DoorError, Doors, RegistryBucket, RegistryRoot,
    RegistryTokens, RegistryUpstream, ServeApi, ServeRegistry, ServeTls, Serving,
};

use std::collections::BTreeMap;

use args::{Parsed, parse, render_help};
use context::Context;
use ui::Ui;

use tree::ROOT;

/// The name that messages show.
const PROGRAM: &str = "mica";

/// Runs the command line `arguments`, which follow the `program`'s own name. What is not done here is
/// done behind one of the other `doors`.
pub fn run(
    program: &str,
    arguments: &[String],
    environment: BTreeMap<String, String>,
    doors: &'static Doors,
) -> u8 {
    let ui = Ui::new(&environment);
    if commands::init::is_init(program) {
        return commands::init::run(arguments, &ui);
    }
    let mut own_name = PROGRAM;
    let (arguments, environment) = match plugin::called(program, arguments, &environment) {
        plugin::Called::Itself => (arguments.to_vec(), environment),
        plugin::Called::Metadata(text) => {
            ui.line(&text);
            return 0;
        }
        plugin::Called::Plugin(words, environment) => {
            plugin::watch(&environment);
            own_name = plugin::CALLER;
            (words, environment)
        }
    };
    let arguments = arguments.as_slice();
    // Callers put flags of their own between the runtime and its command, so it is a tree of its
    // own.
    let (root, program, arguments) = match arguments.split_first() {
        _ if commands::runtime::is_runtime(program) => {
            (&commands::runtime::ROOT, commands::runtime::PROGRAM, arguments)
        }
        _ if commands::dockerd::is_dockerd(program) => {
            (tree::DOCKERD, commands::dockerd::PROGRAM, arguments)
        }
        Some((word, rest)) if word == commands::runtime::ROOT.name => {
            (&commands::runtime::ROOT, commands::runtime::PROGRAM, rest)
        }
        _ => (&ROOT, own_name, arguments),
    };
    match parse(root, program, arguments) {
        Ok(Parsed::Run(invocation)) => {
            invocation.warnings.iter().for_each(|line| ui.warn(line));
            let context = Context::new(invocation, environment, ui.clone(), doors);
            let done = match std::ptr::eq(root, &ROOT) {
                true => far::run(context),
                false => context.act(),
            };
            match done {
                Ok(code) => code,
                Err(failure) => failure.tell(&ui),
            }
        }
        Ok(Parsed::Help { path, asked, warnings }) => {
            warnings.iter().for_each(|line| ui.warn(line));
            let help = render_help(&path, program, ui.width());
            if asked {
                ui.print(&help)
            } else {
                ui.print_error(&help)
            }
            0
        }
        Ok(Parsed::Version) => {
            ui.line(&format!("{program} version {}", engine::VERSION));
            if program == commands::runtime::PROGRAM {
                ui.line(&format!("spec: {}", spec::bundle::OCI_VERSION));
            }
            0
        }
        Err(error) => {
            ui.warn(&error.to_string());
            error.exit_code
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_of_commands_is_sound() {
        for root in [&super::ROOT, &super::commands::runtime::ROOT] {
            assert_eq!(super::args::problems(root), Vec::<String>::new());
        }
    }
}
