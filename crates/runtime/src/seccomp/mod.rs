//! Filters of system calls: profiles by name compiled into programs for the kernel.

mod arch;
mod compile;
mod default;
mod numbers;
mod profile;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use spec::bundle::{Seccomp, SeccompAction, Spec};
use sys::seccomp::Instruction;

pub use profile::{ArchMap, Condition, Profile, ProfileRule, Subject};

use crate::channel;
use crate::error::{Explain, Failure, Result, RuntimeError};

/// Flags of a filter by their names.
const FLAGS: &[(&str, u32)] = &[
    ("SECCOMP_FILTER_FLAG_TSYNC", TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE),
];
const TSYNC: u32 = 1;
const WAIT_KILLABLE: u32 = 32;
/// The flag that asks for the descriptor of calls.
const NEW_LISTENER: u32 = 8;

/// A filter ready to be put in place.
#[derive(Debug)]
pub struct Filter {
    pub(crate) program: Vec<Instruction>,
    pub(crate) flags: u32,
    /// Who is told of calls.
    pub(crate) listener: Option<OwnedFd>,
    metadata: String,
}

impl Filter {
    /// The filter of a configuration.
    pub fn of_spec(spec: &Spec) -> Result<Option<Filter>> {
        let seccomp = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        seccomp.map(Filter::new).transpose()
    }

    /// The filter of these rules.
    pub fn new(seccomp: &Seccomp) -> Result<Filter> {
        let mut flags = 0;
        for name in &seccomp.flags {
            let known = FLAGS.iter().find(|(known, _)| known == name);
            let unknown = || RuntimeError::invalid(format!("unknown flag {name} of seccomp"));
            flags |= known.ok_or_else(unknown)?.1;
        }
        check(seccomp)?;
        let notifies = seccomp.syscalls.iter().any(|rule| rule.action == SeccompAction::Notify);
        // A process of ours has one thread, and nobody waits who could be killed meanwhile: the
        // kernel refuses one flag where somebody is told, and the other where nobody is.
        flags &= if notifies { !TSYNC } else { !WAIT_KILLABLE };
        let listener = match (notifies, seccomp.listener_path.as_str()) {
            (false, _) => None,
            (true, "") => return Err(RuntimeError::invalid("seccomp needs a listenerPath")),
            (true, path) => {
                let stream = UnixStream::connect(path);
                let step = RuntimeError::step(format!("reach the seccomp listener at {path}"));
                flags |= NEW_LISTENER;
                Some(stream.map_err(step)?.into())
            }
        };
        let metadata = seccomp.listener_metadata.clone();
        Ok(Filter { program: compile::compile(seccomp)?, flags, listener, metadata })
    }

    /// How many instructions the kernel gets.
    pub fn instructions(&self) -> usize {
        self.program.len()
    }

    pub(crate) fn load(
        &self,
        state: Option<&spec::bundle::State>,
    ) -> std::result::Result<(), Failure> {
        // Made before: under the filter less is possible.
        let message = self.listener.as_ref().map(|_| self.message(state));
        let loaded = sys::seccomp::load(&self.program, self.flags);
        let told = loaded.call("seccomp", format_args!("{} instructions", self.program.len()))?;
        if let (Some(calls), Some(listener), Some(message)) = (told, &self.listener, message) {
            channel::send_with(listener, &[&message], Some(calls.as_fd()))
                .call("sendmsg", "the descriptor of calls")?;
        }
        Ok(())
    }

    /// What the specification has sent along with the descriptor.
    fn message(&self, state: Option<&spec::bundle::State>) -> Vec<u8> {
        serde_json::json!({
            "ociVersion": spec::bundle::OCI_VERSION,
            "fds": ["seccompFd"],
            "pid": state.map_or(0, |state| state.pid),
            "metadata": self.metadata,
            "state": state,
        })
        .to_string()
        .into_bytes()
    }
}

/// Refuses what no filter can be made of, and what would leave the process waiting for ever: nobody
/// can answer for a call before the descriptor of calls is sent, which takes a call.
fn check(seccomp: &Seccomp) -> Result<()> {
    if seccomp.default_action == SeccompAction::Notify {
        return Err(RuntimeError::invalid("SCMP_ACT_NOTIFY cannot be used as default action"));
    }
    for rule in &seccomp.syscalls {
        let is_told = rule.action == SeccompAction::Notify;
        let sends = |name: &&String| matches!(name.as_str(), "write" | "sendmsg");
        if let Some(name) = rule.names.iter().find(sends).filter(|_| is_told) {
            let what = format!("SCMP_ACT_NOTIFY cannot be used for the {name} syscall");
            return Err(RuntimeError::invalid(what));
        }
        if let Some(arg) = rule.args.iter().find(|arg| arg.index > 5) {
            let given = u64::from(arg.index) + 1;
            let what = format!("syscalls only have up to 6 arguments ({given} given)");
            return Err(RuntimeError::invalid(what));
        }
    }
    Ok(())
}

/// What filters can do, as the specification's `features` document says it.
pub(crate) fn features() -> serde_json::Value {
    let flags: Vec<_> = FLAGS.iter().map(|(name, _)| name).collect();
    serde_json::json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP"
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"
        ],
        "archs": arch::known_names(),
        "knownFlags": flags,
        "supportedFlags": flags,
    })
}
