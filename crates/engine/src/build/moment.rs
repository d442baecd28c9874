//! Moments of builds that were: the files before or after a step, as an image to look into.

use ::build::environment::Environment;
use spec::{ContainerConfig, ImageConfig, ImageId, Platform, RootFs};
use store::ImageRecord;

use super::history::{self, BuildOutcome, BuildRecord, BuildStep, StepConfig, StepOutcome};
use super::request::BuildInput;
use crate::Engine;
use crate::error::{EngineError, Result};

/// What begins the name of the moment before a step.
const BEFORE: &str = "before:";
/// The step that failed.
const FAILED: &str = "@fail";
/// What is run where a Dockerfile sets no `SHELL`.
const SHELL: &str = "/bin/sh";

/// A step, before it was done or after.
struct Moment<'a> {
    step: usize,
    is_before: bool,
    steps: &'a [BuildStep],
}

/// Files to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildMoment {
    /// An image of them, without a name. Who asked for it removes it.
    pub image: ImageId,
    /// What it runs on.
    pub platform: Platform,
    /// The shell that the Dockerfile uses there.
    pub shell: String,
    /// What the step is called.
    pub title: String,
}

impl Engine {
    /// The last build of a Dockerfile and a context.
    pub fn last_build(&self, input: &BuildInput<'_>) -> Result<BuildRecord> {
        let (context, dockerfile) = history::place_of(input);
        let is_it = |record: &BuildRecord| {
            record.outcome != BuildOutcome::Running
                && record.context == context
                && record.dockerfile == dockerfile
        };
        let found = self.builds().into_iter().find(is_it);
        found.ok_or(EngineError::NoSuchBuild(context))
    }

    /// Makes an image of a moment of a build: `7` is after the step that was told of as number 7, as
    /// is what only its title holds; `@fail` is what the step left that failed; `before:` in front
    /// means what it found.
    pub fn build_moment(&self, record: &BuildRecord, text: &str) -> Result<BuildMoment> {
        let moment = Moment::find(&record.steps, text)?;
        let step = &record.steps[moment.step];
        let at = moment.state().ok_or_else(|| {
            let words = format!("step {:?} left no files of its own", step.title);
            EngineError::Refused(words)
        })?;
        let config = moment.config(at);
        let shell = config.shell.as_ref().and_then(|shell| shell.first().cloned());
        let platform = Platform::parse(&step.platform).unwrap_or_else(|_| Platform::host());
        let top = record.steps[at].state.as_ref().and_then(|state| state.top);
        let image = self.image_of(top, &config, &platform, &step.title)?;
        let (shell, title) = (shell.unwrap_or_else(|| SHELL.to_owned()), step.title.clone());
        Ok(BuildMoment { image, platform, shell, title })
    }

    fn image_of(
        &self,
        top: Option<spec::ChainId>,
        config: &ContainerConfig,
        platform: &Platform,
        title: &str,
    ) -> Result<ImageId> {
        let lease = self.store().lease()?;
        if let Some(top) = &top {
            lease.protect_chain(top)?;
        }
        // Looked for only now: what is here and protected stays.
        let layers = self.store().tables()?.layers;
        let stack = layers.stack(top).map_err(|_| {
            EngineError::Refused(format!("the files of step {title:?} were removed since"))
        })?;
        let image = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: Some(config.clone()),
            rootfs: RootFs::new(stack.iter().map(|(_, layer)| layer.diff).collect()),
            ..ImageConfig::default()
        };
        let document = image.to_bytes();
        let id = ImageId(self.store().put_document(&lease, &document)?);
        let record = ImageRecord {
            top,
            created: None,
            tagged: None,
            layers: stack.iter().map(|(_, layer)| layer.bytes).collect(),
            platform: platform.clone().into(),
            manifest: None,
            repo_digests: Default::default(),
            parent: None,
        };
        self.store().change_images(|images| {
            images.images.insert_new(id, || record);
            Ok::<_, EngineError>(())
        })?;
        Ok(id)
    }
}

impl<'a> Moment<'a> {
    fn find(steps: &'a [BuildStep], text: &str) -> Result<Moment<'a>> {
        let (is_before, name) = match text.strip_prefix(BEFORE) {
            Some(name) => (true, name),
            None => (false, text),
        };
        let number = name.strip_prefix('#').unwrap_or(name).parse::<usize>().ok();
        let is_it = |step: &&(usize, &BuildStep)| match (name, number) {
            (FAILED, _) => step.1.outcome == StepOutcome::Failed,
            (_, Some(number)) => step.1.number == Some(number),
            (name, None) => step.1.title.contains(name),
        };
        let all: Vec<(usize, &BuildStep)> = steps.iter().enumerate().collect();
        let found: Vec<&(usize, &BuildStep)> = all.iter().filter(is_it).collect();
        let refused = |words: String| Err(EngineError::Refused(words));
        match found.as_slice() {
            [] if name == FAILED => refused("no step of the last build failed".to_owned()),
            [] => refused(format!("the last build has no step {name:?}")),
            // Platforms whose steps failed: what one found is as good as what another did.
            [one, ..] if name == FAILED => Ok(Moment { step: one.0, is_before, steps }),
            [one] => Ok(Moment { step: one.0, is_before, steps }),
            several => {
                let titles: Vec<&str> = several.iter().map(|one| one.1.title.as_str()).collect();
                refused(format!("{name:?} means several steps: {}", titles.join(", ")))
            }
        }
    }

    /// The step after which the files were as they are wanted.
    fn state(&self) -> Option<usize> {
        let at = match self.is_before {
            true => self.steps[self.step].parent?,
            false => self.step,
        };
        self.steps.get(at)?.state.as_ref().map(|_| at)
    }

    /// How programs run after a step: as the last one left it that changed anything, with variables
    /// that were set since they were last told.
    fn config(&self, at: usize) -> ContainerConfig {
        let mut next = Some(at);
        let mut told: Vec<&StepConfig> = Vec::new();
        while let Some(step) = next.and_then(|at| self.steps.get(at)) {
            told.extend(step.state.as_ref().and_then(|state| state.config.as_ref()));
            if told.last().is_some_and(|config| config.env.is_some()) {
                break;
            }
            next = step.parent;
        }
        let listed = told.last().and_then(|config| config.env.clone());
        let mut env = Environment::new(listed.unwrap_or_default());
        let set = told.iter().rev().flat_map(|config| &config.set);
        set.filter_map(|pair| pair.split_once('=')).for_each(|(name, value)| env.set(name, value));
        let StepConfig { user, working_dir, shell, .. } =
            told.first().copied().cloned().unwrap_or_default();
        ContainerConfig { env: env.list(), user, working_dir, shell, ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::history::StepState;

    fn steps() -> Vec<BuildStep> {
        let state = |config| Some(StepState { top: None, config: Some(config) });
        let env = |text: &str| {
            let env = Some(vec![text.to_owned(), "B=1".to_owned()]);
            state(StepConfig { env, ..StepConfig::default() })
        };
        let set =
            |text: &str| state(StepConfig { set: vec![text.to_owned()], ..StepConfig::default() });
        let step = |title: &str, number, parent, state| BuildStep {
            title: title.to_owned(),
            number,
            parent,
            state,
            ..BuildStep::default()
        };
        let same = Some(StepState::default());
        let mut steps = vec![
            step("[1/3] FROM a", Some(4), None, env("A=1")),
            step("ENV A=2", None, Some(0), set("A=2")),
            step("[2/3] RUN a", Some(5), Some(1), same.clone()),
            step("[3/3] RUN b", Some(6), Some(2), same),
            step("[4/3] RUN c", None, Some(3), None),
        ];
        steps[3].outcome = StepOutcome::Failed;
        steps
    }

    #[test]
    fn moments_by_number_title_and_failure() {
        let steps = steps();
        let of = |text: &str| {
            let moment = Moment::find(&steps, text).ok()?;
            let at = moment.state()?;
            Some((at, moment.config(at).env.join(" ")))
        };
        let is = |at, env: &str| Some((at, env.to_owned()));
        assert_eq!(of("4"), is(0, "A=1 B=1"));
        assert_eq!(of("#5"), is(2, "A=2 B=1"));
        assert_eq!(of("before:5"), is(1, "A=2 B=1"));
        assert_eq!(of("ENV"), is(1, "A=2 B=1"));
        assert_eq!(of("before:ENV"), is(0, "A=1 B=1"));
        assert_eq!(of("@fail"), is(3, "A=2 B=1"));
        assert_eq!(of("before:@fail"), is(2, "A=2 B=1"));
        // Nothing stands before a base, a step was never reached, two are meant, none is.
        for none in ["before:4", "RUN c", "RUN", "9", "make"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
