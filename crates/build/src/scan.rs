//! What a Dockerfile wants looked through, besides the result, for what is installed.

use crate::instruction::Kind;
use crate::scope::Inputs;
use crate::stage::{Stage, Stages};

const CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";
const STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";

/// Whether an argument only says what is looked through: no word and no command sees it.
pub(crate) fn is_switch(name: &str) -> bool {
    matches!(name, CONTEXT | STAGE)
}

/// What a stage wants looked through, if it is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The context.
    pub context: bool,
    /// The stage's own files.
    pub stage: bool,
}

impl Stages {
    /// What each stage wants looked through: by arguments of its own or of the file's head, which the
    /// user can set where they are declared.
    pub fn scanned(&self, inputs: &Inputs) -> Vec<Scanned> {
        let of = |(number, own): (usize, &Stage)| Scanned {
            context: self.is_on(CONTEXT, number, own, inputs),
            stage: self.is_on(STAGE, number, own, inputs),
        };
        self.stages.iter().enumerate().map(of).collect()
    }

    fn is_on(&self, name: &str, number: usize, own: &Stage, inputs: &Inputs) -> bool {
        let of_file = self.global.get(name).map(str::to_owned);
        let declared = own.instructions.iter().rev().find_map(|instruction| {
            let Kind::Arg(list) = &instruction.kind else { return None };
            list.iter().rev().find(|(known, _)| known == name)
        });
        let value = match declared {
            Some((_, default)) => {
                inputs.arguments.get(name).cloned().or_else(|| default.clone()).or(of_file)
            }
            None => of_file,
        };
        match value.as_deref().map(str::trim) {
            None | Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            // Else it is a list of stages.
            Some(list) => list.split(',').map(str::trim).any(|wanted| {
                own.name.as_deref() == Some(&wanted.to_lowercase()) || wanted.parse() == Ok(number)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse;
    use spec::Platform;

    #[track_caller]
    fn check(text: &str, arguments: &[(&str, &str)], wanted: &[(bool, bool)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let inputs = Inputs {
            arguments: arguments.iter().map(own).collect(),
            target_platform: Platform::host(),
            build_platform: Platform::host(),
            target: None,
        };
        let stages = Stages::read(&parse(text).unwrap(), &inputs).unwrap();
        let scanned = stages.scanned(&inputs);
        let scanned: Vec<_> = scanned.iter().map(|own| (own.context, own.stage)).collect();
        assert_eq!(scanned, wanted, "{text}");
    }

    #[test]
    fn each_stage_says_what_is_looked_through() {
        let off = (false, false);
        check("FROM a\nFROM b", &[(CONTEXT, "true"), (STAGE, "1")], &[off, off]);
        let of_stage = "FROM a\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nFROM b";
        check(of_stage, &[], &[(false, true), off]);
        check(of_stage, &[(STAGE, "false")], &[off, off]);
        let of_file = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=1\nFROM a\nARG BUILDKIT_SBOM_SCAN_CONTEXT=\nFROM b\n\
                       ARG BUILDKIT_SBOM_SCAN_CONTEXT";
        check(of_file, &[], &[off, (true, false)]);
        let listed = "ARG BUILDKIT_SBOM_SCAN_STAGE=Base,2\nFROM a AS base\nFROM b\nFROM c";
        check(listed, &[], &[(false, true), off, (false, true)]);
        check(listed, &[(STAGE, "other")], &[off, off, off]);
    }
}
