//! Every command, every kind of blow, at as many calls as there is time for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::Random;

use super::golden::Golden;
use super::ground::{Ground, Place};
use super::scenario::{SCENARIOS, Scenario, Start, lay};
use super::trial::strike;
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
    /// Blows that were struck: place, scenario, call and kind are different for each.
    pub struck: usize,
    lines: BTreeMap<(&'static str, &'static str), BTreeMap<&'static str, usize>>,
    wrong: Vec<String>,
}

struct Job<'a> {
    scenario: &'static Scenario,
    golden: &'a Golden,
    blow: Blow,
}

/// A scenario, and the command that is at work beside it.
type Case = (&'static str, Option<&'static [&'static str]>);

/// How many faults are shown of one scenario.
const SHOWN: usize = 4;

/// Strikes all blows of these rounds in these places.
pub(super) fn run(places: &[Place], inputs: &Path, rounds: &[Round]) -> Tally {
    let mut tally = Tally::default();
    for place in places {
        lay_all(place, inputs);
        let share = |round: &Round| Round { points: round.points / places.len(), ..*round };
        let rounds: Vec<Round> = rounds.iter().map(share).collect();
        run_in(place, inputs, &rounds, &mut tally);
    }
    tally
}

/// Makes the stores that scenarios start from; they are there until the place goes.
pub(super) fn lay_all(place: &Place, inputs: &Path) {
    for start in [Start::Nothing, Start::Images, Start::Littered, Start::Damaged] {
        let laid = Ground::empty(start_of(place, start), inputs).map_err(|e| e.to_string());
        laid.and_then(|ground| {
            lay(&ground, start)?;
            ground.unmount();
            std::mem::forget(ground);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{} {start:?}: {error}", place.name));
    }
}

/// Where a store lies that scenarios start from.
pub(super) fn start_of(place: &Place, start: Start) -> PathBuf {
    place.folder.join(format!("start-{start:?}"))
}

fn run_in(place: &Place, inputs: &Path, rounds: &[Round], tally: &mut Tally) {
    let fresh = |scenario: &Scenario, name: String| {
        Ground::copy(&start_of(place, scenario.start), place.folder.join(name), inputs)
    };
    let mut cases: BTreeMap<Case, &Scenario> = BTreeMap::new();
    let mut wanted: Vec<(Case, &Scenario, &Round)> = Vec::new();
    for round in rounds {
        for one in SCENARIOS.iter().filter(|one| (round.wants)(one) && is_asked_for(one)) {
            let case = (one.name, round.deed.beside());
            cases.insert(case, one);
            wanted.push((case, one, round));
        }
    }
    let cases: Vec<_> = cases.into_iter().collect();
    let goldens = in_parallel(&cases, |at, ((_, beside), scenario)| {
        let ground = fresh(scenario, format!("golden-{at}"))?;
        let mut golden = Golden::run(&ground, scenario, *beside)?;
        if let Some(other) = beside {
            golden.or_after(&fresh(scenario, format!("turned-{at}"))?, scenario, other)?;
        }
        Ok(golden)
    });
    let goldens: BTreeMap<Case, _> = cases.iter().map(|(case, _)| *case).zip(goldens).collect();
    let mut jobs = Vec::new();
    for (case, scenario, round) in wanted {
        match &goldens[&case] {
            Err(why) => tally.wrong.push(format!("{} {}: {why}", place.name, scenario.name)),
            Ok(golden) => {
                let points = choose(scenario, &golden.calls, round);
                let blows = points.into_iter().map(|at| Blow { at, deed: round.deed });
                jobs.extend(blows.map(|blow| Job { scenario, golden, blow }));
            }
        }
    }
    let told = in_parallel(&jobs, |number, job| {
        let ground = fresh(job.scenario, format!("trial-{number}"))?;
        strike(&ground, job.scenario, job.golden, job.blow)
    });
    for (job, told) in jobs.iter().zip(told) {
        let (Blow { at, deed }, name) = (job.blow, job.scenario.name);
        match told {
            Ok(struck) => tally.count(place.name, name, deed.name(), struck),
            Err(why) => tally.wrong.push(format!("{} {name} {deed:?} {at} {why}", place.name)),
        }
    }
}

/// Points spread evenly over the calls that a blow fits: the first of each stretch, or with a seed
/// any of it.
fn choose(scenario: &Scenario, calls: &[Step], round: &Round) -> Vec<usize> {
    let reading = round.deed.is_about_reading();
    let calls: Vec<&Step> = calls.iter().filter(|step| step.reads == reading).collect();
    let fits = |step: &Step| round.deed != Deed::NoSpace || step.takes_space;
    let all: Vec<usize> = (0..calls.len()).filter(|at| fits(calls[*at])).collect();
    let wanted = if asked().is_some() { all.len() } else { round.points.min(all.len()) };
    let name = scenario.name.bytes().map(u64::from).sum::<u64>();
    let mut random = seed().map(|seed| Random::new(seed.wrapping_mul(8191) ^ name));
    let start = |number: usize| number * all.len() / wanted;
    let pick = |number: usize| {
        let stretch = start(number + 1) - start(number);
        all[start(number) + random.as_mut().map_or(0, |random| random.below(stretch))]
    };
    (0..wanted).map(pick).collect()
}

/// What `MICA_FAULTS` asks for: `full`, or the commands whose name has this in it.
pub(super) fn asked() -> Option<String> {
    std::env::var("MICA_FAULTS").ok().filter(|value| !value.is_empty())
}

/// Whether a scenario is to be run.
pub(super) fn is_asked_for(scenario: &Scenario) -> bool {
    asked().is_none_or(|value| value == "full" || scenario.name.contains(&value))
}

fn seed() -> Option<u64> {
    std::env::var("MICA_FAULTS_SEED").ok()?.parse().ok()
}

/// Does the same to each of a list on all processors, and keeps the order.
pub(super) fn in_parallel<T: Sync, R: Send>(
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
    fn count(
        &mut self,
        place: &'static str,
        scenario: &'static str,
        kind: &'static str,
        struck: bool,
    ) {
        let line = self.lines.entry((place, scenario)).or_default();
        *line.entry(kind).or_default() += usize::from(struck);
        self.struck += usize::from(struck);
    }

    /// How many blows of a kind were struck.
    pub(super) fn of_kind(&self, kind: &str) -> usize {
        self.lines.values().filter_map(|kinds| kinds.get(kind)).sum()
    }

    /// Prints what was done, and fails if anything was wrong.
    #[allow(clippy::print_stdout)] // The runner keeps a test's output.
    #[track_caller]
    pub(super) fn judge(&self, what: &str) {
        for ((place, scenario), kinds) in &self.lines {
            let kinds: Vec<_> =
                kinds.iter().map(|(kind, count)| format!("{count:3} {kind}")).collect();
            println!("{place:7} {scenario:17} {}", kinds.join(", "));
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
