//! A command that something happens to: killed before a call, told that a call failed, or held
//! there while another command works on the same store.

use std::process::{Child, Stdio};
use std::time::Duration;

use sys::trace::{CHANGING, Call, READING, Seen, Watch};

use super::call::{changes, describe, reads, takes_space};
use super::ground::{Ground, PATIENCE, Said, wait};
use super::scenario::Scenario;

/// What happens before the call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Deed {
    /// The process is killed.
    Kill,
    /// The call fails: the device cannot do it.
    BadDevice,
    /// The call fails: there is no space.
    NoSpace,
    /// The call, which reads, fails: the device cannot do it.
    Unreadable,
    /// Another process does the same; in its midst the first one is killed.
    KillBeside,
    /// Another command works on the same store; then the first one goes on.
    Meanwhile(&'static [&'static str]),
}

impl Deed {
    /// Whether it befalls calls that read, not those that change something.
    pub(super) fn is_about_reading(self) -> bool {
        self == Deed::Unreadable
    }

    /// The command that works beside the first one, and after it.
    pub(super) fn beside(self) -> Option<&'static [&'static str]> {
        match self {
            Deed::Meanwhile(words) => Some(words),
            _ => None,
        }
    }

    /// What the report calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Deed::Kill => "kill",
            Deed::BadDevice => "EIO",
            Deed::NoSpace => "ENOSPC",
            Deed::Unreadable => "EIO reading",
            Deed::KillBeside => "kill beside",
            Deed::Meanwhile(_) => "meeting",
        }
    }
}

/// A call to come before, counted from 0 among those that change something, or that read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blow {
    /// Which call.
    pub at: usize,
    /// What happens.
    pub deed: Deed,
}

/// What became of the command.
pub(super) struct Ended {
    /// The calls that it got to make, those up to the blow if there was one.
    pub calls: Vec<Step>,
    /// Whether it got as far as the blow.
    pub struck: bool,
    /// What it said.
    pub said: Said,
    /// What the other command said, if there was one.
    pub other: Option<Said>,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// In words.
    pub text: String,
    /// Whether a full disk could have refused it.
    pub takes_space: bool,
    /// Whether it reads, and changes nothing.
    pub reads: bool,
}

/// How long a second command may work before the first goes on: it may wait for the first.
const HEADSTART: Duration = Duration::from_millis(60);

/// Runs a scenario's command on a ground, with a blow or undisturbed. Every call is put into words
/// only where nothing happens, else the one that the blow comes before.
pub(super) fn run(
    ground: &Ground,
    scenario: &Scenario,
    blow: Option<Blow>,
) -> Result<Ended, String> {
    let mut scene =
        Scene::begin(ground, scenario, blow).map_err(|error| format!("spawn: {error}"))?;
    let told = scene.play(scenario, blow);
    if told.is_err() {
        // Whatever went wrong, nothing must be left behind that still runs.
        let _ = scene.child.kill();
    }
    let status = wait(&mut scene.child).map_err(|error| error.to_string());
    drop(scene.feeder.take().map(std::thread::JoinHandle::join));
    let other = scene.finish_other();
    told?;
    let other = other?;
    let said = ground.heard("victim", status?).map_err(|error| error.to_string())?;
    Ok(Ended { calls: scene.calls, struck: scene.struck, said, other })
}

struct Scene<'a> {
    ground: &'a Ground,
    child: Child,
    watch: Watch,
    feeder: Option<std::thread::JoinHandle<()>>,
    other: Option<(Child, Option<std::thread::JoinHandle<()>>)>,
    calls: Vec<Step>,
    struck: bool,
}

impl<'a> Scene<'a> {
    fn begin(
        ground: &'a Ground,
        scenario: &Scenario,
        blow: Option<Blow>,
    ) -> std::io::Result<Scene<'a>> {
        let (out, error) = ground.scribe("victim")?;
        let mut command = ground.mica(scenario.command);
        command.stdout(out).stderr(error);
        if scenario.input.is_some() {
            command.stdin(Stdio::piped());
        }
        let tables = match blow.is_none_or(|blow| blow.deed.is_about_reading()) {
            true => &[CHANGING, READING][..],
            false => &[CHANGING],
        };
        let (mut child, watch) = sys::trace::spawn(&mut command, tables)?;
        let feeder = scenario.input.map(|name| ground.feed(&mut child, name)).transpose()?;
        let (other, calls) = (None, Vec::new());
        Ok(Scene { ground, child, watch, feeder, other, calls, struck: false })
    }

    /// Answers the command's calls until it ends.
    fn play(&mut self, scenario: &Scenario, blow: Option<Blow>) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("watching: {error}");
        let calm = blow.is_none();
        loop {
            let call = match self.watch.next(PATIENCE).map_err(failed)? {
                Seen::End => return Ok(()),
                Seen::Silence => return Err("it hangs".to_owned()),
                Seen::Call(call) => call,
            };
            let reads = !changes(&call);
            let counts = match blow {
                Some(blow) if blow.deed.is_about_reading() != reads => false,
                _ => !reads || self::reads(&call, &self.ground.root),
            };
            if !counts {
                self.watch.allow(&call).map_err(failed)?;
                continue;
            }
            let here = blow.filter(|blow| blow.at == self.calls.len());
            let text = match calm || here.is_some() {
                true => describe(&call, &self.ground.folder),
                false => String::new(),
            };
            self.calls.push(Step { text, takes_space: takes_space(&call), reads });
            match here {
                None => self.watch.allow(&call).map_err(failed)?,
                Some(blow) => {
                    self.struck = true;
                    self.strike(&call, blow.deed, scenario).map_err(failed)?;
                }
            }
            if here.is_some_and(|blow| matches!(blow.deed, Deed::Kill | Deed::KillBeside)) {
                // What other threads still ask for is not answered any more.
                return Ok(());
            }
        }
    }

    fn strike(&mut self, call: &Call, deed: Deed, scenario: &Scenario) -> std::io::Result<()> {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        match deed {
            Deed::Kill => self.child.kill(),
            Deed::BadDevice | Deed::Unreadable => self.watch.fail(call, EIO),
            Deed::NoSpace => self.watch.fail(call, ENOSPC),
            Deed::KillBeside => {
                self.begin_other(scenario.command, scenario.input)?;
                self.child.kill()
            }
            Deed::Meanwhile(words) => {
                self.begin_other(words, None)?;
                self.watch.allow(call)
            }
        }
    }

    /// Starts another command and lets it work for a while.
    fn begin_other(&mut self, words: &[&str], input: Option<&str>) -> std::io::Result<()> {
        let (out, error) = self.ground.scribe("other")?;
        let mut command = self.ground.mica(words);
        command.stdout(out).stderr(error);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let feeder = input.map(|name| self.ground.feed(&mut child, name)).transpose()?;
        sys::trace::has_ended(&child, HEADSTART)?;
        self.other = Some((child, feeder));
        Ok(())
    }

    fn finish_other(&mut self) -> Result<Option<Said>, String> {
        let Some((mut child, feeder)) = self.other.take() else { return Ok(None) };
        let status = wait(&mut child).map_err(|error| format!("the other: {error}"))?;
        drop(feeder.map(std::thread::JoinHandle::join));
        self.ground.heard("other", status).map(Some).map_err(|error| error.to_string())
    }
}
