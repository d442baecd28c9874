//! Every command, every kind of blow, at as many calls as there is time for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ground::{Ground, Place};
use super::scenario::{SCENARIOS, Scenario, Start, lay};
use super::trial::{Golden, strike};
use super::victim::{Blow, Deed, Step};

/// A kind of blow, and at how many of a command's calls it is struck.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// What happens.
    pub deed: Deed,
    /// At most so many points of a command, in all places together, evenly spread over the calls.
    pub points: usize,
    /// Which scenarios.
    pub wants: fn(&Scenario) -> bool,
}

/// What came of all blows.
#[derive(Default)]
pub(super) struct Tally {
    /// Blows that were struck: place, scenario and call are different for each.
    pub struck: usize,
    lines: BTreeMap<(&'static str, &'static str), (usize, usize)>,
    wrong: Vec<String>,
}

struct Job<'a> {
    place: &'a Place,
    scenario: &'static Scenario,
    golden: &'a Golden,
    blow: Blow,
}

/// How many faults are shown of one scenario.
const SHOWN: usize = 4;

/// Strikes all blows of these rounds in these places.
pub(super) fn run(places: &[Place], inputs: &Path, rounds: &[Round]) -> Tally {
    let mut tally = Tally::default();
    for place in places {
        for start in [Start::Nothing, Start::Images, Start::Littered, Start::Damaged] {
            let laid = Ground::empty(start_of(place, start), inputs).map_err(|e| e.to_string());
            laid.and_then(|ground| {
                lay(&ground, start)?;
                ground.unmount();
                // It is there until the place goes.
                std::mem::forget(ground);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{} {start:?}: {error}", place.name));
        }
        for round in rounds {
            let points = round.points / places.len();
            run_round(place, inputs, &Round { points, ..*round }, &mut tally);
        }
    }
    tally
}

fn start_of(place: &Place, start: Start) -> PathBuf {
    place.folder.join(format!("start-{start:?}"))
}

fn run_round(place: &Place, inputs: &Path, round: &Round, tally: &mut Tally) {
    let fresh = |scenario: &Scenario, name: String| {
        Ground::copy(&start_of(place, scenario.start), place.folder.join(name), inputs)
    };
    let then = match round.deed {
        Deed::Meanwhile(words) => Some(words),
        _ => None,
    };
    let wanted = |one: &&Scenario| (round.wants)(one) && is_asked_for(one);
    let scenarios: Vec<&Scenario> = SCENARIOS.iter().filter(wanted).collect();
    let golden = in_parallel(&scenarios, |at, scenario| {
        let ground = fresh(scenario, format!("golden-{at}"))?;
        Golden::run(&ground, scenario, then)
    });
    let mut jobs = Vec::new();
    for (scenario, golden) in scenarios.into_iter().zip(&golden) {
        match golden {
            Err(why) => tally.wrong.push(format!("{} {}: {why}", place.name, scenario.name)),
            Ok(golden) => {
                let points = choose(&golden.calls, round);
                let line = tally.lines.entry((place.name, scenario.name)).or_default();
                line.0 = golden.calls.len();
                let blows = points.into_iter().map(|at| Blow { at, deed: round.deed });
                jobs.extend(blows.map(|blow| Job { place, scenario, golden, blow }));
            }
        }
    }
    let told = in_parallel(&jobs, |number, job| {
        let ground = fresh(job.scenario, format!("trial-{number}"))?;
        strike(&ground, job.scenario, job.golden, job.blow)
    });
    for (job, told) in jobs.iter().zip(told) {
        let line = tally.lines.entry((job.place.name, job.scenario.name)).or_default();
        match told {
            Ok(struck) => {
                line.1 += usize::from(struck);
                tally.struck += usize::from(struck);
            }
            Err(why) => {
                let Blow { at, deed } = job.blow;
                let name = job.scenario.name;
                tally.wrong.push(format!("{} {name} {deed:?} {at} {why}", job.place.name));
            }
        }
    }
}

/// Points spread evenly over the calls that a blow fits.
fn choose(calls: &[Step], round: &Round) -> Vec<usize> {
    let fits = |step: &Step| round.deed != Deed::NoSpace || step.takes_space;
    let all: Vec<usize> = (0..calls.len()).filter(|at| fits(&calls[*at])).collect();
    let wanted = if asked().is_some() { all.len() } else { round.points.min(all.len()) };
    (0..wanted).map(|number| all[number * all.len() / wanted]).collect()
}

/// What `MICA_FAULTS` asks for: `all`, or the commands whose name has this in it.
pub(super) fn asked() -> Option<String> {
    std::env::var("MICA_FAULTS").ok().filter(|value| !value.is_empty())
}

fn is_asked_for(scenario: &Scenario) -> bool {
    asked().is_none_or(|value| value == "all" || scenario.name.contains(&value))
}

/// Does the same to each of a list on all processors, and keeps the order.
fn in_parallel<T: Sync, R: Send>(
    list: &[T],
    work: impl Fn(usize, &T) -> Result<R, String> + Sync,
) -> Vec<Result<R, String>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(one) = list.get(at)
                {
                    let result = work(at, one);
                    done.lock().expect("no worker panics while it holds this").insert(at, result);
                }
            });
        }
    });
    done.into_inner().expect("no worker panics while it holds this").into_values().collect()
}

impl Tally {
    /// Prints what was done, and fails if anything was wrong.
    #[allow(clippy::print_stdout)] // The runner keeps a test's output.
    #[track_caller]
    pub(super) fn judge(&self, what: &str) {
        for ((place, scenario), (calls, struck)) in &self.lines {
            println!("{place:7} {scenario:17} {calls:4} calls, struck at {struck:3}");
        }
        println!("{what}: {} distinct points", self.struck);
        let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
        for wrong in &self.wrong {
            let kind = wrong.split_inclusive(char::is_numeric).next().unwrap_or(wrong);
            let count = shown.entry(kind).or_default();
            *count += 1;
            if *count <= SHOWN {
                println!("WRONG {wrong}\n");
            }
        }
        assert!(self.wrong.is_empty(), "{} of {what} went wrong", self.wrong.len());
    }
}
