use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::error::Span;
use crate::graph::{Op, Step};

/// A world in which a step's outcome is a number: what it is, and what its inputs are, but only so
/// much of it that outcomes often agree.
struct World {
    numbers: Vec<u64>,
    /// How different outcomes can be: few values make many early ends.
    values: u64,
    known: Mutex<HashMap<(u64, Vec<u64>), u64>>,
    ran: Mutex<Vec<StepId>>,
    fails: Option<StepId>,
}

fn outcome(number: u64, inputs: &[u64], values: u64) -> u64 {
    let all = inputs.iter().fold(number, |sum, input| sum.wrapping_mul(31).wrapping_add(*input));
    (all ^ (all >> 7)) % values
}

impl World {
    fn inputs(inputs: &Inputs<u64>) -> Vec<u64> {
        inputs.parent.iter().chain(&inputs.sources).copied().collect()
    }
}

impl Work for World {
    type Made = u64;
    type Key = (u64, Vec<u64>);
    type Error = StepId;

    fn key(&self, step: StepId, inputs: &Inputs<u64>) -> Result<Option<Self::Key>, StepId> {
        Ok(Some((self.numbers[step], World::inputs(inputs))))
    }

    fn recall(&self, _: StepId, key: &Self::Key, _: &Inputs<u64>) -> Result<Option<u64>, StepId> {
        Ok(self.known.lock().unwrap().get(key).copied())
    }

    fn carry_out(
        &self,
        step: StepId,
        key: Option<Self::Key>,
        inputs: &Inputs<u64>,
    ) -> Result<u64, StepId> {
        if self.fails == Some(step) {
            return Err(step);
        }
        self.ran.lock().unwrap().push(step);
        let made = outcome(self.numbers[step], &World::inputs(inputs), self.values);
        self.known.lock().unwrap().insert(key.unwrap(), made);
        Ok(made)
    }
}

fn graph(needs: &[Vec<StepId>]) -> Graph {
    let step = |needs: &Vec<StepId>| Step {
        op: Op::Scratch,
        parent: needs.first().copied(),
        sources: needs.iter().skip(1).copied().collect(),
        stage: None,
        text: String::new(),
        title: String::new(),
        span: Span::default(),
        used: Default::default(),
        documents: Default::default(),
    };
    Graph {
        steps: needs.iter().map(step).collect(),
        target: needs.len() - 1,
        anew: Default::default(),
    }
}

/// One after the other, from nothing, each time.
fn naive(needs: &[Vec<StepId>], numbers: &[u64], values: u64) -> Vec<u64> {
    let mut made: Vec<u64> = Vec::new();
    for (at, needs) in needs.iter().enumerate() {
        let inputs: Vec<u64> = needs.iter().map(|need| made[*need]).collect();
        made.push(outcome(numbers[at], &inputs, values));
    }
    made
}

fn any_graph() -> impl Strategy<Value = Vec<Vec<StepId>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..40)
        .prop_map(|rows| {
            let needs = |(at, row): (usize, Vec<prop::sample::Index>)| match at {
                0 => Vec::new(),
                at => row.into_iter().map(|index| index.index(at)).collect(),
            };
            rows.into_iter().enumerate().map(needs).collect()
        })
}

proptest! {
    #[test]
    fn agrees_with_the_naive_solver_and_runs_nothing_twice(
        needs in any_graph(),
        mut numbers in prop::collection::vec(0..50u64, 40),
        edits in prop::collection::vec((0..40usize, 0..50u64), 0..5),
        values in 1..9u64,
        threads in 1..4usize,
    ) {
        let graph = graph(&needs);
        let mut world = World {
            numbers: numbers.clone(),
            values,
            known: Mutex::default(),
            ran: Mutex::default(),
            fails: None,
        };
        for edit in std::iter::once(None).chain(edits.into_iter().map(Some)) {
            if let Some((at, number)) = edit {
                numbers[at] = number;
            }
            world.numbers.clone_from(&numbers);
            let before: HashSet<_> = world.known.lock().unwrap().keys().cloned().collect();
            world.ran.lock().unwrap().clear();
            let wanted = naive(&needs, &numbers, values);
            prop_assert_eq!(&solve(&graph, &world, threads).unwrap(), &wanted);
            let key = |at: usize| {
                (numbers[at], needs[at].iter().map(|need| wanted[*need]).collect::<Vec<_>>())
            };
            let new: HashSet<_> = (0..needs.len()).map(key).filter(|k| !before.contains(k)).collect();
            let ran: HashSet<_> = world.ran.lock().unwrap().iter().map(|at| key(*at)).collect();
            // Exactly what was not known has run: nothing for its history's sake.
            prop_assert_eq!(ran, new);
        }
    }

    #[test]
    fn the_first_error_ends_it(needs in any_graph(), at in any::<prop::sample::Index>()) {
        let fails = at.index(needs.len());
        let world = World {
            numbers: vec![1; needs.len()],
            values: 1 << 40,
            known: Mutex::default(),
            ran: Mutex::default(),
            fails: Some(fails),
        };
        let numbers: Vec<u64> = (0..needs.len() as u64).map(|at| at * 1000).collect();
        let world = World { numbers, ..world };
        prop_assert_eq!(solve(&graph(&needs), &world, 3), Err(fails));
    }
}

#[test]
fn a_thousand_steps_cost_their_number() {
    let needs: Vec<Vec<StepId>> =
        (0..100_000usize).map(|at| at.checked_sub(1).into_iter().collect()).collect();
    let numbers = vec![3; needs.len()];
    let world = World {
        numbers,
        values: 1 << 50,
        known: Mutex::default(),
        ran: Mutex::default(),
        fails: None,
    };
    assert_eq!(solve(&graph(&needs), &world, 4).unwrap().len(), 100_000);
}
