//! Steps of graphs that work on whole stacks: what one has otherwise than another, several put on
//! one, and what a command has written besides.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ::build::graph::{Op, StepId};
use ::build::key::{About, Key};
use ::build::solver::Inputs;
use image::folder::Marks;
use image::merged::Change;
use image::pack::LayerWriter;
use serde_json::value::RawValue;
use spec::{ChainId, Digest, Timestamp};
use store::{StepLayer, StepRecord};

use super::layers;
use super::work::{Builder, Layered, Made, parent, shown};
use crate::error::{EngineError, Result};

/// No stack of merged layers is higher: no driver mounts more.
const MAX_LAYERS: usize = 500;

impl Builder<'_> {
    /// What a difference depends on.
    pub(super) fn diff_key(&self, inputs: &Inputs<Made>) -> Key {
        let key = Key::default().with(About::Instruction, "", "diff");
        let names = ["lower", "upper"].into_iter().zip(&inputs.sources);
        names.fold(key, |key, (name, made)| key.with(About::Source, name, shown(made.top)))
    }

    /// What the second source has otherwise than the first, as one layer.
    pub(super) fn diff(&self, inputs: &Inputs<Made>) -> Result<Layered> {
        let [lower, upper] = inputs.sources.as_slice() else {
            unreachable!("a difference is made of two")
        };
        let mut altered = self.engine.altered(lower.top, upper.top)?;
        let view = self.view(upper.top)?;
        // What is in a folder that is gone goes with it.
        altered.retain(|one| one.change != Change::Deleted || is_in_folder(&view, &one.path));
        let unpacked = layers::written(self.store(), self.lease, |out| {
            let top = sys::fs::folder_beneath(&*view, ".");
            let top = top.map_err(EngineError::io("open", "a step's files"))?;
            let mut writer = LayerWriter::new(out, Marks::Trusted, None);
            writer.add_altered(&top, &altered).map_err(EngineError::Write)?;
            writer.finish().map(drop).map_err(EngineError::Write)
        })?;
        self.adopt(unpacked, parent(inputs).top)
    }

    /// All layers of the sources on top of the parent. What they depend on is what they are, so this
    /// is done each time: layers that are here are only put on another stack.
    pub(super) fn merge(&self, at: StepId, inputs: &Inputs<Made>) -> Result<Made> {
        let telling = self.begin(at);
        let below = parent(inputs);
        let mut depth = self.store().layers()?.stack(below.top)?.len();
        let merged = inputs.sources.iter().try_fold(below.top, |top, source| {
            let layers = self.store().layers()?;
            let stack = layers.stack(source.top)?;
            // Merges of merges grow by powers.
            depth += stack.len();
            if depth > MAX_LAYERS {
                return Err(EngineError::Refused(format!("max depth exceeded: {depth} layers")));
            }
            stack.into_iter().try_fold(top, |top, (_, record)| {
                if self.teller.watch.is_stopped() {
                    return Err(EngineError::Stopped);
                }
                let layer = StepLayer { diff: record.diff, bytes: record.bytes };
                let moved = layers::move_to(self.store(), self.lease, layer, top)?;
                let gone = || EngineError::Refused(format!("layer {} went meanwhile", layer.diff));
                moved.map(Some).ok_or_else(gone)
            })
        });
        let top = self.end(at, telling, merged)?;
        let (layer, row, base, written) = Default::default();
        Ok(Made { top, layer, row, base, written, ..below.clone() })
    }

    /// One of the results that a command has besides its own.
    pub(super) fn take_written(&self, command: &Made, number: usize) -> Made {
        let top = command.written.get(number).copied().flatten();
        let (layer, row, base, written) = Default::default();
        Made { top, layer, row, base, written, ..command.clone() }
    }

    /// How many results a command has besides its own.
    fn count_written(&self, at: StepId) -> usize {
        match &self.graph.steps[at].op {
            Op::Run { run, .. } => run.mounts.iter().filter(|mount| mount.is_result).count(),
            _ => 0,
        }
    }

    /// What a command has written that was just run.
    pub(super) fn written_by(&self, at: StepId) -> Arc<[Option<ChainId>]> {
        let written = self.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        written.get(&at).cloned().unwrap_or_default()
    }

    /// Notes what a command has written, and remembers it under names of its own.
    pub(super) fn note_written(&self, at: StepId, tops: Vec<Option<ChainId>>) -> Result<()> {
        let key =
            self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&at).copied();
        for (number, top) in tops.iter().enumerate() {
            let Some(key) = key else { break };
            let record = StepRecord {
                top: *top,
                layer: None,
                text: format!("{} (mount {number})", self.graph.steps[at].text),
                made: Timestamp::now().unix_seconds(),
                rest: RawValue::NULL.to_owned(),
            };
            self.store().remember_step(&written_key(&key, number), &record)?;
        }
        let mut written = self.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        written.insert(at, tops.into());
        Ok(())
    }

    /// What a command had written to mounts whose contents are results; nothing if that is not all
    /// here.
    pub(super) fn recall_written(
        &self,
        at: StepId,
        key: &Digest,
    ) -> Result<Option<Arc<[Option<ChainId>]>>> {
        let mut tops = Vec::new();
        for number in 0..self.count_written(at) {
            let Some(record) = self.store().recall_step(&written_key(key, number))? else {
                return Ok(None);
            };
            if let Some(top) = &record.top {
                self.lease.protect_chain(top)?;
                if !self.store().layers()?.layers.contains_key(top) {
                    return Ok(None);
                }
            }
            tops.push(record.top);
        }
        Ok(Some(tops.into()))
    }
}

/// Whether the folder that a path is in is there, and one.
fn is_in_folder(view: &OwnedFd, path: &[u8]) -> bool {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let Some(at) = path.iter().rposition(|byte| *byte == b'/') else { return true };
    // What was a folder may be a link now, and nothing outside is asked.
    sys::fs::folder_beneath(view, &path[..at]).is_ok()
}

fn written_key(key: &Digest, number: usize) -> Digest {
    Digest::of(format!("written {number} {key}").as_bytes())
}
