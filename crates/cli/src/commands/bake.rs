//! `mica buildx bake`.

mod privileges;
mod targets;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use engine::{
    BakeFile, BakeGiven, BakePlan, BakeTarget, BakeVariable, BakeWorld, BuildError, BuildInputs,
    Call, Definition, Engine, Format, bake_files, dot_env, list_bake, plan_bake,
};
use serde_json::{Value, json};
use spec::Platform;

use super::build_call;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::table::Table;

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let folder = Path::new(".");
    let files = bake_files(matches.list("file"), folder, &mut io::stdin().lock())?;
    let given = given(context, &files, folder)?;
    if let Some(what) = matches.string("list").filter(|what| !what.is_empty()) {
        return list(context, what, &files, &given);
    }
    let plan = plan_bake(&files, &given).map_err(failure)?;
    if matches.flag("print") {
        context.ui.line(&format!("{:#}", plan.document()));
        return Ok(0);
    }
    match build_call::asked(context)? {
        Some(call) => ask(context, call, &plan),
        None => targets::build(context, &plan),
    }
}

/// What the flags, the environment and the time give.
fn given(context: &Context, files: &[BakeFile], folder: &Path) -> Result<BakeGiven, Failure> {
    let matches = context.matches();
    let is_compose = |file: &BakeFile| file.name.ends_with(".yml") || file.name.ends_with(".yaml");
    let mut variables = match files.iter().any(is_compose) {
        true => dot_env(folder)?,
        false => BTreeMap::new(),
    };
    variables.extend(context.environment().clone());
    for text in matches.list("var") {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::new(format!("error: invalid variable {text:?}: want NAME=VALUE"))
        })?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    // Flags come before --set, which is more exact.
    let mut overrides = Vec::new();
    for (flag, set) in [
        ("load", "*.output=type=docker"),
        ("push", "*.output=type=registry"),
        ("no-cache", "*.no-cache=true"),
        ("pull", "*.pull=true"),
    ] {
        overrides.extend(matches.flag(flag).then(|| set.to_owned()));
    }
    for kind in ["provenance", "sbom"] {
        let value = matches.string(kind).filter(|value| !value.is_empty());
        overrides.extend(value.map(|value| attestation(kind, value)));
    }
    overrides.extend(matches.list("set").iter().cloned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let world = BakeWorld {
        now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        seed: u64::from(now.subsec_nanos()) << 32 | u64::from(std::process::id()),
    };
    Ok(BakeGiven {
        variables,
        overrides,
        wanted: context.names().to_vec(),
        context: "cwd://".to_owned(),
        platform: Platform::host().to_string(),
        world,
    })
}

/// `--sbom=true` and `--provenance=mode=max` as attestations.
fn attestation(kind: &str, value: &str) -> String {
    match value {
        "true" | "1" => format!("*.attest=type={kind}"),
        "false" | "0" => format!("*.attest=type={kind},disabled=true"),
        value => format!("*.attest=type={kind},{value}"),
    }
}

fn list(context: &Context, what: &str, files: &[BakeFile], given: &BakeGiven) -> Outcome {
    let fields: Vec<&str> = what.split(',').collect();
    let is_json = fields.contains(&"format=json");
    let what = fields.iter().find(|field| !field.starts_with("format=")).copied();
    let (plan, variables) = list_bake(files, given).map_err(failure)?;
    let rows = match what.map(|what| what.strip_prefix("type=").unwrap_or(what)) {
        Some("targets") => target_rows(&plan),
        Some("variables") => variables.iter().map(variable).collect(),
        _ => {
            let message = format!("error: invalid list type {:?}", what.unwrap_or_default());
            return Err(Failure::new(message).hint("--list=targets or --list=variables"));
        }
    };
    if is_json {
        context.ui.line(&format!("{:#}", Value::Array(rows)));
        return Ok(0);
    }
    let heads: &[(&str, &str)] = match what {
        Some("variables" | "type=variables") => &[
            ("VARIABLE", "name"),
            ("TYPE", "type"),
            ("VALUE", "value"),
            ("DESCRIPTION", "description"),
        ],
        _ => &[("TARGET", "name"), ("DESCRIPTION", "description")],
    };
    let mut table = Table::new(heads.iter().map(|(head, _)| *head));
    for row in &rows {
        let cell = |(_, field): &(&str, &str)| row[*field].as_str().unwrap_or_default().to_owned();
        table.row(heads.iter().map(cell));
    }
    context.ui.print(&table.render());
    Ok(0)
}

fn target_rows(plan: &BakePlan) -> Vec<Value> {
    let target = |(name, target): (&String, &BakeTarget)| json!({ "name": name, "description": target.text("description").unwrap_or_default() });
    let group = |(name, list): (&String, &Vec<String>)| json!({ "name": name, "description": list.join(", "), "group": true });
    let mut rows: Vec<Value> =
        plan.groups.iter().map(group).chain(plan.targets.iter().map(target)).collect();
    rows.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    rows.dedup_by(|one, other| one["name"] == other["name"]);
    rows
}

fn variable(one: &BakeVariable) -> Value {
    json!({
        "name": one.name,
        "type": one.kind.as_deref().unwrap_or_default(),
        "value": one.value.as_deref().unwrap_or("<null>"),
        "description": one.description.as_deref().unwrap_or_default(),
    })
}

/// Asks every target the same question.
fn ask(context: &Context, call: (Call, Format), plan: &BakePlan) -> Outcome {
    let settings = context.settings()?;
    let engine = Engine::is_made(&settings).then(|| context.engine()).transpose()?;
    let mut succeeded = true;
    for name in plan.in_order() {
        let target = &plan.targets[name];
        let definition = definition(target)?;
        let answer = definition.call(call, &inputs(target)?, engine.as_ref())?;
        succeeded &= answer.succeeded;
        if plan.targets.len() > 1 && call.1 == Format::Text {
            context.ui.line(&format!("{name}\n{}", "-".repeat(name.chars().count())));
        }
        context.ui.print(&answer.text);
    }
    Ok(u8::from(!succeeded))
}

fn definition(target: &BakeTarget) -> Result<Definition, Failure> {
    let context = target.text("context").unwrap_or(".");
    if let Some(text) = target.text("dockerfile-inline") {
        return Ok(Definition::read(context, Some("-"), &mut text.as_bytes())?);
    }
    // In a target the Dockerfile is named from its context.
    let file = PathBuf::from(context).join(target.text("dockerfile").unwrap_or("Dockerfile"));
    let file = file.to_string_lossy();
    Ok(Definition::read(context, Some(&file), &mut io::empty())?)
}

fn inputs(target: &BakeTarget) -> Result<BuildInputs, Failure> {
    let host = Platform::host();
    let wanted = target.list("platforms").first().map(|text| Platform::parse(text)).transpose();
    let target_platform = wanted.map_err(|error| Failure::new(error.to_string()))?;
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(BuildInputs {
        arguments: target.map("args").map(own).collect(),
        target_platform: target_platform.unwrap_or_else(|| host.clone()),
        build_platform: host,
        target: target.text("target").map(str::to_owned),
    })
}

/// As buildx prints it: the lines, and what is wrong in them.
fn failure(error: BuildError) -> Failure {
    let lines = match &error {
        BuildError::BakeFile { lines, .. } => lines.as_str(),
        _ => "",
    };
    Failure::new(format!("{lines}ERROR: {error}"))
}
