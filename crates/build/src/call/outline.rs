//! `--call=outline`: what can be given to the build of a target.

use serde_json::{Value, json};

use super::{columns, description, encoded, location, without_empty};
use crate::error::{BuildError, Span};
use crate::instruction::{self, Instruction, Kind, Mount, MountKind};
use crate::scope::{Inputs, Scope};
use crate::stage::Stages;
use crate::syntax;
use crate::variables::uses;

/// What can be given to the build of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The target's name, if it has one.
    pub name: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    /// The arguments it uses, itself or through other stages.
    pub arguments: Vec<Argument>,
    /// The secrets its commands read.
    pub secrets: Vec<Mounted>,
    /// The agents and keys its commands use.
    pub ssh: Vec<Mounted>,
    /// The caches its commands keep.
    pub caches: Vec<Cache>,
    text: String,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is in this build.
    pub value: Option<String>,
    /// What the comment above it says.
    pub description: Option<String>,
    span: Span,
}

/// A secret, or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Its name.
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
    span: Span,
}

/// A folder that is kept from build to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Its name.
    pub id: String,
    span: Span,
}

/// The outline of the target that `inputs` names.
pub fn outline(text: &str, inputs: &Inputs) -> Result<Outline, BuildError> {
    let document = syntax::parse(text)?;
    let instructions = instruction::read(&document)?;
    let stages = Stages::read(&document, inputs)?;
    let target = stages.target(inputs)?;
    let needed = stages.needed(target)?;
    let is_from = |one: &Instruction| matches!(one.kind, Kind::From { .. });
    let first = instructions.iter().position(is_from).unwrap_or(instructions.len());
    let (head, rest) = instructions.split_at(first);
    let all: Vec<&[Instruction]> = rest.chunk_by(|_, next| !is_from(next)).collect();
    let (name, about) = title(&all[target][0]);
    let mut outline = Outline {
        name,
        description: about,
        arguments: Vec::new(),
        secrets: Vec::new(),
        ssh: Vec::new(),
        caches: Vec::new(),
        text: text.to_owned(),
    };
    let mut reader = Reader { inputs, escape: stages.escape, outline: &mut outline };
    let used_by_bases: Vec<&Instruction> = needed.iter().map(|stage| &all[*stage][0]).collect();
    reader.head(head, &used_by_bases);
    let mut in_order = needed;
    in_order.sort_unstable();
    for stage in in_order {
        reader.stage(&stages.global, &all[stage][1..]);
    }
    Ok(outline)
}

fn title(from: &Instruction) -> (Option<String>, Option<String>) {
    let Kind::From { name: Some(name), .. } = &from.kind else { return (None, None) };
    (Some(name.clone()), description(&from.comments, name))
}

struct Reader<'a> {
    inputs: &'a Inputs,
    escape: char,
    outline: &'a mut Outline,
}

impl Reader<'_> {
    /// The arguments above the first `FROM` that the bases of some stages use.
    fn head(&mut self, head: &[Instruction], stages: &[&Instruction]) {
        let mut used: Vec<String> = Vec::new();
        for from in stages {
            let Kind::From { base, platform, .. } = &from.kind else { continue };
            let words = std::iter::once(base).chain(platform);
            used.extend(words.flat_map(|word| uses(word, self.escape)).map(|used| used.name));
        }
        // An argument may be made of those above it, so the search goes upwards.
        for (name, default) in arguments_of(head).rev().map(|(argument, _)| argument) {
            if used.contains(name) {
                let words = default.iter().flat_map(|word| uses(word, self.escape));
                used.extend(words.map(|used| used.name));
            }
        }
        let mut scope = Scope::global(self.inputs);
        for (argument, one) in arguments_of(head) {
            let _ = scope.declare(argument, (self.inputs, None), (one.span, self.escape));
            if used.contains(&argument.0) {
                self.argument(&argument.0, scope.get(&argument.0), one);
            }
        }
    }

    /// The arguments of a stage that its instructions use, and what its commands mount.
    fn stage(&mut self, global: &Scope, stage: &[Instruction]) {
        let mut scope = Scope::default();
        for (at, one) in stage.iter().enumerate() {
            match &one.kind {
                Kind::Arg(list) => {
                    let after = &stage[at + 1..];
                    for argument in list {
                        let sources = (self.inputs, Some(global));
                        let _ = scope.declare(argument, sources, (one.span, self.escape));
                        if after.iter().any(|one| self.reads(one, &argument.0)) {
                            self.argument(&argument.0, scope.get(&argument.0), one);
                        }
                    }
                }
                Kind::Run(run) => {
                    run.mounts.iter().for_each(|mount| self.mount(mount, one.span));
                }
                _ => {}
            }
        }
    }

    /// Whether an instruction may read an argument; a command may read any.
    fn reads(&self, one: &Instruction, name: &str) -> bool {
        let named = || uses(&one.text, self.escape).iter().any(|used| used.name == name);
        matches!(one.kind, Kind::Run(_)) || named()
    }

    fn argument(&mut self, name: &str, value: Option<&str>, one: &Instruction) {
        let about = description(&one.comments, name);
        let value = value.map(str::to_owned);
        match self.outline.arguments.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.description = known.description.take().or(about);
                known.value = known.value.take().or(value);
            }
            None => self.outline.arguments.push(Argument {
                name: name.to_owned(),
                value,
                description: about,
                span: one.span,
            }),
        }
    }

    fn mount(&mut self, mount: &Mount, span: Span) {
        let target = mount.target.as_deref().unwrap_or_default();
        let last = target.rsplit('/').next().unwrap_or_default();
        let id = mount.id.clone().or_else(|| mount.source.clone());
        let (list, name) = match mount.kind {
            MountKind::Secret => (&mut self.outline.secrets, id.unwrap_or_else(|| last.to_owned())),
            MountKind::Ssh => (&mut self.outline.ssh, id.unwrap_or_else(|| "default".to_owned())),
            MountKind::Cache => {
                let id = mount.id.clone().unwrap_or_else(|| target.to_owned());
                if !self.outline.caches.iter().any(|known| known.id == id) {
                    self.outline.caches.push(Cache { id, span });
                }
                return;
            }
            MountKind::Bind | MountKind::Tmpfs => return,
        };
        match list.iter_mut().find(|known| known.name == name) {
            Some(known) => known.required |= mount.required,
            None => list.push(Mounted { name, required: mount.required, span }),
        }
    }
}

type Declared = (String, Option<String>);

fn arguments_of(
    head: &[Instruction],
) -> impl DoubleEndedIterator<Item = (&Declared, &Instruction)> {
    head.iter().flat_map(|one| declared(one).iter().map(move |argument| (argument, one)))
}

fn declared(one: &Instruction) -> &[Declared] {
    match &one.kind {
        Kind::Arg(list) => list,
        _ => &[],
    }
}

impl Outline {
    /// For people.
    pub fn text(&self) -> String {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let mut parts = Vec::new();
        let mut title = Vec::new();
        if let Some(name) = &self.name {
            title.push(row(&["TARGET:", name]));
        }
        if let Some(about) = &self.description {
            title.push(row(&["DESCRIPTION:", about]));
        }
        parts.push(columns(&title, 1));
        let value = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut rows = vec![row(&["BUILD ARG", "VALUE", "DESCRIPTION"])];
        rows.extend(self.arguments.iter().map(|argument| {
            row(&[&argument.name, &value(&argument.value), &value(&argument.description)])
        }));
        parts.push(if rows.len() > 1 { columns(&rows, 3) } else { String::new() });
        for (heading, list) in [("SECRET", &self.secrets), ("SSH", &self.ssh)] {
            let mut rows = vec![row(&[heading, "REQUIRED"])];
            rows.extend(
                list.iter().map(|one| row(&[&one.name, if one.required { "true" } else { "" }])),
            );
            parts.push(if rows.len() > 1 { columns(&rows, 3) } else { String::new() });
        }
        let mut rows = vec![row(&["CACHE MOUNT"])];
        rows.extend(self.caches.iter().map(|cache| row(&[&cache.id])));
        parts.push(if rows.len() > 1 { columns(&rows, 3) } else { String::new() });
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }

    /// For programs.
    pub fn document(&self) -> Value {
        let argument = |argument: &Argument| {
            without_empty(json!({
                "name": argument.name,
                "description": argument.description.as_deref().unwrap_or_default(),
                "value": argument.value,
                "location": location(argument.span),
            }))
        };
        let mounted = |one: &Mounted| {
            without_empty(json!({
                "name": one.name, "required": one.required, "location": location(one.span),
            }))
        };
        let list = |list: &[Mounted]| list.iter().map(mounted).collect::<Vec<_>>();
        let cache = |cache: &Cache| json!({ "ID": cache.id, "location": location(cache.span) });
        without_empty(json!({
            "name": self.name.as_deref().unwrap_or_default(),
            "description": self.description.as_deref().unwrap_or_default(),
            "args": self.arguments.iter().map(argument).collect::<Vec<_>>(),
            "secrets": list(&self.secrets),
            "ssh": list(&self.ssh),
            "cache": self.caches.iter().map(cache).collect::<Vec<_>>(),
            "sources": [encoded(&self.text)],
        }))
    }
}
