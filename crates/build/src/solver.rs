//! The solver: does the steps of a graph, each when what it needs is done, as many at once as there
//! are hands for.
//!
//! A step's key is made of what its inputs *are*, not of how they came about. So a step that ran
//! again and gave the same leaves all that follow as they were: their keys have not changed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::graph::{Graph, StepId};

/// Who knows how a step is done.
pub trait Work: Sync {
    /// What a step gives.
    type Made: Clone + Send;
    /// What a step depends on, beyond what it is.
    type Key: Send;
    /// Why it failed.
    type Error: Send;

    /// What a step's outcome depends on. None: it is so little that it is done each time.
    fn key(
        &self,
        step: StepId,
        inputs: &Inputs<Self::Made>,
    ) -> Result<Option<Self::Key>, Self::Error>;

    /// What a step with this key gave before, if that is known and still here.
    fn recall(
        &self,
        step: StepId,
        key: &Self::Key,
        inputs: &Inputs<Self::Made>,
    ) -> Result<Option<Self::Made>, Self::Error>;

    /// Does a step.
    fn carry_out(
        &self,
        step: StepId,
        key: Option<Self::Key>,
        inputs: &Inputs<Self::Made>,
    ) -> Result<Self::Made, Self::Error>;
}

/// What the steps gave that a step stands on.
#[derive(Debug, Clone)]
pub struct Inputs<M> {
    /// Its parent.
    pub parent: Option<M>,
    /// Its other sources, in their order.
    pub sources: Vec<M>,
}

/// How far a step is.
enum State<M> {
    /// So many that it needs are not done; one that counts twice is there twice.
    Waiting(usize),
    /// Somebody will take it, or is at it.
    Begun,
    /// What it gave.
    Done(M),
}

/// Does all steps of a graph with at most so many threads and gives what each gave. The first
/// error ends it; what is being done is done to its end.
pub fn solve<W: Work>(graph: &Graph, work: &W, threads: usize) -> Result<Vec<W::Made>, W::Error> {
    let solver = Solver::new(graph, work);
    std::thread::scope(|scope| {
        solver.work_on(&|wanted| {
            // This thread is one of them.
            let mut board = solver.board();
            while board.threads < wanted.min(threads) {
                board.threads += 1;
                scope.spawn(|| solver.work_on(&|_| ()));
            }
        });
    });
    let board = solver.board.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    match board.error {
        Some(error) => Err(error),
        None => Ok(board.states.into_iter().map(State::made).collect()),
    }
}

impl<M> State<M> {
    fn made(self) -> M {
        match self {
            State::Done(made) => made,
            _ => unreachable!("without an error every step is done in the end"),
        }
    }
}

struct Solver<'a, W: Work> {
    graph: &'a Graph,
    work: &'a W,
    /// Who waits for each step.
    users: Vec<Vec<StepId>>,
    board: Mutex<Board<W>>,
    changed: Condvar,
}

struct Board<W: Work> {
    states: Vec<State<W::Made>>,
    ready: VecDeque<StepId>,
    left: usize,
    threads: usize,
    error: Option<W::Error>,
}

impl<'a, W: Work> Solver<'a, W> {
    fn new(graph: &'a Graph, work: &'a W) -> Solver<'a, W> {
        let mut users = vec![Vec::new(); graph.steps.len()];
        let mut states = Vec::new();
        let mut ready = VecDeque::new();
        for (at, step) in graph.steps.iter().enumerate() {
            let needs = step.parent.iter().chain(&step.sources);
            let count = needs.inspect(|need| users[**need].push(at)).count();
            states.push(if count == 0 { State::Begun } else { State::Waiting(count) });
            ready.extend((count == 0).then_some(at));
        }
        let left = graph.steps.len();
        let board = Board { states, ready, left, threads: 1, error: None };
        Solver { graph, work, users, board: Mutex::new(board), changed: Condvar::new() }
    }

    fn board(&self) -> MutexGuard<'_, Board<W>> {
        self.board.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Does steps until none is left. `more` is told how many there is work for.
    fn work_on(&self, more: &dyn Fn(usize)) {
        loop {
            let mut board = self.board();
            let step = loop {
                if board.left == 0 || board.error.is_some() {
                    return;
                }
                match board.ready.pop_front() {
                    Some(step) => break step,
                    None => {
                        board = self
                            .changed
                            .wait(board)
                            .unwrap_or_else(|poisoned| poisoned.into_inner());
                    }
                }
            };
            let waiting = board.ready.len();
            let inputs = self.inputs(&board, step);
            drop(board);
            if waiting > 0 {
                more(waiting + 1);
            }
            let made = self.one(step, &inputs);
            self.settle(step, made);
        }
    }

    fn one(&self, step: StepId, inputs: &Inputs<W::Made>) -> Result<W::Made, W::Error> {
        let key = self.work.key(step, inputs)?;
        if let Some(known) = &key
            && let Some(made) = self.work.recall(step, known, inputs)?
        {
            return Ok(made);
        }
        self.work.carry_out(step, key, inputs)
    }

    fn inputs(&self, board: &Board<W>, step: StepId) -> Inputs<W::Made> {
        let made = |need: &StepId| match &board.states[*need] {
            State::Done(made) => made.clone(),
            _ => unreachable!("a step is ready when all it needs is done"),
        };
        let step = &self.graph.steps[step];
        Inputs {
            parent: step.parent.as_ref().map(made),
            sources: step.sources.iter().map(made).collect(),
        }
    }

    fn settle(&self, step: StepId, made: Result<W::Made, W::Error>) {
        let mut board = self.board();
        match made {
            Ok(made) => {
                board.states[step] = State::Done(made);
                board.left -= 1;
                for user in &self.users[step] {
                    let State::Waiting(count) = &mut board.states[*user] else { continue };
                    *count -= 1;
                    if *count == 0 {
                        board.states[*user] = State::Begun;
                        board.ready.push_back(*user);
                    }
                }
            }
            Err(error) => drop(board.error.get_or_insert(error)),
        }
        drop(board);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
