//! Commands against an engine elsewhere: mica's or docker's, by docker's API.
//!
//! Which one is meant is said as docker's client is told it; one table says what can be asked of it.
//! Whatever is in no table works on this machine's own store, and says so.

mod about;
mod build;
mod containers;
pub(crate) mod contexts;
mod cp;
mod create;
mod events;
mod exec;
mod images;
mod inspect;
mod life;
mod logs;
mod networks;
pub(crate) mod place;
mod prune;
mod run;
mod said;
pub(crate) mod streams;
mod transfer;
mod usage;
mod volumes;

use client::Client;

use crate::context::{Action, Context};
use crate::failure::{Failure, Outcome};

/// Commands that are the same wherever the engine is: they ask none, or registries, or they are one.
const ANYWHERE: &[&str] = &[
    "__complete",
    "__completeNoDesc",
    "__once",
    "__watch",
    "buildx imagetools create",
    "buildx imagetools inspect",
    "buildx inspect",
    "buildx ls",
    "buildx use",
    "buildx version",
    "completion bash",
    "completion fish",
    "completion powershell",
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
    "image sync",
    "login",
    "logout",
    "manifest annotate",
    "manifest create",
    "manifest inspect",
    "manifest push",
    "manifest rm",
    "remote cp",
    "remote digest",
    "remote inspect",
    "remote ls",
    "remote rm",
    "remote sign",
    "remote verify",
    "serve",
    "system dial-stdio",
];

/// What can be asked of an engine elsewhere.
const TABLE: &[(&[&str], Action)] = &[
    (&["attach", "container attach"], run::attach),
    (&["build", "builder build", "buildx build", "image build"], build::run),
    (&["builder prune", "buildx prune"], build::prune),
    (&["buildx du"], usage::cache),
    (&["commit", "container commit"], containers::commit),
    (&["container cp", "cp"], cp::run),
    (&["container create", "create"], create::run),
    (&["container diff", "diff"], containers::diff),
    (&["container exec", "exec"], exec::run),
    (&["container export", "export"], transfer::export),
    (&["container inspect"], inspect::container),
    (&["container kill", "kill"], life::kill),
    (&["container logs", "logs"], logs::run),
    (&["container ls", "ps"], containers::list),
    (&["container pause", "pause"], life::pause),
    (&["container port", "port"], containers::port),
    (&["container prune"], prune::containers),
    (&["container rename", "rename"], life::rename),
    (&["container restart", "restart"], life::restart),
    (&["container rm", "rm"], life::remove),
    (&["container run", "run"], run::run),
    (&["container start", "start"], run::start),
    (&["container stats", "stats"], usage::stats),
    (&["container stop", "stop"], life::stop),
    (&["container top", "top"], containers::top),
    (&["container unpause", "unpause"], life::unpause),
    (&["container update", "update"], containers::update),
    (&["container wait", "wait"], life::wait),
    (&["events", "system events"], events::run),
    (&["history", "image history"], images::history),
    (&["image import", "import"], images::import),
    (&["image inspect"], inspect::image),
    (&["image load", "load"], transfer::load),
    (&["image ls", "images"], images::list),
    (&["image prune"], prune::images),
    (&["image pull", "pull"], transfer::pull),
    (&["image push", "push"], transfer::push),
    (&["image rm", "rmi"], images::remove),
    (&["image save", "save"], transfer::save),
    (&["image tag", "tag"], images::tag),
    (&["info", "system info"], about::info),
    (&["inspect"], inspect::any),
    (&["network connect"], networks::connect),
    (&["network create"], networks::create),
    (&["network disconnect"], networks::disconnect),
    (&["network inspect"], inspect::network),
    (&["network ls"], networks::list),
    (&["network prune"], prune::networks),
    (&["network rm"], networks::remove),
    (&["search"], images::search),
    (&["system df"], usage::df),
    (&["system prune"], prune::system),
    (&["version"], about::version),
    (&["volume create"], volumes::create),
    (&["volume inspect"], inspect::volume),
    (&["volume ls"], volumes::list),
    (&["volume prune"], prune::volumes),
    (&["volume rm"], volumes::remove),
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
        None => {
            let what = format!(
                "error: `mica {name}` works on this machine's own store, and {shown} is meant"
            );
            Err(Failure::new(what).hint(way_there(&name)))
        }
    }
}

/// How else one comes to what cannot be asked of an engine elsewhere.
fn way_there(name: &str) -> &'static str {
    match name {
        "buildx bake" => {
            "build its targets one by one with `mica build`; or docker's buildx bakes there"
        }
        name if name.starts_with("buildx history") => "docker's buildx asks there for it",
        _ => {
            "ask docker's client for it; or leave -H, -c, DOCKER_HOST and DOCKER_CONTEXT out, and `mica context use default`"
        }
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
