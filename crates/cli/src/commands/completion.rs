//! `mica completion`, and what its scripts call back.

use std::sync::mpsc;
use std::time::Duration;

use client::{Client, Endpoint, Request};
use engine::{Engine, EngineError, ListContainers};
use serde_json::Value;

use crate::args::{Complete, Completion, Shell, complete, completion_script};
use crate::context::Context;
use crate::failure::Outcome;
use crate::far::place;
use crate::tree::ROOT;

pub(crate) fn bash(context: &Context) -> Outcome {
    print(context, Shell::Bash)
}

pub(crate) fn zsh(context: &Context) -> Outcome {
    print(context, Shell::Zsh)
}

pub(crate) fn fish(context: &Context) -> Outcome {
    print(context, Shell::Fish)
}

pub(crate) fn powershell(context: &Context) -> Outcome {
    print(context, Shell::PowerShell)
}

fn print(context: &Context, shell: Shell) -> Outcome {
    let script = completion_script(shell, crate::PROGRAM);
    context.ui.print(&match context.matches().flag("no-descriptions") {
        true => script.replace(" __complete ", " __completeNoDesc "),
        false => script,
    });
    Ok(0)
}

/// Answers what may come next. A store that cannot be opened has no names to offer.
pub(crate) fn callback(context: &Context) -> Outcome {
    context.ui.print(&answer(context).to_string());
    Ok(0)
}

/// The same without what the words mean.
pub(crate) fn terse_callback(context: &Context) -> Outcome {
    let mut answer = answer(context);
    answer.candidates.iter_mut().for_each(|candidate| candidate.about = "");
    context.ui.print(&answer.to_string());
    Ok(0)
}

fn answer(context: &Context) -> Completion {
    let names = |what: Complete| match what {
        Complete::Nothing | Complete::Files | Complete::Folders | Complete::Words(_) => Vec::new(),
        what => match place::endpoint(context.globals(), context.environment()) {
            Ok(None) => known_here(context, what),
            Ok(Some(endpoint)) => known_elsewhere(endpoint, what),
            Err(_) => Vec::new(),
        },
    };
    complete(&ROOT, context.names(), &names)
}

/// The names in this machine's own store. Pressing a key makes none.
fn known_here(context: &Context, what: Complete) -> Vec<String> {
    match context.settings().is_ok_and(|settings| Engine::is_made(&settings)) {
        false => Vec::new(),
        true => context.engine().and_then(|engine| Ok(known(&engine, what)?)).unwrap_or_default(),
    }
}

/// The names of things of a kind.
fn known(engine: &Engine, what: Complete) -> Result<Vec<String>, EngineError> {
    let containers = |all: bool| -> Result<Vec<String>, EngineError> {
        let found = engine.list_containers(&ListContainers { all, ..Default::default() })?;
        Ok(found.into_iter().map(|row| row.summary.name).collect())
    };
    Ok(match what {
        Complete::Images => {
            let list = engine.list(&Default::default())?;
            list.rows().filter_map(|row| row.name.map(|name| name.familiar().to_owned())).collect()
        }
        Complete::Containers => containers(true)?,
        Complete::Running => containers(false)?,
        Complete::Volumes => engine.volumes()?.into_iter().map(|volume| volume.name).collect(),
        Complete::Networks => {
            let found = engine.list_networks(&Default::default())?;
            found.into_iter().map(|network| network.name).collect()
        }
        _ => Vec::new(),
    })
}

/// Whoever presses a key waits no longer for an engine elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same of an engine elsewhere; none if it does not answer soon.
fn known_elsewhere(endpoint: Endpoint, what: Complete) -> Vec<String> {
    let (give, take) = mpsc::channel();
    // It ends with this process at the latest.
    std::thread::spawn(move || {
        let client = Client::new(endpoint, format!("mica/{} (linux)", engine::VERSION));
        let _ = give.send(ask(&client, what).unwrap_or_default());
    });
    take.recv_timeout(PATIENCE).unwrap_or_default()
}

fn ask(client: &Client, what: Complete) -> client::Result<Vec<String>> {
    let rows = |path: &str, all: bool| client.call::<Value>(Request::get(path).flag("all", all));
    let texts = |told: &Value, field: &str| -> Vec<String> {
        let rows = told.as_array().into_iter().flatten();
        let named = rows.flat_map(|row| match &row[field] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>(),
            one => one.as_str().into_iter().collect(),
        });
        named.map(str::to_owned).collect()
    };
    // A container's name begins with a slash; another one is a link's.
    let containers = |all: bool| {
        let mut names = texts(&rows("/containers/json", all)?, "Names");
        names.iter_mut().for_each(|name| *name = name.trim_start_matches('/').to_owned());
        names.retain(|name| !name.contains('/'));
        Ok(names)
    };
    match what {
        Complete::Images => {
            let mut names = texts(&rows("/images/json", false)?, "RepoTags");
            names.retain(|name| !name.starts_with("<none>"));
            Ok(names)
        }
        Complete::Containers => containers(true),
        Complete::Running => containers(false),
        Complete::Volumes => Ok(texts(&rows("/volumes", false)?["Volumes"], "Name")),
        Complete::Networks => Ok(texts(&rows("/networks", false)?, "Name")),
        _ => Ok(Vec::new()),
    }
}
