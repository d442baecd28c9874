//! Hostile layers: refused, or tamed, with nothing left behind and nothing touched outside.

use spec::ChainId;
use store::{Expected, Layers, Result};

use super::open;
use crate::hostile::{Canary, Case, Expect, changes, first_layer, own_cases, shared_cases};
use crate::scratch::Scratch;
use crate::tree::Tree;

/// The table that all projects share agrees, row by row.
pub fn shared_hostile_layers(driver: &str) {
    let canary = Canary::set_out();
    // Where there is none, that is said already.
    let Some(cases) = shared_cases(&canary) else { return };
    run(driver, &cases, &canary);
}

/// Our own table agrees.
pub fn own_hostile_layers(driver: &str) {
    run(driver, &own_cases(), &Canary::set_out());
}

fn run(driver: &str, cases: &[Case], canary: &Canary) {
    let Some(scratch) = open(driver) else { return };
    let (_, base) = scratch.add_image("base", &[first_layer().tar()]).expect("the base is taken");
    let before = scratch.tree(base);
    let files = scratch.files().expect("the store can be listed");
    let mut wrong = Vec::new();
    for case in cases {
        let found = match put_on(&scratch, base, &case.tar) {
            Ok(tree) => changes(&before, &tree, canary),
            Err(_) => Expect::Refused,
        };
        canary.must_be_well(&case.name);
        if found == Expect::Refused {
            let left = scratch.files().expect("the store can be listed");
            assert_eq!(left, files, "{}: a refused layer left something behind", case.name);
        }
        if found != case.expect {
            wrong.push(format!("{}: {found:?} instead of {:?}", case.name, case.expect));
        }
        scratch.store.collect().expect("what nothing needs can be collected");
    }
    assert!(wrong.is_empty(), "{driver}:\n{}", wrong.join("\n"));
    scratch.must_be_clean();
}

/// The tree of a layer on a stack, without recording it.
fn put_on(scratch: &Scratch, base: Option<ChainId>, tar: &[u8]) -> Result<Tree> {
    let store = &scratch.store;
    let lease = store.lease()?;
    let mut layers: Layers = store.tables()?.layers;
    let mut source = tar;
    let unpacked = store.unpack_layer(&lease, &mut source, Expected::default())?;
    let (chain, record) = store.adopt_layer(&lease, unpacked, base, &layers)?;
    layers.layers.insert(chain, record);
    let view = store.view(&store.stacked(Some(chain), &layers)?)?;
    Ok(Tree::read_at(&view).expect("a view can be read"))
}
