//! The law of this memory, checked against a model at every loss of power.
//!
//! A [`Model`] is vectors of bytes, and copies of them for what may have to come
//! back. The same random steps are taken by it and by a [`Store`] whose power is
//! cut at each physical write in turn, in each way in which a write can end; the
//! recovery is cut at each of its writes, and the recovery after that once more.
//! Then memory must be what the model kept before the interrupted step or after
//! it, and must go on working.
//!
//! In the same way cells are worn out at each write in turn. A step that finds out is
//! refused, and its update with it: memory must be what the model kept before that update,
//! with power and after it went, but for what worn cells have lost.

use core::ops::Range;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Cells, Cut, Ending, Fault, JournalSize, Mark, Medium, Object, Owner, Pages, Store};
use super::{Tear, Wear, Worn};

/// One step. Objects with an even index are written, those with an odd one are
/// latched: bytes are of one kind.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Commit,
    RollBack,
    Mark,
    RollBackTo {
        mark: usize,
    },
    Allocate {
        owner: u8,
        len: u32,
    },
    Change {
        object: usize,
        offset: u32,
        len: usize,
        byte: u8,
    },
}

/// All objects: to whom they belong, and their bytes.
type Objects = Vec<(Owner, Vec<u8>)>;

/// What a memory should hold.
#[derive(Clone, Default)]
struct Model {
    now: Objects,
    /// What comes back if the open update does not end well.
    before: Option<Objects>,
    marks: Vec<(Mark, Objects)>,
}

impl Model {
    /// What memory holds after loss of power.
    fn durable(&self) -> &Objects {
        self.before.as_ref().unwrap_or(&self.now)
    }

    fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.now = before;
            self.marks.clear();
        }
    }

    /// Takes one step with the store, and takes it back where that was too much
    /// for the journal.
    fn step(&mut self, store: &mut Store<impl Medium>, step: Step) {
        let unchanged = self.clone();
        self.take(store, step);
        if let Some(fault) = store.take_fault() {
            assert_eq!(fault, Fault::JournalFull);
            store.roll_back();
            *self = unchanged;
            self.roll_back();
        }
    }

    fn take(&mut self, store: &mut Store<impl Medium>, step: Step) {
        match step {
            Step::Begin => {
                store.begin();
                if self.before.is_none() {
                    self.before = Some(self.now.clone());
                }
            }
            Step::Commit => {
                store.commit();
                self.before = None;
                self.marks.clear();
            }
            Step::RollBack => {
                store.roll_back();
                self.roll_back();
            }
            Step::Mark => {
                if self.before.is_some() {
                    self.marks.push((store.mark(), self.now.clone()));
                }
            }
            Step::RollBackTo { mark } => {
                if !self.marks.is_empty() {
                    let mark = mark % self.marks.len();
                    self.marks.truncate(mark + 1);
                    let (mark, objects) = self.marks[mark].clone();
                    store.roll_back_to(mark);
                    self.now = objects;
                }
            }
            Step::Allocate { owner, len } => {
                if store.allocate(Owner(owner), len).is_some() {
                    self.now.push((Owner(owner), vec![0; len as usize]));
                }
            }
            Step::Change { byte, .. } => self.change(store, step, byte),
        }
    }

    /// The object that a change is to, and the bytes of it; `None` where there is none.
    fn target(&self, store: &Store<impl Medium>, step: Step) -> Option<(usize, Range<usize>)> {
        let Step::Change {
            object,
            offset,
            len,
            ..
        } = step
        else {
            return None;
        };
        // After the cut the store knows objects that it has not.
        let count = store.objects().count().min(self.now.len());
        let index = object.checked_rem(count)?;
        let all = self.now[index].1.len();
        let start = all.min(offset as usize);
        Some((index, start..(start + len).min(all)))
    }

    fn change(&mut self, store: &mut Store<impl Medium>, step: Step, byte: u8) {
        let Some((index, place)) = self.target(store, step) else {
            return;
        };
        let Some(object) = store.objects().nth(index) else {
            return;
        };
        let values = (byte..=u8::MAX).chain(0..byte).cycle();
        let bytes: Vec<u8> = values.take(place.len()).collect();
        let offset = u32::try_from(place.start).unwrap();
        if index.is_multiple_of(2) {
            store.write(object, offset, &bytes);
            self.now[index].1[place].copy_from_slice(&bytes);
        } else {
            store.latch(object, offset, &bytes);
            self.latched(index, &place, &bytes);
        }
    }

    /// A latch holds in whatever may come back, as far as the object is there.
    fn latched(&mut self, index: usize, place: &Range<usize>, bytes: &[u8]) {
        let marks = self.marks.iter_mut().map(|(_, objects)| objects);
        for objects in marks.chain(&mut self.before).chain([&mut self.now]) {
            if let Some((_, old)) = objects.get_mut(index) {
                old[place.clone()].copy_from_slice(bytes);
            }
        }
    }
}

fn objects(store: &Store<impl Medium>) -> Objects {
    let bytes = |object: Object| {
        let mut bytes = Vec::new();
        store.append_to(object, 0, object.len(), &mut bytes);
        (object.owner(), bytes)
    };
    store.objects().map(bytes).collect()
}

/// Runs the recovery with a cut, and gives power back.
fn recover_cut(torn: &mut Store, cut: Cut) -> Store {
    let mut store = torn.fork();
    store.medium_mut().arm(cut);
    store.recover();
    store.medium_mut().restore();
    store
}

/// How many writes the recovery needs.
fn recovery_writes(torn: &mut Store) -> u64 {
    let mut store = torn.fork();
    store.recover();
    store.medium().writes()
}

fn cuts(writes: u64) -> impl Iterator<Item = Cut> {
    (0..writes).flat_map(|after_writes| {
        Ending::ALL.map(|ending| Cut {
            after_writes,
            ending,
        })
    })
}

/// What was swept.
#[derive(Debug, Default)]
struct Swept {
    /// Cuts in updates, by how the write ended.
    cuts: BTreeMap<String, u64>,
    /// Cuts in recoveries.
    in_recovery: u64,
    /// Cuts in the recovery from such a cut.
    in_second_recovery: u64,
}

impl Swept {
    fn total(&self) -> u64 {
        self.cuts.values().sum::<u64>() + self.in_recovery + self.in_second_recovery
    }
}

/// Cuts these steps at every physical write.
fn sweep(blank: &mut Store, steps: &[Step], swept: &mut Swept) {
    let mut store = blank.fork();
    let mut model = Model::default();
    for step in steps {
        model.step(&mut store, *step);
        assert_eq!(objects(&store), model.now, "with power, after {step:?}");
    }
    for cut in cuts(store.medium().writes()) {
        let mut store = blank.fork();
        store.medium_mut().arm(cut);
        let mut model = Model::default();
        let mut rest = steps.iter();
        let mut before = Objects::new();
        for step in rest.by_ref() {
            before.clone_from(model.durable());
            model.step(&mut store, *step);
            if store.medium().is_cut() {
                break;
            }
        }
        store.medium_mut().restore();
        let after = model.durable();
        *swept.cuts.entry(format!("{:?}", cut.ending)).or_default() += 1;
        let check = |store: &Store, what: &dyn std::fmt::Debug| {
            let found = objects(store);
            assert!(
                found == before || found == *after,
                "{cut:?}, then {what:?}:\n{found:?}\nis neither\n{before:?}\nnor\n{after:?}"
            );
        };

        for second in cuts(recovery_writes(&mut store)) {
            let mut store = recover_cut(&mut store, second);
            swept.in_recovery += 1;
            let writes = recovery_writes(&mut store);
            if writes > 0 {
                let third = Cut {
                    after_writes: (cut.after_writes + second.after_writes) % writes,
                    ending: second.ending,
                };
                store = recover_cut(&mut store, third);
                swept.in_second_recovery += 1;
            }
            store.recover();
            check(&store, &second);
        }

        store.recover();
        check(&store, &"power");
        let mut model = Model {
            now: objects(&store),
            ..Model::default()
        };
        for step in rest {
            model.step(&mut store, *step);
        }
        assert_eq!(
            objects(&store),
            model.now,
            "{cut:?}, then power and the rest"
        );
        store.recover();
        assert_eq!(
            objects(&store),
            *model.durable(),
            "{cut:?}, then power twice"
        );
        let last = store.allocate(Owner::OS, store.free_bytes());
        assert_eq!(store.take_fault(), None);
        if last.is_some() {
            let zeros = objects(&store).pop().map(|(_, bytes)| bytes);
            assert!(zeros.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)));
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        2 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        2 => Just(Step::Mark),
        1 => any::<usize>().prop_map(|mark| Step::RollBackTo { mark }),
        2 => (1_u8..4, 0_u32..60).prop_map(|(owner, len)| Step::Allocate { owner, len }),
        1 => (1_u8..4, 400_u32..1200).prop_map(|(owner, len)| Step::Allocate { owner, len }),
        8 => (any::<usize>(), 0_u32..16, 0_usize..20, any::<u8>())
            .prop_map(|(object, offset, len, byte)| Step::Change { object, offset, len, byte }),
        1 => (any::<usize>(), 0_u32..300, 0_usize..400, any::<u8>())
            .prop_map(|(object, offset, len, byte)| Step::Change { object, offset, len, byte }),
    ]
}

fn blank() -> Store {
    let size = JournalSize {
        entries: 16,
        bytes: 512,
    };
    Store::format_with(Tear::new(Pages::new(6 * 1024)), size)
}

#[test]
fn memory_is_as_before_or_as_after_whenever_power_goes() {
    let mut runner = TestRunner::new(Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    });
    let swept = std::cell::RefCell::new(Swept::default());
    // Two objects to begin with, so that most steps have something to change.
    let start = [
        Step::Allocate { owner: 1, len: 40 },
        Step::Allocate { owner: 2, len: 20 },
    ];
    let result = runner.run(&vec(step(), 1..30), |steps| {
        let steps = [&start[..], &steps[..]].concat();
        sweep(&mut blank(), &steps, &mut swept.borrow_mut());
        Ok(())
    });
    let swept = swept.into_inner();
    println!("{} cuts: {swept:?}", swept.total());
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(swept.total() > 10_000);
}

#[test]
fn a_large_update_is_as_before_or_as_after_whenever_power_goes() {
    let mut store = Store::format(Tear::new(Pages::new(128 * 1024)));
    let allocate = Step::Allocate {
        owner: 1,
        len: 12_000,
    };
    let change = |object, byte| Step::Change {
        object,
        offset: 100,
        len: 11_000,
        byte,
    };
    let steps = [
        allocate,
        allocate,
        change(0, 1),
        Step::Begin,
        change(1, 2),
        change(0, 3),
        Step::Commit,
        Step::Begin,
        change(0, 4),
        Step::RollBack,
    ];
    let mut swept = Swept::default();
    sweep(&mut store, &steps, &mut swept);
    println!("{} cuts: {swept:?}", swept.total());
    assert!(swept.total() > 100);
}

#[test]
fn roll_back_and_recovery_agree_even_where_writes_and_latches_meet() {
    let change = (any::<bool>(), 0_u32..12, vec(any::<u8>(), 0..12));
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&vec(change, 1..12), |changes| {
        let mut store = blank();
        let object = store.allocate(Owner(1), 24).expect("room");
        store.begin();
        for (latched, offset, bytes) in &changes {
            match latched {
                true => store.latch(object, *offset, bytes),
                false => store.write(object, *offset, bytes),
            }
        }
        let mut recovered = store.fork();
        recovered.recover();
        store.roll_back();
        prop_assert_eq!(objects(&store), objects(&recovered));
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A memory whose cells can wear out.
type Wearing = Store<Wear<Pages>>;

/// What wearing cells out came to.
#[derive(Debug, Default)]
struct WornOut {
    /// Runs in which cells wore out, by what became of them.
    runs: BTreeMap<String, u64>,
    /// Steps that were refused for it.
    refused: u64,
    /// Runs that ended with a memory that takes no change any more.
    ended: u64,
    /// Runs that ended with other bytes in worn cells than the model has.
    lost: u64,
    /// Runs that ended without a place where free memory begins.
    gone: u64,
}

/// Whether an address is worn.
fn is_worn(store: &Wearing, at: u32) -> bool {
    let mut worn = store.medium().worn().iter();
    worn.any(|cells| cells.contains(&at))
}

/// Whether memory holds this but for bytes in worn cells.
fn holds_but_worn(store: &Wearing, expected: &Objects) -> bool {
    let handles: Vec<Object> = store.objects().collect();
    let alike = |(object, expected): (&Object, &(Owner, Vec<u8>))| {
        let mut found = Vec::new();
        store.append_to(*object, 0, object.len(), &mut found);
        object.owner() == expected.0
            && found.len() == expected.1.len()
            && (object.reference().number()..)
                .zip(found.iter().zip(&expected.1))
                .all(|(at, (found, expected))| found == expected || is_worn(store, at))
    };
    handles.len() == expected.len() && handles.iter().zip(expected).all(alike)
}

/// Takes a step with the memory; one that it refuses is taken back with its update.
/// Whether it was refused for worn cells.
fn step_worn(model: &mut Model, store: &mut Wearing, step: Step) -> bool {
    let unchanged = model.clone();
    let target = model.target(store, step);
    model.take(store, step);
    let Some(fault) = store.take_fault() else {
        return false;
    };
    store.roll_back();
    store.take_fault();
    *model = unchanged;
    if let Some((index, place)) = target
        && index % 2 == 1
        && let Some((_, found)) = objects(store).get(index)
    {
        // No roll-back undoes a latch: it stands as far as its cells took it.
        model.latched(index, &place, &found[place.clone()]);
    }
    model.roll_back();
    fault == Fault::Worn
}

/// Takes these steps on a memory whose cells wear out at each write in turn.
fn wear_out(blank: &mut Wearing, steps: &[Step], sum: &mut WornOut) {
    for cells in Cells::ALL {
        for after_writes in 0.. {
            let mut store = blank.fork();
            store.medium_mut().arm(Worn {
                after_writes,
                cells,
            });
            let mut model = Model::default();
            for step in steps {
                sum.refused += u64::from(step_worn(&mut model, &mut store, *step));
                check_worn(&store, &model.now, cells, step);
            }
            if store.medium().worn().is_empty() {
                break;
            }
            *sum.runs.entry(format!("{cells:?}")).or_default() += 1;
            store.recover();
            if store.is_stuck() && is_worn(&store, store.top_at()) || store.fault().is_some() {
                sum.gone += 1;
                continue;
            }
            check_worn(&store, model.durable(), cells, &"power");
            store.recover();
            check_worn(&store, model.durable(), cells, &"power twice");
            sum.lost += u64::from(objects(&store) != *model.durable());
            let model = &mut Model {
                now: objects(&store),
                ..Model::default()
            };
            let last = Step::Change {
                object: 0,
                offset: 0,
                len: 1,
                byte: 0xEE,
            };
            sum.ended += u64::from(step_worn(model, &mut store, last));
        }
    }
}

/// The law of worn cells: a memory that takes changes holds what it should; one that
/// takes none any more does so but for what worn cells hold, and is as good as gone where
/// these are the ones that say where free memory begins.
fn check_worn(store: &Wearing, expected: &Objects, cells: Cells, after: &dyn std::fmt::Debug) {
    let holds = if store.is_stuck() {
        is_worn(store, store.top_at()) || holds_but_worn(store, expected)
    } else {
        objects(store) == *expected
    };
    assert!(
        holds,
        "{cells:?}, {:?}, after {after:?}:\n{:?}\nis not\n{expected:?}",
        store.medium().worn(),
        objects(store)
    );
}

#[test]
fn an_update_that_meets_worn_cells_is_refused_whole_and_the_rest_holds() {
    let mut runner = TestRunner::new(Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    });
    let size = JournalSize {
        entries: 16,
        bytes: 512,
    };
    let start = [
        Step::Allocate { owner: 1, len: 40 },
        Step::Allocate { owner: 2, len: 20 },
    ];
    let sum = std::cell::RefCell::new(WornOut::default());
    let result = runner.run(&vec(step(), 1..30), |steps| {
        let mut blank = Wearing::format_with(Wear::new(Pages::new(6 * 1024)), size);
        let steps = [&start[..], &steps[..]].concat();
        wear_out(&mut blank, &steps, &mut sum.borrow_mut());
        Ok(())
    });
    let sum = sum.into_inner();
    println!("{sum:?}");
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(sum.runs.values().all(|runs| *runs > 1000) && sum.refused > 1000);
    assert!(sum.ended > 0 && sum.lost > 0 && sum.gone > 0);
}
