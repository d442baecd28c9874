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
mod raw_json;
mod rootless;
mod show;
pub mod table;
pub mod template;
mod tree;
mod typed;
mod ui;

pub use doors::{
    CollectRegistry, CollectedRegistry, DoorError, Doors, RegistryBucket, RegistryRoot,
    RegistryTokens, RegistryUpstream, ServeApi, ServeRegistry, ServeTls, Serving,
};

use std::collections::BTreeMap;

use args::{Parsed, called_and_used, parse, render_help};
use context::Context;
use failure::Teller;
use ui::Ui;

use tree::ROOT;

/// The name that messages show.
const PROGRAM: &str = "mica";

/// Refuses an argument that is not text: what it means would be another file than the one that is named.
/// Gives the exit code.
pub fn refuse_word(word: &std::ffi::OsStr) -> u8 {
    let environment = BTreeMap::new();
    let failure = failure::Failure::new(format!("error: an argument is not UTF-8: {word:?}"));
    failure.hint("give such a file on standard input, or another name").tell(&Ui::new(&environment))
}

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
    let (root, program, arguments) = chosen(program, own_name, arguments.as_slice());
    match parse(root, program, arguments) {
        Ok(Parsed::Run(invocation)) => {
            invocation.warnings.iter().for_each(|line| ui.warn(line));
            let teller = teller(&invocation.path);
            let (name, usage) = called_and_used(&invocation.path, program);
            let typed = invocation.path.iter().all(|command| !command.name.starts_with("__"));
            if typed && std::ptr::eq(root, &ROOT) {
                warn_of_config(&environment, &ui);
            }
            let context = Context::new(invocation, environment, ui.clone(), doors);
            let done = match std::ptr::eq(root, &ROOT) {
                true => far::run(context),
                false => context.act(),
            };
            done.unwrap_or_else(|failure| {
                failure.of_command(teller, program, &name, &usage).tell(&ui)
            })
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
            tell_version(&ui, program);
            0
        }
        Err(error) => {
            ui.warn(&error.to_string());
            // Who calls a runtime knows one number for all that is wrong.
            if std::ptr::eq(root, &commands::runtime::ROOT) { 1 } else { error.exit_code }
        }
    }
}

/// Says what keeps docker's own file from being read, as docker does before whatever it was asked for.
fn warn_of_config(environment: &BTreeMap<String, String>, ui: &Ui) {
    if environment.contains_key(engine::NAMESPACE_VARIABLE) {
        // Whoever went into a namespace of the user's has said it before.
        return;
    }
    let file = far::contexts::Contexts::of(environment).folder().join("config.json");
    if let Some(why) = engine::config_trouble(&file) {
        ui.warn(&format!("WARNING: Error parsing config file ({}): {why}", file.display()));
    }
}

/// How much a command says that a failure is its own.
fn teller(path: &[&'static tree::Cmd]) -> Teller {
    let names: Vec<_> = path.iter().skip(1).map(|command| command.name).collect();
    match names[..] {
        ["run"] | ["container", "run"] => Teller::Run,
        ["create"] | ["container", "create"] => Teller::Create,
        _ => Teller::Other,
    }
}

/// The tree of commands that is meant, what it calls itself, and what is left of the arguments.
fn chosen<'a>(
    program: &str,
    own_name: &'static str,
    arguments: &'a [String],
) -> (&'static tree::Cmd, &'static str, &'a [String]) {
    use commands::{dockerd, runtime};
    // Callers put flags of their own between the runtime and its command, so it is a tree of its
    // own.
    match arguments.split_first() {
        _ if runtime::is_runtime(program) => (&runtime::ROOT, runtime::PROGRAM, arguments),
        _ if dockerd::is_dockerd(program) => (tree::DOCKERD, dockerd::PROGRAM, arguments),
        Some((word, rest)) if word == runtime::ROOT.name => {
            (&runtime::ROOT, runtime::PROGRAM, rest)
        }
        _ => (&ROOT, own_name, arguments),
    }
}

fn tell_version(ui: &Ui, program: &str) {
    ui.line(&format!("{program} version {}", engine::VERSION));
    if program == commands::runtime::PROGRAM {
        ui.line(&format!("spec: {}", spec::bundle::OCI_VERSION));
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
