//! Rules of devices where groups have no files for them: a program that the kernel asks.
//!
//! Version 1 takes rules one after another and lets the last that fits decide, for reading, writing
//! and making apart. The program does the same from the last rule to the first: what a rule allows
//! is asked no more, and what is denied ends it.

use spec::bundle::DeviceRule;
use sys::bpf::Instruction;

use crate::error::{Result, RuntimeError};

/// Registers: what is to be said, what the kernel knows of the question, and our own.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const DENIED: u8 = 6;

/// Codes of instructions: a word is read, a register copied or set, masked, shifted; a jump where it
/// is a number, or is not; the end.
const READ: u8 = 0x61;
const COPY: u8 = 0xbc;
const SET: u8 = 0xb4;
const MASK: u8 = 0x54;
const SHIFT: u8 = 0x74;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_OTHER: u8 = 0x55;
const END: u8 = 0x95;

/// All that can be done with a device: making it, reading it, writing to it.
const ALL: i32 = 1 | 2 | 4;

/// The program of some rules; none where they forbid nothing.
pub(super) fn program(rules: &[DeviceRule]) -> Result<Option<Vec<Instruction>>> {
    if rules.iter().all(|rule| rule.allow) {
        return Ok(None);
    }
    let mut program = vec![
        op(READ, KIND, QUESTION, 0, 0),
        op(COPY, ACCESS, KIND, 0, 0),
        op(SHIFT, ACCESS, 0, 0, 16),
        op(MASK, KIND, 0, 0, 0xffff),
        op(READ, MAJOR, QUESTION, 4, 0),
        op(READ, MINOR, QUESTION, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(rule_of(rule)?);
    }
    // Whoever is in no rule may do as the groups above say.
    program.extend(answer(1));
    Ok(Some(program))
}

fn op(code: u8, target: u8, source: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: target | source << 4, offset, value }
}

fn answer(value: i32) -> [Instruction; 2] {
    [op(SET, ANSWER, 0, 0, value), op(END, 0, 0, 0, 0)]
}

fn rule_of(rule: &DeviceRule) -> Result<Vec<Instruction>> {
    let access = access_of(&rule.access)?;
    let mut then = match rule.allow {
        true => vec![op(MASK, ACCESS, 0, 0, ALL & !access), op(JUMP_OTHER, ACCESS, 0, 2, 0)],
        false => vec![
            op(COPY, DENIED, ACCESS, 0, 0),
            op(MASK, DENIED, 0, 0, access),
            op(JUMP_EQUAL, DENIED, 0, 2, 0),
        ],
    };
    then.extend(answer(rule.allow.into()));
    let mut tests = Vec::new();
    if let Some(kind) = kind_of(&rule.kind)? {
        tests.push((KIND, kind));
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        // Less than nothing is any.
        if let Some(number) = number.filter(|number| *number >= 0) {
            let wrong = |_| RuntimeError::invalid(format!("{number} is no number of a device"));
            tests.push((register, i32::try_from(number).map_err(wrong)?));
        }
    }
    let count = tests.len();
    let jumps = tests.into_iter().enumerate().map(|(place, (register, number))| {
        // Past the other tests and all that follows them.
        let far = i16::try_from(count - place - 1 + then.len()).unwrap_or(i16::MAX);
        op(JUMP_OTHER, register, 0, far, number)
    });
    Ok(jumps.collect::<Vec<_>>().into_iter().chain(then.iter().copied()).collect())
}

fn kind_of(kind: &str) -> Result<Option<i32>> {
    match kind {
        "" | "a" => Ok(None),
        "b" => Ok(Some(1)),
        "c" | "u" => Ok(Some(2)),
        other => Err(RuntimeError::invalid(format!("unknown type {other:?} of devices"))),
    }
}

fn access_of(access: &str) -> Result<i32> {
    if access.is_empty() {
        return Ok(ALL);
    }
    access.chars().try_fold(0, |all, letter| match letter {
        'm' => Ok(all | 1),
        'r' => Ok(all | 2),
        'w' => Ok(all | 4),
        _ => Err(RuntimeError::invalid(format!("unknown access {access:?} to devices"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> DeviceRule {
        let words: Vec<_> = text.split(' ').collect();
        let number = |text: &str| text.parse().ok();
        DeviceRule {
            allow: words[0] == "allow",
            kind: words[1].to_owned(),
            major: number(words[2]),
            minor: number(words[3]),
            access: words[4].to_owned(),
        }
    }

    /// What the kernel would be told: the program carried out by hand.
    fn asks(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> i64 {
        let question = [access << 16 | kind, major, minor];
        let (mut registers, mut next) = ([0i64; 7], 0usize);
        loop {
            let Instruction { code, registers: pair, offset, value } = program[next];
            let (target, source) = (usize::from(pair & 15), usize::from(pair >> 4));
            next += 1;
            let jump = match code {
                READ => {
                    registers[target] = question[usize::try_from(offset).unwrap() / 4].into();
                    false
                }
                COPY => {
                    registers[target] = registers[source];
                    false
                }
                SET => {
                    registers[target] = value.into();
                    false
                }
                MASK => {
                    registers[target] &= i64::from(value);
                    false
                }
                SHIFT => {
                    registers[target] >>= value;
                    false
                }
                JUMP_EQUAL => registers[target] == i64::from(value),
                JUMP_OTHER => registers[target] != i64::from(value),
                END => return registers[0],
                other => panic!("{other:x}"),
            };
            if jump {
                next += usize::try_from(offset).unwrap();
            }
        }
    }

    const CHARACTER: u32 = 2;
    const BLOCK: u32 = 1;
    const MAKE: u32 = 1;
    const GET: u32 = 2;
    const PUT: u32 = 4;

    #[test]
    fn the_last_rule_that_fits_decides_for_each_access() {
        let rules = [
            "deny a x x rwm",
            "allow c x x m",
            "allow c 1 3 rw",
            "allow c 136 x rwm",
            "allow c 5 1 r",
            "allow c 5 1 w",
            "deny c 136 7 w",
        ];
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        let program = program(&rules).unwrap().unwrap();
        let check = |kind, access, major, minor, allowed: bool| {
            let said = asks(&program, kind, access, major, minor);
            assert_eq!(said, i64::from(allowed), "{kind} {access} {major}:{minor}");
        };
        check(CHARACTER, GET | PUT, 1, 3, true);
        check(CHARACTER, MAKE, 1, 11, true);
        check(CHARACTER, GET, 1, 11, false);
        check(BLOCK, GET, 1, 3, false);
        check(BLOCK, MAKE, 8, 0, false);
        check(CHARACTER, GET | PUT, 136, 9, true);
        check(CHARACTER, GET, 136, 7, true);
        check(CHARACTER, GET | PUT, 136, 7, false);
        // Each of two rules allows a part.
        check(CHARACTER, GET | PUT, 5, 1, true);
    }

    #[test]
    fn rules_that_forbid_nothing_need_no_program_and_wrong_ones_are_refused() {
        assert_eq!(program(&[rule("allow a x x rwm")]).unwrap(), None);
        assert_eq!(program(&[]).unwrap(), None);
        for text in ["deny x 1 1 r", "deny c 1 1 z", "deny c 99999999999 1 r"] {
            assert!(program(&[rule(text)]).is_err(), "{text}");
        }
    }
}
