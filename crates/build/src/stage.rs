//! Stages: what stands between one `FROM` and the next, found by name or number.

use std::collections::HashMap;

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
            return Err(BuildError::Empty);
        }
        Ok(all)
    }

    fn open(
        &mut self,
        base: &str,
        name: Option<String>,
        platform: Option<String>,
        span: Span,
    ) -> Result<(), BuildError> {
        let base = self.global.expand(base, span, self.escape)?;
        if base.is_empty() {
            return Err(BuildError::parse(span, "base name should not be blank"));
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
