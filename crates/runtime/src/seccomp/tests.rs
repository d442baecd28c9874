use std::collections::BTreeMap;

use spec::bundle::{Seccomp, SeccompAction, SeccompArg, SeccompOp, SeccompRule};
use sys::seccomp::Instruction;

use super::arch::Arch;
use super::compile::{EQUAL, GREATER, GREATER_OR_EQUAL, action, compile};
use super::numbers::CALLS;
use super::*;

/// A call as a filter sees it.
#[derive(Clone, Copy, Debug)]
struct Call {
    audit: u32,
    number: u32,
    arguments: [u64; 6],
}

/// What the kernel's machine makes of a call: the verdict and the steps.
fn execute(program: &[Instruction], call: Call) -> (u32, usize) {
    let word = |at: u32| match at {
        0 => call.number,
        4 => call.audit,
        at => {
            let value = call.arguments[(at as usize - 16) / 8];
            if at % 8 == 0 { value as u32 } else { (value >> 32) as u32 }
        }
    };
    let (mut place, mut register, mut steps) = (0, 0u32, 0);
    loop {
        let Instruction { code, jump_true, jump_false, value } = program[place];
        steps += 1;
        place += 1;
        let mut jump =
            |holds: bool| place += usize::from(if holds { jump_true } else { jump_false });
        match code {
            0x20 => register = word(value),
            0x54 => register &= value,
            0x05 => place += value as usize,
            EQUAL => jump(register == value),
            GREATER => jump(register > value),
            GREATER_OR_EQUAL => jump(register >= value),
            0x06 => return (value, steps),
            code => panic!("instruction {code:x}"),
        }
    }
}

/// What the rules say, read from the first to the last.
struct Judge<'a> {
    seccomp: &'a Seccomp,
    arch: Arch,
    rules: BTreeMap<u32, Vec<&'a SeccompRule>>,
}

impl<'a> Judge<'a> {
    fn new(seccomp: &'a Seccomp, arch: Arch) -> Judge<'a> {
        let mut rules: BTreeMap<u32, Vec<&SeccompRule>> = BTreeMap::new();
        for rule in &seccomp.syscalls {
            for number in rule.names.iter().filter_map(|name| arch.number(name)) {
                rules.entry(number).or_default().push(rule);
            }
        }
        Judge { seccomp, arch, rules }
    }

    fn judge(&self, call: Call) -> u32 {
        let (seccomp, rules) = (self.seccomp, self.rules.get(&call.number));
        for rule in rules.into_iter().flatten() {
            if rule.args.iter().all(|arg| holds(arg, &call)) {
                return action(rule.action, rule.errno_ret);
            }
        }
        let newer = self.rules.keys().last() < Some(&call.number);
        let refuses = matches!(seccomp.default_action, SeccompAction::Errno | SeccompAction::Trap);
        match newer && refuses && in_reach(self.arch, call.number) {
            true => action(SeccompAction::Errno, Some(38)),
            false => action(seccomp.default_action, seccomp.default_errno_ret),
        }
    }
}

fn holds(arg: &SeccompArg, call: &Call) -> bool {
    let value = call.arguments[arg.index as usize];
    match arg.op {
        SeccompOp::Equal => value == arg.value,
        SeccompOp::NotEqual => value != arg.value,
        SeccompOp::Less => value < arg.value,
        SeccompOp::LessOrEqual => value <= arg.value,
        SeccompOp::Greater => value > arg.value,
        SeccompOp::GreaterOrEqual => value >= arg.value,
        SeccompOp::MaskedEqual => value & arg.value == arg.value_two,
    }
}

/// Whether a number can be one of this processor's.
fn in_reach(arch: Arch, number: u32) -> bool {
    arch != Arch::X86_64 || number < 0x4000_0000
}

const INTERESTING: &[u64] = &[
    0,
    1,
    8,
    16,
    39,
    40,
    41,
    0x2_0000,
    0x2_0008,
    0x1000_0000,
    0x7e02_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 32) | 40,
    u64::MAX,
];

/// Compares the program with the rules for every call there is and many that are none.
fn compare(seccomp: &Seccomp, arches: &[Arch]) -> usize {
    let program = compile(seccomp).unwrap();
    let mut most = 0;
    for arch in arches {
        let known = CALLS.iter().filter_map(|(name, _)| arch.number(name));
        let judge = Judge::new(seccomp, *arch);
        let base = if *arch == Arch::X32 { 0x4000_0000 } else { 0 };
        let numbers = known.chain(base..base + 600).chain([0xf_0000, 0x3fff_ffff, 0x4000_1000]);
        for number in numbers {
            if *arch == Arch::X86_64 && number >= 0x4000_0000 || *arch == Arch::X32 && number < base
            {
                continue;
            }
            for value in INTERESTING {
                for arguments in [[*value; 6], [*value, 0, 9, 0, 0, 0], [2, *value, 0, 0, 0, 0]] {
                    let call = Call { audit: arch.audit(), number, arguments };
                    let (verdict, steps) = execute(&program, call);
                    assert_eq!(verdict, judge.judge(call), "{arch:?} {call:x?}");
                    most = most.max(steps);
                }
            }
        }
    }
    most
}

fn default(capabilities: u64) -> Seccomp {
    let subject = Subject { capabilities, kernel: (6, 1) };
    Profile::of_docker().resolve(subject).unwrap()
}

#[test]
fn names_are_in_order() {
    assert!(CALLS.is_sorted_by(|one, other| one.0 < other.0));
    assert_eq!(Arch::X86_64.number("openat2"), Some(437));
    assert_eq!(Arch::X32.number("execve"), Some(0x4000_0000 + 520));
    assert_eq!(Arch::Aarch64.number("open"), None);
    let unknown: Vec<_> = default(u64::MAX)
        .syscalls
        .into_iter()
        .flat_map(|rule| rule.names)
        .filter(|name| CALLS.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).is_err())
        .collect();
    assert_eq!(unknown, ["riscv_hwprobe"], "misspelt");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_means_what_its_rules_say() {
    let arches = [Arch::X86_64, Arch::X86, Arch::X32];
    for capabilities in [0, 0xa804_25fb, 1 << 21, u64::MAX] {
        let seccomp = default(capabilities);
        let steps = compare(&seccomp, &arches);
        assert!(steps <= 40, "{steps} steps");
        let program = compile(&seccomp).unwrap();
        assert!(program.len() < 700, "{} instructions", program.len());
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_comparison_and_action_is_right() {
    let ops = [
        SeccompOp::Equal,
        SeccompOp::NotEqual,
        SeccompOp::Less,
        SeccompOp::LessOrEqual,
        SeccompOp::Greater,
        SeccompOp::GreaterOrEqual,
        SeccompOp::MaskedEqual,
    ];
    for (op, value) in ops.into_iter().flat_map(|op| INTERESTING.iter().map(move |v| (op, *v))) {
        let arg = |index, value| SeccompArg { index, value, value_two: value & 0xff, op };
        let rule = |names: &[&str], action, args| SeccompRule {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            action,
            errno_ret: Some(7),
            args,
        };
        let seccomp = Seccomp {
            default_action: SeccompAction::Trap,
            syscalls: vec![
                rule(&["read", "write"], SeccompAction::Errno, vec![arg(0, value), arg(1, 0)]),
                rule(&["write"], SeccompAction::Log, vec![arg(2, value)]),
                rule(&["write", "close"], SeccompAction::Allow, vec![]),
                rule(&["setxattrat", "file_setattr"], SeccompAction::KillProcess, vec![]),
            ],
            ..Seccomp::default()
        };
        let program = compile(&seccomp).unwrap();
        let judge = Judge::new(&seccomp, Arch::X86_64);
        for name in ["read", "write", "open", "close"] {
            let number = Arch::X86_64.number(name).unwrap();
            for first in INTERESTING {
                let arguments = [*first, 0, first.rotate_left(3), 0, 0, 0];
                let call = Call { audit: Arch::X86_64.audit(), number, arguments };
                assert_eq!(
                    execute(&program, call).0,
                    judge.judge(call),
                    "{call:x?} {op:?} {value:x}"
                );
            }
        }
    }
}

#[test]
fn other_processors_are_shut_out() {
    let program = compile(&default(0)).unwrap();
    let call = Call { audit: 0x8000_0016, number: 1, arguments: [0; 6] };
    assert_eq!(execute(&program, call).0, 0);
}

#[test]
fn processors_that_nobody_knows_are_refused() {
    let mut profile = default(0);
    profile.architectures.extend(["SCMP_ARCH_S390X", "SCMP_ARCH_RISCV64"].map(str::to_owned));
    compile(&profile).unwrap();
    profile.architectures.extend(arch::known_names());
    compile(&profile).unwrap();
    profile.architectures.push("SCMP_ARCH_FOO".to_owned());
    let words = "string SCMP_ARCH_FOO is not a valid arch for seccomp";
    assert!(compile(&profile).unwrap_err().to_string().contains(words));
}

#[test]
fn what_would_wait_for_ever_is_refused() {
    let filter = |text: &str| Filter::new(&serde_json::from_str(text).unwrap());
    let with = |rule: &str| {
        filter(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#))
    };
    let check = |made: Result<Filter>, words: &str| {
        assert_eq!(made.unwrap_err().to_string(), format!("invalid configuration: {words}"));
    };
    let default = filter(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#);
    check(default, "SCMP_ACT_NOTIFY cannot be used as default action");
    for name in ["write", "sendmsg"] {
        let rule = format!(r#"{{"names": ["mkdir", "{name}"], "action": "SCMP_ACT_NOTIFY"}}"#);
        check(with(&rule), &format!("SCMP_ACT_NOTIFY cannot be used for the {name} syscall"));
        with(&rule.replace("NOTIFY", "ERRNO")).unwrap();
    }
    let beyond = r#"{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#;
    check(with(beyond), "syscalls only have up to 6 arguments (7 given)");
    with(&beyond.replace('6', "5")).unwrap();
}

#[test]
fn flags_that_the_kernel_refuses_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let flags = |action: &str| {
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": {socket:?}, "flags":
                ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
                "syscalls": [{{"names": ["mkdir"], "action": "{action}"}}]}}"#
        );
        Filter::new(&serde_json::from_str(&text).unwrap()).unwrap().flags
    };
    assert_eq!(flags("SCMP_ACT_ERRNO"), TSYNC);
    assert_eq!(flags("SCMP_ACT_NOTIFY"), NEW_LISTENER | WAIT_KILLABLE);
}

#[test]
fn profiles_are_read_as_docker_writes_them() {
    let text = br#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": null,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": null}],
        "syscalls": [
            {"name": "mkdir", "action": "SCMP_ACT_ERRNO", "args": null},
            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.1"}},
            {"names": ["chown"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_KILL"]}}
        ]}"#;
    let profile = Profile::parse(text).unwrap().unwrap();
    let subject = Subject { capabilities: 1 << 5, kernel: (6, 0) };
    let names = |subject| -> Vec<String> {
        let rules = profile.resolve(subject).unwrap().syscalls;
        rules.into_iter().flat_map(|rule| rule.names).collect()
    };
    assert_eq!(names(subject), ["mkdir"]);
    assert_eq!(names(Subject { capabilities: 0, ..subject }), ["mkdir", "chown"]);
    assert!(Profile::parse(br#"{"defaultAction": "SCMP_ACT_MOON"}"#).is_err());
}

#[test]
fn a_profile_that_leaves_an_action_out_is_none_or_wrong() {
    let nothing = [r#"{}"#, r#"{"defaultAction": "", "syscalls": null}"#];
    for text in nothing {
        assert_eq!(Profile::parse(text.as_bytes()).unwrap(), None, "{text}");
    }
    let wrong = [
        r#"{"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"}]}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"]}]}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "mkdir", "action": null}]}"#,
    ];
    for text in wrong {
        let error = Profile::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is not a valid action for seccomp"), "{text}: {error}");
    }
}
