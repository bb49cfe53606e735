//! The engine: work that is cut at every write, and its recovery after it.

use crate::session::{Session, Trouble};
use cardlab::icc::{Lost, Tearable};
use cardlab::memory::{Cut, Ending};
use std::ops::ControlFlow;

/// What is cut: a card, or a conversation with one.
pub trait Bench: Sized {
    /// A second one in the very same state; `None` where the card cannot be copied.
    fn copy(&mut self) -> Option<Self>;

    /// The card; `None` where its power cannot be cut.
    fn card(&mut self) -> Option<&mut dyn Tearable>;

    /// Takes power away, if it is still there, and gives it back; the ATR.
    ///
    /// # Errors
    /// [`Lost`] where no ATR came.
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        match self.card() {
            Some(card) => card.power_on(),
            None => Err(Lost::NoPower),
        }
    }
}

impl Bench for Box<dyn Tearable> {
    fn copy(&mut self) -> Option<Self> {
        Some((**self).fork())
    }

    fn card(&mut self) -> Option<&mut dyn Tearable> {
        Some(&mut **self)
    }
}

impl Bench for Session<'_> {
    fn copy(&mut self) -> Option<Self> {
        Session::fork(self)
    }

    fn card(&mut self) -> Option<&mut dyn Tearable> {
        self.tearable().map(|card| &mut **card as &mut dyn Tearable)
    }

    /// As the conversation's monitors hear it.
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.cycle().map_err(|trouble| match trouble {
            Trouble::Lost(lost) => lost,
            Trouble::Case(_) | Trouble::Unavailable(_) => Lost::NoPower,
        })
    }
}

/// A cut that was made, and the card after it.
pub struct After<'a, B> {
    /// The card; it has power, unless it did not come back.
    pub bench: B,
    /// The cut in the work, then those in the recoveries after it.
    pub cuts: &'a [Cut],
    /// The ATR, or why there is none.
    pub back: Result<Vec<u8>, Lost>,
}

/// How many writes `work` makes; it is done on a copy.
pub fn writes_of<B: Bench>(start: &mut B, work: impl FnOnce(&mut B)) -> u64 {
    let Some(mut copy) = start.copy() else {
        return 0;
    };
    let writes = |bench: &mut B| bench.card().map_or(0, |card| card.writes());
    let before = writes(&mut copy);
    work(&mut copy);
    writes(&mut copy).saturating_sub(before)
}

/// Every way in which power can go in so many writes.
fn cuts(writes: u64) -> impl Iterator<Item = Cut> {
    let each = |after_writes| {
        Ending::ALL.map(|ending| Cut {
            after_writes,
            ending,
        })
    };
    (0..writes).flat_map(each)
}

/// Does `work` on copies with the power cut at each of its first `writes` writes, each
/// left in every way that an [`Ending`] has; where `depth` is not 0, cuts the recovery
/// after each of these cuts likewise, and that after it to this depth. `judge` sees
/// each card after power came back.
///
/// `work` ends where the power does. It is judged also where it came to its end in
/// spite of the cut, as on a card that does not do the same twice.
pub fn sweep<B: Bench, S>(
    start: &mut B,
    writes: u64,
    depth: u8,
    work: &mut impl FnMut(&mut B),
    judge: &mut impl FnMut(After<'_, B>) -> ControlFlow<S>,
) -> ControlFlow<S> {
    for cut in cuts(writes) {
        let Some(mut torn) = start.copy() else {
            return ControlFlow::Continue(());
        };
        if let Some(card) = torn.card() {
            card.cut(cut);
        }
        work(&mut torn);
        if let Some(card) = torn.card() {
            card.disarm();
            card.power_off();
        }
        recover(torn, &mut vec![cut], depth, judge)?;
    }
    ControlFlow::Continue(())
}

/// Gives power back, cut again at each write that this makes.
fn recover<B: Bench, S>(
    mut torn: B,
    made: &mut Vec<Cut>,
    depth: u8,
    judge: &mut impl FnMut(After<'_, B>) -> ControlFlow<S>,
) -> ControlFlow<S> {
    if let Some(deeper) = depth.checked_sub(1) {
        let writes = writes_of(&mut torn, |bench| drop(bench.power_on()));
        for cut in cuts(writes) {
            let Some(mut again) = torn.copy() else {
                break;
            };
            if let Some(card) = again.card() {
                card.cut(cut);
            }
            // It ends where the power does; what is left is looked at after the next.
            drop(again.power_on());
            if let Some(card) = again.card() {
                card.disarm();
                card.power_off();
            }
            made.push(cut);
            recover(again, made, deeper, judge)?;
            made.pop();
        }
    }
    let back = torn.power_on();
    judge(After {
        bench: torn,
        cuts: made,
        back,
    })
}
