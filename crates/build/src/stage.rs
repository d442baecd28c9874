//! Stages: what stands between one `FROM` and the next, found by name or number.

use std::collections::HashMap;

use spec::Reference;

use crate::error::{BuildError, Span, nearest};
use crate::instruction::{self, Instruction, Kind};
use crate::scope::{Inputs, Scope};
use crate::syntax::Document;

/// A stage with its base expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The name in small letters, if it has one.
    pub name: Option<String>,
    /// What it begins from.
    pub base: Base,
    /// `--platform`, expanded.
    pub platform: Option<String>,
    /// What follows, in order.
    pub instructions: Vec<Instruction>,
    /// Where its `FROM` stands.
    pub span: Span,
}

/// What a stage begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, or a context of that name.
    Image(String),
}

/// All stages of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// In the order of the file.
    pub stages: Vec<Stage>,
    /// What is known before the first.
    pub global: Scope,
    /// What joins lines and protects letters.
    pub escape: char,
    names: HashMap<String, usize>,
}

impl Stages {
    /// Sorts a file's instructions into stages.
    pub fn read(document: &Document, inputs: &Inputs) -> Result<Stages, BuildError> {
        let escape = document.directives.escape;
        let global = Scope::global(inputs);
        let mut all = Stages { stages: vec![], global, escape, names: HashMap::new() };
        for instruction in instruction::read(document)? {
            let at = instruction.span;
            match instruction.kind {
                Kind::From { base, name, platform, .. } => all.open(&base, name, platform, at)?,
                Kind::Arg(list) if all.stages.is_empty() => {
                    for argument in &list {
                        all.global.declare(argument, (inputs, None), (at, escape))?;
                    }
                }
                _ => {
                    let last = all.stages.last_mut().expect("read() wants a FROM first");
                    last.instructions.push(instruction);
                }
            }
        }
        if all.stages.is_empty() {
            return Err(BuildError::NoStages);
        }
        all.stages
            .iter()
            .flat_map(|stage| &stage.instructions)
            .try_for_each(|own| all.check(own))?;
        Ok(all)
    }

    /// Refuses to copy from a stage by a number that none has: no image is called so.
    pub(crate) fn check(&self, instruction: &Instruction) -> Result<(), BuildError> {
        let Kind::Copy { flags, .. } = &instruction.kind else { return Ok(()) };
        let number = flags.from.as_ref().and_then(|name| name.parse::<i64>().ok());
        let is_there = |number: i64| usize::try_from(number).is_ok_and(|at| at < self.stages.len());
        match number {
            Some(number) if !is_there(number) => {
                let words = format!("invalid stage index {number}");
                Err(BuildError::refused(instruction.span, words))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what is no image's name where an image is meant. Names of contexts are free.
    pub fn check_names(&self, is_context: impl Fn(&str) -> bool) -> Result<(), BuildError> {
        for stage in &self.stages {
            let Base::Image(name) = &stage.base else { continue };
            // An image that is here may be meant by its id.
            let is_id =
                |text: &str| text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            if is_id(name.strip_prefix("sha256:").unwrap_or(name)) || is_context(name) {
                continue;
            }
            Reference::parse(name).map_err(|error| {
                let words = format!("failed to parse stage name {name:?}: {error}");
                BuildError::refused(stage.span, words)
            })?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        base: &str,
        name: Option<String>,
        platform: Option<String>,
        span: Span,
    ) -> Result<(), BuildError> {
        let written = base;
        let base = self.global.expand(written, span, self.escape)?;
        if base.is_empty() {
            let words = format!("base name ({written}) should not be blank");
            return Err(BuildError::refused(span, words));
        }
        let expand = |word: String| self.global.expand(&word, span, self.escape);
        let platform = platform.map(expand).transpose()?.filter(|platform| !platform.is_empty());
        let base = match self.names.get(&base.to_lowercase()) {
            Some(stage) => Base::Stage(*stage),
            None if base == "scratch" => Base::Scratch,
            None => Base::Image(base),
        };
        if let Some(name) = &name {
            self.names.insert(name.clone(), self.stages.len());
        }
        self.stages.push(Stage { name, base, platform, instructions: vec![], span });
        Ok(())
    }

    /// Puts contexts in the place of the stages that are called like them, and says which stages
    /// those were: their own instructions are not carried out.
    pub fn replace(&mut self, is_context: impl Fn(&str) -> bool) -> Vec<usize> {
        let mut replaced = Vec::new();
        for (at, stage) in self.stages.iter_mut().enumerate() {
            let Some(name) = stage.name.as_ref().filter(|name| is_context(name)) else { continue };
            stage.base = Base::Image(name.clone());
            stage.instructions.clear();
            replaced.push(at);
        }
        replaced
    }

    /// The stage of a name, or of a number.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_number = || name.parse().ok().filter(|number| *number < self.stages.len());
        self.names.get(&name.to_lowercase()).copied().or_else(by_number)
    }

    /// The stage to be built.
    pub fn target(&self, inputs: &Inputs) -> Result<usize, BuildError> {
        let Some(name) = &inputs.target else { return Ok(self.stages.len() - 1) };
        self.find(name).ok_or_else(|| {
            let meant = nearest(name, self.names.keys().map(String::as_str)).map(str::to_owned);
            BuildError::NoTarget { name: name.clone(), meant }
        })
    }

    /// The stages that `--from` of an instruction, or of its mounts, names.
    pub fn sources(&self, instruction: &Instruction) -> Vec<usize> {
        let names: Vec<&String> = match &instruction.kind {
            Kind::Copy { flags, .. } => flags.from.iter().collect(),
            Kind::Run(run) => run.mounts.iter().filter_map(|mount| mount.from.as_ref()).collect(),
            _ => Vec::new(),
        };
        names.into_iter().filter_map(|name| self.find(name)).collect()
    }

    /// The stages that a target needs, each after those it needs itself.
    pub fn needed(&self, target: usize) -> Result<Vec<usize>, BuildError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Visit {
            New,
            Open,
            Done,
        }
        let mut visits = vec![Visit::New; self.stages.len()];
        let mut order = Vec::new();
        // A row of stages of our own: a long chain must not use up the stack.
        let mut open = vec![(target, self.parents(target))];
        visits[target] = Visit::Open;
        while let Some((stage, parents)) = open.last_mut() {
            match parents.pop() {
                Some(parent) if visits[parent] == Visit::New => {
                    visits[parent] = Visit::Open;
                    open.push((parent, self.parents(parent)));
                }
                Some(parent) if visits[parent] == Visit::Open => {
                    let at = self.stages[parent].span;
                    let name = self.stages[parent].name.clone();
                    let name = name.unwrap_or_else(|| parent.to_string());
                    return Err(BuildError::Circular { at, name });
                }
                Some(_) => {}
                None => {
                    visits[*stage] = Visit::Done;
                    order.push(*stage);
                    open.pop();
                }
            }
        }
        Ok(order)
    }

    /// What a stage needs, each stage once, the first to be visited last.
    fn parents(&self, stage: usize) -> Vec<usize> {
        let own = &self.stages[stage];
        let mut parents: Vec<usize> =
            own.instructions.iter().flat_map(|instruction| self.sources(instruction)).collect();
        if let Base::Stage(base) = own.base {
            parents.push(base);
        }
        parents.sort_unstable_by(|a, b| b.cmp(a));
        parents.dedup();
        parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;
    use spec::Platform;

    fn inputs(arguments: &[(&str, &str)], target: Option<&str>) -> Inputs {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Inputs {
            arguments: arguments.iter().map(own).collect(),
            target_platform: Platform::new("linux", "arm64", None),
            build_platform: Platform::new("linux", "amd64", None),
            target: target.map(str::to_owned),
        }
    }

    fn needed(text: &str, target: Option<&str>) -> Result<Vec<usize>, String> {
        let inputs = inputs(&[], target);
        let stages =
            Stages::read(&parse(text).unwrap(), &inputs).map_err(|error| error.to_string())?;
        let target = stages.target(&inputs).map_err(|error| error.to_string())?;
        stages.needed(target).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_only_what_the_target_needs() {
        let text = "FROM x AS a\nFROM y AS b\nFROM a AS c\nRUN --mount=from=1,target=/t z\n\
                    FROM scratch\nCOPY --from=A / /\n";
        assert_eq!(needed(text, None).unwrap(), [0, 3]);
        assert_eq!(needed(text, Some("C")).unwrap(), [0, 1, 2]);
        assert_eq!(needed(text, Some("1")).unwrap(), [1]);
        assert!(needed(text, Some("d")).unwrap_err().contains("could not be found"));
    }

    #[test]
    fn contexts_replace_stages() {
        let text = "FROM x AS a\nCOPY --from=b / /\nFROM a AS b\nRUN c\nFROM b\nCOPY --from=0 / /";
        let inputs = inputs(&[], None);
        let mut stages = Stages::read(&parse(text).unwrap(), &inputs).unwrap();
        assert_eq!(stages.replace(|name| name == "a"), [0]);
        assert_eq!(stages.stages[0].base, Base::Image("a".into()));
        assert!(stages.stages[0].instructions.is_empty());
        // What names the stage, by name or by number, means the context now.
        assert_eq!(stages.needed(2).unwrap(), [0, 1, 2]);
        assert_eq!(stages.replace(|name| name == "b"), [1]);
        assert_eq!(stages.stages[2].base, Base::Stage(1));
    }

    #[test]
    fn a_number_is_a_stage_and_never_an_image() {
        let copies = |from: &str| needed(&format!("FROM x\nFROM y\nCOPY --from={from} / /"), None);
        assert_eq!(copies("0").unwrap(), [0, 1]);
        for from in ["2", "10", "-1"] {
            assert_eq!(copies(from).unwrap_err(), format!("invalid stage index {from}"));
        }
        // Also in a stage that nobody needs.
        let unused = "FROM x AS a\nCOPY --from=7 / /\nFROM y";
        assert_eq!(needed(unused, None).unwrap_err(), "invalid stage index 7");
    }

    #[test]
    fn names_of_images_are_checked() {
        let check = |text: &str| {
            let stages = Stages::read(&parse(text).unwrap(), &inputs(&[], None)).unwrap();
            stages.check_names(|name| name == "Context").map_err(|error| error.to_string())
        };
        let wrong = |text: &str, why: &str| {
            let name = text.strip_prefix("FROM ").unwrap();
            let words = format!("failed to parse stage name {name:?}: invalid reference format");
            assert_eq!(check(text).unwrap_err(), format!("{words}{why}"));
        };
        wrong("FROM BB", ": repository name (library/BB) must be lowercase");
        wrong("FROM bb:bad:tag", "");
        let id = "0123456789abcdef".repeat(4);
        for base in ["bb:1", "h:5000/bb", "Context", "scratch", &id, &format!("sha256:{id}")] {
            assert_eq!(check(&format!("FROM {base}")), Ok(()), "{base}");
        }
        assert_eq!(check("FROM bb AS One\nFROM ONE"), Ok(()));
    }

    #[test]
    fn refuses_circles() {
        let text = "FROM x AS a\nCOPY --from=b / /\nFROM x AS b\nCOPY --from=a / /";
        assert!(needed(text, None).unwrap_err().contains("circular dependency"));
    }

    #[test]
    fn expands_bases_with_arguments_of_the_file() {
        let base = |text: &str, arguments: &[(&str, &str)]| {
            let stages = Stages::read(&parse(text).unwrap(), &inputs(arguments, None)).unwrap();
            (stages.stages[0].base.clone(), stages.stages[0].platform.clone())
        };
        let text = "ARG v=1\nARG b=x:${v}\nFROM --platform=$BUILDPLATFORM $b";
        let platform = Some("linux/amd64".to_owned());
        assert_eq!(base(text, &[]), (Base::Image("x:1".into()), platform.clone()));
        assert_eq!(base(text, &[("v", "2")]), (Base::Image("x:2".into()), platform));
        assert_eq!(base("FROM scratch", &[]), (Base::Scratch, None));
    }

    #[test]
    fn argument_scopes() {
        let inputs = inputs(&[("given", "g")], None);
        let mut global = Scope::global(&inputs);
        let place = (Span::new(1, 1), '\\');
        global.declare(&("v".into(), Some("1".into())), (&inputs, None), place).unwrap();
        let mut stage = Scope::default();
        assert_eq!(stage.get("TARGETARCH"), None);
        for name in ["v", "given", "TARGETARCH", "absent"] {
            stage.declare(&(name.into(), None), (&inputs, Some(&global)), place).unwrap();
        }
        assert_eq!(
            stage.expand("$v-$given-$TARGETARCH-$absent", place.0, '\\').unwrap(),
            "1-g-arm64-"
        );
        stage.set_env("v", "env");
        stage.declare(&("v".into(), Some("2".into())), (&inputs, None), place).unwrap();
        assert_eq!(stage.get("v"), Some("env"));
    }

    #[test]
    fn a_long_chain_costs_its_length() {
        let mut text = "FROM x AS s0\n".to_owned();
        for at in 1..5000 {
            text.push_str(&format!("FROM s{} AS s{at}\nCOPY --from=s0 a b\n", at - 1));
        }
        assert_eq!(needed(&text, None).unwrap().len(), 5000);
    }
}
