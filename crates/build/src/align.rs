//! Which step of an earlier build a step of this one was, so that the two can be compared.

use std::collections::HashMap;

/// A step, as far as it can be recognised in another build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// The number of its stage.
    pub stage: usize,
    /// The name of its stage.
    pub name: Option<&'a str>,
    /// The instruction.
    pub text: &'a str,
}

/// For each step of now the one that it was before, or none where it is new.
///
/// Stages are recognised by their names, and those without by their numbers. Within a stage what
/// stayed is found first; what lies between was changed if it is the same kind of instruction.
pub fn align(before: &[Recognised<'_>], now: &[Recognised<'_>]) -> Vec<Option<usize>> {
    let mut found = vec![None; now.len()];
    let stages = by_stage(before);
    for (stage, steps) in by_stage(now) {
        let name = now[steps[0]].name;
        let same = |(_, own): &&(usize, Vec<usize>)| before[own[0]].name == name;
        let old = match name {
            Some(_) => stages.iter().find(same),
            None => stages.iter().filter(same).find(|(number, _)| *number == stage),
        };
        // One that got or lost its name is still the one in its place.
        let old = old.or_else(|| stages.iter().find(|(number, _)| *number == stage));
        let Some((_, old)) = old else { continue };
        pair(old, &steps, &|a, b| Likeness::of(before[a].text, now[b].text), &mut found);
    }
    found
}

fn by_stage(steps: &[Recognised<'_>]) -> Vec<(usize, Vec<usize>)> {
    let mut places = HashMap::new();
    let mut stages: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let place = *places.entry(step.stage).or_insert_with(|| {
            stages.push((step.stage, Vec::new()));
            stages.len() - 1
        });
        stages[place].1.push(at);
    }
    stages
}

/// How much alike two instructions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    Same,
    Kind,
    None,
}

impl Likeness {
    fn of(one: &str, other: &str) -> Likeness {
        let word = |text: &str| text.split_whitespace().next().map(str::to_ascii_uppercase);
        match one == other {
            true => Likeness::Same,
            false if word(one) == word(other) => Likeness::Kind,
            false => Likeness::None,
        }
    }
}

/// Pairs what is the same in the same order, as much as there can be; then, between those, what is
/// of one kind.
fn pair(
    old: &[usize],
    new: &[usize],
    alike: &dyn Fn(usize, usize) -> Likeness,
    found: &mut [Option<usize>],
) {
    let same = |a: usize, b: usize| alike(old[a], new[b]) == Likeness::Same;
    let mut kept = longest_common(old.len(), new.len(), &same);
    kept.push((old.len(), new.len()));
    let (mut a, mut b) = (0, 0);
    for (old_end, new_end) in kept {
        for at in b..new_end {
            let changed = (a..old_end).find(|was| alike(old[*was], new[at]) == Likeness::Kind);
            if let Some(was) = changed {
                found[new[at]] = Some(old[was]);
                a = was + 1;
            }
        }
        if old_end < old.len() {
            found[new[new_end]] = Some(old[old_end]);
        }
        (a, b) = (old_end + 1, new_end + 1);
    }
}

/// The longest list of pairs that are the same, in order on both sides.
fn longest_common(
    old: usize,
    new: usize,
    same: &dyn Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let shorter = old.min(new);
    let head = (0..shorter).take_while(|at| same(*at, *at)).count();
    let tail = |back: &usize| same(old - 1 - back, new - 1 - back);
    let tail = (0..shorter - head).take_while(tail).count();
    let (rows, columns) = (old - head - tail, new - head - tail);
    // `lengths[a][b]`: of the longest list from `a` and `b` on.
    let mut lengths = vec![vec![0_u32; columns + 1]; rows + 1];
    for a in (0..rows).rev() {
        for b in (0..columns).rev() {
            lengths[a][b] = match same(head + a, head + b) {
                true => lengths[a + 1][b + 1] + 1,
                false => lengths[a + 1][b].max(lengths[a][b + 1]),
            };
        }
    }
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    let (mut a, mut b) = (0, 0);
    while a < rows && b < columns {
        match same(head + a, head + b) {
            true => {
                pairs.push((head + a, head + b));
                (a, b) = (a + 1, b + 1);
            }
            false if lengths[a + 1][b] >= lengths[a][b + 1] => a += 1,
            false => b += 1,
        }
    }
    pairs.extend((0..tail).rev().map(|back| (old - 1 - back, new - 1 - back)));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of one file: `stage: text` a line.
    fn steps(text: &str) -> Vec<Recognised<'_>> {
        let step = |line| {
            let (stage, text) = str::split_once(line, ": ").unwrap();
            match stage.split_once('=') {
                Some((number, name)) => {
                    Recognised { stage: number.parse().unwrap(), name: Some(name), text }
                }
                None => Recognised { stage: stage.parse().unwrap(), name: None, text },
            }
        };
        text.lines().map(step).collect()
    }

    #[track_caller]
    fn check(before: &str, now: &str, wanted: &[Option<usize>]) {
        assert_eq!(align(&steps(before), &steps(now)), wanted);
    }

    #[test]
    fn what_stayed_is_found_where_it_went() {
        let old = "0: COPY a /a\n0: RUN one\n0: RUN two";
        check(old, old, &[Some(0), Some(1), Some(2)]);
        check(
            old,
            "0: RUN zero\n0: COPY a /a\n0: RUN one\n0: RUN two",
            &[None, Some(0), Some(1), Some(2)],
        );
        check(old, "0: COPY a /a\n0: RUN two", &[Some(0), Some(2)]);
        check("", old, &[None; 3]);
        check(old, "", &[]);
    }

    #[test]
    fn what_lies_between_was_changed_if_it_is_of_the_same_kind() {
        let old = "0: COPY a /a\n0: RUN one\n0: RUN two";
        check(old, "0: COPY b /a\n0: run other\n0: RUN two", &[Some(0), Some(1), Some(2)]);
        check(
            old,
            "0: COPY a /a\n0: WORKDIR /w\n0: RUN 1\n0: RUN two",
            &[Some(0), None, Some(1), Some(2)],
        );
        check("0: RUN one", "0: RUN 1\n0: RUN 2", &[Some(0), None]);
    }

    #[test]
    fn stages_are_known_by_their_names() {
        let old = "0=a: RUN one\n1=b: RUN two\n2: RUN three";
        check(old, "0=b: RUN two\n1=a: RUN one\n2: RUN three", &[Some(1), Some(0), Some(2)]);
        check(old, "0=c: RUN one\n1: RUN two", &[Some(0), Some(1)]);
        check("0=a: RUN one", "0: RUN one", &[Some(0)]);
    }

    proptest::proptest! {
        #[test]
        fn pairs_are_in_order_and_of_one_kind(
            old in proptest::collection::vec("[A-C] [x-z]", 0..12),
            new in proptest::collection::vec("[A-C] [x-z]", 0..12),
        ) {
            fn of(list: &[String]) -> Vec<Recognised<'_>> {
                list.iter().map(|text| Recognised { stage: 0, name: None, text }).collect()
            }
            let found = align(&of(&old), &of(&new));
            let pairs: Vec<(usize, usize)> =
                found.iter().enumerate().filter_map(|(b, a)| Some(((*a)?, b))).collect();
            assert!(pairs.is_sorted_by(|one, next| one.0 < next.0));
            for (a, b) in pairs {
                assert_eq!(old[a][..1], new[b][..1]);
            }
        }
    }
}
