//! The graph: what has to be done for a target, each step after those it needs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use spec::{Digest, Reference};

use crate::change::Change;
use crate::config::SCRATCH_PATH;
use crate::error::{BuildError, Span};
use crate::instruction::{Command, CopyFlags, Instruction, Kind, Run, Source, read_node};
use crate::scan::is_switch;
use crate::scope::{Inputs, Scope};
use crate::stage::{Base, Stages};
use crate::syntax::{Heredoc, read_trigger};

mod copied;

/// What is known of the images that stages begin from.
pub trait Bases {
    /// The environment and the triggers of an image, or nothing if it is not known.
    fn config(&self, image: &str, platform: Option<&str>) -> Option<spec::ContainerConfig>;

    /// Whether a name means files alone: a context.
    fn is_folder(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether a name means a context, of files or another image.
    fn is_context(&self, name: &str) -> bool {
        self.is_folder(name)
    }

    /// Whether what an instruction brings is the address of a repository.
    fn is_repository(&self, source: &str) -> bool {
        let _ = source;
        false
    }
}

/// A step's place in the graph.
pub type StepId = usize;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// The step whose files and configuration this one changes.
    pub parent: Option<StepId>,
    /// Steps whose files it reads besides.
    pub sources: Vec<StepId>,
    /// The stage it belongs to; none for an image that is only copied from.
    pub stage: Option<usize>,
    /// The instruction in one line.
    pub text: String,
    /// What it is called while it is done: `[build 2/3] RUN make`.
    pub title: String,
    /// Where that stands.
    pub span: Span,
    /// The variables that its words were expanded with, and what they were.
    pub used: BTreeMap<String, String>,
    /// Its documents as they are written, by the digests of their texts.
    pub documents: BTreeMap<String, Digest>,
}

impl Step {
    /// Whether it works on files, so that it has a number among its stage's steps.
    pub fn is_work(&self) -> bool {
        !matches!(self.op, Op::Scratch | Op::Config { .. } | Op::Settings(_) | Op::Written(_))
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Begins with nothing.
    Scratch,
    /// Begins with an image, or with a context of that name.
    Base {
        /// The name.
        image: String,
        /// The platform that was asked for.
        platform: Option<String>,
    },
    /// Runs a command with these variables.
    Run {
        /// The command with its mounts.
        run: Run,
        /// What it sees.
        scope: Scope,
    },
    /// Copies files of the context, of another step, or of the Dockerfile.
    Copy {
        /// How; `from` is among the step's sources.
        flags: CopyFlags,
        /// What, expanded.
        sources: Vec<Source>,
        /// Where to, expanded.
        target: String,
        /// Whether it is `ADD`.
        is_add: bool,
    },
    /// Enters a folder, and makes it if need be.
    Workdir(String),
    /// Changes single files.
    Change(Change),
    /// Has this configuration from here on, whatever it was.
    Settings(Box<spec::ContainerConfig>),
    /// Puts all that its sources have on top of its parent.
    Merge,
    /// What the second of its sources has otherwise than the first.
    Diff,
    /// What its parent, a command, has written to one of its mounts: the one with this number among
    /// those whose contents are results.
    Written(usize),
    /// Changes the configuration alone; words are expanded when that is known.
    Config {
        /// What it says.
        kind: Kind,
        /// The variables it sees.
        scope: Scope,
    },
}

/// All steps for a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Each after those it needs.
    pub steps: Vec<Step>,
    /// The step that is the result.
    pub target: StepId,
    /// Steps that are done anew though they are remembered.
    pub anew: BTreeSet<StepId>,
}

/// Plans a target of a file.
pub fn plan(mut stages: Stages, inputs: &Inputs, bases: &dyn Bases) -> Result<Graph, BuildError> {
    let target = stages.target(inputs)?;
    let needed = with_triggers(&mut stages, target, bases)?;
    let (steps, images) = Default::default();
    let ends = vec![None; stages.stages.len()];
    let mut planner = Planner { stages: &stages, inputs, bases, steps, ends, images };
    for stage in needed {
        planner.stage(stage)?;
    }
    let target = planner.ends[target].as_ref().expect("the target is among what is needed").0;
    let mut graph = Graph { steps: planner.steps, target, anew: BTreeSet::new() };
    graph.entitle(&stages, bases);
    Ok(graph)
}

/// Puts the triggers of bases in front of stages. A trigger can name stages that were not needed
/// before, so this goes on until none is new.
fn with_triggers(
    stages: &mut Stages,
    target: usize,
    bases: &dyn Bases,
) -> Result<Vec<usize>, BuildError> {
    let mut expanded = vec![false; stages.stages.len()];
    loop {
        let needed = stages.needed(target)?;
        let fresh: Vec<usize> = needed.iter().copied().filter(|stage| !expanded[*stage]).collect();
        if fresh.is_empty() {
            return Ok(needed);
        }
        for stage in fresh {
            expanded[stage] = true;
            let mut instructions = triggers(stages, stage, bases)?;
            instructions.iter().try_for_each(|own| stages.check(own))?;
            instructions.append(&mut stages.stages[stage].instructions);
            stages.stages[stage].instructions = instructions;
        }
    }
}

fn triggers(
    stages: &Stages,
    stage: usize,
    bases: &dyn Bases,
) -> Result<Vec<Instruction>, BuildError> {
    let own = &stages.stages[stage];
    match &own.base {
        Base::Scratch => Ok(Vec::new()),
        Base::Stage(base) => {
            let trigger = |instruction: &Instruction| match &instruction.kind {
                Kind::OnBuild { trigger, .. } => Some((**trigger).clone()),
                _ => None,
            };
            Ok(stages.stages[*base].instructions.iter().filter_map(trigger).collect())
        }
        Base::Image(image) => {
            let config = bases.config(image, own.platform.as_deref()).unwrap_or_default();
            let read = |text: &String| read_node(&read_trigger(text, '\\', own.span)?, '\\');
            config.on_build.iter().map(read).collect()
        }
    }
}

struct Planner<'a> {
    stages: &'a Stages,
    inputs: &'a Inputs,
    bases: &'a dyn Bases,
    steps: Vec<Step>,
    /// The last step of each stage that is planned, and its variables.
    ends: Vec<Option<(StepId, Scope)>>,
    /// Images that are copied from, each once.
    images: HashMap<String, StepId>,
}

impl Planner<'_> {
    fn stage(&mut self, stage: usize) -> Result<(), BuildError> {
        let all = self.stages;
        let own = &all.stages[stage];
        let (mut last, mut scope) = self.begin(stage);
        for instruction in &own.instructions {
            let used = RefCell::default();
            let (op, sources) = self.op(instruction, &mut scope, &used)?;
            let (parent, span, used) = (Some(last), instruction.span, used.into_inner());
            let (text, title) = (instruction.text.clone(), String::new());
            let (stage, documents) = (Some(stage), documents(&instruction.kind));
            let step = Step { op, parent, sources, stage, text, title, span, used, documents };
            last = self.add(step);
        }
        self.ends[stage] = Some((last, scope));
        Ok(())
    }

    fn begin(&mut self, stage: usize) -> (StepId, Scope) {
        let own = &self.stages.stages[stage];
        let platform = own.platform.clone();
        let (op, scope) = match &own.base {
            Base::Stage(base) => {
                return self.ends[*base].clone().expect("a stage comes after those it needs");
            }
            Base::Scratch => {
                let mut scope = Scope::default();
                scope.set_env("PATH", SCRATCH_PATH);
                (Op::Scratch, scope)
            }
            Base::Image(image) if self.bases.is_folder(image) => {
                return self.begin_with(image, stage);
            }
            Base::Image(image) => {
                let config = self.bases.config(image, platform.as_deref()).unwrap_or_default();
                let mut scope = Scope::default();
                scope.set_env("PATH", SCRATCH_PATH);
                for (name, value) in config.env.iter().filter_map(|pair| pair.split_once('=')) {
                    scope.set_env(name, value);
                }
                (Op::Base { image: image.clone(), platform }, scope)
            }
        };
        let (parent, sources, text, title, used, documents) = Default::default();
        let (stage, span) = (Some(stage), own.span);
        let step = Step { op, parent, sources, stage, text, title, span, used, documents };
        (self.add(step), scope)
    }

    /// Begins with the files of a context: nothing, and a copy of them.
    fn begin_with(&mut self, name: &str, stage: usize) -> (StepId, Scope) {
        let span = self.stages.stages[stage].span;
        let mut scope = Scope::default();
        scope.set_env("PATH", SCRATCH_PATH);
        let sources = vec![self.source(name, span)];
        let (text, title) = (format!("FROM {name}"), String::new());
        let (stage, used, documents) = (Some(stage), BTreeMap::new(), BTreeMap::new());
        let nothing = Step {
            op: Op::Scratch,
            parent: None,
            sources: Vec::new(),
            stage: None,
            text: text.clone(),
            title: title.clone(),
            span,
            used: used.clone(),
            documents: documents.clone(),
        };
        let parent = Some(self.add(nothing));
        let flags = CopyFlags { from: Some(name.to_owned()), ..CopyFlags::default() };
        let whole = vec![Source::Path("/".to_owned())];
        let op = Op::Copy { flags, sources: whole, target: "/".to_owned(), is_add: false };
        let step = Step { op, parent, sources, stage, text, title, span, used, documents };
        (self.add(step), scope)
    }

    fn add(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// What an instruction does; the variables that its words are expanded with are `used`.
    fn op(
        &mut self,
        instruction: &Instruction,
        scope: &mut Scope,
        used: &RefCell<BTreeMap<String, String>>,
    ) -> Result<(Op, Vec<StepId>), BuildError> {
        let (at, escape) = (instruction.span, self.stages.escape);
        let before = scope.clone();
        let note = |name: &str, value: &str| {
            used.borrow_mut().insert(name.to_owned(), value.to_owned());
        };
        let expand = |word: &str| before.expand_noting(word, at, escape, &note);
        let mut sources = Vec::new();
        let op = match &instruction.kind {
            Kind::Arg(list) => {
                let mut known = Vec::new();
                for argument in list {
                    let global = Some(&self.stages.global);
                    let value = match is_switch(&argument.0) {
                        true => argument.1.clone(),
                        false => scope.declare(argument, (self.inputs, global), (at, escape))?,
                    };
                    known.push((argument.0.clone(), value));
                }
                Op::Config { kind: Kind::Arg(known), scope: before }
            }
            Kind::Run(run) => {
                let from = run.mounts.iter().filter_map(|mount| mount.from.as_deref());
                sources = from.map(|name| self.source(name, at)).collect();
                Op::Run { run: run.clone(), scope: before }
            }
            Kind::Copy { flags, sources: from, target }
            | Kind::Add { flags, sources: from, target } => {
                sources = flags.from.iter().map(|name| self.source(name, at)).collect();
                let mut flags = flags.clone();
                for word in [&mut flags.chown, &mut flags.chmod, &mut flags.checksum] {
                    // What is empty is as good as not written.
                    let value = word.as_deref().map(expand).transpose()?;
                    *word = value.filter(|value| !value.is_empty());
                }
                let source = |source: &Source| match source {
                    Source::Path(path) => expand(path).map(Source::Path),
                    Source::Inline(here) if here.expand => {
                        let content = before.expand_document(&here.content, at, &note)?;
                        Ok(Source::Inline(Heredoc { content, ..here.clone() }))
                    }
                    inline => Ok(inline.clone()),
                };
                let from = from.iter().map(source).collect::<Result<Vec<_>, _>>()?;
                let is_add = matches!(instruction.kind, Kind::Add { .. });
                let is_repository = |source: &str| self.bases.is_repository(source);
                copied::check(&flags, &from, is_add, &is_repository)
                    .map_err(|words| BuildError::refused(at, words))?;
                Op::Copy { flags, sources: from, target: expand(target)?, is_add }
            }
            Kind::Workdir(path) => Op::Workdir(expand(path)?),
            Kind::Env(env) => {
                for (name, value) in &env.pairs {
                    scope.set_env(&expand(name)?, &expand(value)?);
                }
                Op::Config { kind: instruction.kind.clone(), scope: before }
            }
            kind => Op::Config { kind: kind.clone(), scope: before },
        };
        Ok((op, sources))
    }

    /// The end of a stage, or else an image.
    fn source(&mut self, name: &str, span: Span) -> StepId {
        if let Some((end, _)) = self.stages.find(name).and_then(|stage| self.ends[stage].as_ref()) {
            return *end;
        }
        if let Some(step) = self.images.get(name) {
            return *step;
        }
        let op = Op::Base { image: name.to_owned(), platform: None };
        let (parent, sources, stage, text, title, used, documents) = Default::default();
        let step = Step { op, parent, sources, stage, text, title, span, used, documents };
        let step = self.add(step);
        self.images.insert(name.to_owned(), step);
        step
    }
}

/// The documents of an instruction in which variables are expanded.
fn documents(kind: &Kind) -> BTreeMap<String, Digest> {
    let (Kind::Copy { sources, .. } | Kind::Add { sources, .. }) = kind else {
        return BTreeMap::new();
    };
    let document = |source: &Source| match source {
        Source::Inline(here) if here.expand => {
            Some((here.name.clone(), Digest::of(here.content.as_bytes())))
        }
        _ => None,
    };
    sources.iter().filter_map(document).collect()
}

impl Graph {
    /// Gives each step its title: the stage's name where there are several, its number among the
    /// stage's steps, and what it does.
    fn entitle(&mut self, stages: &Stages, bases: &dyn Bases) {
        let full = |image: &String| match Reference::parse(image) {
            Ok(name) if !bases.is_context(image) => name.with_default_tag().to_string(),
            _ => image.clone(),
        };
        let mut totals = vec![0; stages.stages.len()];
        for step in self.steps.iter().filter(|step| step.is_work()) {
            step.stage.into_iter().for_each(|stage| totals[stage] += 1);
        }
        let mut counts = vec![0; totals.len()];
        for step in &mut self.steps {
            let text = match &step.op {
                Op::Scratch => "FROM scratch",
                Op::Base { image, .. } => &format!("FROM {}", full(image)),
                _ => &step.text,
            };
            step.title = match step.stage {
                Some(stage) if step.is_work() => {
                    counts[stage] += 1;
                    let name = match &stages.stages[stage].name {
                        Some(name) => format!("{name} "),
                        None if stages.stages.len() > 1 => format!("stage-{stage} "),
                        None => String::new(),
                    };
                    let (at, of) = (counts[stage], totals[stage]);
                    format!("[{name}{at:>width$}/{of}] {text}", width = of.to_string().len())
                }
                _ => text.to_owned(),
            };
        }
    }

    /// One line a step: number, parent, sources, what it does.
    pub fn render(&self) -> String {
        let line = |(at, step): (usize, &Step)| {
            let what = match &step.op {
                Op::Scratch => "scratch".to_owned(),
                Op::Base { image, .. } => format!("base {image}"),
                Op::Run { run, .. } => match &run.command {
                    Command::Shell(text) => format!("run {text}"),
                    Command::Exec(list) => format!("run {list:?}"),
                },
                Op::Copy { target, is_add, .. } => {
                    format!("{} to {target}", if *is_add { "add" } else { "copy" })
                }
                Op::Workdir(path) => format!("workdir {path}"),
                Op::Config { .. } => format!("config {}", step.text),
                Op::Change(change) => change.title(),
                Op::Settings(_) => "settings".to_owned(),
                Op::Merge => "merge".to_owned(),
                Op::Diff => "diff".to_owned(),
                Op::Written(number) => format!("written {number}"),
            };
            let parent = step.parent.map(|parent| format!(" on {parent}")).unwrap_or_default();
            let from: String = step.sources.iter().map(|from| format!(" from {from}")).collect();
            format!("{at}{parent}{from}: {what}\n")
        };
        self.steps.iter().enumerate().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
