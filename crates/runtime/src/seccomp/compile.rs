//! Rules by name into a program for the kernel.
//!
//! The kernel runs a filter once for every call's number when it is loaded, to find the calls that
//! it need not ask about. So the program is a binary tree over ranges of numbers with the same
//! verdict: about ten steps for each of them, where a list takes hundreds.

use std::collections::BTreeMap;

use spec::bundle::{Seccomp, SeccompAction, SeccompArg, SeccompOp, SeccompRule};
use sys::seccomp::Instruction;

use super::arch::Arch;
use crate::error::{Result, RuntimeError};

/// `ld` a word of the call's data.
const LOAD: u16 = 0x20;
/// `and` a constant.
const AND: u16 = 0x54;
/// `ja`.
const JUMP: u16 = 0x05;
/// `jeq`, `jgt`, `jge` a constant.
pub(super) const EQUAL: u16 = 0x15;
pub(super) const GREATER: u16 = 0x25;
pub(super) const GREATER_OR_EQUAL: u16 = 0x35;
/// `ret` a constant.
const RETURN: u16 = 0x06;

/// Where the call's number, processor and arguments lie.
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The error of a call that does not exist.
const ENOSYS: u32 = 38;

/// What happens to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Always this.
    Always(u32),
    /// The first of these whose conditions hold, else the second.
    First(Vec<(Vec<SeccompArg>, u32)>, u32),
}

/// The kernel's word for an action.
pub(super) fn action(action: SeccompAction, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1) & 0xffff;
    match action {
        SeccompAction::KillProcess => 0x8000_0000,
        SeccompAction::KillThread => 0,
        SeccompAction::Trap => 0x0003_0000,
        SeccompAction::Errno => 0x0005_0000 | data,
        SeccompAction::Notify => 0x7fc0_0000,
        SeccompAction::Trace => 0x7ff0_0000 | data,
        SeccompAction::Log => 0x7ffc_0000,
        SeccompAction::Allow => 0x7fff_0000,
    }
}

/// The program of a filter.
pub(super) fn compile(seccomp: &Seccomp) -> Result<Vec<Instruction>> {
    let mut sections: BTreeMap<u32, Vec<Arch>> = BTreeMap::new();
    for arch in architectures(seccomp)? {
        let section = sections.entry(arch.audit()).or_default();
        if !section.contains(&arch) {
            section.push(arch);
        }
    }
    let mut program = vec![instruction(LOAD, 0, 0, PROCESSOR)];
    for (audit, arches) in &sections {
        let mut section = vec![instruction(LOAD, 0, 0, NUMBER)];
        section.extend(tree(&ranges(seccomp, arches)));
        program.extend(branch(EQUAL, *audit, section));
    }
    // Programs for other processors would have other numbers for the same calls.
    program.push(instruction(RETURN, 0, 0, action(SeccompAction::KillThread, None)));
    match program.len() <= 4096 {
        true => Ok(program),
        false => Err(RuntimeError::invalid("the seccomp profile is too long for the kernel")),
    }
}

/// Those that are named, and the host's own in any case. What no program here could be made for has no
/// numbers.
fn architectures(seccomp: &Seccomp) -> Result<Vec<Arch>> {
    let host = Arch::host()
        .ok_or_else(|| RuntimeError::invalid("seccomp filters are not known for this processor"))?;
    if let Some(name) = seccomp.architectures.iter().find(|name| !Arch::is_known(name)) {
        let what = format!("string {name} is not a valid arch for seccomp");
        return Err(RuntimeError::invalid(what));
    }
    let named = seccomp.architectures.iter().filter_map(|name| Arch::parse(name));
    Ok(std::iter::once(host).chain(named).collect())
}

/// Code that is run when the comparison holds, and passed over when it does not.
fn branch(code: u16, value: u32, inner: Vec<Instruction>) -> Vec<Instruction> {
    let mut program = match u8::try_from(inner.len()) {
        Ok(length) => vec![instruction(code, 0, length, value)],
        // A jump on a condition reaches 255 steps.
        Err(_) => {
            let length = u32::try_from(inner.len()).unwrap_or(u32::MAX);
            vec![instruction(code, 1, 0, value), instruction(JUMP, 0, 0, length)]
        }
    };
    program.extend(inner);
    program
}

fn instruction(code: u16, jump_true: u8, jump_false: u8, value: u32) -> Instruction {
    Instruction { code, jump_true, jump_false, value }
}

/// The verdict for every number: each range's first number, in order.
pub(super) fn ranges(seccomp: &Seccomp, arches: &[Arch]) -> Vec<(u32, Verdict)> {
    let default = action(seccomp.default_action, seccomp.default_errno_ret);
    let mut calls: BTreeMap<u32, Vec<&SeccompRule>> = BTreeMap::new();
    let mut tops = Vec::new();
    for arch in arches {
        let mut top = None;
        for rule in &seccomp.syscalls {
            for number in rule.names.iter().filter_map(|name| arch.number(name)) {
                calls.entry(number).or_default().push(rule);
                top = top.max(Some(number));
            }
        }
        tops.extend(top);
    }
    let mut ranges = vec![(0, Verdict::Always(default))];
    let mut put = |first: u32, verdict: Verdict| match ranges.last_mut() {
        Some(last) if last.0 == first => last.1 = verdict,
        Some(last) if last.1 == verdict => {}
        _ => ranges.push((first, verdict)),
    };
    // Calls that are newer than the profile are told not to exist, so that programs fall back to
    // what the profile knows, instead of taking a refusal for an answer.
    let newer = match seccomp.default_action {
        SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace => default,
        _ => action(SeccompAction::Errno, Some(ENOSYS)),
    };
    for (number, rules) in &calls {
        put(*number, verdict(rules, default));
        let beyond = if tops.contains(number) { newer } else { default };
        if let Some(next) = number.checked_add(1) {
            put(next, Verdict::Always(beyond));
        }
    }
    // Between the calls of two processors with one number nothing is new.
    if let [Arch::X86_64, ..] = arches
        && arches.contains(&Arch::X32)
    {
        split_at_x32(&mut ranges);
    }
    merge(ranges)
}

/// x32's numbers begin again far above; below its first call it has none that are new.
fn split_at_x32(ranges: &mut Vec<(u32, Verdict)>) {
    const X32: u32 = 0x4000_0000;
    let default = ranges[0].1.clone();
    let place = ranges.partition_point(|(first, _)| *first < X32);
    if ranges.get(place).is_none_or(|(first, _)| *first != X32) {
        ranges.insert(place, (X32, default));
    }
}

/// Joins neighbours of one verdict.
fn merge(ranges: Vec<(u32, Verdict)>) -> Vec<(u32, Verdict)> {
    let mut merged: Vec<(u32, Verdict)> = Vec::new();
    for (first, verdict) in ranges {
        if merged.last().is_none_or(|(_, last)| *last != verdict) {
            merged.push((first, verdict));
        }
    }
    merged
}

/// The first rule that holds decides.
fn verdict(rules: &[&SeccompRule], default: u32) -> Verdict {
    let mut conditional = Vec::new();
    for rule in rules {
        let action = action(rule.action, rule.errno_ret);
        if rule.args.is_empty() {
            // Nothing after it can be reached.
            return match conditional.is_empty() {
                true => Verdict::Always(action),
                false => Verdict::First(conditional, action),
            };
        }
        conditional.push((rule.args.clone(), action));
    }
    Verdict::First(conditional, default)
}

/// A binary tree over ranges.
fn tree(ranges: &[(u32, Verdict)]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [(_, verdict)] => leaf(verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let (first, low, high) = (high[0].0, tree(low), tree(high));
            // The upper half comes first, so that one jump passes over it.
            let mut program = branch(GREATER_OR_EQUAL, first, high);
            program.extend(low);
            program
        }
    }
}

fn leaf(verdict: &Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Always(action) => vec![instruction(RETURN, 0, 0, *action)],
        Verdict::First(rules, otherwise) => {
            let mut program = Vec::new();
            for (conditions, action) in rules {
                program.extend(rule(conditions, *action));
            }
            program.push(instruction(RETURN, 0, 0, *otherwise));
            program
        }
    }
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum To {
    /// The next step.
    On,
    /// The end of this condition: it holds.
    Holds,
    /// The end of the rule: it does not.
    Fails,
}

/// Code that returns the action when all conditions hold, and goes on behind itself otherwise.
fn rule(conditions: &[SeccompArg], action: u32) -> Vec<Instruction> {
    let steps: Vec<_> = conditions.iter().map(condition).collect();
    let total = steps.iter().map(Vec::len).sum::<usize>() + 1;
    let (mut program, mut end) = (Vec::new(), 0);
    for condition in &steps {
        end += condition.len();
        for (code, value, holds, fails) in condition {
            let next = program.len() + 1;
            let jump = |to: &To| {
                let target = match to {
                    To::On => next,
                    To::Holds => end,
                    To::Fails => total,
                };
                // Six conditions of six steps are the most.
                u8::try_from(target - next).unwrap_or(u8::MAX)
            };
            program.push(instruction(*code, jump(holds), jump(fails), *value));
        }
    }
    program.push(instruction(RETURN, 0, 0, action));
    program
}

type Step = (u16, u32, To, To);

/// A comparison of 64 bits in halves, the upper one first.
fn condition(argument: &SeccompArg) -> Vec<Step> {
    use To::{Fails, Holds, On};
    // Whoever has a filter made of them has looked at the numbers.
    let place = ARGUMENTS + 8 * argument.index.min(5);
    let load = |at: u32| (LOAD, at, On, On);
    let (low, high) = match cfg!(target_endian = "little") {
        true => (place, place + 4),
        false => (place + 4, place),
    };
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let (upper, lower) = halves(argument.value);
    let ordered = |code: u16, above: To, below: To, holds: To, fails: To| {
        vec![
            load(high),
            (GREATER, upper, above, On),
            (EQUAL, upper, On, below),
            load(low),
            (code, lower, holds, fails),
        ]
    };
    match argument.op {
        SeccompOp::Equal => {
            vec![load(high), (EQUAL, upper, On, Fails), load(low), (EQUAL, lower, On, Fails)]
        }
        SeccompOp::NotEqual => {
            vec![load(high), (EQUAL, upper, On, Holds), load(low), (EQUAL, lower, Fails, Holds)]
        }
        SeccompOp::Greater => ordered(GREATER, Holds, Fails, Holds, Fails),
        SeccompOp::GreaterOrEqual => ordered(GREATER_OR_EQUAL, Holds, Fails, Holds, Fails),
        SeccompOp::Less => ordered(GREATER_OR_EQUAL, Fails, Holds, Fails, Holds),
        SeccompOp::LessOrEqual => ordered(GREATER, Fails, Holds, Fails, Holds),
        SeccompOp::MaskedEqual => {
            let (upper_wanted, lower_wanted) = halves(argument.value_two);
            vec![
                load(high),
                (AND, upper, On, On),
                (EQUAL, upper_wanted, On, Fails),
                load(low),
                (AND, lower, On, On),
                (EQUAL, lower_wanted, On, Fails),
            ]
        }
    }
}
