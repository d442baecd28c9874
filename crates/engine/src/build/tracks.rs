//! What became of each step of a build, gathered while steps are worked on side by side.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::build::config::Configured;
use ::build::graph::{Graph, Op, Step, StepId};
use spec::{ChainId, Digest, Platform};

use super::history::{BuildStep, StepConfig, StepOutcome, StepState, nanos};

/// One track a step.
pub(super) struct Tracks(Mutex<Vec<Track>>);

/// What is known of a step so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    pub(super) number: Option<usize>,
    pub(super) key: Option<Digest>,
    pub(super) outcome: StepOutcome,
    pub(super) took: Duration,
    /// The files after it, and how programs run there.
    pub(super) state: Option<(Option<ChainId>, Arc<Configured>)>,
    /// What a command found that failed, and what it left.
    pub(super) left: Option<Left>,
}

/// What a command that failed was to change, and what it made of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) below: Option<ChainId>,
    pub(super) top: ChainId,
}

impl Tracks {
    pub(super) fn of(graph: &Graph) -> Tracks {
        Tracks(Mutex::new(vec![Track::default(); graph.steps.len()]))
    }

    /// The track of one step, for the moment.
    pub(super) fn change(&self, at: StepId, change: impl FnOnce(&mut Track)) {
        change(&mut self.list()[at]);
    }

    /// What a step left that failed.
    pub(super) fn left(&self, at: StepId) -> Option<Left> {
        self.list()[at].left
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
        let state = |step: &Step, track: &Track| {
            let (top, own) = track.state.as_ref()?;
            let before = step.parent.and_then(|parent| list[parent].state.as_ref());
            Some(StepState { top: *top, config: changed(before.map(|(_, before)| &**before), own) })
        };
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
            documents: step.documents.clone(),
            outcome: track.outcome,
            took: nanos(track.took),
            state: state(step, track),
        };
        graph.steps.iter().zip(&*list).map(step).collect()
    }
}

/// How programs run, if that is not as before. Of variables, only those are told that were set: a file
/// of a thousand lines is not to have a thousand lists of them.
fn changed(before: Option<&Configured>, own: &Configured) -> Option<StepConfig> {
    let told = |own: &Configured| (own.user().to_owned(), own.working_dir().to_owned());
    let is_alike = |before: &Configured| told(before) == told(own) && before.shell() == own.shell();
    let set = before.and_then(|before| own.env().since(before.env()));
    if before.is_some_and(is_alike) && set.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    let env = set.is_none().then(|| own.env().list());
    let (user, working_dir) = told(own);
    let shell = own.shell().map(<[String]>::to_vec);
    Some(StepConfig { env, set: set.unwrap_or_default(), user, working_dir, shell })
}

/// The instruction as it is written, or the image that a stage begins with.
pub(super) fn text(step: &Step) -> String {
    match &step.op {
        Op::Scratch => "FROM scratch".to_owned(),
        Op::Base { image, .. } => format!("FROM {image}"),
        _ => step.text.clone(),
    }
}
