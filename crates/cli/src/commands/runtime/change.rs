//! Containers that are there, looked at and changed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use runtime::oci::{Happening, Shown};
use runtime::table::ProcessTable;
use serde_json::{Value, json};
use spec::bundle::{PidsLimit, Resources};
use spec::parse_signal;

use super::{containers, id, notified, refuse, told, warn, warn_of};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::table::TabWriter;

pub(super) fn start(context: &Context) -> Outcome {
    let notify = notified(context);
    let started = containers(context)?.start(id(context), notify.as_deref());
    warn(context, &told(context, started)?);
    Ok(0)
}

pub(super) fn state(context: &Context) -> Outcome {
    let state = told(context, containers(context)?.state(id(context)))?;
    context.ui.line(&pretty(&state));
    Ok(0)
}

pub(super) fn kill(context: &Context) -> Outcome {
    let word = context.names().get(1).map_or("TERM", String::as_str);
    let unknown = || refuse(context, &format!("unknown signal {word:?}"));
    // Nothing is sent with this number: it asks whether somebody is there.
    let signal = if word == "0" { Some(0) } else { parse_signal(word) };
    let signal = signal.ok_or_else(unknown)?;
    let all = context.matches().flag("all");
    told(context, containers(context)?.kill(id(context), signal, all))?;
    Ok(0)
}

pub(super) fn delete(context: &Context) -> Outcome {
    let force = context.matches().flag("force");
    let warnings = told(context, containers(context)?.delete(id(context), force))?;
    warn(context, &warnings);
    Ok(0)
}

pub(super) fn pause(context: &Context) -> Outcome {
    told(context, containers(context)?.freeze(id(context), true))?;
    Ok(0)
}

pub(super) fn resume(context: &Context) -> Outcome {
    told(context, containers(context)?.freeze(id(context), false))?;
    Ok(0)
}

pub(super) fn ps(context: &Context) -> Outcome {
    let pids = told(context, containers(context)?.processes(id(context)))?;
    if context.matches().string("format") == Some("json") {
        context.ui.line(&json!(pids).to_string());
        return Ok(0);
    }
    let table = told(context, ProcessTable::of(&pids, &context.names()[1..]))?;
    let rows = std::iter::once(&table.titles).chain(&table.processes);
    let text: String = rows.map(|row| format!("{}\n", row.join("\t"))).collect();
    context.ui.print(&TabWriter::DOCKER_WIDE.lay_out(&text));
    Ok(0)
}

pub(super) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    let format = matches.string("format").unwrap_or("table");
    if !matches!(format, "" | "table" | "json") {
        return Err(refuse(context, "invalid format option"));
    }
    let list = told(context, containers(context)?.list())?;
    if matches.flag("quiet") {
        list.iter().for_each(|one| context.ui.line(&one.state.id));
        return Ok(0);
    }
    if format == "json" {
        let text = serde_json::to_string(&list).expect("it has only string keys");
        context.ui.line(&text);
        return Ok(0);
    }
    let row = |one: &Shown| {
        let state = &one.state;
        let (pid, created) = (state.pid.to_string(), one.created.to_string());
        let cells = [&state.id, &pid, &state.status.to_string(), &state.bundle, &created];
        format!("{}\t{}\n", cells.map(String::as_str).join("\t"), one.owner)
    };
    let rows: String = list.iter().map(row).collect();
    let text = format!("ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n{rows}");
    context.ui.print(&TabWriter::DOCKER_WIDE.lay_out(&text));
    Ok(0)
}

pub(super) fn update(context: &Context) -> Outcome {
    let matches = context.matches();
    for (flag, what) in [
        ("l3-cache-schema", "Intel RDT/CAT: l3 cache schema is not enabled"),
        ("mem-bw-schema", "Intel RDT/MBA: memory bandwidth schema is not enabled"),
    ] {
        if matches.string(flag).is_some_and(|schema| !schema.is_empty()) {
            return Err(refuse(context, what));
        }
    }
    let is_said = |flag: &&str| matches.size_bytes(flag).is_some();
    if ["kernel-memory", "kernel-memory-tcp"].iter().any(is_said) {
        warn_of(context, "Kernel memory settings are ignored and will be removed");
    }
    let mut resources = match matches.string("resources") {
        Some(file) => read_resources(context, file)?,
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
    cpu.idle = int("cpu-idle").or(cpu.idle);
    cpu.realtime_runtime = int("cpu-rt-runtime").or(cpu.realtime_runtime);
    cpu.realtime_period = uint("cpu-rt-period").or(cpu.realtime_period);
    cpu.cpus = matches.string("cpuset-cpus").map_or(cpu.cpus.clone(), str::to_owned);
    cpu.mems = matches.string("cpuset-mems").map_or(cpu.mems.clone(), str::to_owned);
    resources.pids = int("pids-limit").map(|limit| PidsLimit { limit }).or(resources.pids);
    let weight = uint("blkio-weight").and_then(|weight| u16::try_from(weight).ok());
    resources.block_io.weight = weight.or(resources.block_io.weight);
    let warnings = told(context, containers(context)?.update(id(context), &resources))?;
    warn(context, &warnings);
    Ok(0)
}

fn read_resources(context: &Context, file: &str) -> Result<Resources, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| refuse(context, &format!("cannot read {file}: {error}"));
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().read_to_string(&mut text),
        path => File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    }
    .map_err(|error| failed(&error))?;
    spec::bundle::read(text.as_bytes()).map_err(|error| failed(&error))
}

pub(super) fn features(context: &Context) -> Outcome {
    context.ui.line(&pretty(&runtime::oci::features()));
    Ok(0)
}

pub(super) fn events(context: &Context) -> Outcome {
    let (containers, id) = (containers(context)?, id(context));
    let tell = |kind: &str, data: Option<Value>| {
        let event = match data {
            Some(data) => json!({"type": kind, "id": id, "data": data}),
            None => json!({"type": kind, "id": id}),
        };
        context.ui.line(&event.to_string());
    };
    if context.matches().flag("stats") {
        tell("stats", Some(told(context, containers.stats(id))?));
        return Ok(0);
    }
    let nanos = context.matches().duration_nanos("interval").and_then(|n| u64::try_from(n).ok());
    let interval = nanos.filter(|nanos| *nanos > 0).map(Duration::from_nanos);
    let interval = interval.ok_or_else(|| refuse(context, "the interval is not above zero"))?;
    let watched = containers.watch(id, interval, &mut |happening| match happening {
        Happening::Stats(stats) => tell("stats", Some(stats)),
        Happening::OutOfMemory => tell("oom", None),
    });
    told(context, watched)?;
    Ok(0)
}

pub(super) fn spec(context: &Context) -> Outcome {
    let folder = Path::new(context.matches().string("bundle").unwrap_or("."));
    let path = folder.join("config.json");
    let failed = |error: std::io::Error| {
        refuse(context, &format!("cannot write {}: {error}", path.display()))
    };
    let mut spec = runtime::oci::template();
    if context.matches().flag("rootless") {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        spec = runtime::oci::for_user(spec, user.as_raw(), group.as_raw());
    }
    let mut file = File::create_new(&path).map_err(failed)?;
    let text = pretty(&spec) + "\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    Ok(0)
}

fn pretty(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).expect("it has only string keys")
}
