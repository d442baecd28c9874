//! Commands against an engine elsewhere: mica's or docker's, by docker's API.
//!
//! Which one is meant is said as docker's client is told it; one table says what can be asked of it.
//! Whatever is in no table works on this machine's own store, and says so.

mod about;
mod build;
mod containers;
pub(crate) mod contexts;
mod create;
mod exec;
mod images;
mod inspect;
mod life;
mod logs;
pub(crate) mod place;
mod run;
pub(crate) mod streams;
mod transfer;

use client::Client;

use crate::context::{Action, Context};
use crate::failure::{Failure, Outcome};

/// Commands that are the same wherever the engine is: they ask none, or they are one.
const ANYWHERE: &[&str] = &[
    "__complete",
    "__completeNoDesc",
    "__once",
    "__watch",
    "buildx inspect",
    "buildx ls",
    "buildx use",
    "buildx version",
    "completion bash",
    "completion fish",
    "completion zsh",
    "context create",
    "context export",
    "context import",
    "context inspect",
    "context ls",
    "context rm",
    "context show",
    "context update",
    "context use",
    "dockerd",
    "login",
    "logout",
    "serve",
    "system dial-stdio",
];

/// What can be asked of an engine elsewhere.
const TABLE: &[(&[&str], Action)] = &[
    (&["attach", "container attach"], run::attach),
    (&["build", "builder build", "buildx build", "image build"], build::run),
    (&["builder prune", "buildx prune"], build::prune),
    (&["container create", "create"], create::run),
    (&["container exec", "exec"], exec::run),
    (&["container inspect"], inspect::container),
    (&["container kill", "kill"], life::kill),
    (&["container logs", "logs"], logs::run),
    (&["container ls", "ps"], containers::list),
    (&["container pause", "pause"], life::pause),
    (&["container rename", "rename"], life::rename),
    (&["container restart", "restart"], life::restart),
    (&["container rm", "rm"], life::remove),
    (&["container run", "run"], run::run),
    (&["container start", "start"], run::start),
    (&["container stop", "stop"], life::stop),
    (&["container unpause", "unpause"], life::unpause),
    (&["container wait", "wait"], life::wait),
    (&["image inspect"], inspect::image),
    (&["image load", "load"], transfer::load),
    (&["image ls", "images"], images::list),
    (&["image pull", "pull"], transfer::pull),
    (&["image push", "push"], transfer::push),
    (&["image rm", "rmi"], images::remove),
    (&["image save", "save"], transfer::save),
    (&["image tag", "tag"], images::tag),
    (&["info", "system info"], about::info),
    (&["inspect"], inspect::any),
    (&["network inspect"], inspect::network),
    (&["version"], about::version),
    (&["volume inspect"], inspect::volume),
];

/// Does what the command line says, here or elsewhere.
pub(crate) fn run(context: Context) -> Outcome {
    let name = context.called();
    if ANYWHERE.contains(&name.as_str()) && name != "system dial-stdio" {
        return context.act();
    }
    let Some(endpoint) = place::endpoint(context.globals(), context.environment())? else {
        return context.act();
    };
    let agent = format!("mica/{} (linux)", engine::VERSION);
    let shown = endpoint.to_string();
    let context = context.elsewhere(Client::new(endpoint, agent));
    if ANYWHERE.contains(&name.as_str()) {
        return context.act();
    }
    match TABLE.iter().find(|(names, _)| names.contains(&name.as_str())) {
        Some((_, action)) => action(&context),
        None => Err(Failure::new(format!(
            "error: `mica {name}` works on this machine's own store, and {shown} is meant"
        ))
        .hint("ask docker's client for it; or leave -H, -c, DOCKER_HOST and DOCKER_CONTEXT out, and `mica context use default`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ROOT;

    #[test]
    fn what_the_tables_name_is_a_command() {
        let names = TABLE.iter().flat_map(|(names, _)| names.iter()).chain(ANYWHERE);
        for name in names {
            let mut command = &ROOT;
            for word in name.split(' ') {
                command = command.find(word).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(command.name, word, "{name}: by its own name");
            }
            assert!(command.action.is_some(), "{name}");
        }
    }
}
