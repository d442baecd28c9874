//! The docker command line over the engine: one file a command, and nothing decided here that
//! another door would want to decide too.

pub mod args;
mod commands;
mod context;
mod doors;
mod failure;
mod progress;
mod show;
pub mod table;
pub mod template;
mod tree;
mod ui;

pub use doors::{
    CollectRegistry, CollectedRegistry, DoorError, Doors, RegistryTokens, RegistryUpstream,
    ServeApi, ServeRegistry, ServeTls, Serving,
};

use std::collections::BTreeMap;
use std::process::ExitCode;

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
) -> ExitCode {
    let ui = Ui::new(&environment);
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
        _ => (&ROOT, PROGRAM, arguments),
    };
    let code = match parse(root, program, arguments) {
        Ok(Parsed::Run(invocation)) => {
            invocation.warnings.iter().for_each(|line| ui.warn(line));
            let action = invocation.action;
            let context = Context::new(invocation, environment, ui.clone(), doors);
            match action(&context) {
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
    };
    ExitCode::from(code)
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
