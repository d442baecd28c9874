//! What became of each step of a build, gathered while steps are worked on side by side.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ::build::graph::{Graph, Op, Step, StepId};
use spec::{Digest, Platform};

use super::history::{BuildStep, StepOutcome, nanos};

/// One track a step.
pub(super) struct Tracks(Mutex<Vec<Track>>);

/// What is known of a step so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) number: Option<usize>,
    pub(super) key: Option<Digest>,
    pub(super) outcome: StepOutcome,
    pub(super) took: Duration,
}

impl Tracks {
    pub(super) fn of(graph: &Graph) -> Tracks {
        Tracks(Mutex::new(vec![Track::default(); graph.steps.len()]))
    }

    /// The track of one step, for the moment.
    pub(super) fn change(&self, at: StepId, change: impl FnOnce(&mut Track)) {
        change(&mut self.list()[at]);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Track>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// All of it as it is kept.
    pub(super) fn steps(
        &self,
        graph: &Graph,
        stages: &[Option<String>],
        platform: &Platform,
    ) -> Vec<BuildStep> {
        let list = self.list();
        let step = |(step, track): (&Step, &Track)| BuildStep {
            platform: platform.to_string(),
            stage: step.stage,
            stage_name: step.stage.and_then(|stage| stages.get(stage)?.clone()),
            text: text(step),
            title: step.title.clone(),
            parent: step.parent,
            sources: step.sources.clone(),
            number: track.number,
            key: track.key,
            used: step.used.clone(),
            outcome: track.outcome,
            took: nanos(track.took),
        };
        graph.steps.iter().zip(&*list).map(step).collect()
    }
}

/// The instruction as it is written, or the image that a stage begins with.
pub(super) fn text(step: &Step) -> String {
    match &step.op {
        Op::Scratch => "FROM scratch".to_owned(),
        Op::Base { image, .. } => format!("FROM {image}"),
        _ => step.text.clone(),
    }
}
