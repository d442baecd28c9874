//! Bake files: many builds described in HCL, JSON or a compose file.
//!
//! `files and what is given → targets and groups`, a pure function. Variables, functions and
//! matrices are carried out, what is inherited is joined, `--set` comes last.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::config::absolute;
use crate::error::{BuildError, Span, excerpt, nearest};

mod compose;
mod definition;
mod evaluate;
mod expression;
mod functions;
mod json;
mod overrides;
mod parser;
mod syntax;
mod target;
mod template;
mod types;
mod value;

pub use evaluate::World;
pub use target::{Field, KEYS, Key, Target};
pub use value::Value;

use definition::Definition;
use syntax::{Body, Wrong};

/// The names that are looked for, in the order in which they are joined.
pub const FILE_NAMES: &[&str] = &[
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

/// No honest file is larger.
pub const MAX_BYTES: usize = 1 << 20;

/// A file of a bake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, whose ending says what it is.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// The folder that paths in it begin at, if another file included it from there.
    pub folder: String,
}

impl File {
    /// One that is named, and not included by another.
    pub fn at_top(name: &str, text: String) -> File {
        File { name: name.to_owned(), text, folder: String::new() }
    }
}

/// A file that a compose file includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Its name, from where all names begin.
    pub name: String,
    /// The folder that paths in it begin at.
    pub folder: String,
}

/// The files that a file includes: each comes before it.
pub fn includes(file: &File) -> Result<Vec<Included>, BuildError> {
    match kind_of(file) {
        Format::Compose => compose::includes(&file.text, &file.folder)
            .map_err(|error| BuildError::Bake(format!("{}: {error}", file.name))),
        Format::Hcl | Format::Json => Ok(Vec::new()),
    }
}

/// What is given to a bake from outside.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The environment, and `--var` over it.
    pub variables: BTreeMap<String, String>,
    /// `--set`, in order.
    pub overrides: Vec<String>,
    /// The targets and groups that are wanted; without any, `default`.
    pub wanted: Vec<String>,
    /// The context a remote file is used with: `cwd://` for one of this machine.
    pub context: String,
    /// What builds run on.
    pub platform: String,
    /// The time and what makes identifiers differ.
    pub world: World,
}

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The groups that were followed; `default` is what was asked for.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The targets, each complete.
    pub targets: BTreeMap<String, Target>,
}

/// A variable of a file, for `--list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, if the file names one.
    pub kind: Option<String>,
    /// What it is in this bake.
    pub value: Option<String>,
    /// What the file says of it.
    pub description: Option<String>,
}

/// All that the files define.
struct All {
    targets: BTreeMap<String, Target>,
    groups: BTreeMap<String, Vec<String>>,
    variables: Vec<Variable>,
}

/// Plans the targets that are wanted.
pub fn plan(files: &[File], given: &Given) -> Result<Plan, BuildError> {
    let all = read(files, given)?;
    let overrides = overrides::read(given)?;
    overrides::check(&overrides, all.targets.keys())?;
    let default = ["default".to_owned()];
    let wanted = if given.wanted.is_empty() { &default[..] } else { given.wanted.as_slice() };
    let mut plan = Plan::default();
    let mut asked: Vec<String> = Vec::new();
    for name in wanted {
        for name in all.matching(name)? {
            all.follow(&name, &overrides, &mut plan)?;
            if name != "default" && !asked.contains(&name) {
                asked.push(name);
            }
        }
    }
    if !asked.is_empty() {
        let default = plan.groups.entry("default".to_owned()).or_default();
        asked.retain(|name| !default.contains(name));
        default.extend(asked);
    }
    Ok(plan)
}

/// The targets and variables of files, for `--list`.
pub fn list(files: &[File], given: &Given) -> Result<(Plan, Vec<Variable>), BuildError> {
    let all = read(files, given)?;
    Ok((Plan { groups: all.groups, targets: all.targets }, all.variables))
}

fn read(files: &[File], given: &Given) -> Result<All, BuildError> {
    let mut all = All { targets: BTreeMap::new(), groups: BTreeMap::new(), variables: Vec::new() };
    let mut bodies = Vec::new();
    for (at, file) in files.iter().enumerate() {
        if file.text.len() > MAX_BYTES {
            return Err(BuildError::Bake(format!("{} is larger than 1 MiB", file.name)));
        }
        match kind_of(file) {
            Format::Hcl => bodies.push(parser::parse(&file.text, at).map_err(at_place(files))?),
            Format::Json => bodies.push(json::parse(&file.text, at).map_err(at_place(files))?),
            Format::Compose => {
                let read = compose::read(&file.text, &file.folder, &given.variables);
                let (targets, group) =
                    read.map_err(|error| BuildError::Bake(format!("{}: {error}", file.name)))?;
                let default = all.groups.entry("default".to_owned()).or_default();
                default.extend(group);
                for (name, target) in targets {
                    all.targets.entry(name).or_default().join(&target);
                }
            }
        }
    }
    evaluate(&bodies, given, &mut all).map_err(at_place(files))?;
    Ok(all)
}

fn evaluate(bodies: &[Body], given: &Given, all: &mut All) -> Result<(), Wrong> {
    let definition = Definition::new(bodies, given)?;
    definition.check()?;
    definition.collect(&mut all.targets, &mut all.groups)?;
    all.variables = definition.list()?;
    Ok(())
}

enum Format {
    Hcl,
    Json,
    Compose,
}

fn kind_of(file: &File) -> Format {
    match file.name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("yaml" | "yml") => Format::Compose,
        Some("json") => Format::Json,
        Some("hcl") => Format::Hcl,
        // What has no ending says itself what it is.
        _ if file.text.trim_start().starts_with('{') => Format::Json,
        _ if file.text.lines().any(|line| line.trim_end() == "services:") => Format::Compose,
        _ => Format::Hcl,
    }
}

/// An error with its place and the lines around it, as buildx prints it.
fn at_place(files: &[File]) -> impl Fn(Wrong) -> BuildError {
    |Wrong { at, message }| match files.get(at.file) {
        Some(file) if at.line > 0 => BuildError::BakeFile {
            place: format!("{}:{},{}-{}", file.name, at.line, at.from, at.to),
            lines: excerpt(&file.name, &file.text, Span::new(at.line, at.line)),
            message,
        },
        _ => BuildError::Bake(message),
    }
}

impl All {
    /// The names that a name with stars means.
    fn matching(&self, name: &str) -> Result<Vec<String>, BuildError> {
        if !name.contains(['*', '?', '[']) {
            return Ok(vec![name.to_owned()]);
        }
        let names: BTreeSet<&String> = self.targets.keys().chain(self.groups.keys()).collect();
        let is_match = |known: &&String| spec::path_match(name, known).unwrap_or(false);
        let found: Vec<String> = names.into_iter().filter(is_match).cloned().collect();
        match found.is_empty() {
            true => Err(self.no_target(name)),
            false => Ok(found),
        }
    }

    fn no_target(&self, name: &str) -> BuildError {
        let known = self.targets.keys().chain(self.groups.keys()).map(String::as_str);
        let meant = nearest(name, known).map(|meant| format!(" (did you mean {meant}?)"));
        BuildError::Bake(format!("failed to find target {name}{}", meant.unwrap_or_default()))
    }

    /// Puts a target, or all targets of a group, and what they link to, into a plan.
    fn follow(
        &self,
        name: &str,
        overrides: &[overrides::Override],
        plan: &mut Plan,
    ) -> Result<(), BuildError> {
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            // A group hides a target of its name.
            if let Some(list) = self.groups.get(&name) {
                let is_new = !plan.groups.contains_key(&name);
                if is_new {
                    plan.groups.insert(name.clone(), list.clone());
                    // A target of a group's own name is meant, not the group again.
                    let (own, others): (Vec<&String>, Vec<&String>) =
                        list.iter().partition(|member| **member == name);
                    open.extend(others.into_iter().cloned());
                    for member in own {
                        self.add(member, overrides, plan, &mut open)?;
                    }
                }
            } else {
                self.add(&name, overrides, plan, &mut open)?;
            }
        }
        Ok(())
    }

    fn add(
        &self,
        name: &str,
        overrides: &[overrides::Override],
        plan: &mut Plan,
        open: &mut Vec<String>,
    ) -> Result<(), BuildError> {
        if plan.targets.contains_key(name) {
            return Ok(());
        }
        let mut target = self.inherited(name, &mut Vec::new())?;
        overrides::apply(overrides, name, &mut target)?;
        target.default_text("context", ".");
        target.default_text("dockerfile", "Dockerfile");
        let links = target.map("contexts").filter_map(|(_, from)| from.strip_prefix("target:"));
        let links: Vec<String> = links.map(str::to_owned).collect();
        plan.targets.insert(name.to_owned(), target);
        for link in links {
            if self.links_back(&link, name) {
                return Err(BuildError::Bake(format!("infinite loop from {name} to {link}")));
            }
            open.push(link);
        }
        Ok(())
    }

    /// Whether a target needs `wanted` by its contexts.
    fn links_back(&self, from: &str, wanted: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(name) = open.pop() {
            if name == wanted {
                return true;
            }
            if seen.insert(name.clone()) {
                let target = self.inherited(&name, &mut Vec::new()).unwrap_or_default();
                let links = target.map("contexts").filter_map(|(_, at)| at.strip_prefix("target:"));
                open.extend(links.map(str::to_owned));
            }
        }
        false
    }

    /// A target with what it inherits; the last it names is the strongest but for itself.
    fn inherited(&self, name: &str, open: &mut Vec<String>) -> Result<Target, BuildError> {
        let own = self.targets.get(name).ok_or_else(|| self.no_target(name))?;
        if open.iter().any(|above| above == name) || open.len() > 256 {
            return Err(BuildError::Bake(format!("infinite loop in inherits of target {name}")));
        }
        open.push(name.to_owned());
        let mut joined = Target::default();
        for parent in &own.inherits {
            joined.join(&self.inherited(parent, open)?);
        }
        open.pop();
        joined.join(own);
        joined.inherits.clear();
        Ok(joined)
    }
}

impl Plan {
    /// As `--print` writes it.
    pub fn document(&self) -> Json {
        let mut document = Map::new();
        if !self.groups.is_empty() {
            let group =
                |(name, list): (&String, &Vec<String>)| (name.clone(), json!({ "targets": list }));
            document
                .insert("group".to_owned(), Json::Object(self.groups.iter().map(group).collect()));
        }
        let target = |(name, target): (&String, &Target)| (name.clone(), target.document());
        document
            .insert("target".to_owned(), Json::Object(self.targets.iter().map(target).collect()));
        Json::Object(document)
    }

    /// Says where the contexts are that targets name: what begins with `cwd://` is here, and other
    /// paths are in the repository that the files are kept in, if they are kept in one. `is_address`
    /// knows what is no path.
    pub fn locate(&mut self, repository: Option<&str>, is_address: &dyn Fn(&str) -> bool) {
        for target in self.targets.values_mut() {
            target.change_contexts(|path| located(repository, is_address, path));
        }
    }

    /// Whether a target was asked for; the others are there only because contexts need them.
    pub fn is_asked(&self, target: &str) -> bool {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec!["default"];
        while let Some(name) = open.pop() {
            // A group among whose members is its own name means the target of that name.
            match self.groups.get(name).filter(|_| seen.insert(name)) {
                Some(members) => open.extend(members.iter().map(String::as_str)),
                None if name == target => return true,
                None => {}
            }
        }
        false
    }

    /// The targets, each after those its contexts need.
    pub fn in_order(&self) -> Vec<&str> {
        let mut order: Vec<&str> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for name in self.targets.keys() {
            let mut open = vec![(name.as_str(), false)];
            while let Some((name, is_done)) = open.pop() {
                if is_done {
                    order.push(name);
                } else if seen.insert(name) {
                    open.push((name, true));
                    let contexts = self.targets[name].map("contexts");
                    let links = contexts.filter_map(|(_, from)| from.strip_prefix("target:"));
                    open.extend(
                        links
                            .filter(|link| self.targets.contains_key(*link))
                            .map(|link| (link, false)),
                    );
                }
            }
        }
        order
    }
}

/// What begins a path of this machine, wherever the file is that names it.
pub const HERE: &str = "cwd://";
/// What begins a context that is neither an address nor a path.
const SCHEMES: &[&str] = &["target:", "docker-image://", "oci-layout://"];

/// Where a context is that a file names.
fn located(repository: Option<&str>, is_address: &dyn Fn(&str) -> bool, path: &str) -> String {
    if let Some(path) = path.strip_prefix(HERE) {
        return match path {
            "" => ".".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            // What looks like an address is a path still.
            path => format!("./{path}"),
        };
    }
    let is_own = is_address(path) || SCHEMES.iter().any(|scheme| path.starts_with(scheme));
    match repository.filter(|_| !is_own) {
        Some(address) => inside(address, path),
        None => path.to_owned(),
    }
}

/// The address of a folder in a repository.
fn inside(address: &str, path: &str) -> String {
    let (remote, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    let inner = absolute(&format!("/{folder}"), path.trim_start_matches('/'));
    match inner.trim_start_matches('/') {
        "" if reference.is_empty() => remote.to_owned(),
        "" => format!("{remote}#{reference}"),
        inner => format!("{remote}#{reference}:{inner}"),
    }
}

#[cfg(test)]
mod tests;
