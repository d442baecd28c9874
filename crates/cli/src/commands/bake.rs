//! `mica buildx bake`.

mod privileges;
pub(crate) mod taken;
mod targets;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::{
    BakeFile, BakeGiven, BakePlan, BakeTarget, BakeVariable, BakeWorld, BuildError, BuildInputs,
    Call, Definition, Engine, Format, bake_files, dot_env, list_bake, plan_bake,
};
use serde_json::{Value, json};
use spec::Platform;

use self::taken::Taken;
use super::build::flags;
use super::build_call;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::table::Table;

/// What opens the repository that a definition is kept in.
const TOKEN: &str = "BUILDX_BAKE_GIT_AUTH_TOKEN";

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let folder = Path::new(".");
    flags::known_builder(matches.string("builder"))?;
    let asked = Asked::of(context);
    let files = match &asked.remote {
        Some(address) => {
            let token = context.variable(TOKEN);
            context.engine()?.remote_bake_files(address, &file_names(context), token)?
        }
        None => bake_files(&file_names(context), folder, &mut io::stdin().lock())?,
    };
    let given = given(context, &files, (folder, &asked))?;
    if let Some(what) = matches.string("list").filter(|what| !what.is_empty()) {
        return list(context, what, &files, &given);
    }
    let mut plan = plan_bake(&files, &given).map_err(failure)?;
    if matches.flag("print") {
        context.ui.line(&format!("{:#}", plan.document()));
        return Ok(0);
    }
    let remote = asked.remote.as_deref();
    let repository = remote.filter(|address| engine::is_repository(address));
    plan.locate(repository, &engine::is_remote_context);
    let Some(call) = build_call::asked(context)? else {
        return targets::build(context, &plan, remote);
    };
    if remote.is_some() {
        privileges::grant_files(context, &Taken::by_question(&plan)?)?;
    }
    ask(context, call, &plan)
}

/// What the words of the command line ask for.
struct Asked {
    /// Where the files are, if that is elsewhere.
    remote: Option<String>,
    /// The context that they are used with.
    context: String,
    /// Targets and groups.
    wanted: Vec<String>,
}

impl Asked {
    fn of(context: &Context) -> Asked {
        let mut names = context.names().iter().peekable();
        let remote = names.next_if(|name| engine::is_remote_context(name)).cloned();
        let own =
            names.next_if(|name| remote.is_some() && engine::is_remote_context(name)).cloned();
        let context = own.unwrap_or_else(|| "cwd://".to_owned());
        Asked { remote, context, wanted: names.cloned().collect() }
    }
}

/// Between names of files in the environment, unless another variable says otherwise.
const SEPARATOR: &str = ":";

/// `--file`, or else what the environment names.
fn file_names(context: &Context) -> Vec<String> {
    let given = context.matches().list("file");
    let named = context.variable("BUILDX_BAKE_FILE").filter(|_| given.is_empty());
    let between = context.variable("BUILDX_BAKE_FILE_SEPARATOR").filter(|text| !text.is_empty());
    let names = named.unwrap_or_default().split(between.unwrap_or(SEPARATOR));
    let named = names.filter(|name| !name.is_empty()).map(str::to_owned);
    given.iter().cloned().chain(named).collect()
}

/// What the flags, the environment and the time give.
fn given(
    context: &Context,
    files: &[BakeFile],
    (folder, asked): (&Path, &Asked),
) -> Result<BakeGiven, Failure> {
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
        home: context.variable("HOME").unwrap_or_default().to_owned(),
    };
    Ok(BakeGiven {
        variables,
        overrides,
        wanted: asked.wanted.clone(),
        context: asked.context.clone(),
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
    let file = targets::dockerfile_here(target).map(|file| file.to_string_lossy().into_owned());
    Ok(Definition::read(context, file.as_deref(), &mut io::empty())?)
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
