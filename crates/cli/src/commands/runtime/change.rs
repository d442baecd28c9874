//! Containers that are there, looked at and changed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::json;
use spec::bundle::{PidsLimit, Resources};
use spec::parse_signal;

use super::{containers, id, told};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(super) fn start(context: &Context) -> Outcome {
    told(context, containers(context).start(id(context)))?;
    Ok(0)
}

pub(super) fn state(context: &Context) -> Outcome {
    let state = told(context, containers(context).state(id(context)))?;
    context.ui.line(&pretty(&state));
    Ok(0)
}

pub(super) fn kill(context: &Context) -> Outcome {
    let word = context.names().get(1).map_or("TERM", String::as_str);
    let signal =
        parse_signal(word).ok_or_else(|| Failure::new(format!("error: no signal {word}")))?;
    let all = context.matches().flag("all");
    told(context, containers(context).kill(id(context), signal, all))?;
    Ok(0)
}

pub(super) fn delete(context: &Context) -> Outcome {
    let force = context.matches().flag("force");
    told(context, containers(context).delete(id(context), force))?;
    Ok(0)
}

pub(super) fn pause(context: &Context) -> Outcome {
    told(context, containers(context).freeze(id(context), true))?;
    Ok(0)
}

pub(super) fn resume(context: &Context) -> Outcome {
    told(context, containers(context).freeze(id(context), false))?;
    Ok(0)
}

pub(super) fn ps(context: &Context) -> Outcome {
    let pids = told(context, containers(context).processes(id(context)))?;
    match context.matches().string("format") {
        Some("json") => context.ui.line(&json!(pids).to_string()),
        _ => {
            context.ui.line("PID");
            pids.iter().for_each(|pid| context.ui.line(&pid.to_string()));
        }
    }
    Ok(0)
}

pub(super) fn list(context: &Context) -> Outcome {
    let list = told(context, containers(context).list())?;
    let matches = context.matches();
    if matches.flag("quiet") {
        list.iter().for_each(|one| context.ui.line(&one.state.id));
        return Ok(0);
    }
    if matches.string("format") == Some("json") {
        let rows: Vec<_> = list
            .iter()
            .map(|one| {
                let (state, created) = (&one.state, time(one.created));
                json!({
                    "ociVersion": state.oci_version, "id": state.id, "pid": state.pid,
                    "status": state.status, "bundle": state.bundle, "created": created,
                    "owner": one.owner.to_string(),
                })
            })
            .collect();
        context.ui.line(&json!(rows).to_string());
        return Ok(0);
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED"].map(str::to_owned)];
    rows.extend(list.iter().map(|one| {
        let state = &one.state;
        let (id, bundle) = (state.id.clone(), state.bundle.clone());
        [id, state.pid.to_string(), state.status.to_string(), bundle, time(one.created)]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        context.ui.line(cells.collect::<Vec<_>>().join("   ").trim_end());
    }
    Ok(0)
}

fn time(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

pub(super) fn update(context: &Context) -> Outcome {
    let matches = context.matches();
    let mut resources = match matches.string("resources") {
        Some(file) => read_resources(file)?,
        None => Resources::default(),
    };
    let int = |name| matches.int(name);
    let uint = |name| int(name).and_then(|value| u64::try_from(value).ok());
    let memory = &mut resources.memory;
    memory.limit = matches.size_bytes("memory").or(memory.limit);
    memory.swap = matches.size_bytes("memory-swap").or(memory.swap);
    memory.reservation = matches.size_bytes("memory-reservation").or(memory.reservation);
    let cpu = &mut resources.cpu;
    cpu.shares = uint("cpu-share").or(cpu.shares);
    cpu.quota = int("cpu-quota").or(cpu.quota);
    cpu.period = uint("cpu-period").or(cpu.period);
    cpu.burst = uint("cpu-burst").or(cpu.burst);
    cpu.realtime_runtime = int("cpu-rt-runtime").or(cpu.realtime_runtime);
    cpu.realtime_period = uint("cpu-rt-period").or(cpu.realtime_period);
    cpu.cpus = matches.string("cpuset-cpus").map_or(cpu.cpus.clone(), str::to_owned);
    cpu.mems = matches.string("cpuset-mems").map_or(cpu.mems.clone(), str::to_owned);
    resources.pids = int("pids-limit").map(|limit| PidsLimit { limit }).or(resources.pids);
    let weight = uint("blkio-weight").and_then(|weight| u16::try_from(weight).ok());
    resources.block_io.weight = weight.or(resources.block_io.weight);
    told(context, containers(context).update(id(context), &resources))?;
    Ok(0)
}

fn read_resources(file: &str) -> Result<Resources, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(format!("error: cannot read {file}: {error}"));
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().read_to_string(&mut text),
        path => File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    }
    .map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

pub(super) fn features(context: &Context) -> Outcome {
    context.ui.line(&pretty(&runtime::oci::features()));
    Ok(0)
}

pub(super) fn events(context: &Context) -> Outcome {
    let stats = told(context, containers(context).stats(id(context)))?;
    let event = json!({"type": "stats", "id": id(context), "data": stats});
    context.ui.line(&event.to_string());
    Ok(0)
}

pub(super) fn spec(context: &Context) -> Outcome {
    let folder = Path::new(context.matches().string("bundle").unwrap_or("."));
    let path = folder.join("config.json");
    let failed = |error: std::io::Error| {
        Failure::new(format!("error: cannot write {}: {error}", path.display()))
    };
    let mut file = File::create_new(&path).map_err(failed)?;
    let text = pretty(&runtime::oci::template()) + "\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    Ok(0)
}

fn pretty(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).expect("it has only string keys")
}
